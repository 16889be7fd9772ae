package sts

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	usualToken = 5 * time.Minute
	// maxClaims is how many bytes the claims of a token may have. AWS does not tell its own limit.
	maxClaims = 8 << 10
	// keyAge is how old a key is that signs no longer. It is published for another keyAge, many times longer than tokens live.
	keyAge = 90 * 24 * time.Hour

	actionTagToken = "sts:TagGetWebIdentityToken"
)

// tokenClaims are what a web identity token says:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html
type tokenClaims struct {
	Issuer   string     `json:"iss"`
	Subject  string     `json:"sub"`
	Audience any        `json:"aud"` // a text, or a list of several
	Issued   int64      `json:"iat"`
	Expires  int64      `json:"exp"`
	ID       string     `json:"jti"`
	Caller   callerData `json:"https://sts.amazonaws.com/"`
}

type callerData struct {
	Account       string            `json:"aws_account"`
	Region        string            `json:"source_region"`
	OrgID         string            `json:"org_id,omitempty"`
	OrgPaths      []string          `json:"ou_path,omitempty"`
	Principal     string            `json:"principal_id"`
	PrincipalTags map[string]string `json:"principal_tags,omitempty"`
	RequestTags   map[string]string `json:"request_tags,omitempty"`
	SessionEnds   string            `json:"original_session_exp,omitempty"`
}

// GetWebIdentityToken vouches for the caller to services outside, which check the token with the keys that the account's issuer publishes.
func (s *Service) GetWebIdentityToken(c *call.Call, in *sts.GetWebIdentityTokenRequest) (*sts.GetWebIdentityTokenResponse, error) {
	if err := s.admit(c); err != nil {
		return nil, err
	}
	tags, err := tagSet(in.Tags)
	if err != nil {
		return nil, err
	}
	lasts := usualToken
	if in.DurationSeconds != nil {
		lasts = time.Duration(*in.DurationSeconds) * time.Second
	}
	algorithm := *in.SigningAlgorithm
	r := &call.Resource{ARN: "*", RequestTags: tags, Conditions: policy.Values{
		"sts:identitytokenaudience": in.Audience,
		"sts:durationseconds":       {strconv.Itoa(int(lasts / time.Second))},
		"sts:signingalgorithm":      {algorithm},
	}}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := c.AuthorizeAction(actionTagToken, r); err != nil {
			return nil, err
		}
	}
	if algorithm != oidc.RS256 && algorithm != oidc.ES384 {
		return nil, invalid("SigningAlgorithm must be RS256 or ES384")
	}
	settings, err := identity.AllSettings.In(c.Caller.Account, "").Get(c.Tx())
	if missing(err) || err == nil && !settings.IsFederated() {
		return nil, &sts.OutboundWebIdentityFederationDisabledException{Message: "Outbound web identity federation is not enabled for this account."}
	}
	if err != nil {
		return nil, err
	}
	now := c.Time.UTC().Truncate(time.Second)
	expires := now.Add(lasts)
	claims, err := s.claims(c, in, identity.IssuerURL(s.cfg.PublicURL, settings.Outbound), tags, now, expires)
	if err != nil {
		return nil, err
	}
	signer, err := s.signer(c, algorithm)
	if err != nil {
		return nil, err
	}
	token, err := signer.Sign(claims)
	if err != nil {
		return nil, err
	}
	return &sts.GetWebIdentityTokenResponse{WebIdentityToken: &token, Expiration: &expires}, nil
}

// claims are those of a token as JSON.
func (s *Service) claims(c *call.Call, in *sts.GetWebIdentityTokenRequest, issuer string, tags map[string]string, now, expires time.Time) (json.RawMessage, error) {
	subject := c.Caller.ARN
	if c.Caller.Kind == policy.Role {
		subject = c.Caller.Issuer
	}
	id, err := randomID(c.Rand)
	if err != nil {
		return nil, err
	}
	claims := tokenClaims{
		Issuer: issuer, Subject: subject, Audience: in.Audience, Issued: now.Unix(), Expires: expires.Unix(), ID: id,
		Caller: callerData{
			Account: c.Caller.Account, Region: c.Scope.Region, Principal: subject, PrincipalTags: c.Caller.Tags, RequestTags: tags,
		},
	}
	if len(in.Audience) == 1 {
		claims.Audience = in.Audience[0]
	}
	if t := c.Caller.Temporary; t != nil {
		if expires.After(t.Expires) {
			return nil, &sts.SessionDurationEscalationException{
				Message: "The requested token duration would extend the session beyond its original expiration time.",
			}
		}
		claims.Caller.SessionEnds = t.Expires.UTC().Format(time.RFC3339)
	}
	member, err := s.cfg.Organizations.Member(c.Context, c.Caller.Account)
	if err != nil {
		return nil, err
	}
	if member != nil {
		claims.Caller.OrgID, claims.Caller.OrgPaths = member.OrgID, member.Paths
	}
	b, err := json.Marshal(claims)
	if err == nil && len(b) > maxClaims {
		return nil, &sts.JWTPayloadSizeExceededException{Message: "The requested token payload size exceeds the maximum allowed size. Reduce the number of request tags."}
	}
	return b, err
}

