package iam

import (
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

func groups(c *call.Call) store.Rows[identity.Group] { return identity.Groups.In(c.Scope.Account, "") }

const groupType = "AWS::IAM::Group"

// CreateGroup makes a group.
func (s *Service) CreateGroup(c *call.Call, in *iam.CreateGroupRequest) (*iam.CreateGroupResponse, error) {
	g := &identity.Group{Account: c.Scope.Account, Name: *in.GroupName, Path: pathOf(optional.Value(in.Path)), ID: identity.NewID("AGPA"), Created: c.Time}
	if err := s.authorize(c, &call.Resource{ARN: g.ARN(s.cfg.Partition), Type: groupType}); err != nil {
		return nil, err
	}
	if err := insert(c, identity.Groups, g, "GroupsPerAccount", groupsQuota, taken("Group", g.Name)); err != nil {
		return nil, err
	}
	return &iam.CreateGroupResponse{Group: s.groupShape(g)}, nil
}

func (s *Service) groupShape(g *identity.Group) *iam.Group {
	return &iam.Group{Path: new(pathOf(g.Path)), GroupName: &g.Name, GroupId: &g.ID, Arn: new(g.ARN(s.cfg.Partition)), CreateDate: &g.Created}
}

func (s *Service) groupShapes(found []*identity.Group) []iam.Group {
	out := make([]iam.Group, 0, len(found))
	for _, g := range found {
		out = append(out, *s.groupShape(g))
	}
	return out
}

// members are the users in a group.
func members(group string) store.Query {
	return store.Query{Index: "member", Prefix: store.Key{group}}
}

// GetGroup tells about a group and lists who is in it.
func (s *Service) GetGroup(c *call.Call, in *iam.GetGroupRequest) (*iam.GetGroupResponse, error) {
	g, err := s.group(c, in.GroupName, nil)
	if err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, identity.Users, members(g.Name), in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	return &iam.GetGroupResponse{Group: s.groupShape(g), Users: s.userShapes(found), IsTruncated: &truncated, Marker: next}, nil
}

// ListGroups lists the account's groups.
func (s *Service) ListGroups(c *call.Call, in *iam.ListGroupsRequest) (*iam.ListGroupsResponse, error) {
	if err := s.listing(c, "group", in.PathPrefix); err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, identity.Groups, store.Query{}, in.Marker, in.MaxItems, optional.Value(in.PathPrefix),
		func(g *identity.Group) bool { return under(in.PathPrefix, g.Path) })
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupsResponse{Groups: s.groupShapes(found), IsTruncated: &truncated, Marker: next}, nil
}

// UpdateGroup gives a group another name or path. As with users, both ARNs are asked for.
func (s *Service) UpdateGroup(c *call.Call, in *iam.UpdateGroupRequest) (*iam.UpdateGroupResponse, error) {
	g, err := s.group(c, in.GroupName, nil)
	if err != nil {
		return nil, err
	}
	old := *g
	if in.NewPath != nil {
		g.Path = *in.NewPath
	}
	if in.NewGroupName != nil {
		g.Name = *in.NewGroupName
	}
	if g.ARN(s.cfg.Partition) == old.ARN(s.cfg.Partition) {
		return &iam.UpdateGroupResponse{}, nil
	}
	if err := s.authorize(c, &call.Resource{ARN: g.ARN(s.cfg.Partition), Type: groupType}); err != nil {
		return nil, err
	}
	if g.Name != old.Name {
		if err := renameGroup(c, old.Name, g.Name); err != nil {
			return nil, err
		}
	}
	return &iam.UpdateGroupResponse{}, groups(c).Put(c.Tx(), g)
}

// renameGroup makes way for a group's record under another name, by which its members name it from then on.
func renameGroup(c *call.Call, old, name string) error {
	if other, err := groups(c).Find(c.Tx(), "fold", strings.ToLower(name)); err == nil && other.Name != old {
		return &iam.EntityAlreadyExistsException{Message: taken("Group", name)}
	} else if err != nil && !missing(err) {
		return err
	}
	for u, err := range users(c).Scan(c.Tx(), members(old)) {
		if err != nil {
			return err
		}
		u.Groups[slices.Index(u.Groups, old)] = name
		if err := users(c).Put(c.Tx(), u); err != nil {
			return err
		}
	}
	return groups(c).Delete(c.Tx(), old)
}

