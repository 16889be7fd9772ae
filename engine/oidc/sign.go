package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// The algorithms that a Signer signs with.
const (
	RS256 = string(jose.RS256)
	ES384 = string(jose.ES384)
)

// ErrKey says that a key is of a sort that no token is signed with here.
var ErrKey = errors.New("signing key must be RSA of 2048 to 8192 bits or EC on P-384")

// algorithmOf returns what a key signs with.
func algorithmOf(public crypto.PublicKey) (string, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n >= minRSA && n <= maxRSA {
			return RS256, nil
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P384() {
			return ES384, nil
		}
	}
	return "", ErrKey
}

// Signer makes tokens. It is safe for concurrent use if the key is.
type Signer struct {
	algorithm string
	jose      jose.Signer
}

// NewSigner returns a Signer for a key that is known by an ID in the key set.
func NewSigner(id string, key crypto.Signer) (*Signer, error) {
	algorithm, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return nil, fmt.Errorf("preparing to sign with key %s: %w", id, err)
	}
	return &Signer{algorithm: algorithm, jose: s}, nil
}

// Algorithm returns what the tokens are signed with.
func (s *Signer) Algorithm() string { return s.algorithm }

// Sign returns a token with these claims, which must encode as a JSON object.
func (s *Signer) Sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	jws, err := s.jose.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return jws.CompactSerialize()
}

// PublicKey is a key that verifies tokens.
type PublicKey struct {
	ID  string
	Key crypto.PublicKey
}

// KeySet returns the document at the jwks_uri of who signs with these keys.
func KeySet(keys ...PublicKey) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(keys))}
	for _, k := range keys {
		algorithm, err := algorithmOf(k.Key) // which refuses private keys
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Key, KeyID: k.ID, Algorithm: algorithm, Use: "sig"})
	}
	return json.Marshal(set)
}

// Discovery returns the document at an issuer's /.well-known/openid-configuration.
func Discovery(issuer, keySetURL string, claims ...string) ([]byte, error) {
	return json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		KeySetURL     string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
		Claims        []string `json:"claims_supported,omitempty"`
	}{issuer, keySetURL, []string{"id_token"}, []string{"public"}, []string{RS256, ES384}, claims})
}
