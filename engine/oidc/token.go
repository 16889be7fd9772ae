package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// MaxToken is the longest token that is looked at.
	MaxToken = 20000
	// maxSubject is OpenID Connect Core's, section 2.
	maxSubject = 255
	// skew is how far a provider's clock may be ahead of ours. Expiry is not stretched: AWS's message for it says as much.
	skew = 5 * time.Minute
)

// algorithms are those that a token may be signed with. There is no HMAC in it, so a public key cannot be taken for a secret, and no "none".
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512,
}

// Token is a token that has been read and not verified.
type Token struct {
	jws       *jose.JSONWebSignature
	keyID     string
	algorithm jose.SignatureAlgorithm
	issuer    string
}

// Issuer returns who the token says made it. Until Verify has found it to be true it is good for finding the provider to check it with, and nothing else.
func (t *Token) Issuer() string { return t.issuer }

// Parse reads a token in compact form.
func Parse(token string) (*Token, error) {
	if len(token) > MaxToken {
		return nil, invalid(errors.New("too long"), notJWT)
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, invalid(err, notJWT)
	}
	if len(jws.Signatures) != 1 {
		return nil, invalid(errors.New("not one signature"), notJWT)
	}
	header := jws.Signatures[0].Protected
	claims, err := decode(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, invalid(err, notJWT)
	}
	issuer, err := claims.text("iss")
	if err != nil {
		return nil, err
	}
	return &Token{jws: jws, keyID: header.KeyID, algorithm: jose.SignatureAlgorithm(header.Algorithm), issuer: issuer}, nil
}

// Verifier verifies tokens and keeps the keys that it needs for it. It is safe for concurrent use.
type Verifier struct {
	config  Config
	mu      sync.Mutex // guards sources; nothing is fetched under it
	sources map[string]*source
}

// New returns a Verifier.
func New(config Config) *Verifier {
	return &Verifier{config: config.withDefaults(), sources: make(map[string]*source)}
}

// Verify checks that the provider made the token, for one of its clients, and that it is valid at now. It may wait for the provider. Whatever is wrong
// is an [*Error], unless ctx ended.
func (v *Verifier) Verify(ctx context.Context, token *Token, p Provider, now time.Time) (*Claims, error) {
	// Before any key is asked for: the provider's keys say nothing about another's tokens.
	if token.issuer != p.Issuer {
		return nil, NoProvider(token.issuer)
	}
	keys, err := v.keys(ctx, &p, token.keyID, token.algorithm)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for _, k := range keys {
		if payload, err = token.jws.Verify(k.public); err == nil {
			break
		}
	}
	if err != nil {
		return nil, invalid(err, "Token signature invalid")
	}
	// The payload that was verified, not the one that was looked at before.
	claims, err := decode(payload)
	if err != nil {
		return nil, invalid(err, notJWT)
	}
	return claims.check(&p, now)
}

// claimSet is the payload of a token. Names are looked up exactly: decoding into a struct would take "SUB" for "sub", and a user may be able to have claims.
type claimSet map[string]any

func decode(payload []byte) (claimSet, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var claims claimSet
	if err := d.Decode(&claims); err != nil {
		return nil, errors.New("payload is not a JSON object") // err may quote the payload
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("payload is more than a JSON object")
	}
	if claims == nil {
		return nil, errors.New("payload is null")
	}
	return claims, nil
}

func (c claimSet) check(p *Provider, now time.Time) (*Claims, error) {
	out := &Claims{Extra: c}
	var err error
	if out.Issuer, err = c.text("iss"); err != nil {
		return nil, err
	}
	if out.Issuer != p.Issuer {
		return nil, NoProvider(out.Issuer)
	}
	if err := c.times(out, now); err != nil {
		return nil, err
	}
	if err := c.audience(out, p.ClientIDs); err != nil {
		return nil, err
	}
	if out.Subject, err = c.text("sub"); err != nil {
		return nil, err
	}
	if len(out.Subject) > maxSubject {
		return nil, invalid(nil, "Invalid claim: sub is longer than %d characters", maxSubject)
	}
	if out.Methods, err = c.texts("amr"); err != nil {
		return nil, err
	}
	if out.Session, err = c.session(); err != nil {
		return nil, err
	}
	return out, nil
}

func (c claimSet) times(out *Claims, now time.Time) error {
	expires, err := c.time("exp")
	if err != nil {
		return err
	}
	if !now.Before(expires) {
		return &Error{Kind: Expired, Message: fmt.Sprintf(expired, now.Unix(), expires.Unix())}
	}
	issued, err := c.time("iat")
	if err != nil {
		return err
	}
	if issued.After(now.Add(skew)) || !issued.Before(expires) {
		return invalid(nil, "Invalid claim: iat must not be in the future or after exp")
	}
	if _, has := c["nbf"]; has {
		start, err := c.time("nbf")
		if err != nil {
			return err
		}
		if start.After(now.Add(skew)) {
			return invalid(nil, "Invalid claim: nbf is in the future")
		}
	}
	out.IssuedAt, out.Expires = issued, expires
	return nil
}

// audience finds the client that the token is for. OpenID Connect Core, section 3.1.3.7: a token for several audiences says in azp which of them it was
// issued to. As AWS does, azp is what counts wherever it is.
func (c claimSet) audience(out *Claims, clients []string) error {
	var err error
	if out.Audiences, err = c.texts("aud"); err != nil {
		return err
	}
	if len(out.Audiences) == 0 {
		return invalid(nil, missingClaim, "aud")
	}
	candidates := out.Audiences
	if _, has := c["azp"]; has {
		if out.AuthorizedParty, err = c.text("azp"); err != nil {
			return err
		}
		candidates = []string{out.AuthorizedParty}
	}
	for _, candidate := range candidates {
		if slices.Contains(clients, candidate) {
			out.Audience = candidate
			return nil
		}
	}
	return invalid(nil, wrongAudience)
}

// text returns a claim that must be there and must not be empty.
func (c claimSet) text(name string) (string, error) {
	value, has := c[name]
	if !has || value == nil {
		return "", invalid(nil, missingClaim, name)
	}
	text, ok := value.(string)
	if !ok || text == "" {
		return "", invalid(nil, "Invalid claim: %s", name)
	}
	return text, nil
}

// texts returns a claim that is one string, several, or absent.
func (c claimSet) texts(name string) ([]string, error) {
	texts, ok := stringsOf(c[name])
	if !ok {
		return nil, invalid(nil, "Invalid claim: %s", name)
	}
	return texts, nil
}

func stringsOf(value any) ([]string, bool) {
	switch value := value.(type) {
	case nil:
		return nil, true
	case string:
		return []string{value}, true
	case []any:
		texts := make([]string, 0, len(value))
		for _, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
		return texts, true
	}
	return nil, false
}

// time returns a NumericDate (RFC 7519, section 2) that must be there. Fractions of a second are dropped.
func (c claimSet) time(name string) (time.Time, error) {
	value, has := c[name]
	if !has || value == nil {
		return time.Time{}, invalid(nil, missingClaim, name)
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, invalid(nil, "Invalid claim: %s", name)
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1<<40 { // some 35,000 years, within which float64 has every second
		return time.Time{}, invalid(nil, "Invalid claim: %s", name)
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC(), nil
}
