package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/engine/oidc/oidctest"
)

var (
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
)

const client = "sts.amazonaws.com"

// uptime is a wall time that a test moves.
type uptime struct {
	mu sync.Mutex
	d  time.Duration
}

func (u *uptime) now() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.d
}

func (u *uptime) advance(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.d += d
}

// plain has a long timeout, so that a busy machine does not make a provider look down.
func plain() oidc.Config {
	return oidc.Config{PlainLoopback: true, Uptime: new(uptime).now, Timeout: time.Minute}
}

func verify(v *oidc.Verifier, p oidc.Provider, token string) (*oidc.Claims, error) {
	t, err := oidc.Parse(token)
	if err != nil {
		return nil, err
	}
	return v.Verify(context.Background(), t, p, now)
}

// wantError checks an error's kind and how its message begins; an empty message means success.
func wantError(t *testing.T, err error, kind oidc.Kind, message string) {
	t.Helper()
	if message == "" {
		if err != nil {
			t.Errorf("got %v, want success", err)
		}
		return
	}
	var e *oidc.Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.HasPrefix(e.Message, message) {
		t.Errorf("got %v, want %v %q", err, kind, message)
	}
}

const (
	noKey   = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
	notJWT  = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
	missing = "Missing a required claim: "
)

func TestClaims(t *testing.T) {
	idp := oidctest.New(t)
	v := oidc.New(plain())
	unix := now.Unix()
	long := strings.Repeat("s", 256)
	for _, test := range []struct {
		name    string
		claims  oidctest.Claims
		kind    oidc.Kind
		message string
	}{
		{"OK", nil, 0, ""},
		{"AudienceAmongOthers", oidctest.Claims{"aud": []string{"other", client}}, 0, ""},
		{"AuthorizedParty", oidctest.Claims{"aud": []string{"a", "b"}, "azp": client}, 0, ""},
		{"AuthorizedPartyIsOther", oidctest.Claims{"azp": "other"}, oidc.Invalid, "Incorrect token audience"},
		{"AuthorizedPartyIsNoText", oidctest.Claims{"azp": 1}, oidc.Invalid, "Invalid claim: azp"},
		{"WrongAudience", oidctest.Claims{"aud": "other"}, oidc.Invalid, "Incorrect token audience"},
		{"NoAudience", oidctest.Claims{"aud": nil}, oidc.Invalid, missing + "aud"},
		{"EmptyAudience", oidctest.Claims{"aud": []string{}}, oidc.Invalid, missing + "aud"},
		{"NumericAudience", oidctest.Claims{"aud": 5}, oidc.Invalid, "Invalid claim: aud"},
		{"NoSubject", oidctest.Claims{"sub": nil}, oidc.Invalid, missing + "sub"},
		{"SubjectInCapitals", oidctest.Claims{"sub": nil, "SUB": "admin"}, oidc.Invalid, missing + "sub"},
		{"EmptySubject", oidctest.Claims{"sub": ""}, oidc.Invalid, "Invalid claim: sub"},
		{"LongSubject", oidctest.Claims{"sub": long}, oidc.Invalid, "Invalid claim: sub"},
		{"NoIssuer", oidctest.Claims{"iss": nil}, oidc.Invalid, missing + "iss"},
		{"OtherIssuer", oidctest.Claims{"iss": "https://elsewhere.example"}, oidc.Invalid,
			"No OpenIDConnect provider found in your account for https://elsewhere.example"},
		{"IssuerWithSlash", oidctest.Claims{"iss": idp.Issuer() + "/"}, oidc.Invalid, "No OpenIDConnect provider found"},
		{"NoExpiry", oidctest.Claims{"exp": nil}, oidc.Invalid, missing + "exp"},
		{"ExpiryIsText", oidctest.Claims{"exp": "tomorrow"}, oidc.Invalid, "Invalid claim: exp"},
		{"ExpiryIsHuge", oidctest.Claims{"exp": json.RawMessage("1e999")}, oidc.Invalid, "Invalid claim: exp"},
		{"ExpiryIsNegative", oidctest.Claims{"exp": -1}, oidc.Invalid, "Invalid claim: exp"},
		{"FractionalExpiry", oidctest.Claims{"exp": float64(unix) + 1.5}, 0, ""},
		{"Expired", oidctest.Claims{"iat": unix - 100, "exp": unix}, oidc.Expired,
			fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", unix, unix)},
		{"ExpiredWithWrongAudience", oidctest.Claims{"iat": unix - 100, "exp": unix - 1, "aud": "other"}, oidc.Expired, "Token expired"},
		{"NoIssueTime", oidctest.Claims{"iat": nil}, oidc.Invalid, missing + "iat"},
		{"IssuedALittleAhead", oidctest.Claims{"iat": unix + 300}, 0, ""},
		{"IssuedInFuture", oidctest.Claims{"iat": unix + 301}, oidc.Invalid, "Invalid claim: iat"},
		{"IssuedAfterExpiry", oidctest.Claims{"iat": unix + 20, "exp": unix + 20}, oidc.Invalid, "Invalid claim: iat"},
		{"NotYet", oidctest.Claims{"nbf": unix + 301}, oidc.Invalid, "Invalid claim: nbf"},
		{"NotBeforeALittleAhead", oidctest.Claims{"nbf": unix + 299}, 0, ""},
		{"MethodsAreNumbers", oidctest.Claims{"amr": []int{1}}, oidc.Invalid, "Invalid claim: amr"},
		{"SourceIdentityIsNumber", oidctest.Claims{"https://aws.amazon.com/source_identity": 1}, oidc.Invalid, "Invalid claim: https://aws.amazon.com/source"},
		{"TagsAreText", oidctest.Claims{"https://aws.amazon.com/tags": "x"}, oidc.Invalid, "Invalid claim: https://aws.amazon.com/tags"},
		{"TagWithTwoValues", oidctest.Claims{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": []string{"1", "2"}}}},
			oidc.Invalid, "Invalid claim: https://aws.amazon.com/tags"},
		{"TagTwice", oidctest.Claims{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": []string{"1"}}},
			"https://aws.amazon.com/tags/principal_tags/a": "2"}, oidc.Invalid, "Invalid claim: https://aws.amazon.com/tags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := verify(v, idp.Registration(client), idp.Token(now, client, "ann", test.claims))
			wantError(t, err, test.kind, test.message)
		})
	}

	t.Run("AllOfThem", func(t *testing.T) {
		got, err := verify(v, idp.Registration(client), idp.Token(now, "", "ann", oidctest.Claims{
			"aud": []string{"x", "y"}, "azp": client, "amr": []string{"pwd", "mfa"},
			"https://aws.amazon.com/tags": map[string]any{
				"principal_tags": map[string]any{"Team": []string{"red"}, "Cost": "7"}, "transitive_tag_keys": []string{"Team"}},
			"https://aws.amazon.com/tags/principal_tags/Site":    []string{"north"},
			"https://aws.amazon.com/tags/transitive_tag_keys":    []string{"Site", "Team"},
			"https://aws.amazon.com/source_identity":             "ann@example.com",
			"https://aws.amazon.com/tagsomething/that/is/no":     1,
			"https://aws.amazon.com/tags/principal_tags_of/mine": 1,
		}))
		if err != nil {
			t.Fatal(err)
		}
		want := &oidc.Claims{
			Issuer: idp.Issuer(), Subject: "ann", Audience: client, Audiences: []string{"x", "y"}, AuthorizedParty: client, Methods: []string{"pwd", "mfa"},
			IssuedAt: now, Expires: now.Add(time.Hour), Extra: got.Extra,
			Session: oidc.Session{Tags: map[string]string{"Team": "red", "Cost": "7", "Site": "north"},
				TransitiveTags: []string{"Site", "Team"}, SourceIdentity: "ann@example.com"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Verify (-want +got):\n%s", diff)
		}
		if got.Extra["sub"] != "ann" || got.Extra["exp"] != json.Number(fmt.Sprint(now.Unix()+3600)) {
			t.Errorf("Extra is %v", got.Extra)
		}
		conditions := map[string][]string{"aud": {client}, "azp": {client}, "oaud": {"x", "y"}, "sub": {"ann"}, "amr": {"pwd", "mfa"}}
		if diff := cmp.Diff(conditions, got.Conditions()); diff != "" {
			t.Errorf("Conditions (-want +got):\n%s", diff)
		}
	})
}

// generated is one key for all tests: making one takes a while.
var generated = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func rsaKey(t *testing.T) *rsa.PrivateKey {
	key, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSignatures(t *testing.T) {
	idp := oidctest.New(t)
	curve := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	claims := idp.Claims(now, client, "ann", nil)
	for _, algorithm := range []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
	} {
		t.Run(string(algorithm), func(t *testing.T) {
			switch algorithm {
			case jose.ES256:
				idp.Use(curve(elliptic.P256()))
			case jose.ES384:
				idp.Use(curve(elliptic.P384()))
			case jose.ES512:
				idp.Use(curve(elliptic.P521()))
			default:
				idp.Use(rsaKey(t))
			}
			_, err := verify(oidc.New(plain()), idp.Registration(client), idp.Sign(algorithm, nil, claims))
			wantError(t, err, 0, "")
		})
	}

	idp.Rotate()
	v := oidc.New(plain())
	good := idp.Sign("", nil, claims)
	parts := strings.Split(good, ".")
	other := strings.Split(idp.Sign("", nil, idp.Claims(now, client, "root", nil)), ".")
	own := jose.JSONWebKey{Key: curve(elliptic.P256()).Public(), KeyID: "mine"}
	for _, test := range []struct {
		name, token string
		message     string
	}{
		{"None", idp.Unsigned(claims), notJWT},
		{"HMACWithPublicKey", idp.Confuse(claims), notJWT},
		{"Forged", idp.Forge(claims), "Token signature invalid"},
		{"PayloadExchanged", parts[0] + "." + other[1] + "." + parts[2], "Token signature invalid"},
		{"SignatureMissing", parts[0] + "." + parts[1] + ".", "Token signature invalid"},
		{"KeyInHeader", idp.Sign("", map[string]any{"jwk": own}, claims), ""}, // is not looked at: the provider's key verifies it
		{"UnknownCritical", idp.Sign("", map[string]any{"crit": []string{"x"}, "x": 1}, claims), "Token signature invalid"},
		{"NoKeyIDButOneKey", idp.Sign("", map[string]any{"kid": nil}, claims), ""},
		{"UnknownKeyID", idp.Sign("", map[string]any{"kid": "nobody"}, claims), noKey},
		{"TwoParts", parts[0] + "." + parts[1], notJWT},
		{"AccessToken", "ya29.a0AfH6SMBx", notJWT},
		{"Empty", "", notJWT},
		{"JSONForm", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, notJWT},
		{"TooLong", good + strings.Repeat("A", oidc.MaxToken), notJWT},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := verify(v, idp.Registration(client), test.token)
			wantError(t, err, oidc.Invalid, test.message)
		})
	}
	t.Run("ErrorsHoldNoToken", func(t *testing.T) {
		_, err := verify(v, idp.Registration(client), idp.Forge(claims))
		if strings.Contains(err.Error(), "ann") || strings.Contains(err.Error(), parts[1]) {
			t.Errorf("the error quotes the token: %v", err)
		}
	})
}

