package lambda

import (
	"encoding/json"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
)

// readLayerRevision is the operation that tells the revision of a layer's policy.
const readLayerRevision = "GetLayerPolicy"

// permittedLayer finds a version of a layer whose policy is read or changed.
func (s *Service) permittedLayer(c *call.Call, layer *string, number *int64) (layerName, *layerVersionRecord, *document, error) {
	n, err := parseLayer(c, layer, number)
	if err != nil {
		return n, nil, nil, err
	}
	l, err := s.thereLayer(c, n)
	if err != nil {
		return n, nil, nil, err
	}
	d, err := parseDocument(l.Policy)
	return n, l, d, err
}

// setLayerPolicy gives a version of a layer a policy, or takes it away if it has no statements.
func (s *Service) setLayerPolicy(c *call.Call, n layerName, l *layerVersionRecord, d *document, pins identity.Pins) (err error) {
	if l.Policy, err = d.text(); err != nil {
		return err
	}
	l.Pins, l.Revision = pins, c.UUID()
	return layerVersionTable.In(n.account, n.region).Put(c.Tx(), l)
}

// AddLayerVersionPermission lets accounts use a version of a layer: one, all, or those of an organization.
func (s *Service) AddLayerVersionPermission(c *call.Call, in *lambda.AddLayerVersionPermissionRequest) (*lambda.AddLayerVersionPermissionResponse, error) {
	n, l, d, err := s.permittedLayer(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	if in.OrganizationId != nil && *in.Principal != "*" {
		return nil, invalid("The principal must be * when an organization ID is given.")
	}
	st := statement{SID: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: n.arn(c)}
	if st.Principal, err = principalOf(c, *in.Principal); err != nil {
		return nil, err
	}
	st.when("StringEquals", "aws:PrincipalOrgID", in.OrganizationId)
	if err := d.add(st); err != nil {
		return nil, err
	}
	if err := checkRevision(in.RevisionId, l.Revision, readLayerRevision); err != nil {
		return nil, err
	}
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	pins, err := s.compiled(c, text)
	if err != nil {
		return nil, err
	}
	if err := s.setLayerPolicy(c, n, l, d, pins); err != nil {
		return nil, err
	}
	told, err := json.Marshal(st)
	return &lambda.AddLayerVersionPermissionResponse{Statement: new(string(told)), RevisionId: &l.Revision}, err
}

// RemoveLayerVersionPermission takes such a permission away.
func (s *Service) RemoveLayerVersionPermission(c *call.Call, in *lambda.RemoveLayerVersionPermissionRequest) (*lambda.RemoveLayerVersionPermissionResponse, error) {
	n, l, d, err := s.permittedLayer(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	if err := checkRevision(in.RevisionId, l.Revision, readLayerRevision); err != nil {
		return nil, err
	}
	if err := d.remove(*in.StatementId); err != nil {
		return nil, err
	}
	return &lambda.RemoveLayerVersionPermissionResponse{}, s.setLayerPolicy(c, n, l, d, l.Pins)
}

// GetLayerVersionPolicy returns the policy of a version of a layer.
func (s *Service) GetLayerVersionPolicy(c *call.Call, in *lambda.GetLayerVersionPolicyRequest) (*lambda.GetLayerVersionPolicyResponse, error) {
	_, l, _, err := s.permittedLayer(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	if l.Policy == "" {
		return nil, notFound("No policy is associated with the given resource.")
	}
	text, err := s.showPolicy(c, l.Policy, l.Pins)
	return &lambda.GetLayerVersionPolicyResponse{Policy: &text, RevisionId: &l.Revision}, err
}
