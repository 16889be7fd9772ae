package sts_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/engine/oidc/oidctest"
	"github.com/holdfast-cloud/holdfast/engine/saml/samltest"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/walk"
	"github.com/holdfast-cloud/holdfast/organization"
)

const (
	walkRole   = "arn:aws:iam::" + home + ":role/walk"
	walkRoot   = "arn:aws:iam::" + other + ":root"
	walkPerson = "arn:aws:sts::" + home + ":federated-user/bob"
	rootTask   = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
)

// walked is a request of an operation, what it asks about, and which further action it needs there.
type walked struct {
	name, as  string // the second tells requests of one operation apart
	on        string
	also      string
	audited   string // the type of the resource in audit records; empty: it is in none
	operation func(h *house, c *sts.Client) error
}

func answer[T any](_ T, err error) error { return err }

var walks = []walked{
	{"AssumeRole", "", walkRole, "", "AWS::IAM::Role", func(h *house, c *sts.Client) error { return answer(c.AssumeRole(h.t.Context(), role(walkRole))) }},
	{"AssumeRole", "WithTags", walkRole, "sts:TagSession", "AWS::IAM::Role", func(h *house, c *sts.Client) error {
		in := role(walkRole)
		in.Tags = []types.Tag{tag("team", "red")}
		return answer(c.AssumeRole(h.t.Context(), in))
	}},
	{"AssumeRole", "WithSourceIdentity", walkRole, "sts:SetSourceIdentity", "AWS::IAM::Role", func(h *house, c *sts.Client) error {
		in := role(walkRole)
		in.SourceIdentity = aws.String("ann")
		return answer(c.AssumeRole(h.t.Context(), in))
	}},
	{"AssumeRoot", "", walkRoot, "", "AWS::IAM::Root", func(h *house, c *sts.Client) error {
		return answer(c.AssumeRoot(h.t.Context(), &sts.AssumeRootInput{
			TargetPrincipal: aws.String(other), TaskPolicyArn: &types.PolicyDescriptorType{Arn: aws.String(rootTask)}}))
	}},
	{"DecodeAuthorizationMessage", "", "*", "", "", func(h *house, c *sts.Client) error {
		text, err := evidence.Encode(h.keys, home, &evidence.Failure{ID: "AIDA", ARN: "arn:aws:iam::" + home + ":user/bob", Action: "kms:Encrypt", Resource: "arn:x"})
		if err != nil {
			return err
		}
		return answer(c.DecodeAuthorizationMessage(h.t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &text}))
	}},
	{"GetAccessKeyInfo", "", "*", "", "", func(h *house, c *sts.Client) error {
		id, _, err := h.directory.CreateKey(h.t.Context(), other, "", h.clock.Now())
		if err != nil {
			return err
		}
		return answer(c.GetAccessKeyInfo(h.t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &id}))
	}},
	{"GetFederationToken", "", walkPerson, "", "", func(h *house, c *sts.Client) error {
		return answer(c.GetFederationToken(h.t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob")}))
	}},
	{"GetFederationToken", "WithTags", walkPerson, "sts:TagSession", "", func(h *house, c *sts.Client) error {
		return answer(c.GetFederationToken(h.t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob"), Tags: []types.Tag{tag("team", "red")}}))
	}},
	{"GetWebIdentityToken", "", "*", "", "", func(h *house, c *sts.Client) error {
		return answer(c.GetWebIdentityToken(h.t.Context(), webToken("ES384", "app")))
	}},
	{"GetWebIdentityToken", "WithTags", "*", "sts:TagGetWebIdentityToken", "", func(h *house, c *sts.Client) error {
		in := webToken("ES384", "app")
		in.Tags = []types.Tag{tag("team", "red")}
		return answer(c.GetWebIdentityToken(h.t.Context(), in))
	}},
}

// open are the operations that no identity policy is asked about.
var open = map[string]string{
	"GetCallerIdentity":         "needs no permission, and nobody can be denied it",
	"GetSessionToken":           "needs no permission, and nobody can be denied it",
	"AssumeRoleWithSAML":        "nobody has signed it: the role's trust policy alone decides",
	"AssumeRoleWithWebIdentity": "nobody has signed it: the role's trust policy alone decides",
}

// TestWalk proves for every operation that a principal without permission is denied, that the same principal with just that action on just that resource is
// not, and that both are on record.
func TestWalk(t *testing.T) {
	h := build(t)
	h.organize()
	put(h, organization.TrustedServices, home, organization.TrustedService{Service: "iam.amazonaws.com", Enabled: h.clock.Now()})
	put(h, identity.AllSettings, home, identity.Settings{Account: home, RootSessions: true, Outbound: "3f9a"})
	h.role(home, "walk", trust(account(home), ""))
	var done []string
	for _, o := range walks {
		done = append(done, o.name)
		t.Run(o.name+o.as, func(t *testing.T) { o.test(t, h) })
	}
	t.Run("Open", func(t *testing.T) {
		ann := h.user(home, "open", deny(`"*"`))
		if err := answer(ann.GetCallerIdentity(t.Context(), nil)); err != nil {
			t.Error(err)
		}
		if err := answer(ann.GetSessionToken(t.Context(), nil)); err != nil {
			t.Error(err)
		}
	})
	if err := walk.Check(walk.File, done, open); err != nil {
		t.Error(err)
	}
}

func (o *walked) test(t *testing.T, h *house) {
	who, own := o.name+o.as, "sts:"+o.name
	allow := func(action, resource string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}}`
	}
	others := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"` + own + `","Resource":"*"}}`
	lacking := func(action string, policies ...string) {
		t.Helper()
		err := o.operation(h, h.user(home, who, policies...))
		if e, is := errors.AsType[smithy.APIError](err); !is || e.ErrorCode() != "AccessDenied" || !strings.Contains(e.ErrorMessage()+" ", " to perform: "+action+" ") {
			t.Fatalf("with %v: got %v, want a refusal that names %s", policies, err, action)
		}
	}
	lacking(own)
	lacking(own, others)
	if o.on != "*" {
		lacking(own, others, strings.Replace(allow(own, o.on), "Resource", "NotResource", 1))
	}
	policies := []string{allow(own, o.on)}
	if o.also != "" {
		lacking(o.also, policies...)
		if o.on != "*" {
			lacking(o.also, policies[0], strings.Replace(allow(o.also, o.on), "Resource", "NotResource", 1))
		}
		policies = append(policies, allow(o.also, o.on))
	}
	if err := o.operation(h, h.user(home, who, policies...)); err != nil {
		t.Fatalf("with %v: %v", policies, err)
	}
	for _, code := range []string{"AccessDenied", ""} {
		e := h.recorded(t, who, o.name, code)
		if e.EventSource != "sts.amazonaws.com" || e.EventType != "AwsApiCall" {
			t.Errorf("recorded as %s", e.Raw)
		}
		// A refusal tells nothing of another account's resource.
		if o.audited != "" && code == "" && !slices.ContainsFunc(e.Resources, func(r struct{ AccountID, Type, ARN string }) bool { return r.ARN == o.on && r.Type == o.audited }) {
			t.Errorf("the record has the resources %v, want %s", e.Resources, o.on)
		}
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(t *testing.T, user, operation, code string) (e cloudtest.Event) {
	t.Helper()
	raw, err := h.trail.Events(t.Context(), audit.Filter{Account: home})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range slices.Backward(raw) {
		e = cloudtest.Event{Raw: r}
		if err := json.Unmarshal(r, &e); err != nil {
			t.Fatal(err)
		}
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e
		}
	}
	t.Fatalf("there is no record of %s ending with %q", operation, code)
	return e
}

// TestWalkByTrust proves for the operations that nobody signs that a role lets in whom its trust policy names, for just that action, and nobody else.
func TestWalkByTrust(t *testing.T) {
	h := build(t)
	web := oidctest.New(t)
	webARN, _ := h.register(home, web)
	corp := samltest.New(t, "https://idp.example.com/saml")
	record := identity.SAMLProvider{Account: home, Name: "corp", Metadata: corp.Metadata(), Created: h.clock.Now()}
	put(h, identity.SAMLProviders, home, record)
	samlARN := record.ARN("aws")
	for _, o := range []struct {
		name, provider, another string
		run                     func(role string) error
	}{
		{"AssumeRoleWithWebIdentity", webARN, samlARN, func(role string) error {
			return answer(h.nobody().AssumeRoleWithWebIdentity(t.Context(), webIdentity(role, web.Token(h.clock.Now(), "app", "user-1", nil))))
		}},
		{"AssumeRoleWithSAML", samlARN, webARN, func(role string) error {
			assertion := corp.Sign(samltest.Response{Now: h.clock.Now(), Roles: []string{role + "," + samlARN}})
			return answer(h.nobody().AssumeRoleWithSAML(t.Context(), &sts.AssumeRoleWithSAMLInput{RoleArn: &role, PrincipalArn: &samlARN, SAMLAssertion: &assertion}))
		}},
	} {
		t.Run(o.name, func(t *testing.T) {
			trusting := func(provider, action string) string {
				return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"` + action + `"}}`
			}
			for _, document := range []string{
				trust(account(home), ""), trusting(o.another, "sts:"+o.name), trusting(o.provider, "sts:TagSession"),
			} {
				err := o.run(h.role(home, "federated", document, allow(`"*"`)))
				wantError(t, err, "AccessDenied", "Not authorized to perform sts:"+o.name)
				if r := h.last(home); !strings.Contains(r, `"errorCode":"AccessDenied"`) || !strings.Contains(r, `"eventName":"`+o.name+`"`) {
					t.Errorf("the record of the refusal is %s", r)
				}
			}
			if err := o.run(h.role(home, "federated", trusting(o.provider, "sts:"+o.name))); err != nil {
				t.Fatal(err)
			}
			if r := h.last(home); strings.Contains(r, `"errorCode"`) || !strings.Contains(r, `"eventName":"`+o.name+`"`) {
				t.Errorf("the record is %s", r)
			}
		})
	}
}
