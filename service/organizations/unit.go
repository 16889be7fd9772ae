package organizations

import (
	"strings"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxUnits is how many units an organization may have.
const maxUnits = 2000

// unit reads a unit of the organization.
func (o *org) unit(id string) (*organization.Unit, error) {
	return organization.Units.In(o.Management, "").Get(o.c.Tx(), id)
}

// chain returns what lies above something with the given parent, the root first, or store.ErrNotFound if there is no such parent.
func (o *org) chain(parent string) ([]string, error) {
	if strings.HasPrefix(parent, "r-") && parent != o.Root {
		return nil, store.ErrNotFound
	}
	return organization.Chain(o.c.Tx(), o.Organization, parent)
}

// path is the way to something, as aws:PrincipalOrgPaths has it.
func (o *org) path(parent, id string) (string, error) {
	chain, err := o.chain(parent)
	if err != nil {
		return "", err
	}
	return o.ID + "/" + strings.Join(chain, "/") + "/" + id + "/", nil
}

// parentOf asks about a root or a unit that something lies in, or is to.
func (o *org) parentOf(who access, id string) error {
	r, err := o.ofTarget(id)
	if err != nil {
		return err
	}
	if err := o.ask(who, r); err != nil {
		return err
	}
	return o.isParent(id)
}

// isParent returns an error unless id is the root or a unit.
func (o *org) isParent(id string) error {
	if _, err := o.chain(id); missing(err) {
		return noParent()
	} else if err != nil {
		return err
	}
	return nil
}

// showUnit is a unit as the API has it.
func (o *org) showUnit(u *organization.Unit) (*organizations.OrganizationalUnit, error) {
	path, err := o.path(u.Parent, u.ID)
	if err != nil {
		return nil, err
	}
	return &organizations.OrganizationalUnit{Id: &u.ID, Arn: new(o.UnitARN(o.s.cfg.Partition, u.ID)), Name: &u.Name, Path: &path}, nil
}

// freeName returns an error if a parent has a unit of that name already.
func (o *org) freeName(parent, name string) error {
	_, err := organization.Units.In(o.Management, "").Find(o.c.Tx(), "name", parent, name)
	if err == nil {
		return &organizations.DuplicateOrganizationalUnitException{Message: "An OU with the same name already exists."}
	}
	return store.IgnoreNotFound(err)
}

// CreateOrganizationalUnit makes a unit in the root or in another unit.
func (s *Service) CreateOrganizationalUnit(c *call.Call, in *organizations.CreateOrganizationalUnitRequest) (*organizations.CreateOrganizationalUnitResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	parent, name := optional.Value(in.ParentId), optional.Value(in.Name)
	r, err := o.ofTarget(parent)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r.RequestTags = tags
	if err := o.ask(management, r); err != nil {
		return nil, err
	}
	chain, err := o.chain(parent)
	if missing(err) {
		return nil, noParent()
	}
	if err != nil {
		return nil, err
	}
	if len(chain) > organization.MaxDepth {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonOuDepthLimitExceeded, "You have exceeded the limit on how deep organizational units can be nested.")
	}
	if err := o.freeName(parent, name); err != nil {
		return nil, err
	}
	rows := organization.Units.In(o.Management, "")
	n, err := rows.Count(c.Tx(), store.Query{})
	if err != nil {
		return nil, err
	}
	if n >= maxUnits {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonOuNumberLimitExceeded, "You have exceeded the number of organizational units that you can have in an organization.")
	}
	id, err := newID(c, "ou-"+strings.TrimPrefix(o.Root, "r-")+"-", 8)
	if err != nil {
		return nil, err
	}
	u := &organization.Unit{ID: id, Parent: parent, Name: name, Tags: tags}
	if err := rows.Insert(c.Tx(), u); err != nil {
		return nil, err
	}
	if err := o.attachDefaults(id); err != nil {
		return nil, err
	}
	shown, err := o.showUnit(u)
	return &organizations.CreateOrganizationalUnitResponse{OrganizationalUnit: shown}, err
}

// existingUnit finds a unit after asking about it.
func (o *org) existingUnit(who access, id string) (*organization.Unit, error) {
	r, err := o.ofTarget(id)
	if err != nil {
		return nil, err
	}
	if err := o.ask(who, r); err != nil {
		return nil, err
	}
	u, err := o.unit(id)
	if missing(err) {
		return nil, noUnit()
	}
	return u, err
}

// DescribeOrganizationalUnit tells about a unit.
func (s *Service) DescribeOrganizationalUnit(c *call.Call, in *organizations.DescribeOrganizationalUnitRequest) (*organizations.DescribeOrganizationalUnitResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	u, err := o.existingUnit(readable, optional.Value(in.OrganizationalUnitId))
	if err != nil {
		return nil, err
	}
	shown, err := o.showUnit(u)
	return &organizations.DescribeOrganizationalUnitResponse{OrganizationalUnit: shown}, err
}

