package organizations

import (
	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// put writes the organization's record.
func (o *org) put() error {
	return organization.Organizations.In(o.Management, "").Put(o.c.Tx(), o.Organization)
}

// show is the organization as the API has it.
func (o *org) show() (*organizations.Organization, error) {
	p, err := organization.ProfileOf(o.c.Tx(), o.Management)
	if err != nil {
		return nil, err
	}
	set := organizations.OrganizationFeatureSetConsolidatedBilling
	types := []organizations.PolicyTypeSummary{}
	if o.All {
		set = organizations.OrganizationFeatureSetAll
		// AWS advises against reading this list, which has had this one entry since there were no other types.
		types = append(types, organizations.PolicyTypeSummary{
			Type: organizations.PolicyTypeServiceControlPolicy, Status: organizations.PolicyTypeStatusEnabled,
		})
	}
	return &organizations.Organization{
		Id: &o.ID, Arn: new(o.ARN(o.s.cfg.Partition)), FeatureSet: set, AvailablePolicyTypes: types,
		MasterAccountArn: new(o.AccountARN(o.s.cfg.Partition, o.Management)), MasterAccountId: &o.Management, MasterAccountEmail: &p.Email,
	}, nil
}

// CreateOrganization makes the caller's account the management account of an organization.
func (s *Service) CreateOrganization(c *call.Call, in *organizations.CreateOrganizationRequest) (*organizations.CreateOrganizationResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	account := c.Scope.Account
	if _, err := organization.Of(c.Tx(), account); err == nil {
		return nil, &organizations.AlreadyInOrganizationException{Message: "The AWS account is already a member of an organization."}
	} else if !missing(err) {
		return nil, err
	}
	id, err := newID(c, "o-", 10)
	if err != nil {
		return nil, err
	}
	root, err := newID(c, "r-", 4)
	if err != nil {
		return nil, err
	}
	o := &org{s: s, c: c, Organization: &organization.Organization{
		ID: id, Management: account, Root: root, Created: c.Time,
		All: in.FeatureSet != organizations.OrganizationFeatureSetConsolidatedBilling,
	}}
	if err := o.put(); err != nil {
		return nil, err
	}
	for _, managed := range []string{organization.FullAccess, organization.RCPFullAccess} {
		if err := organization.Policies.In(account, "").Put(c.Tx(), organization.Managed(managed)); err != nil {
			return nil, err
		}
	}
	o.caller = &organization.Account{ID: account, Invited: true, Joined: c.Time}
	if err := o.join(o.caller); err != nil {
		return nil, err
	}
	shown, err := o.show()
	return &organizations.CreateOrganizationResponse{Organization: shown}, err
}

// DescribeOrganization tells any member about its organization.
func (s *Service) DescribeOrganization(c *call.Call, _ *organizations.DescribeOrganizationRequest) (*organizations.DescribeOrganizationResponse, error) {
	o, err := s.open(c, member, nil)
	if err != nil {
		return nil, err
	}
	shown, err := o.show()
	return &organizations.DescribeOrganizationResponse{Organization: shown}, err
}

// DeleteOrganization dissolves an organization of which the management account alone is left, with its units and policies.
func (s *Service) DeleteOrganization(c *call.Call, _ *organizations.DeleteOrganizationRequest) (*organizations.DeleteOrganizationResponse, error) {
	o, err := s.open(c, management, nil)
	if err != nil {
		return nil, err
	}
	for a, err := range organization.Accounts.In(o.Management, "").Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if a.ID != o.Management {
			return nil, &organizations.OrganizationNotEmptyException{
				Message: "To delete an organization you must first remove all member accounts (except the master).",
			}
		}
	}
	for _, empty := range []func(*call.Call, string) error{
		emptier(organization.Accounts, func(r *organization.Account) []any { return []any{r.ID} }),
		emptier(organization.Units, func(r *organization.Unit) []any { return []any{r.ID} }),
		emptier(organization.Policies, func(r *organization.Policy) []any { return []any{r.ID} }),
		emptier(organization.Attachments, func(r *organization.Attachment) []any { return []any{r.Target, r.Type, r.Policy} }),
		emptier(organization.TrustedServices, func(r *organization.TrustedService) []any { return []any{r.Service} }),
		emptier(organization.Delegations, func(r *organization.Delegation) []any { return []any{r.Account, r.Service} }),
		emptier(organization.Handshakes, func(r *organization.Handshake) []any { return []any{r.ID} }),
		emptier(organization.Creations, func(r *organization.Creation) []any { return []any{r.ID} }),
		emptier(organization.ResourcePolicies, func(r *organization.ResourcePolicy) []any { return []any{r.ID} }),
		emptier(organization.Organizations, func(r *organization.Organization) []any { return []any{r.ID} }),
	} {
		if err := empty(c, o.Management); err != nil {
			return nil, err
		}
	}
	// Who joins the next organization of this account has not agreed to what this one's members have.
	rows := identity.AllSettings.In(o.Management, "")
	set, err := rows.Get(c.Tx())
	if missing(err) {
		return &organizations.DeleteOrganizationResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	set.RootCredentials, set.RootSessions = false, false
	return &organizations.DeleteOrganizationResponse{}, rows.Put(c.Tx(), set)
}

// emptier deletes all of a management account's rows of a table.
func emptier[R any](t *store.Table[R], key func(*R) []any) func(*call.Call, string) error {
	return func(c *call.Call, account string) error {
		for r, err := range t.In(account, "").Scan(c.Tx(), store.Query{}) {
			if err != nil {
				return err
			}
			if err := t.In(account, "").Delete(c.Tx(), key(r)...); err != nil {
				return err
			}
		}
		return nil
	}
}

// ListRoots lists the organization's one root.
func (s *Service) ListRoots(c *call.Call, in *organizations.ListRootsRequest) (*organizations.ListRootsResponse, error) {
	o, err := s.open(c, readable, nil)
	if err != nil {
		return nil, err
	}
	roots, next, err := page(organization.Organizations.In(o.Management, ""), c.Tx(), store.Query{Limit: limit(in.MaxResults)}, in.NextToken, "", nil,
		func(r *organization.Organization) (organizations.Root, error) {
			return *(&org{s: s, c: c, Organization: r}).showRoot(), nil
		})
	return &organizations.ListRootsResponse{Roots: roots, NextToken: next}, err
}

// showRoot is the root as the API has it.
func (o *org) showRoot() *organizations.Root {
	root := &organizations.Root{
		Id: &o.Root, Arn: new(o.RootARN(o.s.cfg.Partition)), Name: new(rootName), PolicyTypes: []organizations.PolicyTypeSummary{},
	}
	for _, t := range o.Types {
		root.PolicyTypes = append(root.PolicyTypes, organizations.PolicyTypeSummary{
			Type: organizations.PolicyType(t), Status: organizations.PolicyTypeStatusEnabled,
		})
	}
	return root
}

const rootName = "Root"
