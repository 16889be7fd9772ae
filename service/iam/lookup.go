package iam

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Whether something is there is told to those only who may ask: permission is asked first, for the ARN that the thing has, or would have with the path
// "/" if it is not there.

// authorize asks for the operation's own action on a resource of IAM. Everything of IAM that calls passes here.
func (s *Service) authorize(c *call.Call, r *call.Resource) error {
	if err := s.temporary(c); err != nil {
		return err
	}
	return c.Authorize(r)
}

func (s *Service) authorizeWith(c *call.Call, r *call.Resource, with []func(*call.Resource)) error {
	for _, w := range with {
		w(r)
	}
	return s.authorize(c, r)
}

// temporary refuses credentials that IAM does not take: those of sts:GetFederationToken, and those of sts:GetSessionToken without MFA:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html
func (s *Service) temporary(c *call.Call) error {
	t := c.Caller.Temporary
	if t == nil || t.Kind == identity.RoleSession || t.Kind == identity.RootSession || t.Kind == identity.UserSession && !t.MFA.IsZero() {
		return nil
	}
	return c.Reject(&wire.Error{Code: "InvalidClientTokenId", Status: 403, Message: "The security token included in the request is invalid"})
}

// anything is the resource of operations that have none.
func (s *Service) anything(c *call.Call) error { return s.authorize(c, &call.Resource{ARN: "*"}) }

// listing asks for permission to list the things of a kind below a path. The reference gives these operations no resource; AWS asks for the path all the
// same, so that a policy for "arn:aws:iam::111122223333:user/*" lists users, too.
func (s *Service) listing(c *call.Call, kind string, prefix *string) error {
	path := optional.Value(prefix)
	if path == "" {
		path = rootPath
	}
	return s.authorize(c, &call.Resource{ARN: "arn:" + s.cfg.Partition + ":iam::" + c.Scope.Account + ":" + kind + path})
}

// user finds a user of the caller's account, whom an operation is about, and asks for permission. An empty name is the caller's own, where the caller is
// a user. Further functions complete what is asked for, e.g. with the tags of the request.
func (s *Service) user(c *call.Call, given *string, conditions policy.Context, with ...func(*call.Resource)) (*identity.User, error) {
	name := optional.Value(given)
	if name == "" && c.Caller.Kind == policy.User {
		name = c.Caller.UserName
	}
	if name == "" {
		return nil, validation("Must specify userName when calling with non-User credentials")
	}
	u, err := identity.Users.In(c.Scope.Account, "").Get(c.Tx(), name)
	there := err == nil
	if missing(err) {
		u = &identity.User{Account: c.Scope.Account, Name: name}
	} else if err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: u.ARN(s.cfg.Partition), Type: "AWS::IAM::User", Tags: u.Tags, Conditions: own(u.Tags, boundaryFor(c, u.Boundary), conditions)}
	if err := s.authorizeWith(c, r, with); err != nil {
		return nil, err
	}
	if !there {
		return nil, noSuch("user", name)
	}
	return u, nil
}

// group finds a group and asks for permission, as user does.
func (s *Service) group(c *call.Call, given *string, conditions policy.Context) (*identity.Group, error) {
	name := optional.Value(given)
	g, err := identity.Groups.In(c.Scope.Account, "").Get(c.Tx(), name)
	there := err == nil
	if missing(err) {
		g = &identity.Group{Account: c.Scope.Account, Name: name}
	} else if err != nil {
		return nil, err
	}
	if err := s.authorize(c, &call.Resource{ARN: g.ARN(s.cfg.Partition), Type: "AWS::IAM::Group", Conditions: conditions}); err != nil {
		return nil, err
	}
	if !there {
		return nil, noSuch("group", name)
	}
	return g, nil
}

// role finds a role and asks for permission, as user does.
func (s *Service) role(c *call.Call, given *string, conditions policy.Context, with ...func(*call.Resource)) (*identity.Role, error) {
	name := optional.Value(given)
	r, err := identity.Roles.In(c.Scope.Account, "").Get(c.Tx(), name)
	there := err == nil
	if missing(err) {
		r = &identity.Role{Account: c.Scope.Account, Name: name}
	} else if err != nil {
		return nil, err
	}
	resource := &call.Resource{ARN: r.ARN(s.cfg.Partition), Type: "AWS::IAM::Role", Tags: r.Tags, Conditions: own(r.Tags, boundaryFor(c, r.Boundary), conditions)}
	if err := s.authorizeWith(c, resource, with); err != nil {
		return nil, err
	}
	if !there {
		return nil, noSuch("role", name)
	}
	return r, nil
}

// conditions are values for condition keys of IAM that a request gives, by key in lower case, e.g. iam:policyarn.
type conditions map[string]string

// Lookup implements policy.Context.
func (m conditions) Lookup(key string) ([]string, bool) {
	v, ok := m[key]
	return []string{v}, ok
}

// ownConditions are those that follow from the resource: iam:ResourceTag/key, which is IAM's own aws:ResourceTag/key, and iam:PermissionsBoundary, which is the
// boundary that is there unless the request is about another. What the request gives goes first.
type ownConditions struct {
	tags     map[string]string
	boundary string
	request  policy.Context
}

func own(tags map[string]string, boundary string, request policy.Context) policy.Context {
	if len(tags) == 0 && boundary == "" {
		return request
	}
	return &ownConditions{tags, boundary, request}
}

// Lookup implements policy.Context.
func (o *ownConditions) Lookup(key string) ([]string, bool) {
	if o.request != nil {
		if v, ok := o.request.Lookup(key); ok {
			return v, true
		}
	}
	if tag, ok := strings.CutPrefix(key, "iam:resourcetag/"); ok {
		for k, v := range o.tags { // IAM's tag keys are unique whatever their case
			if strings.EqualFold(k, tag) {
				return []string{v}, true
			}
		}
		return nil, false
	}
	if key == "iam:permissionsboundary" && o.boundary != "" {
		return []string{o.boundary}, true
	}
	return nil, false
}

func noSuch(kind, name string) error {
	return &iam.NoSuchEntityException{Message: fmt.Sprintf("The %s with name %s cannot be found.", kind, name)}
}

func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