func TestProviderModes(t *testing.T) {
	for _, test := range []struct {
		name    string
		mode    oidctest.Mode
		kind    oidc.Kind
		message string
	}{
		{"Up", oidctest.Up, 0, ""},
		{"Down", oidctest.Down, oidc.Unreachable, noKey},
		{"Slow", oidctest.Slow, oidc.Unreachable, noKey},
		{"Huge", oidctest.Huge, oidc.Invalid, noKey},
		{"Garbage", oidctest.Garbage, oidc.Invalid, noKey},
		{"NoKeys", oidctest.NoKeys, oidc.Invalid, noKey},
		{"TooMany", oidctest.TooMany, oidc.Invalid, noKey},
		{"RedirectToMetadata", oidctest.Away, oidc.Invalid, noKey},
		{"RedirectInCircles", oidctest.Plain, oidc.Invalid, noKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			idp := oidctest.New(t)
			idp.Set(test.mode)
			config := plain()
			if test.mode == oidctest.Slow {
				config.Timeout = 50 * time.Millisecond
			}
			_, err := verify(oidc.New(config), idp.Registration(client), idp.Token(now, client, "ann", nil))
			wantError(t, err, test.kind, test.message)
			if idp.Asked() > 6 {
				t.Errorf("the provider was asked %d times", idp.Asked())
			}
		})
	}
	t.Run("Gone", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		idp := oidctest.New(t)
		p := oidc.Provider{Issuer: server.URL, ClientIDs: []string{client}}
		_, err := verify(oidc.New(plain()), p, idp.Token(now, client, "ann", oidctest.Claims{"iss": server.URL}))
		wantError(t, err, oidc.Unreachable, noKey)
	})
	t.Run("CallerGivesUp", func(t *testing.T) {
		idp := oidctest.New(t)
		idp.Set(oidctest.Slow)
		v := oidc.New(plain())
		token, err := oidc.Parse(idp.Token(now, client, "ann", nil))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for idp.Asked() == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			idp.Set(oidctest.Up)
		}()
		if _, err := v.Verify(ctx, token, idp.Registration(client), now); !errors.Is(err, context.Canceled) {
			t.Errorf("Verify: %v, want the context's error", err)
		}
		// It says nothing about the provider, whose keys others still get.
		if _, err := v.Verify(t.Context(), token, idp.Registration(client), now); err != nil {
			t.Errorf("Verify afterwards: %v", err)
		}
	})
}

