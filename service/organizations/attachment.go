package organizations

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// targets yields everything that policies can be attached to: the root, the units, the accounts.
func (o *org) targets() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !yield(o.Root, nil) {
			return
		}
		for u, err := range organization.Units.In(o.Management, "").Scan(o.c.Tx(), store.Query{}) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(u.ID, nil) {
				return
			}
		}
		for a, err := range organization.Accounts.In(o.Management, "").Scan(o.c.Tx(), store.Query{}) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(a.ID, nil) {
				return
			}
		}
	}
}

func (o *org) attach(target, policyType, id string) error {
	return organization.Attachments.In(o.Management, "").Put(o.c.Tx(), &organization.Attachment{
		Target: target, Type: policyType, Policy: id, Created: o.c.Time,
	})
}

// attachDefaults attaches to something new what AWS has for the types that are enabled.
func (o *org) attachDefaults(target string) error {
	for _, t := range o.Types {
		if d := organization.DefaultPolicy(t); d != "" {
			if err := o.attach(target, t, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// detachAll removes all attachments of something that goes.
func (o *org) detachAll(target string) error {
	rows := organization.Attachments.In(o.Management, "")
	for a, err := range rows.Scan(o.c.Tx(), store.Query{Prefix: store.Key{target}}) {
		if err != nil {
			return err
		}
		if err := rows.Delete(o.c.Tx(), a.Target, a.Type, a.Policy); err != nil {
			return err
		}
	}
	return nil
}

// kind tells what a target is, or store.ErrNotFound.
func (o *org) kind(id string) (kind organizations.TargetType, name, arn string, err error) {
	p := o.s.cfg.Partition
	switch {
	case id == o.Root:
		return organizations.TargetTypeRoot, rootName, o.RootARN(p), nil
	case strings.HasPrefix(id, "r-"):
		return "", "", "", store.ErrNotFound
	case strings.HasPrefix(id, "ou-"):
		u, err := o.unit(id)
		if err != nil {
			return "", "", "", err
		}
		return organizations.TargetTypeOrganizationalUnit, u.Name, o.UnitARN(p, id), nil
	}
	if _, err := o.account(id); err != nil {
		return "", "", "", err
	}
	profile, err := organization.ProfileOf(o.c.Tx(), id)
	if err != nil {
		return "", "", "", err
	}
	return organizations.TargetTypeAccount, profile.Name, o.AccountARN(p, id), nil
}

// attachable finds policy and target, after asking about both.
func (s *Service) attachable(c *call.Call, policyID, target string) (*org, *organization.Policy, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, nil, err
	}
	forPolicy, err := o.ofPolicy(policyID)
	if err != nil {
		return nil, nil, err
	}
	forTarget, err := o.ofTarget(target)
	if err != nil {
		return nil, nil, err
	}
	forTarget.Conditions = forPolicy.Conditions
	if err := o.ask(delegable, forPolicy, forTarget); err != nil {
		return nil, nil, err
	}
	p, err := organization.Find(c.Tx(), o.Organization, policyID)
	if missing(err) {
		return nil, nil, noPolicy()
	}
	if err != nil {
		return nil, nil, err
	}
	if _, _, _, err := o.kind(target); missing(err) {
		return nil, nil, noTarget()
	} else if err != nil {
		return nil, nil, err
	}
	return o, p, nil
}

// AttachPolicy has a policy bind a root, a unit or an account, with all below it.
func (s *Service) AttachPolicy(c *call.Call, in *organizations.AttachPolicyRequest) (*organizations.AttachPolicyResponse, error) {
	target := optional.Value(in.TargetId)
	o, p, err := s.attachable(c, optional.Value(in.PolicyId), target)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(o.Types, p.Type) {
		return nil, notEnabled()
	}
	there, err := organization.Attached(c.Tx(), o.Organization, target, p.Type)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(there, func(q *organization.Policy) bool { return q.ID == p.ID }) {
		return nil, &organizations.DuplicatePolicyAttachmentException{Message: "The selected policy is already attached to the specified target."}
	}
	if most := quotaOf(organizations.PolicyType(p.Type)).attached; len(there) >= most {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonMaxPolicyTypeAttachmentLimitExceeded,
			fmt.Sprintf("You have attached the maximum number of %d policies of this type to the specified target.", most))
	}
	return &organizations.AttachPolicyResponse{}, o.attach(target, p.Type, p.ID)
}

// DetachPolicy ends what AttachPolicy began.
func (s *Service) DetachPolicy(c *call.Call, in *organizations.DetachPolicyRequest) (*organizations.DetachPolicyResponse, error) {
	target := optional.Value(in.TargetId)
	o, p, err := s.attachable(c, optional.Value(in.PolicyId), target)
	if err != nil {
		return nil, err
	}
	there, err := organization.Attached(c.Tx(), o.Organization, target, p.Type)
	if err != nil {
		return nil, err
	}
	switch {
	case !slices.ContainsFunc(there, func(q *organization.Policy) bool { return q.ID == p.ID }):
		return nil, &organizations.PolicyNotAttachedException{Message: "The policy isn't attached to the specified target in the specified root."}
	case p.ID == organization.RCPFullAccess:
		return nil, invalid(organizations.InvalidInputExceptionReasonNonDetachablePolicy, "You can't detach this AWS managed policy.")
	case p.Type == organization.ServiceControl && len(there) == 1:
		return nil, constraint(organizations.ConstraintViolationExceptionReasonMinPolicyTypeAttachmentLimitExceeded,
			"You cannot remove the last policy attached to the specified target. You must have at least one attached at all times.")
	}
	return &organizations.DetachPolicyResponse{}, organization.Attachments.In(o.Management, "").Delete(c.Tx(), target, p.Type, p.ID)
}

// ListPoliciesForTarget lists the policies of a type that are attached to something itself.
func (s *Service) ListPoliciesForTarget(c *call.Call, in *organizations.ListPoliciesForTargetRequest) (*organizations.ListPoliciesForTargetResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	target := optional.Value(in.TargetId)
	r, err := o.ofTarget(target)
	if err != nil {
		return nil, err
	}
	r.Conditions = policyType(string(in.Filter))
	if err := o.ask(readable, r); err != nil {
		return nil, err
	}
	if _, _, _, err := o.kind(target); missing(err) {
		return nil, noTarget()
	} else if err != nil {
		return nil, err
	}
	found, next, err := page(organization.Attachments.In(o.Management, ""), c.Tx(),
		store.Query{Prefix: store.Key{target, string(in.Filter)}, Limit: limit(in.MaxResults)}, in.NextToken, "", nil,
		func(a *organization.Attachment) (organizations.PolicySummary, error) {
			p, err := organization.Find(c.Tx(), o.Organization, a.Policy)
			if err != nil {
				return organizations.PolicySummary{}, err
			}
			return o.showPolicy(p)
		})
	return &organizations.ListPoliciesForTargetResponse{Policies: found, NextToken: next}, err
}

// ListTargetsForPolicy lists what a policy is attached to.
func (s *Service) ListTargetsForPolicy(c *call.Call, in *organizations.ListTargetsForPolicyRequest) (*organizations.ListTargetsForPolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	p, err := o.existingPolicy(readable, optional.Value(in.PolicyId))
	if err != nil {
		return nil, err
	}
	found, next, err := page(organization.Attachments.In(o.Management, ""), c.Tx(),
		store.Query{Index: "policy", Prefix: store.Key{p.ID}, Limit: limit(in.MaxResults)}, in.NextToken, "", nil,
		func(a *organization.Attachment) (organizations.PolicyTargetSummary, error) {
			kind, name, arn, err := o.kind(a.Target)
			return organizations.PolicyTargetSummary{TargetId: &a.Target, Arn: &arn, Name: &name, Type: kind}, err
		})
	return &organizations.ListTargetsForPolicyResponse{Targets: found, NextToken: next}, err
}
