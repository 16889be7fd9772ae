package iam

import (
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
)

// holder is a user, a group or a role as one who holds policies.
type holder struct {
	kind, name string // kind as messages have it: user, group, role
	held       *identity.Permissions
	quota      string // of attached policies, by name
	size       int    // of all inline policies together
	save       func() error
	change     error // why the policies cannot be changed, or nil
}

// finder finds a holder and asks for permission.
type finder func(c *call.Call, name *string, conditions policy.Context) (*holder, error)

func (s *Service) userHolder(c *call.Call, name *string, given policy.Context) (*holder, error) {
	u, err := s.user(c, name, given)
	if err != nil {
		return nil, err
	}
	save := func() error { return identity.Users.In(c.Scope.Account, "").Put(c.Tx(), u) }
	return &holder{"user", u.Name, &u.Permissions, "PoliciesPerUser", userPolicySizeQuota, save, nil}, nil
}

func (s *Service) groupHolder(c *call.Call, name *string, given policy.Context) (*holder, error) {
	g, err := s.group(c, name, given)
	if err != nil {
		return nil, err
	}
	save := func() error { return identity.Groups.In(c.Scope.Account, "").Put(c.Tx(), g) }
	return &holder{"group", g.Name, &g.Permissions, "PoliciesPerGroup", groupPolicySizeQuota, save, nil}, nil
}

func (s *Service) roleHolder(c *call.Call, name *string, given policy.Context) (*holder, error) {
	r, err := s.role(c, name, given)
	if err != nil {
		return nil, err
	}
	save := func() error { return roles(c).Put(c.Tx(), r) }
	return &holder{"role", r.Name, &r.Permissions, "PoliciesPerRole", rolePolicySizeQuota, save, protected(r)}, nil
}

// changing is a finder of holders whose policies can be changed.
func changing(find finder) finder {
	return func(c *call.Call, name *string, given policy.Context) (*holder, error) {
		h, err := find(c, name, given)
		if err != nil {
			return nil, err
		}
		return h, h.change
	}
}
