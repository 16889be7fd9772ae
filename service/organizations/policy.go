package organizations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// quota is how large policies of a type may be, in characters, how many may be attached to one target, and how many there may be:
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
type quota struct{ size, attached, all int }

func quotaOf(t organizations.PolicyType) quota {
	switch t {
	case organizations.PolicyTypeServiceControlPolicy:
		return quota{5120, 5, 2000}
	case organizations.PolicyTypeResourceControlPolicy:
		return quota{5120, 5, 1000}
	case organizations.PolicyTypeAiservicesOptOutPolicy:
		return quota{2500, 5, 1000}
	case organizations.PolicyTypeChatbotPolicy:
		return quota{10_000, 5, 1000}
	}
	return quota{10_000, 10, 1000}
}

// checkContent refuses a document that is no policy of the type.
func (o *org) checkContent(t organizations.PolicyType, content string) error {
	if utf8.RuneCountInString(content) > quotaOf(t).size {
		return constraint(organizations.ConstraintViolationExceptionReasonPolicyContentLimitExceeded,
			fmt.Sprintf("You have exceeded the maximum size of %d characters of a policy of this type.", quotaOf(t).size))
	}
	var err error
	switch t {
	case organizations.PolicyTypeServiceControlPolicy:
		_, err = policy.Parse([]byte(content), policy.SCP)
	case organizations.PolicyTypeResourceControlPolicy:
		var p *policy.Policy
		if p, err = policy.Parse([]byte(content), policy.RCP); err == nil {
			err = checkRCP(p)
		}
	default:
		err = organization.CheckInherited(string(t), content)
	}
	if err != nil {
		return &organizations.MalformedPolicyDocumentException{
			Message: "The provided policy document does not meet the requirements of the specified policy type: " + err.Error(),
		}
	}
	return nil
}

var (
	errOnlyDenies   = errors.New("a resource control policy that you write can only deny")
	errUncontrolled = errors.New("no resource control policy applies to the service of the action")
)

// checkRCP refuses what the policy language allows AWS's own resource control policy alone, and actions that none applies to.
func checkRCP(p *policy.Policy) error {
	for st := range p.Statements() {
		if st.Effect != "Deny" {
			return fmt.Errorf("statement %d: %w", st.Index, errOnlyDenies)
		}
		for _, action := range st.Actions {
			if prefix, _, _ := strings.Cut(action, ":"); !organization.ResourceControlled(strings.ToLower(prefix)) {
				return fmt.Errorf("statement %d: %w: %s", st.Index, errUncontrolled, action)
			}
		}
	}
	return nil
}

// showPolicy is a policy, without its content, as the API has it.
func (o *org) showPolicy(p *organization.Policy) (organizations.PolicySummary, error) {
	return organizations.PolicySummary{
		Id: &p.ID, Arn: new(o.PolicyARN(o.s.cfg.Partition, p)), Name: &p.Name, Description: &p.Description,
		Type: organizations.PolicyType(p.Type), AwsManaged: new(organization.Managed(p.ID) != nil),
	}, nil
}

func (o *org) showFull(p *organization.Policy) *organizations.Policy {
	summary, _ := o.showPolicy(p) // it has no error
	return &organizations.Policy{PolicySummary: &summary, Content: &p.Content}
}

