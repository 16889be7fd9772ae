package sts_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// Whom a trust policy lets in, and whom it does not although it seems so.
func TestWhoIsTrusted(t *testing.T) {
	h := build(t)
	h.organize()
	admin := allow(`"*"`)
	put(h, identity.Policies, other, identity.ManagedPolicy{Account: other, Name: "shared", ID: "ANPASHARED", Default: 1, Versions: []identity.PolicyVersion{{Number: 1, Document: admin}}})
	ann, bob := h.user(home, "ann", admin), h.user(home, "bob")
	member, stranger, weak := h.user(other, "member", admin), h.user(outside, "stranger", admin), h.user(outside, "weak")
	tagged := identity.User{Account: home, Name: "tagged", Tags: map[string]string{"Team": "red"}}
	tagged.Inline = map[string]string{"a": admin}
	if err := h.directory.PutUser(t.Context(), tagged, h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	id, secret, err := h.directory.CreateKey(t.Context(), home, "tagged", h.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	red := h.as(id, secret, "")
	federated, err := ann.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("carol"), Policy: &admin})
	if err != nil {
		t.Fatal(err)
	}

	everybody := h.role(home, "everybody", trust(`"*"`, ""))
	word := h.role(home, "word", trust(`"*"`, `{"StringEquals":{"sts:ExternalId":"word-17"}}`))
	organized := h.role(home, "organized", trust(`"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-abcdefghij"}}`))
	team := h.role(home, "team", trust(account(home), `{"StringEquals":{"aws:PrincipalTag/team":"red"}}`))
	linked := identity.Role{Account: home, Name: "AWSServiceRoleForOrganizations", Path: "/aws-service-role/organizations.amazonaws.com/", LinkedService: "organizations.amazonaws.com",
		Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"organizations.amazonaws.com"},"Action":"sts:AssumeRole"}}`}
	if err := h.directory.PutRole(t.Context(), linked, h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	provider := h.role(home, "provider", trust(`{"Federated":"arn:aws:iam::`+home+`:saml-provider/corp"}`, ""))

	external := func(word string) func(*sts.AssumeRoleInput) {
		return func(in *sts.AssumeRoleInput) { in.ExternalId = &word }
	}
	for _, tt := range []struct {
		name, role string
		as         *sts.Client
		change     func(*sts.AssumeRoleInput)
		code       string
	}{
		{"EverybodyOfTheAccount", everybody, bob, nil, ""},
		{"EverybodyElsewhereWhoMay", everybody, stranger, nil, ""},
		{"EverybodyElsewhereWhoMayNot", everybody, weak, nil, "AccessDenied"},
		{"FederatedUser", everybody, h.with(federated.Credentials), nil, "AccessDenied"},
		{"WithoutTheWord", word, stranger, nil, "AccessDenied"},
		{"WithAnotherWord", word, stranger, external("word-18"), "AccessDenied"},
		{"WithTheWord", word, stranger, external("word-17"), ""},
		{"EmptyWord", word, stranger, external(""), "ValidationError"},
		{"Member", organized, member, nil, ""},
		{"OutsideOfTheOrganization", organized, stranger, nil, "AccessDenied"},
		{"Tagged", team, red, nil, ""},
		{"Untagged", team, ann, nil, "AccessDenied"},
		{"TagOfTheRequest", team, ann, func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "red")} }, "AccessDenied"},
		{"ServiceLinkedRole", linked.ARN("aws"), ann, nil, "AccessDenied"},
		{"ProviderOnly", provider, ann, nil, "AccessDenied"},
		{"ManagedPolicyOfTheCaller", everybody, member, func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::" + other + ":policy/shared")}}
		}, "MalformedPolicyDocument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := role(tt.role)
			if tt.change != nil {
				tt.change(in)
			}
			if _, err := tt.as.AssumeRole(t.Context(), in); code(err) != tt.code {
				t.Errorf("got %v, want %q", err, tt.code)
			}
		})
	}
	t.Run("Left", func(t *testing.T) {
		err := h.store.Update(t.Context(), func(tx store.Tx) error { return organization.Accounts.In(home, "").Delete(tx, other) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := member.AssumeRole(t.Context(), role(organized)); code(err) != "AccessDenied" {
			t.Errorf("after its account has left: %v", err)
		}
	})
}