// DeleteGroup deletes a group that nobody is in and that has no policies.
func (s *Service) DeleteGroup(c *call.Call, in *iam.DeleteGroupRequest) (*iam.DeleteGroupResponse, error) {
	g, err := s.group(c, in.GroupName, nil)
	if err != nil {
		return nil, err
	}
	if err := none(users(c).Scan(c.Tx(), members(g.Name)), "Cannot delete entity, must remove users from group first."); err != nil {
		return nil, err
	}
	switch {
	case len(g.Attached) > 0:
		return nil, conflict("Cannot delete entity, must detach all policies first.")
	case len(g.Inline) > 0:
		return nil, conflict("Cannot delete entity, must delete policies first.")
	}
	return &iam.DeleteGroupResponse{}, groups(c).Delete(c.Tx(), g.Name)
}

// membership finds the group and the user of AddUserToGroup and its opposite. Permission is asked for the group; of the two, AWS misses the user first.
func (s *Service) membership(c *call.Call, group, user *string) (*identity.Group, *identity.User, error) {
	g, err := s.group(c, group, nil)
	if _, gone := errors.AsType[*iam.NoSuchEntityException](err); err != nil && !gone {
		return nil, nil, err
	}
	u, uerr := users(c).Get(c.Tx(), *user)
	if missing(uerr) {
		return nil, nil, noSuch("user", *user)
	}
	if uerr != nil {
		return nil, nil, uerr
	}
	return g, u, err
}

// AddUserToGroup puts a user into a group. That the user is in it already is no error.
func (s *Service) AddUserToGroup(c *call.Call, in *iam.AddUserToGroupRequest) (*iam.AddUserToGroupResponse, error) {
	g, u, err := s.membership(c, in.GroupName, in.UserName)
	if err != nil {
		return nil, err
	}
	if slices.Contains(u.Groups, g.Name) {
		return &iam.AddUserToGroupResponse{}, nil
	}
	if len(u.Groups) >= groupsPerUserQuota {
		return nil, exceeded("GroupsPerUser", groupsPerUserQuota)
	}
	u.Groups = append(u.Groups, g.Name)
	return &iam.AddUserToGroupResponse{}, users(c).Put(c.Tx(), u)
}

// RemoveUserFromGroup takes a user out of a group. That the user is not in it is no error.
func (s *Service) RemoveUserFromGroup(c *call.Call, in *iam.RemoveUserFromGroupRequest) (*iam.RemoveUserFromGroupResponse, error) {
	g, u, err := s.membership(c, in.GroupName, in.UserName)
	if err != nil {
		return nil, err
	}
	u.Groups = slices.DeleteFunc(u.Groups, func(name string) bool { return name == g.Name })
	return &iam.RemoveUserFromGroupResponse{}, users(c).Put(c.Tx(), u)
}

// ListGroupsForUser lists the groups that a user is in.
func (s *Service) ListGroupsForUser(c *call.Call, in *iam.ListGroupsForUserRequest) (*iam.ListGroupsForUserResponse, error) {
	u, err := s.user(c, in.UserName, nil)
	if err != nil {
		return nil, err
	}
	w, err := newWalk("groups of "+u.Name, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListGroupsForUserResponse{Groups: []iam.Group{}}
	names := sliceFrom(slices.Values(slices.Sorted(slices.Values(u.Groups))))
	err = visit(w, 0, names, func(name string) string { return name }, nil, func(name string) error {
		g, err := groups(c).Get(c.Tx(), name)
		if err == nil {
			out.Groups = append(out.Groups, *s.groupShape(g))
		}
		return err
	})
	out.IsTruncated, out.Marker = w.end()
	return out, err
}
