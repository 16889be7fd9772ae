package sts_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/identity"
)

func webToken(algorithm string, audience ...string) *sts.GetWebIdentityTokenInput {
	return &sts.GetWebIdentityTokenInput{Audience: audience, SigningAlgorithm: &algorithm}
}

// read is the header and the claims of a token, unverified.
func read(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func (h *house) outbound(account, id string) (issuer string) {
	h.t.Helper()
	put(h, identity.AllSettings, account, identity.Settings{Account: account, Outbound: id})
	return identity.IssuerURL(h.url, id)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestGetWebIdentityToken(t *testing.T) {
	h := build(t)
	h.organize()
	ann := h.user(home, "ann", allow(`"sts:*"`))
	_, err := ann.GetWebIdentityToken(t.Context(), webToken("RS256", "app"))
	wantError(t, err, "OutboundWebIdentityFederationDisabledException", "")
	issuer := h.outbound(home, "3f9a")
	arn := h.role(home, "r", trust(account(home), ""), allow(`"sts:GetWebIdentityToken"`))
	session, err := ann.AssumeRole(t.Context(), role(arn))
	if err != nil {
		t.Fatal(err)
	}
	verifier := oidc.New(oidc.Config{PlainLoopback: true, Timeout: time.Minute})
	for _, algorithm := range []string{"RS256", "ES384"} {
		t.Run(algorithm, func(t *testing.T) {
			in := webToken(algorithm, "app", "another app")
			in.Tags = []types.Tag{tag("build", "17")}
			out, err := ann.GetWebIdentityToken(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			// Whoever has a standard verifier can check it.
			token, err := oidc.Parse(*out.WebIdentityToken)
			if err != nil {
				t.Fatal(err)
			}
			got, err := verifier.Verify(t.Context(), token, oidc.Provider{Issuer: issuer, ClientIDs: []string{"app"}}, h.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "arn:aws:iam::"+home+":user/ann" || got.Audience != "app" || !got.Expires.Equal(*out.Expiration) || got.Expires.Sub(got.IssuedAt) != 5*time.Minute {
				t.Errorf("claims %+v", got)
			}
			header, claims := read(t, *out.WebIdentityToken)
			if header["alg"] != algorithm || header["kid"] == "" {
				t.Errorf("header %v", header)
			}
			want := map[string]any{
				"aws_account": home, "source_region": "us-east-1", "principal_id": "arn:aws:iam::" + home + ":user/ann", "org_id": "o-abcdefghij",
				"ou_path": []any{"o-abcdefghij/r-abcd/"}, "request_tags": map[string]any{"build": "17"},
			}
			if d := cmp.Diff(want, claims["https://sts.amazonaws.com/"]); d != "" {
				t.Errorf("claims (-want +got):\n%s", d)
			}
			if r := h.last(home); strings.Contains(r, *out.WebIdentityToken) {
				t.Errorf("the record tells the token: %s", r)
			}
		})
	}
	t.Run("OfARole", func(t *testing.T) {
		out, err := h.with(session.Credentials).GetWebIdentityToken(t.Context(), webToken("ES384", "app"))
		if err != nil {
			t.Fatal(err)
		}
		_, claims := read(t, *out.WebIdentityToken)
		if claims["sub"] != arn || claims["aud"] != "app" {
			t.Errorf("claims %v", claims)
		}
		in := webToken("ES384", "app")
		in.DurationSeconds = aws.Int32(3600)
		h.advance(time.Minute)
		_, err = h.with(session.Credentials).GetWebIdentityToken(t.Context(), in)
		wantError(t, err, "SessionDurationEscalationException", "")
	})
	t.Run("Refused", func(t *testing.T) {
		big, tagged, long := webToken("ES384", "app"), webToken("ES384", "app"), webToken("ES384", "app")
		for i := range 40 {
			big.Tags = append(big.Tags, tag(fmt.Sprint(i), strings.Repeat("x", 256)))
		}
		tagged.Tags = []types.Tag{tag("a", "b")}
		long.DurationSeconds = aws.Int32(3601)
		narrow := h.user(home, "narrow", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{"ForAllValues:StringEquals":{"sts:IdentityTokenAudience":"app"},"NumericLessThanEquals":{"sts:DurationSeconds":"300"},"StringEquals":{"sts:SigningAlgorithm":"ES384"}}}}`)
		if _, err := narrow.GetWebIdentityToken(t.Context(), webToken("ES384", "app")); err != nil {
			t.Errorf("as the conditions have it: %v", err)
		}
		minutes := webToken("ES384", "app")
		minutes.DurationSeconds = aws.Int32(600)
		for _, tt := range []struct {
			name          string
			as            *sts.Client
			in            *sts.GetWebIdentityTokenInput
			code, message string
		}{
			{"Audience", narrow, webToken("ES384", "app", "b"), "AccessDenied", ""},
			{"Duration", narrow, minutes, "AccessDenied", ""},
			{"Algorithm", narrow, webToken("RS256", "app"), "AccessDenied", ""},
			{"Tags", narrow, tagged, "AccessDenied", "User: arn:aws:iam::" + home + ":user/narrow is not authorized to perform: sts:TagGetWebIdentityToken"},
			{"UnknownAlgorithm", ann, webToken("HS256", "app"), "ValidationError", "SigningAlgorithm must be"},
			{"TooBig", ann, big, "JWTPayloadSizeExceededException", ""},
			{"TooLong", ann, long, "ValidationError", "1 validation error detected"},
		} {
			_, err := tt.as.GetWebIdentityToken(t.Context(), tt.in)
			if err == nil {
				t.Errorf("%s succeeded", tt.name)
				continue
			}
			wantError(t, err, tt.code, tt.message)
		}
	})
	t.Run("Documents", func(t *testing.T) {
		status, doc := get(t, issuer+"/.well-known/openid-configuration")
		if status != 200 || !strings.Contains(doc, `"issuer":"`+issuer+`"`) {
			t.Errorf("%d %s", status, doc)
		}
		status, keys := get(t, issuer+"/.well-known/jwks.json")
		if status != 200 || strings.Count(keys, `"kid"`) != 2 || strings.Contains(keys, `"d"`) {
			t.Errorf("%d %s", status, keys)
		}
		for _, path := range []string{"none/.well-known/jwks.json", "/.well-known/jwks.json", "3f9a", "3f9a/x", strings.Repeat("a", 200) + "/.well-known/jwks.json"} {
			if status, doc := get(t, h.url+identity.IssuerPath+path); status != 404 {
				t.Errorf("%s: %d %s", path, status, doc)
			}
		}
	})
}

// A token of one account opens a role in another that trusts its issuer.
func TestTokenOpensARole(t *testing.T) {
	h := build(t)
	issuer := h.outbound(home, "3f9a")
	ann := h.user(home, "ann", allow(`"sts:GetWebIdentityToken"`))
	_, url, _ := strings.Cut(issuer, "://")
	p := identity.OIDCProvider{Account: other, URL: url, ClientIDs: []string{"partner"}}
	put(h, identity.OIDCProviders, other, p)
	r := h.role(other, "guest", trust(`{"Federated":"`+p.ARN("aws")+`"}`, `{"StringEquals":{"`+url+`:sub":"arn:aws:iam::`+home+`:user/ann"}}`))
	out, err := ann.GetWebIdentityToken(t.Context(), webToken("RS256", "partner"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, *out.WebIdentityToken))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.whoami(in.Credentials); got != "arn:aws:sts::"+other+":assumed-role/guest/session" {
		t.Errorf("it is %s", got)
	}
}

// Keys are made once, replaced when they are old, and published as long as tokens of theirs may be about.
func TestTokenKeys(t *testing.T) {
	h := build(t)
	issuer := h.outbound(home, "3f9a")
	ann := h.user(home, "ann", allow(`"sts:GetWebIdentityToken"`))
	kid := func() string {
		t.Helper()
		out, err := ann.GetWebIdentityToken(t.Context(), webToken("ES384", "app"))
		if err != nil {
			t.Error(err)
			return ""
		}
		header, _ := read(t, *out.WebIdentityToken)
		return fmt.Sprint(header["kid"])
	}
	var mu sync.Mutex
	kids := make(map[string]bool)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			id := kid()
			mu.Lock()
			defer mu.Unlock()
			kids[id] = true
		})
	}
	all.Wait()
	if len(kids) != 1 {
		t.Errorf("%d keys were made at once", len(kids))
	}
	published := func() int {
		t.Helper()
		_, doc := get(t, issuer+"/.well-known/jwks.json")
		return strings.Count(doc, `"kid"`)
	}
	for i, want := range []int{2, 3, 3} {
		h.advance(90*24*time.Hour + time.Second)
		if id := kid(); kids[id] {
			t.Errorf("round %d: key %s signs still", i, id)
		} else {
			kids[id] = true
		}
		// The one before the last is gone when it is 180 days old, at the next signature.
		if got := published(); got > want {
			t.Errorf("round %d: %d keys are published, want at most %d", i, got, want)
		}
	}
	put(h, identity.AllSettings, home, identity.Settings{Account: home})
	if status, _ := get(t, issuer+"/.well-known/jwks.json"); status != 404 {
		t.Errorf("a switched-off issuer answers %d", status)
	}
}
