package iam

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

func users(c *call.Call) store.Rows[identity.User] { return identity.Users.In(c.Scope.Account, "") }

const userType = "AWS::IAM::User"

// CreateUser makes a user.
func (s *Service) CreateUser(c *call.Call, in *iam.CreateUserRequest) (*iam.CreateUserResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	u := &identity.User{
		Account: c.Scope.Account, Name: *in.UserName, Path: pathOf(optional.Value(in.Path)), ID: identity.NewID("AIDA"), Tags: tags, Created: c.Time,
	}
	var given conditions
	if in.PermissionsBoundary != nil {
		given = conditions{"iam:permissionsboundary": *in.PermissionsBoundary}
	}
	if err := s.create(c, &call.Resource{ARN: u.ARN(s.cfg.Partition), Type: userType, Conditions: given}, iam.OpTagUser, tags); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != nil {
		if u.Boundary, err = s.boundary(c, *in.PermissionsBoundary); err != nil {
			return nil, err
		}
	}
	if err := insert(c, identity.Users, u, "UsersPerAccount", usersQuota, taken("User", u.Name)); err != nil {
		return nil, err
	}
	return &iam.CreateUserResponse{User: s.userShape(u, true)}, nil
}

func taken(kind, name string) string { return kind + " with name " + name + " already exists." }

// userShape is a user as answers have it. Lists leave tags and boundary out.
func (s *Service) userShape(u *identity.User, whole bool) *iam.User {
	out := &iam.User{
		Path: new(pathOf(u.Path)), UserName: &u.Name, UserId: &u.ID, Arn: new(u.ARN(s.cfg.Partition)), CreateDate: &u.Created,
	}
	if whole {
		out.PermissionsBoundary = boundaryShape(u.Boundary)
		if len(u.Tags) > 0 {
			out.Tags = tagList(u.Tags)
		}
	}
	return out
}

func (s *Service) userShapes(found []*identity.User) []iam.User {
	out := make([]iam.User, 0, len(found))
	for _, u := range found {
		out = append(out, *s.userShape(u, false))
	}
	return out
}

// GetUser tells about a user, or about the caller, who may be the root user.
func (s *Service) GetUser(c *call.Call, in *iam.GetUserRequest) (*iam.GetUserResponse, error) {
	if in.UserName == nil && c.Caller.Kind == policy.Root {
		if err := s.authorize(c, &call.Resource{ARN: s.rootARN(c)}); err != nil {
			return nil, err
		}
		root, err := s.rootShape(c)
		return &iam.GetUserResponse{User: root}, err
	}
	u, err := s.user(c, in.UserName, nil)
	if _, gone := errors.AsType[*iam.NoSuchEntityException](err); gone && s.isGuest(c, in.UserName) {
		u, err = &identity.User{Account: c.Scope.Account, Name: c.Caller.UserName, ID: c.Caller.ID, Created: time.Unix(0, 0).UTC()}, nil
	}
	if err != nil {
		return nil, err
	}
	return &iam.GetUserResponse{User: s.userShape(u, true)}, nil
}

// isGuest reports whether a call is about its caller, who is a user without a record: that of dev mode.
func (s *Service) isGuest(c *call.Call, name *string) bool {
	return c.Caller.Kind == policy.User && (name == nil || *name == c.Caller.UserName)
}

// rootShape is the root user as answers have it. It is as old as its oldest access key, which is the first thing that an account has.
func (s *Service) rootShape(c *call.Call) (*iam.User, error) {
	created := time.Unix(0, 0).UTC()
	for k, err := range keysOf(c, "") {
		if err != nil {
			return nil, err
		}
		if created.Unix() == 0 || k.Created.Before(created) {
			created = k.Created
		}
	}
	return &iam.User{Path: new(rootPath), UserId: &c.Scope.Account, Arn: new(s.rootARN(c)), CreateDate: &created}, nil
}

// ListUsers lists the account's users.
func (s *Service) ListUsers(c *call.Call, in *iam.ListUsersRequest) (*iam.ListUsersResponse, error) {
	if err := s.listing(c, "user", in.PathPrefix); err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, identity.Users, store.Query{}, in.Marker, in.MaxItems, optional.Value(in.PathPrefix),
		func(u *identity.User) bool { return under(in.PathPrefix, u.Path) })
	if err != nil {
		return nil, err
	}
	return &iam.ListUsersResponse{Users: s.userShapes(found), IsTruncated: &truncated, Marker: next}, nil
}