func randomID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("reading randomness: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// signer returns what signs for the caller's account: the youngest key of the algorithm, or a new one where there is none or it is too old.
func (s *Service) signer(c *call.Call, algorithm string) (*oidc.Signer, error) {
	rows := tokenKeys.In(c.Caller.Account, "")
	var youngest *tokenKey
	var old []string
	for k, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{algorithm}}) {
		if err != nil {
			return nil, err
		}
		if c.Time.Sub(k.Created) > 2*keyAge {
			old = append(old, k.ID)
			continue
		}
		if youngest == nil || k.Created.After(youngest.Created) {
			youngest = k
		}
	}
	for _, id := range old {
		if err := rows.Delete(c.Tx(), algorithm, id); err != nil {
			return nil, err
		}
	}
	if youngest == nil || c.Time.Sub(youngest.Created) > keyAge {
		return s.newSigner(c, algorithm)
	}
	der, err := s.cfg.Seal.Unwrap(keyPlace(youngest), youngest.Private)
	if err != nil {
		return nil, fmt.Errorf("opening a token key: %w", err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading token key %s: %w", youngest.ID, err)
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("token key %s does not sign", youngest.ID)
	}
	return oidc.NewSigner(youngest.ID, key)
}

func (s *Service) newSigner(c *call.Call, algorithm string) (*oidc.Signer, error) {
	var key crypto.Signer
	var err error
	if algorithm == oidc.RS256 {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("making a token key: %w", err)
	}
	id, err := randomID(c.Rand)
	if err != nil {
		return nil, err
	}
	k := &tokenKey{Account: c.Caller.Account, Algorithm: algorithm, ID: id, Created: c.Time}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if k.Private, err = s.cfg.Seal.Wrap(keyPlace(k), der); err != nil {
		return nil, fmt.Errorf("wrapping a token key: %w", err)
	}
	if k.Public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, err
	}
	if err := tokenKeys.In(k.Account, "").Insert(c.Tx(), k); err != nil {
		return nil, err
	}
	return oidc.NewSigner(id, key)
}

// ErrNoDocument is returned for what no issuer publishes.
var ErrNoDocument = errors.New("no such document")

const (
	discoveryName = "/.well-known/openid-configuration"
	keySetName    = "/.well-known/jwks.json"
)

// Document returns what lies under identity.IssuerPath, for everybody: the configuration and the key set of an account's issuer. It is ErrNoDocument
// for others. While the account has outbound federation switched off they are still there, for the tokens of before.
func (s *Service) Document(ctx context.Context, path string) (doc []byte, err error) {
	id, isDiscovery := strings.CutSuffix(path, discoveryName)
	if !isDiscovery {
		var isKeySet bool
		if id, isKeySet = strings.CutSuffix(path, keySetName); !isKeySet {
			return nil, ErrNoDocument
		}
	}
	if id == "" || len(id) > 128 {
		return nil, ErrNoDocument
	}
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		settings, err := identity.AllSettings.In("", "").Find(r, "outbound", id)
		if missing(err) {
			return ErrNoDocument
		}
		if err != nil {
			return err
		}
		if isDiscovery {
			issuer := identity.IssuerURL(s.cfg.PublicURL, id)
			doc, err = oidc.Discovery(issuer, issuer+keySetName)
			return err
		}
		doc, err = keySet(r, settings.Account)
		return err
	})
	return doc, err
}

func keySet(r store.Reader, account string) ([]byte, error) {
	var keys []oidc.PublicKey
	for k, err := range tokenKeys.In(account, "").Scan(r, store.Query{}) {
		if err != nil {
			return nil, err
		}
		public, err := x509.ParsePKIXPublicKey(k.Public)
		if err != nil {
			return nil, fmt.Errorf("reading token key %s: %w", k.ID, err)
		}
		keys = append(keys, oidc.PublicKey{ID: k.ID, Key: public})
	}
	return oidc.KeySet(keys...)
}
