package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys of each sort is AWS's limit for a key set.
	maxKeys = 100
	// A smaller RSA key is no protection any more; a larger one is slow to verify with, for whoever sends tokens.
	minRSA, maxRSA = 2048, 8192
	// maxKeyID is far longer than what providers use, and keeps what is remembered of a key set small.
	maxKeyID = 512
	// maxTries bounds how many keys a token is tried against: a key set may have several of one ID.
	maxTries = 4

	// freshFor is how long keys are used without asking. A key that its provider takes back is refused after that.
	freshFor = 10 * time.Minute
	// staleFor is how long keys are used if their provider does not answer. It bridges an outage without keeping a lost key alive for long.
	staleFor = time.Hour
	// A provider is asked at most burst times at once and then once every pace, whatever the tokens say. The burst lets a few rotations
	// in a row be seen at once.
	burst = 5
	pace  = 5 * time.Second
	// maxSources bounds how many providers' keys are kept.
	maxSources = 1024
)

var errKeySet = errors.New("malformed key set")

// key is one public key of a provider.
type key struct {
	id        string
	algorithm string // the only one to use it with, or empty
	public    crypto.PublicKey
}

// fits tells whether a token signed with algorithm may be verified with the key.
func (k *key) fits(algorithm jose.SignatureAlgorithm) bool {
	if k.algorithm != "" && k.algorithm != string(algorithm) {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(algorithm), "RS") || strings.HasPrefix(string(algorithm), "PS")
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return algorithm == jose.ES256
		case elliptic.P384():
			return algorithm == jose.ES384
		case elliptic.P521():
			return algorithm == jose.ES512
		}
	}
	return false
}

// parseKeys reads a JSON Web Key Set, RFC 7517. Keys of sorts that sign no tokens are skipped, as section 5 asks; a set without a
// usable key, or with too many, is an error.
func parseKeys(document []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("%w: %w", errKeySet, err)
	}
	var keys []key
	count := make(map[string]int)
	for _, raw := range set.Keys {
		// Only these parts: certificates in a key set are no business of ours and need not parse, and private parts must not be there.
		var parts struct {
			Type      string `json:"kty"`
			ID        string `json:"kid,omitempty"`
			Use       string `json:"use,omitempty"`
			Algorithm string `json:"alg,omitempty"`
			N         string `json:"n,omitempty"`
			E         string `json:"e,omitempty"`
			Curve     string `json:"crv,omitempty"`
			X         string `json:"x,omitempty"`
			Y         string `json:"y,omitempty"`
		}
		if json.Unmarshal(raw, &parts) != nil || parts.Type != "RSA" && parts.Type != "EC" || parts.Use != "" && parts.Use != "sig" {
			continue
		}
		if len(parts.ID)+len(parts.Algorithm) > maxKeyID {
			continue
		}
		if count[parts.Type]++; count[parts.Type] > maxKeys {
			return nil, fmt.Errorf("%w: more than %d %s keys", errKeySet, maxKeys, parts.Type)
		}
		clean, err := json.Marshal(parts)
		if err != nil {
			continue
		}
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(clean) != nil || !jwk.Valid() {
			continue
		}
		if public, ok := jwk.Key.(*rsa.PublicKey); ok && (public.N.BitLen() < minRSA || public.N.BitLen() > maxRSA) {
			continue
		}
		keys = append(keys, key{id: parts.ID, algorithm: parts.Algorithm, public: jwk.Key})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no usable key", errKeySet)
	}
	return keys, nil
}

// pick returns the keys that a token may have been signed with. A token without a key ID has one only if there is no choice.
func pick(keys []key, id string, algorithm jose.SignatureAlgorithm) []key {
	var fit []key
	for _, k := range keys {
		if k.fits(algorithm) && (id == "" || k.id == id) {
			fit = append(fit, k)
		}
	}
	if id == "" && len(fit) > 1 {
		return nil
	}
	return fit[:min(len(fit), maxTries)]
}

// source holds the keys of one provider.
type source struct {
	turn chan struct{} // holds one token: who has it may fetch

	mu    sync.Mutex // guards what follows; nothing is fetched under it
	state keyState
	left  float64       // of burst
	since time.Duration // when left was counted
}

