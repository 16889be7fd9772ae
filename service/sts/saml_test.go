package sts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/beevik/etree"

	"github.com/holdfast-cloud/holdfast/engine/saml/samltest"
	"github.com/holdfast-cloud/holdfast/identity"
)

func TestAssumeRoleWithSAML(t *testing.T) {
	h := build(t)
	p := samltest.New(t, "https://idp.example.com/saml")
	record := identity.SAMLProvider{Account: home, Name: "corp", Metadata: p.Metadata(), Created: h.clock.Now()}
	put(h, identity.SAMLProviders, home, record)
	provider := record.ARN("aws")
	r := h.role(home, "saml", trust(`{"Federated":"`+provider+`"}`, `{"StringEquals":{"SAML:aud":"`+samltest.SignIn+`","saml:sub_type":"persistent","saml:iss":"https://idp.example.com/saml"}}`))
	wrong := h.role(home, "wrong", trust(`{"Federated":"`+provider+`"}`, `{"StringEquals":{"saml:sub":"bob"}}`))
	pair := r + "," + provider
	respond := func(change func(*samltest.Response)) string {
		response := samltest.Response{Now: h.clock.Now(), Roles: []string{pair, wrong + "," + provider}}
		if change != nil {
			change(&response)
		}
		return p.Sign(response)
	}
	in := func(role, assertion string) *sts.AssumeRoleWithSAMLInput {
		return &sts.AssumeRoleWithSAMLInput{RoleArn: &role, PrincipalArn: &provider, SAMLAssertion: &assertion}
	}
	out, err := h.nobody().AssumeRoleWithSAML(t.Context(), in(r, respond(func(r *samltest.Response) {
		r.Attributes = map[string][]string{"PrincipalTag:Team": {"red"}, "SourceIdentity": {"ann"}}
	})))
	if err != nil {
		t.Fatal(err)
	}
	if *out.Subject != "ann" || *out.SubjectType != "persistent" || *out.Issuer != "https://idp.example.com/saml" || *out.Audience != samltest.SignIn ||
		*out.NameQualifier == "" || out.SourceIdentity == nil || *out.SourceIdentity != "ann" {
		t.Errorf("answered %+v", out)
	}
	if r := h.last(home); !strings.Contains(r, `"type":"SAMLUser"`) || !strings.Contains(r, `"samlAssertion":"HIDDEN`) && !strings.Contains(r, "HIDDEN_DUE") {
		t.Errorf("the record is %s", r)
	}
	if got, want := h.whoami(out.Credentials), "arn:aws:sts::"+home+":assumed-role/saml/ann"; got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
	t.Run("EndsWithTheProvidersSession", func(t *testing.T) {
		sooner := h.clock.Now().Add(20 * time.Minute)
		out, err := h.nobody().AssumeRoleWithSAML(t.Context(), in(r, respond(func(r *samltest.Response) {
			r.Edit = sessionEnds(sooner)
		})))
		if err != nil {
			t.Fatal(err)
		}
		if d := out.Credentials.Expiration.Sub(sooner); d < -time.Minute || d > time.Minute {
			t.Errorf("it ends %s, want %s", out.Credentials.Expiration, sooner)
		}
	})
	const refused = "Not authorized to perform sts:AssumeRoleWithSAML"
	foreign := samltest.New(t, "https://idp.example.com/saml")
	for _, tt := range []struct {
		name          string
		in            *sts.AssumeRoleWithSAMLInput
		code, message string
	}{
		{"RoleNotAsserted", in(r, respond(func(x *samltest.Response) { x.Roles = []string{wrong + "," + provider} })), "AccessDenied", refused},
		{"AnotherProviderAsserted", in(r, respond(func(x *samltest.Response) { x.Roles = []string{r + "," + provider + "2"} })), "AccessDenied", refused},
		{"NotTrusted", in(wrong, respond(nil)), "AccessDenied", refused},
		{"NoSuchRole", in("arn:aws:iam::"+home+":role/none", respond(func(x *samltest.Response) { x.Roles = []string{"arn:aws:iam::" + home + ":role/none," + provider} })), "AccessDenied", refused},
		{"RoleOfAnotherAccount", in("arn:aws:iam::"+other+":role/saml", respond(nil)), "AccessDenied", refused},
		{"Unsigned", in(r, respond(func(x *samltest.Response) { x.Unsigned = true })), "InvalidIdentityToken", ""},
		{"OfAnotherKey", in(r, foreign.Sign(samltest.Response{Now: h.clock.Now(), Roles: []string{pair}})), "InvalidIdentityToken", ""},
		{"Old", in(r, respond(func(x *samltest.Response) { x.Now = h.clock.Now().Add(-time.Hour) })), "ExpiredTokenException", ""},
		{"Garbage", in(r, "garbage"), "InvalidIdentityToken", ""},
		{"NoSuchProvider", &sts.AssumeRoleWithSAMLInput{RoleArn: &r, PrincipalArn: aws.String("arn:aws:iam::" + home + ":saml-provider/none"), SAMLAssertion: aws.String(respond(nil))},
			"InvalidIdentityToken", "Specified provider doesn't exist"},
		{"NoProviderARN", &sts.AssumeRoleWithSAMLInput{RoleArn: &r, PrincipalArn: aws.String("arn:aws:iam::" + home + ":user/saml"), SAMLAssertion: aws.String(respond(nil))},
			"ValidationError", "arn:aws:iam::" + home + ":user/saml is invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.nobody().AssumeRoleWithSAML(t.Context(), tt.in)
			wantError(t, err, tt.code, tt.message)
		})
	}
}

func sessionEnds(at time.Time) func(*etree.Element) {
	return func(response *etree.Element) {
		response.FindElement(".//saml:AuthnStatement").CreateAttr("SessionNotOnOrAfter", at.UTC().Format(time.RFC3339))
	}
}