// CreatePolicy makes a policy, which binds nobody until it is attached.
func (s *Service) CreatePolicy(c *call.Call, in *organizations.CreatePolicyRequest) (*organizations.CreatePolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	id, err := newID(c, "p-", 10)
	if err != nil {
		return nil, err
	}
	p := &organization.Policy{
		ID: id, Type: string(in.Type), Name: optional.Value(in.Name), Description: optional.Value(in.Description), Content: optional.Value(in.Content), Tags: tags, Updated: c.Time,
	}
	err = o.ask(delegable, &call.Resource{
		ARN: o.PolicyARN(s.cfg.Partition, p), Tags: tags, RequestTags: tags, Conditions: policyType(p.Type),
	})
	if err != nil {
		return nil, err
	}
	if err := o.available(); err != nil {
		return nil, err
	}
	if err := o.checkContent(in.Type, p.Content); err != nil {
		return nil, err
	}
	if err := o.freePolicyName(p.Type, p.Name); err != nil {
		return nil, err
	}
	rows := organization.Policies.In(o.Management, "")
	n, err := rows.Count(c.Tx(), store.Query{Index: "name", Prefix: store.Key{p.Type}})
	if err != nil {
		return nil, err
	}
	if n >= quotaOf(in.Type).all {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonPolicyNumberLimitExceeded,
			"You have exceeded the number of policies of this type that you can have in an organization.")
	}
	return &organizations.CreatePolicyResponse{Policy: o.showFull(p)}, rows.Insert(c.Tx(), p)
}

// available returns an error unless the organization has policies.
func (o *org) available() error {
	if o.All {
		return nil
	}
	return &organizations.PolicyTypeNotAvailableForOrganizationException{
		Message: "You can't use the specified policy type with the feature set currently enabled for this organization.",
	}
}

// freePolicyName returns an error if there is a policy of that type and name.
func (o *org) freePolicyName(t, name string) error {
	_, err := organization.Policies.In(o.Management, "").Find(o.c.Tx(), "name", t, name)
	if err == nil {
		return &organizations.DuplicatePolicyException{Message: "A policy with the same name already exists."}
	}
	return store.IgnoreNotFound(err)
}

// existingPolicy finds a policy after asking about it.
func (o *org) existingPolicy(who access, id string) (*organization.Policy, error) {
	r, err := o.ofPolicy(id)
	if err != nil {
		return nil, err
	}
	if err := o.ask(who, r); err != nil {
		return nil, err
	}
	p, err := organization.Find(o.c.Tx(), o.Organization, id)
	if missing(err) {
		return nil, noPolicy()
	}
	return p, err
}

// ownPolicy is existingPolicy for a change, which AWS's policies do not suffer.
func (o *org) ownPolicy(id string) (*organization.Policy, error) {
	p, err := o.existingPolicy(delegable, id)
	if err != nil {
		return nil, err
	}
	if organization.Managed(id) != nil {
		return nil, invalid(organizations.InvalidInputExceptionReasonImmutablePolicy, "You cannot modify or delete a policy that AWS manages.")
	}
	return p, nil
}

// DescribePolicy tells about a policy.
func (s *Service) DescribePolicy(c *call.Call, in *organizations.DescribePolicyRequest) (*organizations.DescribePolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	p, err := o.existingPolicy(readable, optional.Value(in.PolicyId))
	if err != nil {
		return nil, err
	}
	return &organizations.DescribePolicyResponse{Policy: o.showFull(p)}, nil
}

// UpdatePolicy changes a policy for all that it is attached to.
func (s *Service) UpdatePolicy(c *call.Call, in *organizations.UpdatePolicyRequest) (*organizations.UpdatePolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	p, err := o.ownPolicy(optional.Value(in.PolicyId))
	if err != nil {
		return nil, err
	}
	if in.Name != nil && *in.Name != p.Name {
		if err := o.freePolicyName(p.Type, *in.Name); err != nil {
			return nil, err
		}
		p.Name = *in.Name
	}
	if in.Description != nil {
		p.Description = *in.Description
	}
	if in.Content != nil {
		if err := o.checkContent(organizations.PolicyType(p.Type), *in.Content); err != nil {
			return nil, err
		}
		p.Content = *in.Content
	}
	p.Updated = c.Time
	return &organizations.UpdatePolicyResponse{Policy: o.showFull(p)}, organization.Policies.In(o.Management, "").Put(c.Tx(), p)
}

