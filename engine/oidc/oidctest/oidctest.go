// Package oidctest is an OpenID Connect provider for tests: a real server with real keys, which rotate, and which can be slow, down, huge or wrong.
package oidctest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // what thumbprints are
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/holdfast-cloud/holdfast/engine/oidc"
)

// Mode is how a provider answers.
type Mode int

const (
	Up      Mode = iota // as it should
	Down                // with 503
	Slow                // not at all, until whoever asks gives up or Set is called
	Huge                // with more than anybody should read
	Garbage             // with what is no JSON
	NoKeys              // with an empty key set
	TooMany             // with 101 keys, the right one first
	Away                // with a redirect to a cloud's metadata address
	Plain               // with a redirect to the same document over http
)

// Claims are the claims of a token by name.
type Claims map[string]any

// Provider is a running provider. Its methods may be called concurrently.
type Provider struct {
	t      testing.TB
	server *httptest.Server
	closed chan struct{}

	mu      sync.Mutex // guards what follows
	mode    Mode
	changed chan struct{} // closed and made anew when mode is set
	asked   int
	keys    []signingKey // the last one signs
	count   int          // of keys made
}

type signingKey struct {
	id  string
	key crypto.Signer
}

// New starts a provider that speaks http on a loopback address; a Verifier reaches it with Config.PlainLoopback.
func New(t testing.TB) *Provider { return start(t, false) }

// NewTLS starts one that speaks https on a loopback address with a certificate that nobody trusts; a Verifier needs Config.Allow and either
// Config.Roots or the provider's thumbprint.
func NewTLS(t testing.TB) *Provider { return start(t, true) }

func start(t testing.TB, secure bool) *Provider {
	p := &Provider{t: t, closed: make(chan struct{}), changed: make(chan struct{})}
	p.Rotate()
	p.server = httptest.NewUnstartedServer(p)
	if secure {
		// Clients that do not trust the certificate are what it is for.
		p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	t.Cleanup(func() {
		close(p.closed)
		p.server.Close()
	})
	return p
}

// Issuer returns the provider's URL.
func (p *Provider) Issuer() string { return p.server.URL }

// Registration returns the provider as an account would register it, for these clients.
func (p *Provider) Registration(clients ...string) oidc.Provider {
	r := oidc.Provider{Issuer: p.Issuer(), ClientIDs: clients}
	if c := p.Certificate(); c != nil {
		sum := sha1.Sum(c.Raw)
		r.Thumbprints = []string{hex.EncodeToString(sum[:])}
	}
	return r
}

// Certificate returns the server's, which has no issuer; nil without TLS.
func (p *Provider) Certificate() *x509.Certificate { return p.server.Certificate() }

// Set changes how the provider answers from now on.
func (p *Provider) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// Asked returns how many requests have come.
func (p *Provider) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Rotate replaces the keys: tokens made before do not verify against the new key set. The first key is an EC key on P-256, for speed.
func (p *Provider) Rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatalf("making a key: %v", err)
	}
	p.Use(key)
}

// Use replaces the keys with one of the caller's, RSA or EC.
func (p *Provider) Use(key crypto.Signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.keys = []signingKey{{fmt.Sprintf("key-%d", p.count), key}}
}

// Token returns a token for client about subject, issued at now and valid for an hour. Claims of more add to the usual ones or replace them; nil removes one.
func (p *Provider) Token(now time.Time, client, subject string, more Claims) string {
	return p.Sign("", nil, p.Claims(now, client, subject, more))
}

// Claims returns the claims that Token would sign.
func (p *Provider) Claims(now time.Time, client, subject string, more Claims) Claims {
	claims := Claims{"iss": p.Issuer(), "aud": client, "sub": subject, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// Sign returns a token signed with the provider's key. An empty algorithm is the key's usual one; header adds to the usual header or replaces parts of it.
func (p *Provider) Sign(algorithm jose.SignatureAlgorithm, header map[string]any, claims Claims) string {
	p.t.Helper()
	p.mu.Lock()
	k := p.keys[len(p.keys)-1]
	p.mu.Unlock()
	if algorithm == "" {
		algorithm = usual(k.key)
	}
	return p.sign(jose.SigningKey{Algorithm: algorithm, Key: k.key}, k.id, header, claims)
}

// Forge returns a token with the provider's key ID, signed with another key.
func (p *Provider) Forge(claims Claims) string {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatalf("making a key: %v", err)
	}
	return p.sign(jose.SigningKey{Algorithm: jose.ES256, Key: key}, p.keyID(), nil, claims)
}

// Confuse returns a token that is authenticated with HMAC under the provider's public key, which everybody has.
func (p *Provider) Confuse(claims Claims) string {
	p.t.Helper()
	p.mu.Lock()
	k := p.keys[len(p.keys)-1]
	p.mu.Unlock()
	public, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		p.t.Fatalf("encoding a key: %v", err)
	}
	return p.sign(jose.SigningKey{Algorithm: jose.HS256, Key: public}, k.id, nil, claims)
}

// Unsigned returns a token with "alg": "none".
func (p *Provider) Unsigned(claims Claims) string {
	p.t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatalf("encoding claims: %v", err)
	}
	header := fmt.Sprintf(`{"alg":"none","typ":"JWT","kid":%q}`, p.keyID())
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

func (p *Provider) keyID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1].id
}

func usual(key crypto.Signer) jose.SignatureAlgorithm {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return jose.RS256
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P384():
			return jose.ES384
		case elliptic.P521():
			return jose.ES512
		}
	}
	return jose.ES256
}

func (p *Provider) sign(key jose.SigningKey, id string, header map[string]any, claims Claims) string {
	p.t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id)
	for name, value := range header {
		options = options.WithHeader(jose.HeaderKey(name), value)
		if value == nil {
			delete(options.ExtraHeaders, jose.HeaderKey(name))
		}
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		p.t.Fatalf("making a signer: %v", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatalf("encoding claims: %v", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		p.t.Fatalf("signing: %v", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		p.t.Fatalf("encoding a token: %v", err)
	}
	return token
}

// ServeHTTP implements [http.Handler].
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked++
	mode, changed, keys := p.mode, p.changed, p.keys
	p.mu.Unlock()
	discovery := strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration")
	switch mode {
	case Down:
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	case Slow:
		select {
		case <-r.Context().Done():
		case <-changed:
		case <-p.closed:
		}
		return
	case Garbage:
		_, _ = w.Write([]byte(`{"issuer":`))
		return
	case Huge:
		blanks := bytes.Repeat([]byte(" "), 64<<10)
		for range 1024 {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
		return
	case Away:
		http.Redirect(w, r, "https://169.254.169.254/latest/meta-data/", http.StatusFound)
		return
	case Plain:
		http.Redirect(w, r, "http://"+r.Host+r.URL.Path, http.StatusFound)
		return
	}
	if discovery {
		document, err := oidc.Discovery(p.Issuer(), p.Issuer()+"/keys")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(document)
		return
	}
	set := jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Use: "sig"})
	}
	if mode == NoKeys {
		set.Keys = []jose.JSONWebKey{}
	}
	for mode == TooMany && len(set.Keys) < 101 {
		set.Keys = append(set.Keys, set.Keys[0])
	}
	_ = json.NewEncoder(w).Encode(set)
}
