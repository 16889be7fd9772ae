package organizations

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
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
	levels, updated, err := o.inherited(a, t)
	if err != nil {
		return nil, err
	}
	none := !slices.Contains(o.Types, t) || updated.IsZero()
	if none {
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

// inherited returns the documents of a type at each level from the root to an account, and when the last change of any took effect.
func (o *org) inherited(a *organization.Account, t string) (levels [][]string, updated time.Time, err error) {
	chain, err := o.chain(a.Parent)
	if err != nil {
		return nil, updated, err
	}
	for _, target := range append(chain, a.ID) {
		var here []*organization.Attachment
		for at, err := range organization.Attachments.In(o.Management, "").Scan(o.c.Tx(), store.Query{Prefix: store.Key{target, t}}) {
			if err != nil {
				return nil, updated, err
			}
			here = append(here, at)
		}
		// Policies of one level count in the order in which they were attached.
		slices.SortStableFunc(here, func(a, b *organization.Attachment) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Policy, b.Policy))
		})
		var docs []string
		for _, at := range here {
			p, err := organization.Find(o.c.Tx(), o.Organization, at.Policy)
			if err != nil {
				return nil, updated, err
			}
			docs = append(docs, p.Content)
			for _, when := range []time.Time{at.Created, p.Updated} {
				if when.After(updated) {
					updated = when
				}
			}
		}
		levels = append(levels, docs)
	}
	return levels, updated, nil
}
