package iam

import (
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// AttachUserPolicy attaches a managed policy to a user.
func (s *Service) AttachUserPolicy(c *call.Call, in *iam.AttachUserPolicyRequest) (*iam.AttachUserPolicyResponse, error) {
	return &iam.AttachUserPolicyResponse{}, s.attach(c, s.userHolder, in.UserName, *in.PolicyArn)
}

// AttachGroupPolicy attaches a managed policy to a group.
func (s *Service) AttachGroupPolicy(c *call.Call, in *iam.AttachGroupPolicyRequest) (*iam.AttachGroupPolicyResponse, error) {
	return &iam.AttachGroupPolicyResponse{}, s.attach(c, s.groupHolder, in.GroupName, *in.PolicyArn)
}

// AttachRolePolicy attaches a managed policy to a role.
func (s *Service) AttachRolePolicy(c *call.Call, in *iam.AttachRolePolicyRequest) (*iam.AttachRolePolicyResponse, error) {
	return &iam.AttachRolePolicyResponse{}, s.attach(c, s.roleHolder, in.RoleName, *in.PolicyArn)
}

// DetachUserPolicy detaches a managed policy from a user.
func (s *Service) DetachUserPolicy(c *call.Call, in *iam.DetachUserPolicyRequest) (*iam.DetachUserPolicyResponse, error) {
	return &iam.DetachUserPolicyResponse{}, s.detach(c, s.userHolder, in.UserName, *in.PolicyArn)
}

// DetachGroupPolicy detaches a managed policy from a group.
func (s *Service) DetachGroupPolicy(c *call.Call, in *iam.DetachGroupPolicyRequest) (*iam.DetachGroupPolicyResponse, error) {
	return &iam.DetachGroupPolicyResponse{}, s.detach(c, s.groupHolder, in.GroupName, *in.PolicyArn)
}

// DetachRolePolicy detaches a managed policy from a role.
func (s *Service) DetachRolePolicy(c *call.Call, in *iam.DetachRolePolicyRequest) (*iam.DetachRolePolicyResponse, error) {
	return &iam.DetachRolePolicyResponse{}, s.detach(c, s.roleHolder, in.RoleName, *in.PolicyArn)
}

// attach adds a managed policy to a holder's. One that is there already stays.
func (s *Service) attach(c *call.Call, find finder, name *string, policyARN string) error {
	h, err := changing(find)(c, name, conditions{"iam:policyarn": policyARN})
	if err != nil {
		return err
	}
	if err := s.attachable(c, policyARN); err != nil {
		return err
	}
	if slices.Contains(h.held.Attached, policyARN) {
		return nil
	}
	if len(h.held.Attached) >= attachedPoliciesQuota {
		return exceeded(h.quota, attachedPoliciesQuota)
	}
	h.held.Attached = append(h.held.Attached, policyARN)
	return h.save()
}

// attachable refuses an ARN that is not that of a managed policy which can be attached.
func (s *Service) attachable(c *call.Call, policyARN string) error {
	if _, err := s.policyARN(policyARN); err != nil {
		return err
	}
	p, aws, err := s.find(c, policyARN)
	switch {
	case err != nil:
		return err
	case aws != nil && !aws.Attachable():
		return &iam.PolicyNotAttachableException{Message: "Cannot attach a Service Role Policy to a Customer Role."}
	case aws == nil && p == nil:
		return notAttachable(policyARN)
	}
	return nil
}

func notAttachable(policyARN string) error {
	return &iam.NoSuchEntityException{Message: "Policy " + policyARN + " does not exist or is not attachable."}
}

func (s *Service) detach(c *call.Call, find finder, name *string, policyARN string) error {
	h, err := changing(find)(c, name, conditions{"iam:policyarn": policyARN})
	if err != nil {
		return err
	}
	if _, err := s.policyARN(policyARN); err != nil {
		return err
	}
	i := slices.Index(h.held.Attached, policyARN)
	if i < 0 {
		return &iam.NoSuchEntityException{Message: "Policy " + policyARN + " was not found."}
	}
	h.held.Attached = slices.Delete(h.held.Attached, i, i+1)
	return h.save()
}

// ListAttachedUserPolicies lists the managed policies of a user.
func (s *Service) ListAttachedUserPolicies(c *call.Call, in *iam.ListAttachedUserPoliciesRequest) (*iam.ListAttachedUserPoliciesResponse, error) {
	list, w, err := s.attached(c, s.userHolder, in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedUserPoliciesResponse{AttachedPolicies: list}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// ListAttachedGroupPolicies lists the managed policies of a group.
func (s *Service) ListAttachedGroupPolicies(c *call.Call, in *iam.ListAttachedGroupPoliciesRequest) (*iam.ListAttachedGroupPoliciesResponse, error) {
	list, w, err := s.attached(c, s.groupHolder, in.GroupName, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedGroupPoliciesResponse{AttachedPolicies: list}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// ListAttachedRolePolicies lists the managed policies of a role.
func (s *Service) ListAttachedRolePolicies(c *call.Call, in *iam.ListAttachedRolePoliciesRequest) (*iam.ListAttachedRolePoliciesResponse, error) {
	list, w, err := s.attached(c, s.roleHolder, in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedRolePoliciesResponse{AttachedPolicies: list}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

func (s *Service) attached(c *call.Call, find finder, name, prefix, marker *string, items *int32) ([]iam.AttachedPolicy, *walk, error) {
	h, err := find(c, name, nil)
	if err != nil {
		return nil, nil, err
	}
	w, err := newWalk("attached "+h.kind+" "+h.name+" "+optional.Value(prefix), marker, items)
	if err != nil {
		return nil, nil, err
	}
	list := []iam.AttachedPolicy{}
	err = visit(w, 0, sliceFrom(slices.Values(slices.Sorted(slices.Values(h.held.Attached)))), func(name string) string { return name },
		func(name string) bool { return under(prefix, arnPath(name)) },
		func(name string) error {
			list = append(list, attachedShape(name))
			return nil
		})
	return list, w, err
}

func attachedShape(policyARN string) iam.AttachedPolicy {
	return iam.AttachedPolicy{PolicyName: new(arnName(policyARN)), PolicyArn: &policyARN}
}

func attachedShapes(policyARNs []string) []iam.AttachedPolicy {
	list := make([]iam.AttachedPolicy, 0, len(policyARNs))
	for _, name := range policyARNs {
		list = append(list, attachedShape(name))
	}
	return list
}

// arnName and arnPath take an ARN of IAM apart: policy/division/team/name.
func arnName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func arnPath(name string) string {
	return name[strings.IndexByte(name, '/') : strings.LastIndexByte(name, '/')+1]
}

// ListEntitiesForPolicy lists the users, groups and roles that have a managed policy attached, or as permissions boundary.
func (s *Service) ListEntitiesForPolicy(c *call.Call, in *iam.ListEntitiesForPolicyRequest) (*iam.ListEntitiesForPolicyResponse, error) {
	if _, _, err := s.policy(c, *in.PolicyArn); err != nil {
		return nil, err
	}
	filter := strings.Join([]string{"entities", *in.PolicyArn, string(in.EntityFilter), string(in.PolicyUsageFilter), optional.Value(in.PathPrefix)}, " ")
	w, err := newWalk(filter, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListEntitiesForPolicyResponse{PolicyGroups: []iam.PolicyGroup{}, PolicyUsers: []iam.PolicyUser{}, PolicyRoles: []iam.PolicyRole{}}
	wanted := func(kind iam.EntityType) bool { return in.EntityFilter == "" || in.EntityFilter == kind }
	if wanted(iam.EntityTypeGroup) {
		err = entities(c, w, in, 0, identity.Groups, false, asGroup, func(g *identity.Group) {
			out.PolicyGroups = append(out.PolicyGroups, iam.PolicyGroup{GroupName: &g.Name, GroupId: &g.ID})
		})
		if err != nil {
			return nil, err
		}
	}
	if wanted(iam.EntityTypeUser) {
		err = entities(c, w, in, 2, identity.Users, true, asUser, func(u *identity.User) {
			out.PolicyUsers = append(out.PolicyUsers, iam.PolicyUser{UserName: &u.Name, UserId: &u.ID})
		})
		if err != nil {
			return nil, err
		}
	}
	if wanted(iam.EntityTypeRole) {
		err = entities(c, w, in, 4, identity.Roles, true, asRole, func(r *identity.Role) {
			out.PolicyRoles = append(out.PolicyRoles, iam.PolicyRole{RoleName: &r.Name, RoleId: &r.ID})
		})
		if err != nil {
			return nil, err
		}
	}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// entity is what a user, a group or a role is filtered by.
type entity struct {
	name, path string
	held       *identity.Permissions
}

func asGroup(g *identity.Group) entity { return entity{g.Name, g.Path, &g.Permissions} }
func asUser(u *identity.User) entity   { return entity{u.Name, u.Path, &u.Permissions} }
func asRole(r *identity.Role) entity   { return entity{r.Name, r.Path, &r.Permissions} }

// entities adds those of one kind to a page: first those who have the policy attached, then those who have it as boundary only.
func entities[R any](c *call.Call, w *walk, in *iam.ListEntitiesForPolicyRequest, listing int, t *store.Table[R], boundaries bool,
	as func(*R) entity, add func(*R)) error {
	name := func(r *R) string { return as(r).name }
	added := func(r *R) error {
		add(r)
		return nil
	}
	attached := in.PolicyUsageFilter != iam.PolicyUsageTypePermissionsBoundary
	if attached {
		err := visit(w, listing, rowsFrom(c, t, "attached", *in.PolicyArn), name, func(r *R) bool { return under(in.PathPrefix, as(r).path) }, added)
		if err != nil {
			return err
		}
	}
	if !boundaries || in.PolicyUsageFilter == iam.PolicyUsageTypePermissionsPolicy {
		return nil
	}
	keep := func(r *R) bool {
		e := as(r)
		return under(in.PathPrefix, e.path) && !(attached && slices.Contains(e.held.Attached, *in.PolicyArn))
	}
	return visit(w, listing+1, rowsFrom(c, t, "bounded", *in.PolicyArn), name, keep, added)
}

// usage is how many have a managed policy attached, and how many have it as permissions boundary.
func usage(c *call.Call, policyARN string) (attached, bounded int32, err error) {
	total := func(index string, counts ...func(store.Reader, store.Query) (int, error)) (sum int32) {
		for _, count := range counts {
			if err == nil {
				var n int
				n, err = count(c.Tx(), store.Query{Index: index, Prefix: store.Key{policyARN}})
				sum += int32(n)
			}
		}
		return sum
	}
	users, groups := identity.Users.In(c.Scope.Account, ""), identity.Groups.In(c.Scope.Account, "")
	attached = total("attached", users.Count, groups.Count, roles(c).Count)
	bounded = total("bounded", users.Count, roles(c).Count)
	return attached, bounded, err
}