// UpdateOrganizationalUnit renames a unit.
func (s *Service) UpdateOrganizationalUnit(c *call.Call, in *organizations.UpdateOrganizationalUnitRequest) (*organizations.UpdateOrganizationalUnitResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	u, err := o.existingUnit(management, optional.Value(in.OrganizationalUnitId))
	if err != nil {
		return nil, err
	}
	if in.Name != nil && *in.Name != u.Name {
		if err := o.freeName(u.Parent, *in.Name); err != nil {
			return nil, err
		}
		u.Name = *in.Name
		if err := organization.Units.In(o.Management, "").Put(c.Tx(), u); err != nil {
			return nil, err
		}
	}
	shown, err := o.showUnit(u)
	return &organizations.UpdateOrganizationalUnitResponse{OrganizationalUnit: shown}, err
}

// DeleteOrganizationalUnit removes a unit in which there is nothing.
func (s *Service) DeleteOrganizationalUnit(c *call.Call, in *organizations.DeleteOrganizationalUnitRequest) (*organizations.DeleteOrganizationalUnitResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	u, err := o.existingUnit(management, optional.Value(in.OrganizationalUnitId))
	if err != nil {
		return nil, err
	}
	within := store.Query{Index: "parent", Prefix: store.Key{u.ID}, Limit: 1}
	units, err := organization.Units.In(o.Management, "").Count(c.Tx(), within)
	if err != nil {
		return nil, err
	}
	accounts, err := organization.Accounts.In(o.Management, "").Count(c.Tx(), within)
	if err != nil {
		return nil, err
	}
	if units+accounts > 0 {
		return nil, &organizations.OrganizationalUnitNotEmptyException{
			Message: "The specified OU is not empty. Move all accounts to another root or to other OUs, remove all child OUs, and try the operation again.",
		}
	}
	if err := o.detachAll(u.ID); err != nil {
		return nil, err
	}
	return &organizations.DeleteOrganizationalUnitResponse{}, organization.Units.In(o.Management, "").Delete(c.Tx(), u.ID)
}

// ListOrganizationalUnitsForParent lists the units that lie directly in the root or a unit.
func (s *Service) ListOrganizationalUnitsForParent(c *call.Call, in *organizations.ListOrganizationalUnitsForParentRequest) (*organizations.ListOrganizationalUnitsForParentResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	parent := optional.Value(in.ParentId)
	if err := o.parentOf(readable, parent); err != nil {
		return nil, err
	}
	units, next, err := page(organization.Units.In(o.Management, ""), c.Tx(), store.Query{Index: "parent", Prefix: store.Key{parent}, Limit: limit(in.MaxResults)},
		in.NextToken, "", nil, func(u *organization.Unit) (organizations.OrganizationalUnit, error) {
			shown, err := o.showUnit(u)
			if err != nil {
				return organizations.OrganizationalUnit{}, err
			}
			return *shown, nil
		})
	return &organizations.ListOrganizationalUnitsForParentResponse{OrganizationalUnits: units, NextToken: next}, err
}

// ListChildren lists the units or the accounts that lie directly in the root or a unit.
func (s *Service) ListChildren(c *call.Call, in *organizations.ListChildrenRequest) (*organizations.ListChildrenResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	parent := optional.Value(in.ParentId)
	if err := o.parentOf(readable, parent); err != nil {
		return nil, err
	}
	q := store.Query{Index: "parent", Prefix: store.Key{parent}, Limit: limit(in.MaxResults)}
	child := func(id string) organizations.Child { return organizations.Child{Id: &id, Type: in.ChildType} }
	out := &organizations.ListChildrenResponse{}
	if in.ChildType == organizations.ChildTypeAccount {
		out.Children, out.NextToken, err = page(organization.Accounts.In(o.Management, ""), c.Tx(), q, in.NextToken, "", nil,
			func(a *organization.Account) (organizations.Child, error) { return child(a.ID), nil })
	} else {
		out.Children, out.NextToken, err = page(organization.Units.In(o.Management, ""), c.Tx(), q, in.NextToken, "", nil,
			func(u *organization.Unit) (organizations.Child, error) { return child(u.ID), nil })
	}
	return out, err
}

// ListParents tells what a unit or an account lies in.
func (s *Service) ListParents(c *call.Call, in *organizations.ListParentsRequest) (*organizations.ListParentsResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	id := optional.Value(in.ChildId)
	r, err := o.ofTarget(id)
	if err != nil {
		return nil, err
	}
	if err := o.ask(readable, r); err != nil {
		return nil, err
	}
	parent, err := o.parent(id)
	if missing(err) {
		return nil, &organizations.ChildNotFoundException{Message: "You specified a child that doesn't exist."}
	}
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		return nil, badToken(store.ErrBadToken) // there is one parent, so one page
	}
	kind := organizations.ParentTypeOrganizationalUnit
	if parent == o.Root {
		kind = organizations.ParentTypeRoot
	}
	return &organizations.ListParentsResponse{Parents: []organizations.Parent{{Id: &parent, Type: kind}}}, nil
}

// parent returns what a unit or an account lies in, or store.ErrNotFound.
func (o *org) parent(id string) (string, error) {
	if strings.HasPrefix(id, "ou-") {
		u, err := o.unit(id)
		if err != nil {
			return "", err
		}
		return u.Parent, nil
	}
	a, err := o.account(id)
	if err != nil {
		return "", err
	}
	return a.Parent, nil
}
