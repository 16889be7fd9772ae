package iam

import (
	"math"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// defaultSession is the longest session of a role that does not say it.
const defaultSession = time.Hour

func roles(c *call.Call) store.Rows[identity.Role] { return identity.Roles.In(c.Scope.Account, "") }

// CreateRole makes a role.
func (s *Service) CreateRole(c *call.Call, in *iam.CreateRoleRequest) (*iam.CreateRoleResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	r := &identity.Role{
		Account: c.Scope.Account, Name: *in.RoleName, Path: pathOf(optional.Value(in.Path)), ID: identity.NewID("AROA"), Description: optional.Value(in.Description),
		MaxSession: session(in.MaxSessionDuration), Tags: tags, Created: c.Time,
	}
	var given conditions
	if in.PermissionsBoundary != nil {
		given = conditions{"iam:permissionsboundary": *in.PermissionsBoundary}
	}
	if err := s.create(c, &call.Resource{ARN: r.ARN(s.cfg.Partition), Type: roleType, Conditions: given}, iam.OpTagRole, tags); err != nil {
		return nil, err
	}
	if err := ordinaryPath(r.Path); err != nil {
		return nil, err
	}
	if r.Trust, r.Bound, err = s.trust(c, *in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != nil {
		if r.Boundary, err = s.boundary(c, *in.PermissionsBoundary); err != nil {
			return nil, err
		}
	}
	if err := insertRole(c, r); err != nil {
		return nil, err
	}
	shown, err := s.roleShape(c, r, roleMade)
	if err != nil {
		return nil, err
	}
	return &iam.CreateRoleResponse{Role: shown}, nil
}

// ordinaryPath refuses the paths of roles that services make. Many policies except whoever has such an ARN from what they deny, so that nobody else may have one.
func ordinaryPath(path string) error {
	switch {
	case strings.HasPrefix(path, linkedPath):
		return invalid("Path prefix '%s' can only be used for AWS Service linked Roles", linkedPath)
	case strings.HasPrefix(path, reservedPath):
		return invalid("Path prefix '%s' can only be used for roles that AWS makes", reservedPath)
	}
	return nil
}

// reservedPath is that of the roles of IAM Identity Center.
const reservedPath = "/aws-reserved/"

const roleType = "AWS::IAM::Role"

// insertRole puts a new role into the account. Service-linked roles are not held to the quota, and do count.
func insertRole(c *call.Call, r *identity.Role) error {
	limit := rolesQuota
	if r.LinkedService != "" {
		limit = math.MaxInt
	}
	return insert(c, identity.Roles, r, "RolesPerAccount", limit, "Role with name "+r.Name+" already exists.")
}

func session(seconds *int32) time.Duration {
	if seconds == nil {
		return defaultSession
	}
	return time.Duration(*seconds) * time.Second
}

// roleForm is how much of a role an answer tells.
type roleForm int

const (
	rolePlain  roleForm = iota // as a part of an instance profile
	roleMade                   // by CreateRole: with what the request may have set
	roleListed                 // with the longest session
	roleFull
)

// roleShape is a role as answers have it.
func (s *Service) roleShape(c *call.Call, r *identity.Role, form roleForm) (*iam.Role, error) {
	trust, err := s.shownTrust(c, r)
	if err != nil {
		return nil, err
	}
	out := &iam.Role{
		Path: new(pathOf(r.Path)), RoleName: &r.Name, RoleId: &r.ID, Arn: new(r.ARN(s.cfg.Partition)), CreateDate: &r.Created, AssumeRolePolicyDocument: trust,
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	if form == roleListed || form == roleFull {
		out.MaxSessionDuration = new(int32(r.MaxSession / time.Second))
	}
	if form == roleMade || form == roleFull {
		out.PermissionsBoundary = boundaryShape(r.Boundary)
		if len(r.Tags) > 0 {
			out.Tags = tagList(r.Tags)
		}
	}
	if form == roleFull {
		if out.RoleLastUsed, err = s.roleLastUsed(c, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// GetRole tells of a role.
func (s *Service) GetRole(c *call.Call, in *iam.GetRoleRequest) (*iam.GetRoleResponse, error) {
	r, err := s.role(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	shown, err := s.roleShape(c, r, roleFull)
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleResponse{Role: shown}, nil
}

// ListRoles lists the account's roles.
func (s *Service) ListRoles(c *call.Call, in *iam.ListRolesRequest) (*iam.ListRolesResponse, error) {
	if err := s.listing(c, "role", in.PathPrefix); err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, identity.Roles, store.Query{}, in.Marker, in.MaxItems, optional.Value(in.PathPrefix),
		func(r *identity.Role) bool { return under(in.PathPrefix, r.Path) })
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesResponse{Roles: make([]iam.Role, 0, len(found)), IsTruncated: &truncated, Marker: next}
	for _, r := range found {
		shown, err := s.roleShape(c, r, roleListed)
		if err != nil {
			return nil, err
		}
		out.Roles = append(out.Roles, *shown)
	}
	return out, nil
}

// changeable finds a role that is the customer's to change.
func (s *Service) changeable(c *call.Call, name *string, given conditions) (*identity.Role, error) {
	r, err := s.role(c, name, given)
	if err != nil {
		return nil, err
	}
	return r, protected(r)
}

// protected refuses to change what belongs to a service.
func protected(r *identity.Role) error {
	if r.LinkedService == "" {
		return nil
	}
	return &iam.UnmodifiableEntityException{
		Message: "Cannot perform the operation on the protected role '" + r.Name + "' - this role is only modifiable by AWS",
	}
}

// UpdateRole sets the description and the longest session. Of a service-linked role only the description can be set.
func (s *Service) UpdateRole(c *call.Call, in *iam.UpdateRoleRequest) (*iam.UpdateRoleResponse, error) {
	r, err := s.role(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	if in.MaxSessionDuration != nil {
		if err := protected(r); err != nil {
			return nil, err
		}
		r.MaxSession = session(in.MaxSessionDuration)
	}
	if in.Description != nil {
		r.Description = *in.Description
	}
	return &iam.UpdateRoleResponse{}, roles(c).Put(c.Tx(), r)
}

// UpdateRoleDescription sets the description.
func (s *Service) UpdateRoleDescription(c *call.Call, in *iam.UpdateRoleDescriptionRequest) (*iam.UpdateRoleDescriptionResponse, error) {
	r, err := s.role(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	r.Description = *in.Description
	if err := roles(c).Put(c.Tx(), r); err != nil {
		return nil, err
	}
	shown, err := s.roleShape(c, r, rolePlain)
	if err != nil {
		return nil, err
	}
	return &iam.UpdateRoleDescriptionResponse{Role: shown}, nil
}

// UpdateAssumeRolePolicy replaces the trust policy.
func (s *Service) UpdateAssumeRolePolicy(c *call.Call, in *iam.UpdateAssumeRolePolicyRequest) (*iam.UpdateAssumeRolePolicyResponse, error) {
	r, err := s.changeable(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	if r.Trust, r.Bound, err = s.trust(c, *in.PolicyDocument); err != nil {
		return nil, err
	}
	return &iam.UpdateAssumeRolePolicyResponse{}, roles(c).Put(c.Tx(), r)
}

// DeleteRole deletes a role that has no policies and is in no instance profile.
func (s *Service) DeleteRole(c *call.Call, in *iam.DeleteRoleRequest) (*iam.DeleteRoleResponse, error) {
	r, err := s.changeable(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	for _, err := range profilesOf(c, r.Name) {
		if err != nil {
			return nil, err
		}
		return nil, conflict("Cannot delete entity, must remove roles from instance profile first.")
	}
	if len(r.Attached) > 0 {
		return nil, conflict("Cannot delete entity, must detach all policies first.")
	}
	if len(r.Inline) > 0 {
		return nil, conflict("Cannot delete entity, must delete policies first.")
	}
	return &iam.DeleteRoleResponse{}, removeRole(c, r)
}

// removeRole deletes a role and what is kept about it.
func removeRole(c *call.Call, r *identity.Role) error {
	if err := identity.ForgetUses(c.Tx(), r.Account, r.ID); err != nil {
		return err
	}
	return roles(c).Delete(c.Tx(), r.Name)
}

func conflict(message string) error { return &iam.DeleteConflictException{Message: message} }

// TagRole sets tags of a role.
func (s *Service) TagRole(c *call.Call, in *iam.TagRoleRequest) (*iam.TagRoleResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	r, err := s.role(c, in.RoleName, nil, requesting(set))
	if err != nil {
		return nil, err
	}
	if r.Tags, err = addTags(r.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagRoleResponse{}, roles(c).Put(c.Tx(), r)
}

// UntagRole removes tags of a role.
func (s *Service) UntagRole(c *call.Call, in *iam.UntagRoleRequest) (*iam.UntagRoleResponse, error) {
	r, err := s.role(c, in.RoleName, nil, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	r.Tags = removeTags(r.Tags, in.TagKeys)
	return &iam.UntagRoleResponse{}, roles(c).Put(c.Tx(), r)
}

// ListRoleTags lists the tags of a role.
func (s *Service) ListRoleTags(c *call.Call, in *iam.ListRoleTagsRequest) (*iam.ListRoleTagsResponse, error) {
	r, err := s.role(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(r.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListRoleTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}
