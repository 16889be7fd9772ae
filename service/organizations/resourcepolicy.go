package organizations

import (
	"errors"
	"path"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// shareable are the operations that a resource policy can let members do:
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_delegate_policies.html
func shareable() []string {
	var names []string
	for _, op := range []string{
		organizations.OpDescribeOrganization.Name, organizations.OpDescribeOrganizationalUnit.Name, organizations.OpDescribeAccount.Name,
		organizations.OpDescribeCreateAccountStatus.Name, organizations.OpDescribePolicy.Name, organizations.OpDescribeEffectivePolicy.Name,
		organizations.OpDescribeResourcePolicy.Name, organizations.OpListRoots.Name, organizations.OpListOrganizationalUnitsForParent.Name,
		organizations.OpListParents.Name, organizations.OpListChildren.Name, organizations.OpListAccounts.Name,
		organizations.OpListAccountsForParent.Name, organizations.OpListCreateAccountStatus.Name, organizations.OpListPolicies.Name,
		organizations.OpListPoliciesForTarget.Name, organizations.OpListTargetsForPolicy.Name, organizations.OpListTagsForResource.Name,
		organizations.OpListDelegatedAdministrators.Name, organizations.OpListDelegatedServicesForAccount.Name,
		organizations.OpListHandshakesForOrganization.Name, organizations.OpListAWSServiceAccessForOrganization.Name,
		organizations.OpCreatePolicy.Name, organizations.OpUpdatePolicy.Name, organizations.OpDeletePolicy.Name,
		organizations.OpAttachPolicy.Name, organizations.OpDetachPolicy.Name, organizations.OpEnablePolicyType.Name,
		organizations.OpDisablePolicyType.Name, organizations.OpTagResource.Name, organizations.OpUntagResource.Name,
	} {
		names = append(names, strings.ToLower(op))
	}
	return names
}

// resourcePolicyRecord reads the organization's policy, or returns store.ErrNotFound.
func (o *org) resourcePolicyRecord() (*organization.ResourcePolicy, error) {
	for r, err := range organization.ResourcePolicies.In(o.Management, "").Scan(o.c.Tx(), store.Query{Limit: 1}) {
		return r, err
	}
	return nil, store.ErrNotFound
}

// ofResourcePolicy is the organization's policy, which the action list says has a resource of its own. Before it is there it is asked about by
// the beginning of its name.
func (o *org) ofResourcePolicy(r *organization.ResourcePolicy) *call.Resource {
	if r == nil {
		return &call.Resource{ARN: o.ResourcePolicyARN(o.s.cfg.Partition, "rp-")}
	}
	return &call.Resource{ARN: o.ResourcePolicyARN(o.s.cfg.Partition, r.ID), Tags: r.Tags}
}

func (o *org) showResourcePolicy(r *organization.ResourcePolicy) *organizations.ResourcePolicy {
	return &organizations.ResourcePolicy{
		ResourcePolicySummary: &organizations.ResourcePolicySummary{Id: &r.ID, Arn: new(o.ResourcePolicyARN(o.s.cfg.Partition, r.ID))},
		Content:               &r.Content,
	}
}

// checkResourcePolicy refuses a document that lets in others than accounts, or to what cannot be shared.
func (o *org) checkResourcePolicy(content string) error {
	p, err := policy.Parse([]byte(content), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		if syntax.Fault == policy.InvalidPrincipal {
			return invalid(organizations.InvalidInputExceptionReasonInvalidPrincipal, "The provided resource policy contains an invalid principal: "+syntax.Error())
		}
		return invalid(organizations.InvalidInputExceptionReasonInvalidResourcePolicyJson, "The provided resource policy content is invalid: "+syntax.Error())
	}
	if err != nil {
		return err
	}
	for ref := range p.Principals() {
		if ref.Type != "AWS" && ref.Value != "*" {
			return invalid(organizations.InvalidInputExceptionReasonInvalidPrincipal, "The provided resource policy names a principal that is not an account, a user or a role.")
		}
	}
	known := shareable()
	for st := range p.Statements() {
		if st.Effect == "Allow" && st.NotAction || len(st.Actions) == 0 {
			return unshareable()
		}
		for _, action := range st.Actions {
			pattern, ok := strings.CutPrefix(strings.ToLower(action), "organizations:")
			if !ok {
				return unshareable()
			}
			matched := false
			for _, name := range known {
				if is, err := path.Match(pattern, name); err == nil && is {
					matched = true
				}
			}
			if !matched {
				return unshareable()
			}
		}
		for _, resource := range st.Resources {
			if resource != "*" && !strings.HasPrefix(resource, "arn:"+o.s.cfg.Partition+":organizations::") {
				return invalid(organizations.InvalidInputExceptionReasonUnsupportedResourceInResourcePolicy, "The provided resource policy names a resource that is not of your organization.")
			}
		}
	}
	return nil
}

func unshareable() error {
	return invalid(organizations.InvalidInputExceptionReasonUnsupportedActionInResourcePolicy, "The provided resource policy contains an action that isn't supported.")
}

// PutResourcePolicy sets the policy by which the organization lets members do what its management account may.
func (s *Service) PutResourcePolicy(c *call.Call, in *organizations.PutResourcePolicyRequest) (*organizations.PutResourcePolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r, err := o.resourcePolicyRecord()
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	resource := o.ofResourcePolicy(r)
	resource.RequestTags = tags
	if err := o.ask(management, resource); err != nil {
		return nil, err
	}
	if err := o.checkResourcePolicy(optional.Value(in.Content)); err != nil {
		return nil, err
	}
	if r == nil {
		id, err := newID(c, "rp-", 10)
		if err != nil {
			return nil, err
		}
		r = &organization.ResourcePolicy{ID: id, Tags: tags}
	} else if len(tags) > 0 {
		return nil, invalid(organizations.InvalidInputExceptionReasonInvalidEnum, "You can tag a resource policy here only when you create it. Use TagResource.")
	}
	r.Content = optional.Value(in.Content)
	return &organizations.PutResourcePolicyResponse{ResourcePolicy: o.showResourcePolicy(r)}, organization.ResourcePolicies.In(o.Management, "").Put(c.Tx(), r)
}

// existingResourcePolicy finds the organization's policy after asking about it.
func (s *Service) existingResourcePolicy(c *call.Call, who access) (*org, *organization.ResourcePolicy, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, nil, err
	}
	r, err := o.resourcePolicyRecord()
	if store.IgnoreNotFound(err) != nil {
		return nil, nil, err
	}
	if err := o.ask(who, &call.Resource{ARN: "*", Tags: o.ofResourcePolicy(r).Tags}); err != nil {
		return nil, nil, err
	}
	if r == nil {
		return nil, nil, &organizations.ResourcePolicyNotFoundException{Message: "We can't find a resource policy request with the parameter that you specified."}
	}
	return o, r, nil
}

// DescribeResourcePolicy returns the organization's policy.
func (s *Service) DescribeResourcePolicy(c *call.Call, _ *organizations.DescribeResourcePolicyRequest) (*organizations.DescribeResourcePolicyResponse, error) {
	o, r, err := s.existingResourcePolicy(c, readable)
	if err != nil {
		return nil, err
	}
	return &organizations.DescribeResourcePolicyResponse{ResourcePolicy: o.showResourcePolicy(r)}, nil
}

// DeleteResourcePolicy removes the organization's policy.
func (s *Service) DeleteResourcePolicy(c *call.Call, _ *organizations.DeleteResourcePolicyRequest) (*organizations.DeleteResourcePolicyResponse, error) {
	o, r, err := s.existingResourcePolicy(c, management)
	if err != nil {
		return nil, err
	}
	return &organizations.DeleteResourcePolicyResponse{}, organization.ResourcePolicies.In(o.Management, "").Delete(c.Tx(), r.ID)
}