func TestKeysAreKept(t *testing.T) {
	idp := oidctest.New(t)
	clock := new(uptime)
	v := oidc.New(oidc.Config{PlainLoopback: true, Uptime: clock.now, Timeout: time.Minute})
	p := idp.Registration(client)
	check := func(step, token string, asked int, kind oidc.Kind, message string) {
		t.Helper()
		before := idp.Asked()
		_, err := verify(v, p, token)
		wantError(t, err, kind, message)
		if got := idp.Asked() - before; got != asked {
			t.Errorf("%s: %d requests to the provider, want %d", step, got, asked)
		}
	}
	first := idp.Token(now, client, "ann", nil)
	check("first", first, 2, 0, "")
	check("again", first, 0, 0, "")
	idp.Rotate()
	second := idp.Token(now, client, "ann", nil)
	check("rotated", second, 2, 0, "")
	check("old key", first, 2, oidc.Invalid, noKey)
	clock.advance(11 * time.Minute)
	check("aged", second, 2, 0, "")

	idp.Set(oidctest.Down)
	clock.advance(11 * time.Minute)
	check("down", second, 1, 0, "")
	clock.advance(50 * time.Minute)
	check("down for an hour", second, 1, oidc.Unreachable, noKey)
	idp.Set(oidctest.Up)
	check("up", second, 2, 0, "")

	t.Run("FloodOfUnknownKeys", func(t *testing.T) {
		before := idp.Asked()
		for i := range 100 {
			_, err := verify(v, p, idp.Sign("", map[string]any{"kid": fmt.Sprint("invented-", i)}, idp.Claims(now, client, "ann", nil)))
			wantError(t, err, oidc.Invalid, noKey)
		}
		if got := idp.Asked() - before; got > 10 {
			t.Errorf("100 tokens caused %d requests to the provider", got)
		}
		check("good token in a flood", second, 0, 0, "")
		// A rotation that comes in the midst of it is seen a few seconds later.
		idp.Rotate()
		third := idp.Token(now, client, "ann", nil)
		check("too soon", third, 0, oidc.Invalid, noKey)
		clock.advance(5 * time.Second)
		check("soon after", third, 2, 0, "")
	})
}

