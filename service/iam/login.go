package iam

import (
	"slices"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// formerPasswords is how many of them are kept: as many as a policy can keep from coming again.
const formerPasswords = 24

// login finds a user's login profile, and asks for permission.
func (s *Service) login(c *call.Call, user *string) (owner, *loginProfile, error) {
	o, err := s.owner(c, user)
	if err != nil {
		return o, nil, err
	}
	l, err := logins(c).Get(c.Tx(), o.id())
	if missing(err) {
		return o, nil, noLogin(o)
	}
	return o, l, err
}

func noLogin(o owner) error {
	return &iam.NoSuchEntityException{Message: "Login Profile for User " + o.holder() + " cannot be found."}
}

func loginShape(o owner, l *loginProfile) *iam.LoginProfile {
	return &iam.LoginProfile{UserName: o.shown(), CreateDate: &l.Created, PasswordResetRequired: &l.ResetRequired}
}

// CreateLoginProfile gives a user a password. A session of sts:AssumeRoot can give the root user a login profile, without a password.
func (s *Service) CreateLoginProfile(c *call.Call, in *iam.CreateLoginProfileRequest) (*iam.CreateLoginProfileResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	if _, err := logins(c).Get(c.Tx(), o.id()); err == nil {
		return nil, &iam.EntityAlreadyExistsException{Message: "Login Profile for user " + o.holder() + " already exists."}
	} else if !missing(err) {
		return nil, err
	}
	l := &loginProfile{User: o.id(), ResetRequired: optional.Value(in.PasswordResetRequired), Created: c.Time}
	switch {
	case o.user == nil && (c.Caller.Temporary == nil || c.Caller.Temporary.Kind != identity.RootSession):
		return nil, validation("Must specify userName when calling with non-User credentials")
	case o.user == nil && in.Password != nil:
		return nil, invalid("The password of the root user cannot be set.")
	case o.user != nil:
		if err := s.setPassword(c, l, optional.Value(in.Password)); err != nil {
			return nil, err
		}
	}
	return &iam.CreateLoginProfileResponse{LoginProfile: loginShape(o, l)}, logins(c).Insert(c.Tx(), l)
}

// setPassword sets a password that the account's policy accepts.
func (s *Service) setPassword(c *call.Call, l *loginProfile, password string) error {
	p, err := setPolicy(c)
	if err != nil {
		return err
	}
	if err := p.accepts(password); err != nil {
		return err
	}
	if l.Hash != "" {
		l.Former = slices.Insert(l.Former, 0, l.Hash)
		l.Former = l.Former[:min(len(l.Former), formerPasswords)]
	}
	l.Hash, err = hashPassword(password)
	l.Changed = c.Time
	return err
}

// GetLoginProfile tells about a user's password, and not the password.
func (s *Service) GetLoginProfile(c *call.Call, in *iam.GetLoginProfileRequest) (*iam.GetLoginProfileResponse, error) {
	o, l, err := s.login(c, in.UserName)
	if err != nil {
		return nil, err
	}
	return &iam.GetLoginProfileResponse{LoginProfile: loginShape(o, l)}, nil
}

// UpdateLoginProfile sets another password for a user.
func (s *Service) UpdateLoginProfile(c *call.Call, in *iam.UpdateLoginProfileRequest) (*iam.UpdateLoginProfileResponse, error) {
	_, l, err := s.login(c, in.UserName)
	if err != nil {
		return nil, err
	}
	if in.Password != nil {
		if err := s.setPassword(c, l, *in.Password); err != nil {
			return nil, err
		}
	}
	if in.PasswordResetRequired != nil {
		l.ResetRequired = *in.PasswordResetRequired
	}
	return &iam.UpdateLoginProfileResponse{}, logins(c).Put(c.Tx(), l)
}

// DeleteLoginProfile takes a user's password away.
func (s *Service) DeleteLoginProfile(c *call.Call, in *iam.DeleteLoginProfileRequest) (*iam.DeleteLoginProfileResponse, error) {
	_, l, err := s.login(c, in.UserName)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteLoginProfileResponse{}, logins(c).Delete(c.Tx(), l.User)
}

// ChangePassword changes the caller's own password.
func (s *Service) ChangePassword(c *call.Call, in *iam.ChangePasswordRequest) (*iam.ChangePasswordResponse, error) {
	p, err := setPolicy(c)
	if err != nil {
		return nil, err
	}
	if c.Caller.Kind != policy.User {
		return nil, c.Reject(&iam.InvalidUserTypeException{Message: "Only IAM Users can change their own password"})
	}
	u, err := users(c).Get(c.Tx(), c.Caller.UserName)
	if missing(err) {
		u = &identity.User{Account: c.Scope.Account, Name: c.Caller.UserName}
	} else if err != nil {
		return nil, err
	}
	if err := s.ownPassword(c, p, &call.Resource{ARN: u.ARN(s.cfg.Partition), Type: userType, Tags: u.Tags, Conditions: own(u.Tags, "", nil)}); err != nil {
		return nil, err
	}
	l, err := logins(c).Get(c.Tx(), u.ID)
	if missing(err) {
		return nil, noLogin(owner{u})
	}
	if err != nil {
		return nil, err
	}
	if !verifiable(l.Hash) {
		return nil, c.Reject(&wire.Error{Code: "AccessDenied", Status: 403, Message: "The old password was set outside FIPS mode, with Argon2id, and cannot be checked in it. An administrator can set another."})
	}
	if !isPassword(l.Hash, *in.OldPassword) {
		return nil, c.Reject(&wire.Error{Code: "AccessDenied", Status: 403, Message: "The old password was incorrect."})
	}
	if ends := p.expires(l); p != nil && optional.Value(p.HardExpiry) && !ends.IsZero() && !c.Time.Before(ends) {
		return nil, violation("The password has expired, and only an administrator can set another.")
	}
	if p != nil {
		for i, hash := range append([]string{l.Hash}, l.Former...) {
			if i < p.Reuse && isPassword(hash, *in.NewPassword) {
				return nil, violation("Policy constraint violation with password reuse prevention during password change.")
			}
		}
	}
	if err := s.setPassword(c, l, *in.NewPassword); err != nil {
		return nil, err
	}
	l.ResetRequired = false
	return &iam.ChangePasswordResponse{}, logins(c).Put(c.Tx(), l)
}
