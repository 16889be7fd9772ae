package cloudtrail

import (
	"context"
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// resourcePolicy returns the policy of a channel or an event data store, nil if it has none.
func (s *Service) resourcePolicy(ctx context.Context, rd store.Reader, account, region, arn string) (*policy.Policy, error) {
	r, err := policyTable.In(account, region).Get(rd, arn)
	if err != nil {
		return nil, store.IgnoreNotFound(err)
	}
	return s.policies.Get(ctx, r.Document, r.Pins)
}

// dropPolicy removes the policy of a resource that is deleted.
func dropPolicy(tx store.Tx, account, region, arn string) error {
	return store.IgnoreNotFound(policyTable.In(account, region).Delete(tx, arn))
}

// governed finds what can have a resource policy by its ARN, after asking about it. Only its owner's account may do anything with its policy.
func (s *Service) governed(c *call.Call, id string) (thing, error) {
	th, ok := s.thing(id)
	if !ok || th.account != c.Scope.Account || th.region != c.Scope.Region {
		if err := c.Authorize(&call.Resource{ARN: id}); err != nil {
			return th, err
		}
		return th, &cloudtrail.ResourceARNNotValidException{Message: "The ARN " + id + " is not one of a resource in this account and region."}
	}
	there, err := th.there(c)
	if err != nil {
		return th, err
	}
	var tags map[string]string
	if there {
		if tags, err = tagsOf(c.Tx(), th.account, th.region, id); err != nil {
			return th, err
		}
	}
	if err := s.ask(c, th.kind.audited(), th.account, id, tags, nil, nil); err != nil {
		return th, err
	}
	switch th.kind {
	case aStore, aChannel, aDashboard:
	default:
		return th, &cloudtrail.ResourceTypeNotSupportedException{Message: "Resources of the type " + string(th.kind) + " have no resource policy."}
	}
	if !there {
		return th, &cloudtrail.ResourceNotFoundException{Message: "The resource " + id + " was not found."}
	}
	return th, nil
}

// PutResourcePolicy sets the policy of a channel or an event data store.
func (s *Service) PutResourcePolicy(c *call.Call, in *cloudtrail.PutResourcePolicyRequest) (*cloudtrail.PutResourcePolicyResponse, error) {
	th, err := s.governed(c, optional.Value(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	p, err := th.parse(optional.Value(in.ResourcePolicy))
	if err != nil {
		return nil, err
	}
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), p)
	if err != nil {
		return nil, err
	}
	if unknown != "" {
		return nil, badPolicy("The resource policy names a principal that does not exist: " + unknown + ".")
	}
	r := &policyRecord{ARN: th.arn, Document: optional.Value(in.ResourcePolicy), Pins: pins}
	return &cloudtrail.PutResourcePolicyResponse{ResourceArn: &th.arn, ResourcePolicy: &r.Document}, policyTable.In(th.account, th.region).Put(c.Tx(), r)
}

func badPolicy(message string) error {
	return &cloudtrail.ResourcePolicyNotValidException{Message: message}
}

// parse compiles a policy that the thing is to have. It says what may be done with the thing alone.
func (th thing) parse(text string) (*policy.Policy, error) {
	p, err := policy.Parse([]byte(text), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return nil, badPolicy("The resource policy is not valid: " + syntax.Error())
	}
	if err != nil {
		return nil, err
	}
	actions := cloudtrail.Service.ActionPrefix + ":"
	if th.kind == aChannel {
		actions = "cloudtrail-data:putauditevents"
	}
	for st := range p.Statements() {
		if st.NotAction || st.NotResource || st.NotPrincipal {
			return nil, badPolicy("The resource policy must name actions, resources and principals, and not what they are not.")
		}
		for _, a := range st.Actions {
			if !strings.HasPrefix(strings.ToLower(a), actions) {
				return nil, badPolicy("The resource policy has an action that is not valid for the resource: " + a + ".")
			}
		}
		for _, r := range st.Resources {
			if r != th.arn {
				return nil, badPolicy("The resource policy has a resource that is not " + th.arn + ".")
			}
		}
	}
	return p, nil
}

// policy returns the record of the thing's policy.
func (th thing) policy(rd store.Reader) (*policyRecord, error) {
	r, err := policyTable.In(th.account, th.region).Get(rd, th.arn)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &cloudtrail.ResourcePolicyNotFoundException{Message: "The resource " + th.arn + " has no resource policy."}
	}
	return r, err
}

// GetResourcePolicy shows the policy of a channel or an event data store. Users and roles that are gone show as their IDs.
func (s *Service) GetResourcePolicy(c *call.Call, in *cloudtrail.GetResourcePolicyRequest) (*cloudtrail.GetResourcePolicyResponse, error) {
	th, err := s.governed(c, optional.Value(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	r, err := th.policy(c.Tx())
	if err != nil {
		return nil, err
	}
	p, err := s.policies.Get(c.Context, r.Document, r.Pins)
	if err != nil {
		return nil, err
	}
	text, err := s.cfg.Principals.Show(c.Tx(), p, r.Pins)
	return &cloudtrail.GetResourcePolicyResponse{ResourceArn: &th.arn, ResourcePolicy: &text}, err
}

// DeleteResourcePolicy removes the policy of a channel or an event data store.
func (s *Service) DeleteResourcePolicy(c *call.Call, in *cloudtrail.DeleteResourcePolicyRequest) (*cloudtrail.DeleteResourcePolicyResponse, error) {
	th, err := s.governed(c, optional.Value(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	if _, err := th.policy(c.Tx()); err != nil {
		return nil, err
	}
	return &cloudtrail.DeleteResourcePolicyResponse{}, dropPolicy(c.Tx(), th.account, th.region, th.arn)
}