// keyState is what is known of a provider's keys.
type keyState struct {
	tries   int // how often they have been fetched, or tried to
	keys    []key
	fetched time.Duration // uptime at which keys came
	err     error         // of the last try
}

func newSource(now time.Duration) *source {
	s := &source{turn: make(chan struct{}, 1), left: burst, since: now}
	s.turn <- struct{}{}
	return s
}

func (s *source) now() keyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// spend says whether the provider may be asked now, and counts it.
func (s *source) spend(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = min(burst, s.left+float64(now-s.since)/float64(pace))
	s.since = now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}

// record notes what came of asking. Keys that were there stay if nothing better came.
func (s *source) record(keys []key, err error, now time.Duration) keyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.tries++
	s.state.err = err
	if err == nil {
		s.state.keys, s.state.fetched = keys, now
	}
	return s.state
}

// source returns the one of a provider. Accounts that trust different thumbprints share nothing: what one of them believes is not
// the other's to find in a cache.
func (v *Verifier) source(p *Provider) *source {
	name := p.Issuer + "\n" + strings.Join(p.Thumbprints, "\n")
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.sources[name]
	if s == nil {
		if len(v.sources) >= maxSources {
			for old := range v.sources { // any one: the order of a map is random enough
				delete(v.sources, old)
				break
			}
		}
		s = newSource(v.config.Uptime())
		v.sources[name] = s
	}
	return s
}

// keys returns the keys of a provider that a token with this key ID and algorithm may have been signed with: at least one.
func (v *Verifier) keys(ctx context.Context, p *Provider, id string, algorithm jose.SignatureAlgorithm) ([]key, error) {
	s := v.source(p)
	state := s.now()
	if state.keys != nil && v.config.Uptime()-state.fetched < freshFor {
		if fit := pick(state.keys, id, algorithm); len(fit) > 0 {
			return fit, nil
		}
	}
	// Nothing fresh that fits: old keys, or a key ID that is new, by rotation or by invention.
	state, err := v.refresh(ctx, s, p, state.tries)
	if err != nil {
		return nil, err
	}
	if state.keys != nil && v.config.Uptime()-state.fetched < staleFor {
		if fit := pick(state.keys, id, algorithm); len(fit) > 0 {
			return fit, nil
		}
	}
	if state.err != nil {
		return nil, state.err
	}
	return nil, invalid(fmt.Errorf("no key %q for %s", id, algorithm), noKeyFromIssuer)
}

// refresh fetches the keys unless somebody has since the try that the caller saw, or the provider has been asked enough. An error is the caller's
// context's only; that of the provider is in the state.
func (v *Verifier) refresh(ctx context.Context, s *source, p *Provider, seen int) (keyState, error) {
	select {
	case <-ctx.Done():
		return keyState{}, fmt.Errorf("waiting for the keys of %s: %w", p.Issuer, ctx.Err())
	case <-s.turn:
	}
	defer func() { s.turn <- struct{}{} }()
	if state := s.now(); state.tries != seen || !s.spend(v.config.Uptime()) {
		return state, nil
	}
	// What has begun is brought to its end, which is not far, also if the caller gives up. That callers go says nothing of the provider, and what they began
	// must count: callers who come and go could else have it asked without end.
	keys, err := v.fetchKeys(context.WithoutCancel(ctx), p)
	state := s.record(keys, err, v.config.Uptime())
	if ctx.Err() != nil {
		return keyState{}, fmt.Errorf("fetching the keys of %s: %w", p.Issuer, ctx.Err())
	}
	return state, nil
}

func (v *Verifier) fetchKeys(ctx context.Context, p *Provider) ([]key, error) {
	check := v.config.trusts(p.Thumbprints)
	at, err := v.config.discover(ctx, p.Issuer, check)
	if err != nil {
		return nil, classify(err)
	}
	document, err := v.config.get(ctx, at, check)
	if err != nil {
		return nil, classify(err)
	}
	keys, err := parseKeys(document)
	if err != nil {
		return nil, classify(err)
	}
	return keys, nil
}
