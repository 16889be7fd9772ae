package iam

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// setPolicy is the account's password policy, or nil if it has set none.
func setPolicy(c *call.Call) (*passwordPolicy, error) {
	p, err := policyTable.In(c.Scope.Account, "").Get(c.Tx())
	if missing(err) {
		return nil, nil
	}
	return p, err
}

// policyMinimum is the length of passwords under a policy that does not say it.
const policyMinimum = 6

// UpdateAccountPasswordPolicy sets the policy: what the request does not say gets its default, whatever it was.
func (s *Service) UpdateAccountPasswordPolicy(c *call.Call, in *iam.UpdateAccountPasswordPolicyRequest) (*iam.UpdateAccountPasswordPolicyResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	p := &passwordPolicy{
		MinimumLength: policyMinimum, Symbols: optional.Value(in.RequireSymbols), Numbers: optional.Value(in.RequireNumbers), Uppercase: optional.Value(in.RequireUppercaseCharacters),
		Lowercase: optional.Value(in.RequireLowercaseCharacters), UsersMayChange: optional.Value(in.AllowUsersToChangePassword), MaxAge: int(optional.Value(in.MaxPasswordAge)),
		Reuse: int(optional.Value(in.PasswordReusePrevention)), HardExpiry: in.HardExpiry,
	}
	if in.MinimumPasswordLength != nil {
		p.MinimumLength = int(*in.MinimumPasswordLength)
	}
	return &iam.UpdateAccountPasswordPolicyResponse{}, policyTable.In(c.Scope.Account, "").Put(c.Tx(), p)
}

// GetAccountPasswordPolicy tells the policy.
func (s *Service) GetAccountPasswordPolicy(c *call.Call, _ *iam.GetAccountPasswordPolicyRequest) (*iam.GetAccountPasswordPolicyResponse, error) {
	p, err := setPolicy(c)
	if err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: "*"}
	if err := s.ownPassword(c, p, r); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, &iam.NoSuchEntityException{Message: "The Password Policy with domain name " + c.Scope.Account + " cannot be found."}
	}
	out := &iam.PasswordPolicy{
		MinimumPasswordLength: new(int32(p.MinimumLength)), RequireSymbols: &p.Symbols, RequireNumbers: &p.Numbers, RequireUppercaseCharacters: &p.Uppercase,
		RequireLowercaseCharacters: &p.Lowercase, AllowUsersToChangePassword: &p.UsersMayChange, ExpirePasswords: new(p.MaxAge > 0), HardExpiry: p.HardExpiry,
	}
	if p.MaxAge > 0 {
		out.MaxPasswordAge = new(int32(p.MaxAge))
	}
	if p.Reuse > 0 {
		out.PasswordReusePrevention = new(int32(p.Reuse))
	}
	return &iam.GetAccountPasswordPolicyResponse{PasswordPolicy: out}, nil
}

// ownPassword asks for what users need who change their own passwords. Where the account's policy lets them, it allows it as the policy of a resource would:
// what denies goes before it.
func (s *Service) ownPassword(c *call.Call, p *passwordPolicy, r *call.Resource) error {
	if p != nil && p.UsersMayChange && c.Caller.Kind == policy.User {
		// It is for this call alone, so that its principal is the caller. Their ARN must not get into the document: a path may hold quotes and asterisks.
		allow, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*",`+
			`"Action":["iam:ChangePassword","iam:GetAccountPasswordPolicy"],"Resource":"*"}}`), policy.Resource)
		if err != nil {
			return err
		}
		r.Policy = allow
	}
	return s.authorize(c, r)
}

// DeleteAccountPasswordPolicy goes back to the default.
func (s *Service) DeleteAccountPasswordPolicy(c *call.Call, _ *iam.DeleteAccountPasswordPolicyRequest) (*iam.DeleteAccountPasswordPolicyResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	err := policyTable.In(c.Scope.Account, "").Delete(c.Tx())
	if missing(err) {
		return nil, &iam.NoSuchEntityException{Message: "The account policy with name PasswordPolicy cannot be found."}
	}
	return &iam.DeleteAccountPasswordPolicyResponse{}, err
}

// expires is when a password has to be changed, or zero.
func (p *passwordPolicy) expires(l *loginProfile) time.Time {
	if p == nil || p.MaxAge == 0 || l.Hash == "" {
		return time.Time{}
	}
	return l.Changed.AddDate(0, 0, p.MaxAge)
}
