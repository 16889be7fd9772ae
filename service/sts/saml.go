package sts

import (
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/saml"
	"github.com/holdfast-cloud/holdfast/identity"
)

// AssumeRoleWithSAML gives credentials of a role to whom a SAML identity provider vouches for that the role's account has registered.
func (s *Service) AssumeRoleWithSAML(c *call.Call, in *sts.AssumeRoleWithSAMLRequest) (*sts.AssumeRoleWithSAMLResponse, error) {
	target, err := s.target(*in.RoleArn)
	if err != nil {
		return nil, err
	}
	provider, err := s.samlProvider(c, *in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	c.Scope.Account = provider.Account
	metadata, err := saml.ParseMetadata([]byte(provider.Metadata))
	if err != nil {
		return nil, err // it was checked when it was registered
	}
	a, err := metadata.Verify(*in.SAMLAssertion, saml.Service{}, c.Time)
	if err != nil {
		return nil, badAssertion(err)
	}
	c.Caller = identity.Federated(*in.PrincipalArn, a.Subject)
	if target.account != provider.Account || !a.Allows(*in.RoleArn, *in.PrincipalArn) {
		return nil, deny(c, "Not authorized to perform %s", c.Op.Action)
	}
	e, err := vouched(c, *in.RoleArn, identity.Session{
		Kind: identity.RoleSession, Account: target.account, Name: target.name, SessionName: a.SessionName,
		SourceIdentity: a.SourceIdentity, Provider: *in.PrincipalArn, Claims: make(map[string][]string),
	}, a.Tags, a.TransitiveTags)
	if err != nil {
		return nil, err
	}
	e.ends = a.SessionEnds
	for k, v := range a.Conditions(provider.Account, provider.Name) {
		key := "saml:" + strings.ToLower(k)
		e.conditions[key] = v
		switch key {
		case "saml:namequalifier", "saml:sub", "saml:sub_type": // which stay with the session
			e.session.Claims[key] = v
		}
	}
	role, err := s.enter(c, e)
	if err != nil {
		return nil, err
	}
	credentials, size, err := s.open(c, e, role, in.DurationSeconds, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleWithSAMLResponse{
		Credentials: credentials, AssumedRoleUser: s.assumed(role, &e.session), PackedPolicySize: size, SourceIdentity: some(e.session.SourceIdentity),
		Subject: &a.Subject, SubjectType: new(a.SubjectType()), Issuer: &a.Issuer, Audience: &a.Recipient,
		NameQualifier: new(saml.NameQualifier(a.Issuer, provider.Account, provider.Name)),
	}, nil
}

func (s *Service) samlProvider(c *call.Call, name string) (*identity.SAMLProvider, error) {
	a, err := arn.Parse(name)
	short, ok := strings.CutPrefix(a.Resource, "saml-provider/")
	if err != nil || !ok || a.Service != "iam" || !identity.IsAccount(a.Account) {
		return nil, invalid("%s is invalid", name)
	}
	p, err := identity.SAMLProviders.In(a.Account, "").Get(c.Tx(), short)
	if missing(err) || err == nil && p.ARN(s.cfg.Partition) != name {
		return nil, &sts.InvalidIdentityTokenException{Message: "Specified provider doesn't exist"}
	}
	return p, err
}

// badAssertion turns what is wrong with a SAML response into the operation's errors.
func badAssertion(err error) error {
	e, ok := errors.AsType[*saml.Error](err)
	if !ok {
		return err
	}
	switch e.Kind {
	case saml.Expired:
		return &sts.ExpiredTokenException{Message: e.Message}
	case saml.Rejected:
		return &sts.IDPRejectedClaimException{Message: e.Message}
	}
	return &sts.InvalidIdentityTokenException{Message: e.Message}
}