// Callers who hang up before they are answered cannot have a provider asked without end.
func TestCallersWhoComeAndGo(t *testing.T) {
	idp := oidctest.New(t)
	idp.Set(oidctest.Slow)
	clock := new(uptime)
	v := oidc.New(oidc.Config{PlainLoopback: true, Uptime: clock.now, Timeout: 20 * time.Millisecond})
	token, err := oidc.Parse(idp.Token(now, client, "ann", nil))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := v.Verify(ctx, token, idp.Registration(client), now); err == nil {
			t.Error("Verify succeeded")
		}
		cancel()
	}
	if got := idp.Asked(); got > 5 {
		t.Errorf("20 callers who gave up caused %d requests to the provider", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	idp := oidctest.New(t)
	v := oidc.New(plain())
	token := idp.Token(now, client, "ann", nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := verify(v, idp.Registration(client), token); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
	}
	wg.Wait()
	if idp.Asked() != 2 {
		t.Errorf("50 callers caused %d requests to the provider, want 2", idp.Asked())
	}
}

func TestTLS(t *testing.T) {
	idp := oidctest.NewTLS(t)
	token := idp.Token(now, client, "ann", nil)
	pinned := idp.Registration(client)
	open := pinned
	open.Thumbprints = nil
	wrong := pinned
	wrong.Thumbprints = []string{strings.Repeat("0", 40)}
	roots := x509.NewCertPool()
	roots.AddCert(idp.Certificate())
	const mismatch = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
	for _, test := range []struct {
		name     string
		config   oidc.Config
		provider oidc.Provider
		message  string
	}{
		{"Thumbprint", oidc.Config{Allow: loopback, Timeout: time.Minute}, pinned, ""},
		{"TrustedRoot", oidc.Config{Allow: loopback, Roots: roots}, open, ""},
		{"TrustedRootBeatsThumbprint", oidc.Config{Allow: loopback, Roots: roots}, wrong, ""},
		{"NoThumbprint", oidc.Config{Allow: loopback, Timeout: time.Minute}, open, mismatch},
		{"WrongThumbprint", oidc.Config{Allow: loopback, Timeout: time.Minute}, wrong, mismatch},
		{"PrivateAddress", oidc.Config{}, pinned, noKey},
		{"PlainLoopbackIsForHTTP", oidc.Config{PlainLoopback: true}, pinned, noKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := verify(oidc.New(test.config), test.provider, token)
			wantError(t, err, oidc.Invalid, test.message)
		})
	}
	t.Run("KeptApart", func(t *testing.T) {
		// What one account believes does not spread to another through the keys that are kept.
		v := oidc.New(oidc.Config{Allow: loopback, Timeout: time.Minute})
		_, err := verify(v, pinned, token)
		wantError(t, err, 0, "")
		_, err = verify(v, wrong, token)
		wantError(t, err, oidc.Invalid, mismatch)
	})
	t.Run("RedirectToPlain", func(t *testing.T) {
		idp.Set(oidctest.Plain)
		defer idp.Set(oidctest.Up)
		_, err := verify(oidc.New(oidc.Config{Allow: loopback, PlainLoopback: true, Timeout: time.Minute}), pinned, token)
		wantError(t, err, oidc.Invalid, noKey)
	})
	t.Run("PlainNeedsConfiguration", func(t *testing.T) {
		idp := oidctest.New(t)
		_, err := verify(oidc.New(oidc.Config{Allow: loopback, Timeout: time.Minute}), idp.Registration(client), idp.Token(now, client, "ann", nil))
		wantError(t, err, oidc.Invalid, noKey)
	})
	t.Run("Fetched", func(t *testing.T) {
		got, err := oidc.New(oidc.Config{Allow: loopback, Timeout: time.Minute}).Thumbprint(t.Context(), idp.Issuer())
		if err != nil || got != pinned.Thumbprints[0] {
			t.Errorf("Thumbprint() = %q, %v, want %s", got, err, pinned.Thumbprints[0])
		}
		if _, err := oidc.New(oidc.Config{}).Thumbprint(t.Context(), idp.Issuer()); err == nil {
			t.Error("Thumbprint() of a loopback address succeeded")
		}
		plainIDP := oidctest.New(t)
		got, err = oidc.New(plain()).Thumbprint(t.Context(), plainIDP.Issuer())
		if err != nil || got != "" {
			t.Errorf("Thumbprint() without TLS = %q, %v", got, err)
		}
		plainIDP.Set(oidctest.Down)
		_, err = oidc.New(plain()).Thumbprint(t.Context(), plainIDP.Issuer())
		wantError(t, err, oidc.Unreachable, noKey)
	})
}

