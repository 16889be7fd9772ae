package sts

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/identity"
)

// AssumeRoleWithWebIdentity gives credentials of a role to whom an OpenID Connect provider vouches for that the role's account has registered.
func (s *Service) AssumeRoleWithWebIdentity(c *call.Call, in *sts.AssumeRoleWithWebIdentityRequest) (*sts.AssumeRoleWithWebIdentityResponse, error) {
	target, err := s.target(*in.RoleArn)
	if err != nil {
		return nil, err
	}
	if in.ProviderId != nil {
		return nil, invalid("ProviderId belongs to OAuth 2.0 access tokens, which are not supported: pass an OpenID Connect ID token.")
	}
	token, err := oidc.Parse(*in.WebIdentityToken)
	if err != nil {
		return nil, badToken(err)
	}
	provider, err := s.provider(c, target.account, token.Issuer())
	if err != nil {
		return nil, err
	}
	// The account knows who is to vouch, so what becomes of it belongs into its trail.
	c.Scope.Account = target.account
	claims, err := s.cfg.Verifier.Verify(c.Context, token, oidc.Provider{
		Issuer: token.Issuer(), ClientIDs: provider.ClientIDs, Thumbprints: provider.Thumbprints,
	}, s.dated(c, token.Issuer()))
	if err != nil {
		return nil, badToken(err)
	}
	name := provider.ARN(s.cfg.Partition)
	c.Caller = identity.Federated(name, claims.Subject)

	e, err := vouched(c, *in.RoleArn, identity.Session{
		Kind: identity.RoleSession, Account: target.account, Name: target.name, SessionName: *in.RoleSessionName,
		SourceIdentity: claims.Session.SourceIdentity, Provider: name, Claims: make(map[string][]string),
	}, claims.Session.Tags, claims.Session.TransitiveTags)
	if err != nil {
		return nil, err
	}
	// The keys that AWS documents stay with the session. Others, such as a repository or a project, decide here alone.
	prefix := strings.ToLower(provider.URL) + ":"
	for k, v := range claims.Extra {
		key, values := strings.ToLower(k), scalars(v)
		if len(values) == 0 || slices.Contains(documented, key) {
			continue
		}
		// Condition keys have no case, claims have, and users may be able to have claims: none of them must pass for another.
		if other, twice := e.conditions[prefix+key]; twice && !slices.Equal(other, values) {
			return nil, &sts.InvalidIdentityTokenException{Message: "Invalid claim: " + key + " is there several times, in other case and with another value"}
		}
		e.conditions[prefix+key] = values
	}
	for k, v := range claims.Conditions() {
		e.session.Claims[prefix+k] = v
		e.conditions[prefix+k] = v
	}
	role, err := s.enter(c, e)
	if err != nil {
		return nil, err
	}
	credentials, size, err := s.open(c, e, role, in.DurationSeconds, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleWithWebIdentityResponse{
		Credentials: credentials, AssumedRoleUser: s.assumed(role, &e.session), PackedPolicySize: size, SourceIdentity: some(e.session.SourceIdentity),
		SubjectFromWebIdentityToken: &claims.Subject, Audience: &claims.Audience, Provider: &name,
	}, nil
}

// documented are the claims whose condition keys follow from all of the token, see oidc.Claims.
var documented = []string{"amr", "aud", "azp", "oaud", "sub"}

// dated is the time by which an issuer dates its tokens: that of the world, and the cloud's own if it is one of the cloud's accounts.
func (s *Service) dated(c *call.Call, issuer string) time.Time {
	if strings.HasPrefix(issuer, identity.IssuerURL(s.cfg.PublicURL, "")) {
		return c.Time
	}
	return s.cfg.World.Now()
}

// provider finds who an account has registered for an issuer. Records have URLs without their scheme, and which schemes there are the verifier says.
func (s *Service) provider(c *call.Call, account, issuer string) (*identity.OIDCProvider, error) {
	_, url, ok := strings.Cut(issuer, "://")
	if !ok {
		return nil, badToken(oidc.NoProvider(issuer))
	}
	p, err := identity.OIDCProviders.In(account, "").Get(c.Tx(), url)
	if missing(err) {
		return nil, badToken(oidc.NoProvider(issuer))
	}
	return p, err
}

// badToken turns what is wrong with an ID token into the operation's errors.
func badToken(err error) error {
	e, ok := errors.AsType[*oidc.Error](err)
	if !ok {
		return err
	}
	switch e.Kind {
	case oidc.Expired:
		return &sts.ExpiredTokenException{Message: e.Message}
	case oidc.Unreachable:
		return &sts.IDPCommunicationErrorException{Message: e.Message}
	}
	return &sts.InvalidIdentityTokenException{Message: e.Message}
}

// scalars are the values of a claim that conditions can look at: texts, numbers and truths, alone or in lists.
func scalars(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case bool:
		return []string{strconv.FormatBool(v)}
	case []any:
		var all []string
		for _, e := range v {
			if _, nested := e.([]any); !nested {
				all = append(all, scalars(e)...)
			}
		}
		return all
	}
	return nil
}
