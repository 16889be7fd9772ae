package sts_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/engine/oidc/oidctest"
	"github.com/holdfast-cloud/holdfast/engine/saml/samltest"
	"github.com/holdfast-cloud/holdfast/identity"
)

// Identity providers date what they say by the world's time. A cloud whose clock was moved takes it all the same, and its sessions last by the cloud's clock.
func TestProvidersOfAMovedCloud(t *testing.T) {
	h := build(t)
	idp, saml := oidctest.New(t), samltest.New(t, "https://idp.example.com/saml")
	arn, _ := h.register(home, idp)
	web := h.role(home, "web", trust(`{"Federated":"`+arn+`"}`, ""))
	record := identity.SAMLProvider{Account: home, Name: "corp", Metadata: saml.Metadata(), Created: h.clock.Now()}
	put(h, identity.SAMLProviders, home, record)
	provider := record.ARN("aws")
	corp := h.role(home, "corp", trust(`{"Federated":"`+provider+`"}`, ""))

	const moved = 90 * 24 * time.Hour
	h.advance(moved)
	now, world := h.clock.Now(), time.Now()
	out, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(web, idp.Token(world, "app", "ann", nil)))
	if err != nil {
		t.Fatal(err)
	}
	assertion := saml.Sign(samltest.Response{Now: world, Roles: []string{corp + "," + provider}, Edit: sessionEnds(world.Add(20 * time.Minute))})
	in := &sts.AssumeRoleWithSAMLInput{RoleArn: &corp, PrincipalArn: &provider, SAMLAssertion: &assertion}
	ofSAML, err := h.nobody().AssumeRoleWithSAML(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, got time.Time, want time.Duration) {
		t.Helper()
		if d := got.Sub(now.Add(want)); d < -time.Minute || d > time.Minute {
			t.Errorf("%s ends %s, want %s after %s", name, got, want, now)
		}
	}
	near("the web identity's session", *out.Credentials.Expiration, time.Hour)
	near("the SAML session", *ofSAML.Credentials.Expiration, 20*time.Minute)
	if got := h.whoami(out.Credentials); got != "arn:aws:sts::"+home+":assumed-role/web/session" {
		t.Errorf("it is %s", got)
	}
	h.advance(61 * time.Minute)
	if got := h.whoami(out.Credentials); got != "ExpiredToken" {
		t.Errorf("after an hour of the cloud's it is %s", got)
	}
	t.Run("DatedByTheCloud", func(t *testing.T) {
		_, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(web, idp.Token(h.clock.Now(), "app", "ann", nil)))
		wantError(t, err, "InvalidIdentityToken", "Invalid claim: iat")
	})
	t.Run("TokensOfTheCloudItself", func(t *testing.T) {
		put(h, identity.AllSettings, home, identity.Settings{Account: home, Outbound: "0a1b"})
		ann := h.user(home, "ann", allow(`"sts:*"`))
		token, err := ann.GetWebIdentityToken(t.Context(), &sts.GetWebIdentityTokenInput{Audience: []string{"app"}, SigningAlgorithm: aws.String("ES384")})
		if err != nil {
			t.Fatal(err)
		}
		url := identity.IssuerURL(h.url, "0a1b")[len("http://"):]
		own := identity.OIDCProvider{Account: home, URL: url, ClientIDs: []string{"app"}}
		put(h, identity.OIDCProviders, home, own)
		r := h.role(home, "own", trust(`{"Federated":"`+own.ARN("aws")+`"}`, ""))
		if _, err := h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(r, *token.WebIdentityToken)); err != nil {
			t.Error(err)
		}
	})
}

// As with AWS, an assertion opens roles as often as its bearer likes, as long as it is valid: who has several roles takes them with one.
func TestAssertionCountsWhileItIsValid(t *testing.T) {
	h := build(t)
	p := samltest.New(t, "https://idp.example.com/saml")
	record := identity.SAMLProvider{Account: home, Name: "corp", Metadata: p.Metadata()}
	put(h, identity.SAMLProviders, home, record)
	provider := record.ARN("aws")
	one := h.role(home, "one", trust(`{"Federated":"`+provider+`"}`, ""))
	two := h.role(home, "two", trust(`{"Federated":"`+provider+`"}`, ""))
	three := h.role(home, "three", trust(`{"Federated":"`+provider+`"}`, ""))
	fresh := p.Sign(samltest.Response{Now: time.Now(), Roles: []string{one + "," + provider, two + "," + provider}})
	late := p.Sign(samltest.Response{Now: time.Now().Add(-6 * time.Minute), Roles: []string{one + "," + provider}})
	for _, tt := range []struct{ name, role, assertion, code string }{
		{"First", one, fresh, ""}, {"Again", one, fresh, ""}, {"AnotherRole", two, fresh, ""},
		{"RoleNotInIt", three, fresh, "AccessDenied"}, {"AfterFiveMinutes", one, late, "ExpiredTokenException"},
	} {
		_, err := h.nobody().AssumeRoleWithSAML(t.Context(), &sts.AssumeRoleWithSAMLInput{RoleArn: &tt.role, PrincipalArn: &provider, SAMLAssertion: &tt.assertion})
		if code(err) != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
