package sts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/engine/oidc/oidctest"
	"github.com/holdfast-cloud/holdfast/identity"
)

// register gives an account an OIDC provider, and returns its ARN and what its condition keys begin with.
func (h *house) register(account string, p *oidctest.Provider) (arn, prefix string) {
	h.t.Helper()
	_, url, _ := strings.Cut(p.Issuer(), "://")
	record := identity.OIDCProvider{Account: account, URL: url, ClientIDs: []string{"app", "sts.amazonaws.com"}, Created: h.clock.Now()}
	put(h, identity.OIDCProviders, account, record)
	return record.ARN("aws"), url + ":"
}

func webIdentity(role, token string) *sts.AssumeRoleWithWebIdentityInput {
	return &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("session"), WebIdentityToken: &token}
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	h := build(t)
	p := oidctest.New(t)
	arn, prefix := h.register(other, p)
	r := h.role(other, "web", trust(`{"Federated":"`+arn+`"}`, `{"StringEquals":{"`+prefix+`aud":"app","`+prefix+`sub":"user-1","`+prefix+`project":"42"},"ForAnyValue:StringEquals":{"`+prefix+`amr":"pwd"},"Bool":{"`+prefix+`admin":"true"}}`))
	claims := oidctest.Claims{
		"amr": []string{"pwd"}, "project": 42, "admin": true,
		"https://aws.amazon.com/tags":            map[string]any{"principal_tags": map[string]any{"Team": []string{"red"}}, "transitive_tag_keys": []string{"Team"}},
		"https://aws.amazon.com/source_identity": "ann",
	}
	out, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, p.Token(h.clock.Now(), "app", "user-1", claims)))
	if err != nil {
		t.Fatal(err)
	}
	if *out.Provider != arn || *out.Audience != "app" || *out.SubjectFromWebIdentityToken != "user-1" || *out.SourceIdentity != "ann" || out.PackedPolicySize == nil {
		t.Errorf("answered %+v", out)
	}
	record := h.last(other)
	for _, want := range []string{`"type":"WebIdentityUser"`, `"identityProvider":"` + arn, `"userName":"user-1"`, `"roleArn":"` + r, "HIDDEN_DUE_TO_SECURITY_REASONS"} {
		if !strings.Contains(record, want) {
			t.Errorf("the record %s lacks %s", record, want)
		}
	}
	if got, want := h.whoami(out.Credentials), "arn:aws:sts::"+other+":assumed-role/web/session"; got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
	if r := h.last(other); !strings.Contains(r, `"webIdFederationData":{"federatedProvider":"`+arn) || !strings.Contains(r, `"sourceIdentity":"ann"`) {
		t.Errorf("the session's record is %s", r)
	}
	// What the provider said stays with the session: the next role can ask for it.
	h.role(other, "web", trust(`{"Federated":"`+arn+`"}`, ""), allow(`"sts:*"`))
	next := h.role(other, "next", trust(account(other), `{"StringEquals":{"`+prefix+`sub":"user-1","aws:PrincipalTag/Team":"red","aws:FederatedProvider":"`+arn+`"}}`))
	if _, err := h.with(out.Credentials).AssumeRole(t.Context(), role(next)); err != nil {
		t.Errorf("the next role: %v", err)
	}

	const refused = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
	r = h.role(other, "web", trust(`{"Federated":"`+arn+`"}`, `{"StringEquals":{"`+prefix+`sub":"user-1"}}`))
	notags := h.role(other, "no-tags", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"`+arn+`"},"Action":"sts:AssumeRoleWithWebIdentity"}}`)
	good := func(more oidctest.Claims) string { return p.Token(h.clock.Now(), "app", "user-1", more) }
	for _, tt := range []struct {
		name, role, token, code, message string
	}{
		{"AnotherSubject", r, p.Token(h.clock.Now(), "app", "user-2", nil), "AccessDenied", refused},
		{"NoSuchRole", "arn:aws:iam::" + other + ":role/none", good(nil), "AccessDenied", refused},
		{"RoleOfAnotherProvider", next, good(nil), "AccessDenied", refused},
		{"TagsNotAllowed", notags, good(claims), "AccessDenied", refused},
		{"AccountWithoutProvider", "arn:aws:iam::" + home + ":role/web", good(nil), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for " + p.Issuer()},
		{"WrongAudience", r, p.Token(h.clock.Now(), "another app", "user-1", nil), "InvalidIdentityToken", "Incorrect token audience"},
		{"NoJWT", r, "no token", "InvalidIdentityToken", "The ID Token provided is not a valid JWT."},
		{"Expired", r, p.Token(h.clock.Now().Add(-2*time.Hour), "app", "user-1", nil), "ExpiredTokenException", "Token expired"},
		{"AlgNone", r, p.Unsigned(p.Claims(h.clock.Now(), "app", "user-1", nil)), "InvalidIdentityToken", ""},
		{"Forged", r, p.Forge(p.Claims(h.clock.Now(), "app", "user-1", nil)), "InvalidIdentityToken", ""},
		{"Confused", r, p.Confuse(p.Claims(h.clock.Now(), "app", "user-1", nil)), "InvalidIdentityToken", ""},
		{"AnotherClientAsAuthorizedParty", r, good(oidctest.Claims{"azp": "another app"}), "InvalidIdentityToken", "Incorrect token audience"},
		{"IssuerWithSlash", r, good(oidctest.Claims{"iss": p.Issuer() + "/"}), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for " + p.Issuer() + "/"},
		{"IssuerWithPath", r, good(oidctest.Claims{"iss": p.Issuer() + "/tenant"}), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "},
		{"IssuerWithoutPort", r, good(oidctest.Claims{"iss": "http://127.0.0.1"}), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "},
		{"ClaimInOtherCase", r, good(oidctest.Claims{"project": "42", "Project": "43"}), "InvalidIdentityToken", "Invalid claim: project"},
		{"BadARN", "arn:aws:iam::" + other + ":user/ann", good(nil), "ValidationError", "arn:aws:iam::" + other + ":user/ann is invalid"},
		{"BadTag", r, good(oidctest.Claims{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a*b": []string{"c"}}}}), "InvalidParameterValue", ""},
		{"ReservedTag", r, good(oidctest.Claims{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"aws:b": []string{"c"}}}}), "InvalidParameterValue", ""},
		{"BadSourceIdentity", r, good(oidctest.Claims{"https://aws.amazon.com/source_identity": "a b"}), "InvalidParameterValue", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(tt.role, tt.token))
			wantError(t, err, tt.code, tt.message)
		})
	}
	t.Run("ClaimsThatPassForOthers", func(t *testing.T) {
		for _, key := range []string{"azp", "oaud", "amr", "aud", "sub"} {
			trusting := h.role(other, "trusting", trust(`{"Federated":"`+arn+`"}`, `{"ForAnyValue:StringEquals":{"`+prefix+key+`":"it"}}`))
			_, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(trusting, good(oidctest.Claims{strings.ToUpper(key): "it"})))
			wantError(t, err, "AccessDenied", refused)
		}
		// One that says the same does no harm.
		if _, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, good(oidctest.Claims{"Project": "42", "project": "42"}))); err != nil {
			t.Error(err)
		}
	})
	t.Run("ProviderId", func(t *testing.T) {
		in := webIdentity(r, good(nil))
		in.ProviderId = aws.String("www.amazon.com")
		_, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), in)
		wantError(t, err, "ValidationError", "ProviderId belongs to OAuth 2.0 access tokens")
	})
	t.Run("SessionPolicy", func(t *testing.T) {
		in := webIdentity(r, good(nil))
		in.Policy = aws.String("{")
		_, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), in)
		wantError(t, err, "MalformedPolicyDocument", "")
	})
}

// Keys are fetched from a server that is not ours, and that may do what it likes.
func TestKeysOfAProvider(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode oidctest.Mode
		code string
	}{
		{"Down", oidctest.Down, ""}, {"Slow", oidctest.Slow, "IDPCommunicationError"}, {"Huge", oidctest.Huge, ""}, {"Garbage", oidctest.Garbage, ""},
		{"NoKeys", oidctest.NoKeys, ""}, {"Away", oidctest.Away, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := waiting(t, time.Second)
			p := oidctest.New(t)
			arn, _ := h.register(home, p)
			r := h.role(home, "web", trust(`{"Federated":"`+arn+`"}`, ""))
			p.Set(tt.mode)
			_, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, p.Token(h.clock.Now(), "app", "user-1", nil)))
			if c := code(err); c != "IDPCommunicationError" && c != "InvalidIdentityToken" || tt.code != "" && c != tt.code {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("Rotated", func(t *testing.T) {
		h := build(t)
		p := oidctest.New(t)
		arn, _ := h.register(home, p)
		r := h.role(home, "web", trust(`{"Federated":"`+arn+`"}`, ""))
		old := p.Token(h.clock.Now(), "app", "user-1", nil)
		if _, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, old)); err != nil {
			t.Fatal(err)
		}
		p.Rotate()
		if _, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, p.Token(h.clock.Now(), "app", "user-1", nil))); err != nil {
			t.Errorf("with the new key: %v", err)
		}
		if _, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, old)); code(err) != "InvalidIdentityToken" {
			t.Errorf("with the old key: %v", err)
		}
	})
}