// UpdateUser gives a user another name or path. Who may do it must be allowed to for both ARNs:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_users_manage.html
func (s *Service) UpdateUser(c *call.Call, in *iam.UpdateUserRequest) (*iam.UpdateUserResponse, error) {
	u, err := s.user(c, in.UserName, nil)
	if err != nil {
		return nil, err
	}
	old := *u
	if in.NewPath != nil {
		u.Path = *in.NewPath
	}
	if in.NewUserName != nil {
		u.Name = *in.NewUserName
	}
	if u.ARN(s.cfg.Partition) == old.ARN(s.cfg.Partition) {
		return &iam.UpdateUserResponse{}, nil
	}
	r := &call.Resource{ARN: u.ARN(s.cfg.Partition), Type: userType, Tags: u.Tags, Conditions: own(u.Tags, boundaryFor(c, u.Boundary), nil)}
	if err := s.authorize(c, r); err != nil {
		return nil, err
	}
	if u.Name != old.Name {
		if err := renameUser(c, &old, u.Name); err != nil {
			return nil, err
		}
	}
	if err := users(c).Put(c.Tx(), u); errors.Is(err, store.ErrExists) {
		return nil, &iam.EntityAlreadyExistsException{Message: taken("User", u.Name)}
	} else if err != nil {
		return nil, err
	}
	return &iam.UpdateUserResponse{}, nil
}

// renameUser makes way for a user's record under another name, and has follow what names its owner.
func renameUser(c *call.Call, u *identity.User, name string) error {
	if other, err := users(c).Find(c.Tx(), "fold", strings.ToLower(name)); err == nil && other.Name != u.Name {
		return &iam.EntityAlreadyExistsException{Message: taken("User", name)}
	} else if err != nil && !missing(err) {
		return err
	}
	for k, err := range keysOf(c, u.Name) {
		if err != nil {
			return err
		}
		k.User = name
		if err := identity.AccessKeys.In("", "").Put(c.Tx(), k); err != nil {
			return err
		}
	}
	for m, err := range devicesOf(c, u.Name) {
		if err != nil {
			return err
		}
		m.User = name
		if err := devices(c).Put(c.Tx(), m); err != nil {
			return err
		}
	}
	return users(c).Delete(c.Tx(), u.Name)
}

// DeleteUser deletes a user who has nothing left.
func (s *Service) DeleteUser(c *call.Call, in *iam.DeleteUserRequest) (*iam.DeleteUserResponse, error) {
	u, err := s.user(c, in.UserName, nil)
	if err != nil {
		return nil, err
	}
	if err := unused(c, u); err != nil {
		return nil, err
	}
	if err := identity.ForgetUses(c.Tx(), u.Account, u.ID); err != nil {
		return nil, err
	}
	return &iam.DeleteUserResponse{}, users(c).Delete(c.Tx(), u.Name)
}

// unused refuses to delete a user who still has something, and says what.
func unused(c *call.Call, u *identity.User) error {
	o := owner{u}
	switch {
	case len(u.Groups) > 0:
		return conflict("Cannot delete entity, must remove users from group first.")
	case len(u.Attached) > 0:
		return conflict("Cannot delete entity, must detach all policies first.")
	case len(u.Inline) > 0:
		return conflict("Cannot delete entity, must delete policies first.")
	}
	if err := none(keysOf(c, u.Name), "Cannot delete entity, must delete access keys first."); err != nil {
		return err
	}
	if _, err := logins(c).Get(c.Tx(), u.ID); err == nil {
		return conflict("Cannot delete entity, must delete login profile first.")
	} else if !missing(err) {
		return err
	}
	if err := none(devicesOf(c, u.Name), "Cannot delete entity, must delete MFA device first."); err != nil {
		return err
	}
	const referenced = "Cannot delete entity, must remove referenced objects first."
	if err := none(certificatesOf(c, o), referenced); err != nil {
		return err
	}
	if err := none(sshKeysOf(c, o), referenced); err != nil {
		return err
	}
	return none(serviceCredentialsOf(c, o), referenced)
}

// TagUser sets tags of a user.
func (s *Service) TagUser(c *call.Call, in *iam.TagUserRequest) (*iam.TagUserResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	u, err := s.user(c, in.UserName, nil, requesting(set))
	if err != nil {
		return nil, err
	}
	if u.Tags, err = addTags(u.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagUserResponse{}, users(c).Put(c.Tx(), u)
}

// UntagUser removes tags of a user.
func (s *Service) UntagUser(c *call.Call, in *iam.UntagUserRequest) (*iam.UntagUserResponse, error) {
	u, err := s.user(c, in.UserName, nil, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	u.Tags = removeTags(u.Tags, in.TagKeys)
	return &iam.UntagUserResponse{}, users(c).Put(c.Tx(), u)
}

// ListUserTags lists the tags of a user.
func (s *Service) ListUserTags(c *call.Call, in *iam.ListUserTagsRequest) (*iam.ListUserTagsResponse, error) {
	u, err := s.user(c, in.UserName, nil)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(u.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListUserTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}
