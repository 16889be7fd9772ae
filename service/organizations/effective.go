package organizations

import (
	"slices"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/organization"
)

// DescribeEffectivePolicy tells what an account has of a type of policy, all that it inherits put together. Any member may ask about itself.
func (s *Service) DescribeEffectivePolicy(c *call.Call, in *organizations.DescribeEffectivePolicyRequest) (*organizations.DescribeEffectivePolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	target, who := o.caller.ID, member
	if in.TargetId != nil && *in.TargetId != o.caller.ID {
		target, who = *in.TargetId, readable
	}
	r, err := o.ofTarget(target)
	if err != nil {
		return nil, err
	}
	t := string(in.PolicyType)
	r.Conditions = policyType(t)
	if err := o.ask(who, r); err != nil {
		return nil, err
	}
	a, err := o.account(target)
	if missing(err) {
		return nil, noTarget()
	}
	if err != nil {
		return nil, err
	}
	levels, updated, err := organization.Inherited(c.Tx(), o.Organization, a, t)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(o.Types, t) || updated.IsZero() {
		return nil, &organizations.EffectivePolicyNotFoundException{
			Message: "The effective policy was not found: the policy type is not enabled, or no policy of the type is attached to the account or to what it lies in.",
		}
	}
	content, err := organization.Effective(t, levels)
	if err != nil {
		return nil, err
	}
	return &organizations.DescribeEffectivePolicyResponse{EffectivePolicy: &organizations.EffectivePolicy{
		PolicyContent: &content, LastUpdatedTimestamp: &updated, TargetId: &target, PolicyType: in.PolicyType,
	}}, nil
}
