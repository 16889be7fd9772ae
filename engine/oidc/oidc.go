// Package oidc checks the ID tokens of OpenID Connect providers, and signs tokens as such a provider does.
//
// [Parse] reads a token; its claimed issuer says which registered [Provider] to check it against; [Verifier.Verify] finds the provider's
// keys, checks the signature and the claims, and returns what the token says as [Claims].
//
// The keys come over the network from a server whose address a customer chose, and the tokens come from callers who have not
// authenticated. So a Verifier reaches only public addresses unless its [Config] says more, decides that after the name has been resolved,
// follows few redirects and none to plain HTTP, reads bounded answers in bounded time, keeps the keys, and asks a provider only so often whatever
// the tokens say. Only asymmetric algorithms are accepted, and only keys from the provider's own key set: what a token's header says about
// keys (jwk, jku, x5u, x5c) is not looked at, except for kid.
//
// A [Signer] makes tokens with a key of the caller's; [KeySet] and [Discovery] are the documents that let others verify them.
//
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation and
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Kind says which sort of thing is wrong with a token.
type Kind int

const (
	// Invalid: the token, or what its provider publishes, is not what it must be. The same token will not do later.
	Invalid Kind = iota + 1
	// Expired: the token was good once.
	Expired
	// Unreachable: the provider does not answer. The same token may do later.
	Unreachable
)

func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid token"
	case Expired:
		return "expired token"
	case Unreachable:
		return "unreachable provider"
	}
	return fmt.Sprintf("oidc.Kind(%d)", int(k))
}

// Error is what this package says of a token that is not accepted.
type Error struct {
	Kind Kind
	// Message is for the caller who brought the token.
	Message string
	// Cause is for the log: which host, which certificate. It may be nil. It holds nothing of the token but its key ID and algorithm.
	Cause error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

func invalid(cause error, format string, args ...any) error {
	return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// NoProvider is the error for a token whose issuer the account does not know.
func NoProvider(issuer string) error {
	return invalid(nil, "No OpenIDConnect provider found in your account for %s", issuer)
}

// Messages that AWS is known to give, with its punctuation.
const (
	notJWT          = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
	noKeyFromIssuer = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
	wrongAudience   = "Incorrect token audience"
	wrongThumbprint = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
	missingClaim    = "Missing a required claim: %s"
	expired         = "Token expired: current date/time %d must be before the expiration date/time %d"
)

// Provider is an OpenID Connect provider as an account has registered it.
type Provider struct {
	// Issuer is the provider's URL, exactly as its tokens have it in iss.
	Issuer string
	// ClientIDs are the audiences that tokens may be for.
	ClientIDs []string
	// Thumbprints are SHA-1 hashes of certificates, in hexadecimal. A server that the trusted roots do not vouch for is believed if it has
	// a chain to one of these.
	Thumbprints []string
}

// Claims is what a verified token says.
type Claims struct {
	Issuer  string
	Subject string
	// Audience is the client the token was issued to: azp if the token has it, else the one in aud that the provider knows.
	Audience string
	// Audiences is aud, AuthorizedParty azp; it is empty if the token has none.
	Audiences       []string
	AuthorizedParty string
	// Methods is amr: how the user authenticated.
	Methods           []string
	IssuedAt, Expires time.Time
	Session           Session
	// Extra are all claims as they decode from JSON, numbers as json.Number.
	Extra map[string]any
}

// Session is what a token asks of the session that it opens.
type Session struct {
	Tags           map[string]string
	TransitiveTags []string
	SourceIdentity string
}

// Conditions returns what the claims say to the condition keys of the provider, by the key's name after the colon.
func (c *Claims) Conditions() map[string][]string {
	m := map[string][]string{"aud": {c.Audience}, "sub": {c.Subject}}
	if c.AuthorizedParty != "" {
		// With azp set, aud is what azp says, and what aud says is called oaud.
		m["azp"] = []string{c.AuthorizedParty}
		m["oaud"] = c.Audiences
	}
	if len(c.Methods) > 0 {
		m["amr"] = c.Methods
	}
	return m
}

var errIssuer = errors.New("must be an https URL without user, query and fragment")

// checkURL says whether a URL is one that this package may fetch: of an issuer, a key set, or where a redirect leads.
func (c *Config) checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, errIssuer // err would quote the text, which may hold a password
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && c.PlainLoopback) {
		return nil, errIssuer
	}
	return u, nil
}

// checkIssuer is checkURL for an issuer, which has no query (OpenID Connect Discovery, section 2).
func (c *Config) checkIssuer(issuer string) error {
	u, err := c.checkURL(issuer)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return errIssuer
	}
	return nil
}

// CheckIssuer says whether a URL can be a provider's. It resolves no names.
func (v *Verifier) CheckIssuer(issuer string) error { return v.config.checkIssuer(issuer) }
