package sts

import (
	"context"
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/cache"
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
	metadata, err := s.metadata.Get(c.Context, provider.Metadata)
	if err != nil {
		return nil, err // it was checked when it was registered
	}
	now := s.cfg.World.Now()
	a, err := metadata.Verify(*in.SAMLAssertion, saml.Service{}, now)
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
	if !a.SessionEnds.IsZero() {
		e.ends = c.Time.Add(a.SessionEnds.Sub(now)) // sessions end by the cloud's clock
	}
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

// metadataLimit is how many bytes of metadata are kept ready, as it is weighed.
const metadataLimit = 64 << 20

// newMetadata keeps metadata documents that have been read. They may be megabytes long, and who sends assertions is not known yet.
func newMetadata() *cache.Cache[string, *saml.Metadata] {
	return cache.Weighed(metadataLimit, func(document string, m *saml.Metadata) int {
		n := len(document) + 1<<10
		for _, c := range m.Certificates {
			n += 4 * len(c.Raw)
		}
		return n
	}, func(_ context.Context, document string) (*saml.Metadata, error) {
		return saml.ParseMetadata([]byte(document))
	})
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