// DeletePolicy removes a policy that is attached to nothing.
func (s *Service) DeletePolicy(c *call.Call, in *organizations.DeletePolicyRequest) (*organizations.DeletePolicyResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	p, err := o.ownPolicy(optional.Value(in.PolicyId))
	if err != nil {
		return nil, err
	}
	n, err := organization.Attachments.In(o.Management, "").Count(c.Tx(), store.Query{Index: "policy", Prefix: store.Key{p.ID}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, &organizations.PolicyInUseException{
			Message: "The policy is attached to one or more entities. You must detach it from all roots, OUs, and accounts before performing this operation.",
		}
	}
	return &organizations.DeletePolicyResponse{}, organization.Policies.In(o.Management, "").Delete(c.Tx(), p.ID)
}

// ListPolicies lists the policies of a type.
func (s *Service) ListPolicies(c *call.Call, in *organizations.ListPoliciesRequest) (*organizations.ListPoliciesResponse, error) {
	o, err := s.open(c, readable, policyType(string(in.Filter)))
	if err != nil {
		return nil, err
	}
	found, next, err := page(organization.Policies.In(o.Management, ""), c.Tx(),
		store.Query{Index: "name", Prefix: store.Key{string(in.Filter)}, Limit: limit(in.MaxResults)}, in.NextToken, "", nil, o.showPolicy)
	return &organizations.ListPoliciesResponse{Policies: found, NextToken: next}, err
}

// EnablePolicyType lets policies of a type bind. To all there is, the policy is attached that AWS has for the type.
func (s *Service) EnablePolicyType(c *call.Call, in *organizations.EnablePolicyTypeRequest) (*organizations.EnablePolicyTypeResponse, error) {
	o, err := s.root(c, optional.Value(in.RootId), in.PolicyType)
	if err != nil {
		return nil, err
	}
	t := string(in.PolicyType)
	if slices.Contains(o.Types, t) {
		return nil, &organizations.PolicyTypeAlreadyEnabledException{Message: "The specified policy type is already enabled."}
	}
	if err := o.available(); err != nil {
		return nil, err
	}
	o.Types = append(o.Types, t)
	slices.Sort(o.Types)
	if err := o.put(); err != nil {
		return nil, err
	}
	if d := organization.DefaultPolicy(t); d != "" {
		for target, err := range o.targets() {
			if err != nil {
				return nil, err
			}
			if err := o.attach(target, t, d); err != nil {
				return nil, err
			}
		}
	}
	return &organizations.EnablePolicyTypeResponse{Root: o.showRoot()}, nil
}

// DisablePolicyType lets no policy of a type bind any longer, and detaches them all.
func (s *Service) DisablePolicyType(c *call.Call, in *organizations.DisablePolicyTypeRequest) (*organizations.DisablePolicyTypeResponse, error) {
	o, err := s.root(c, optional.Value(in.RootId), in.PolicyType)
	if err != nil {
		return nil, err
	}
	t := string(in.PolicyType)
	i := slices.Index(o.Types, t)
	if i < 0 {
		return nil, notEnabled()
	}
	o.Types = slices.Delete(o.Types, i, i+1)
	if err := o.put(); err != nil {
		return nil, err
	}
	rows := organization.Attachments.In(o.Management, "")
	for a, err := range rows.Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if a.Type != t {
			continue
		}
		if err := rows.Delete(c.Tx(), a.Target, a.Type, a.Policy); err != nil {
			return nil, err
		}
	}
	return &organizations.DisablePolicyTypeResponse{Root: o.showRoot()}, nil
}

func notEnabled() error {
	return &organizations.PolicyTypeNotEnabledException{Message: "This operation can be performed only for enabled policy types."}
}

// root finds the organization with the root given, after asking about it.
func (s *Service) root(c *call.Call, id string, t organizations.PolicyType) (*org, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	r, err := o.ofTarget(id)
	if err != nil {
		return nil, err
	}
	r.Conditions = policyType(string(t))
	if err := o.ask(delegable, r); err != nil {
		return nil, err
	}
	if id != o.Root {
		return nil, noRoot()
	}
	return o, nil
}