func TestCheckIssuer(t *testing.T) {
	for issuer, want := range map[string][2]bool{ // by default, with PlainLoopback
		"https://token.actions.githubusercontent.com": {true, true},
		"https://example.com/realms/a/":               {true, true},
		"https://example.com:8443":                    {true, true},
		"http://127.0.0.1:8080":                       {false, true},
		"https://":                                    {},
		"https://:443":                                {},
		"https://user:secret@example.com":             {},
		"https://example.com?x=1":                     {},
		"https://example.com?":                        {},
		"https://example.com#x":                       {},
		"ftp://example.com":                           {},
		"file:///etc/passwd":                          {},
		"example.com":                                 {},
		"https:example.com":                           {},
		"":                                            {},
		"https://exa mple.com":                        {},
	} {
		for i, config := range []oidc.Config{{}, {PlainLoopback: true}} {
			err := oidc.New(config).CheckIssuer(issuer)
			if (err == nil) != want[i] {
				t.Errorf("CheckIssuer(%q) with %+v: %v, want success %v", issuer, config.PlainLoopback, err, want[i])
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("CheckIssuer's error quotes a password: %v", err)
			}
		}
	}
}

func TestSigner(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs := rsaKey(t)
	keys, err := oidc.KeySet(oidc.PublicKey{ID: "one", Key: ec.Public()}, oidc.PublicKey{ID: "two", Key: rs.Public()})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	discovery, err := oidc.Discovery(server.URL, server.URL+"/.well-known/jwks.json", "sub", "aud")
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(discovery) })
	mux.HandleFunc("/.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys) })
	v := oidc.New(plain())
	for id, key := range map[string]crypto.Signer{"one": ec, "two": rs} {
		s, err := oidc.NewSigner(id, key)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.Algorithm(), func(t *testing.T) {
			token, err := s.Sign(map[string]any{"iss": server.URL, "aud": client, "sub": "me", "iat": now.Unix(), "exp": now.Unix() + 60})
			if err != nil {
				t.Fatal(err)
			}
			got, err := verify(v, oidc.Provider{Issuer: server.URL, ClientIDs: []string{client}}, token)
			if err != nil || got.Subject != "me" {
				t.Errorf("Verify = %+v, %v", got, err)
			}
		})
	}
	t.Run("KeysRefused", func(t *testing.T) {
		small, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := oidc.NewSigner("x", small); !errors.Is(err, oidc.ErrKey) {
			t.Errorf("NewSigner(P-256): %v, want ErrKey", err)
		}
		if _, err := oidc.KeySet(oidc.PublicKey{ID: "x", Key: ec}); !errors.Is(err, oidc.ErrKey) {
			t.Errorf("KeySet of a private key: %v, want ErrKey", err)
		}
	})
	t.Run("ClaimsDoNotEncode", func(t *testing.T) {
		s, err := oidc.NewSigner("one", ec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(func() {}); err == nil {
			t.Error("Sign of a function did not fail")
		}
	})
}
