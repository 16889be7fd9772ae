package events

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// maxPolicy is the size of a bus's policy in bytes: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const maxPolicy = 10 << 10

// document is a policy that is made of permissions. Statements stay as they were put.
type document struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// statement is what a permission becomes.
type statement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

// permission finds the bus of a request about its policy, after asking. The root user of its account is asked nothing of the policy: none locks the owner out.
func (s *Service) permission(c *call.Call, name *string) (*bus, error) {
	b, err := s.named(c, name)
	if err != nil {
		return nil, err
	}
	r := b.resource(c.Scope.Partition)
	if c.Caller.Kind == policy.Root && c.Caller.Account == b.Account {
		r.Policy = nil
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if !b.there || b.Region != c.Scope.Region {
		return nil, noBus(b.Name)
	}
	return b, nil
}

// PutPermission lets others put events on a bus: it adds a statement to the bus's policy, or replaces the policy.
func (s *Service) PutPermission(c *call.Call, in *events.PutPermissionRequest) (*events.PutPermissionResponse, error) {
	b, err := s.permission(c, in.EventBusName)
	if err != nil {
		return nil, err
	}
	text := optional.Value(in.Policy)
	if in.Policy == nil {
		if text, err = b.permit(c, in); err != nil {
			return nil, err
		}
	} else if in.Action != nil || in.Principal != nil || in.StatementId != nil || in.Condition != nil {
		return nil, invalid("Parameter Policy must not be specified with Action, Principal, StatementId or Condition.")
	}
	if len(text) > maxPolicy {
		return nil, &events.PolicyLengthExceededException{Message: "The policy exceeds the maximum length of 10240 bytes."}
	}
	p, err := policy.Parse([]byte(text), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return nil, invalid("Parameter Policy is not valid. Reason: " + syntax.AWS())
	}
	if err != nil {
		return nil, err
	}
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), p)
	if err != nil {
		return nil, err
	}
	if unknown != "" {
		return nil, invalid("Parameter Policy is not valid. Reason: Invalid principal in policy: " + unknown)
	}
	b.Policy, b.Pins = text, pins
	return &events.PutPermissionResponse{}, b.save(c)
}

// permit is the bus's policy with the statement of a request, in place of an earlier one of its ID.
func (b *bus) permit(c *call.Call, in *events.PutPermissionRequest) (string, error) {
	if in.Action == nil || in.Principal == nil || in.StatementId == nil {
		return "", invalid("Parameter(s) Action, Principal, StatementId or Policy must be specified.")
	}
	st := statement{Sid: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: b.arn(c.Scope.Partition)}
	switch p := *in.Principal; {
	case p == "*":
		st.Principal = p
	case identity.IsAccount(p):
		st.Principal = map[string]string{"AWS": "arn:" + c.Scope.Partition + ":iam::" + p + ":root"}
	default:
		return "", invalid("Parameter Principal is not valid. Reason: Principal must be an account or *.")
	}
	if x := in.Condition; x != nil {
		if optional.Value(x.Type) != "StringEquals" || optional.Value(x.Key) != "aws:PrincipalOrgID" || optional.Value(x.Value) == "" {
			return "", invalid("Parameter Condition is not valid. Reason: Only StringEquals of aws:PrincipalOrgID is supported.")
		}
		if *in.Principal != "*" {
			return "", invalid("Parameter Condition is not valid. Reason: Principal must be * when Condition is specified.")
		}
		st.Condition = map[string]map[string]string{*x.Type: {*x.Key: *x.Value}}
	}
	added, err := json.Marshal(st)
	if err != nil {
		return "", err
	}
	doc, err := b.document()
	if err != nil {
		return "", err
	}
	doc.without(st.Sid)
	doc.Statement = append(doc.Statement, added)
	text, err := json.Marshal(doc)
	return string(text), err
}

// document is the bus's policy as its statements.
func (b *bus) document() (*document, error) {
	doc := &document{Version: "2012-10-17"}
	if b.Policy == "" {
		return doc, nil
	}
	var one struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(b.Policy), &one); err != nil {
		return nil, err
	}
	if len(one.Statement) > 0 && one.Statement[0] == '{' { // a single one may stand without brackets
		var rest struct{ Version, Id string }
		if err := json.Unmarshal([]byte(b.Policy), &rest); err != nil {
			return nil, err
		}
		return &document{rest.Version, rest.Id, []json.RawMessage{one.Statement}}, nil
	}
	return doc, json.Unmarshal([]byte(b.Policy), doc)
}

// without removes the statement with an ID, and reports whether there was one.
func (d *document) without(sid string) bool {
	n := len(d.Statement)
	d.Statement = slices.DeleteFunc(d.Statement, func(raw json.RawMessage) bool {
		var st struct{ Sid string }
		return json.Unmarshal(raw, &st) == nil && st.Sid == sid
	})
	return len(d.Statement) < n
}

// RemovePermission takes a statement out of a bus's policy, or all of them.
func (s *Service) RemovePermission(c *call.Call, in *events.RemovePermissionRequest) (*events.RemovePermissionResponse, error) {
	b, err := s.permission(c, in.EventBusName)
	if err != nil {
		return nil, err
	}
	if optional.Value(in.RemoveAllPermissions) {
		b.Policy, b.Pins = "", nil
		return &events.RemovePermissionResponse{}, b.save(c)
	}
	if in.StatementId == nil {
		return nil, invalid("Parameter StatementId or RemoveAllPermissions must be specified.")
	}
	gone := &events.ResourceNotFoundException{Message: "Statement with the provided id does not exist."}
	if b.Policy == "" {
		return nil, gone
	}
	doc, err := b.document()
	if err != nil {
		return nil, err
	}
	if !doc.without(*in.StatementId) {
		return nil, gone
	}
	if len(doc.Statement) == 0 {
		b.Policy, b.Pins = "", nil
		return &events.RemovePermissionResponse{}, b.save(c)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	b.Policy = string(text) // the pins of the others stay
	return &events.RemovePermissionResponse{}, b.save(c)
}

// shownPolicy is a bus's policy as it is told: who is gone stands there by a unique ID.
func (s *Service) shownPolicy(c *call.Call, b *bus) (string, error) {
	if b.Policy == "" {
		return "", nil
	}
	p, err := s.policies.Get(c.Context, b.Policy, b.Pins)
	if err != nil {
		return "", err
	}
	return s.cfg.Principals.Show(c.Tx(), p, b.Pins)
}
