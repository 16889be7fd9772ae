package iam

import (
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
)

// owner is whom credentials belong to: a user, or the account's root user if user is nil.
type owner struct{ user *identity.User }

// owner finds whose credentials an operation is about, and asks for permission. Where the request names nobody it is the caller, who may be the root user. The
// root user may also go by the account's number, for operations that want a name, such as iam:EnableMFADevice.
func (s *Service) owner(c *call.Call, given *string) (owner, error) {
	if c.Caller.Kind != policy.Root || given != nil && *given != c.Scope.Account {
		u, err := s.user(c, given, nil)
		return owner{u}, err
	}
	return owner{}, s.authorize(c, &call.Resource{ARN: s.rootARN(c)})
}

func (s *Service) rootARN(c *call.Call) string {
	return "arn:" + s.cfg.Partition + ":iam::" + c.Scope.Account + ":root"
}

// name is the user's, or "" for the root user: whose access keys they are.
func (o owner) name() string {
	if o.user == nil {
		return ""
	}
	return o.user.Name
}

// holder is the name under which MFA devices are kept.
func (o owner) holder() string {
	if o.user == nil {
		return identity.RootUser
	}
	return o.user.Name
}

// id is what the tables of this package name the owner by. It stays when a user is renamed.
func (o owner) id() string {
	if o.user == nil {
		return identity.RootUser
	}
	return o.user.ID
}

// shown is the UserName of answers; the root user has none.
func (o owner) shown() *string { return some(o.name()) }

// inactive is what an operation sets a credential to.
func inactive(status iam.StatusType) (bool, error) {
	switch status {
	case iam.StatusTypeActive:
		return false, nil
	case iam.StatusTypeInactive:
		return true, nil
	}
	return false, validation("The status %s cannot be set.", status)
}

func status(inactive bool) iam.StatusType {
	if inactive {
		return iam.StatusTypeInactive
	}
	return iam.StatusTypeActive
}
