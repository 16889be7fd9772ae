package sts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	delegate = "777788889999"
	outside  = "222233334444"
)

// organize makes home the management account of an organization with two members.
func (h *house) organize() {
	h.t.Helper()
	o := organization.Organization{ID: "o-abcdefghij", Management: home, Root: "r-abcd", All: true, Created: h.clock.Now()}
	put(h, organization.Organizations, home, o)
	for _, id := range []string{home, other, delegate} {
		put(h, organization.Accounts, home, organization.Account{ID: id, OrgID: o.ID, Management: home, Parent: o.Root, Status: organization.Active, Joined: h.clock.Now()})
	}
}

func TestAssumeRoot(t *testing.T) {
	h := build(t)
	h.organize()
	const task = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
	in := func(target, policy string) *sts.AssumeRootInput {
		return &sts.AssumeRootInput{TargetPrincipal: &target, TaskPolicyArn: &types.PolicyDescriptorType{Arn: &policy}}
	}
	admin, weak := h.user(home, "admin", allow(`"sts:AssumeRoot"`)), h.user(home, "weak")
	member, stranger := h.user(delegate, "admin", allow(`"sts:AssumeRoot"`)), h.user(outside, "admin", allow(`"sts:AssumeRoot"`))
	auditor := h.user(home, "auditor", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRoot","Resource":"arn:aws:iam::`+other+`:root","Condition":{"StringEquals":{"sts:TaskPolicyArn":"`+task+`"}}}}`)
	refused := func(who, account, target string) string {
		return "User: arn:aws:iam::" + account + ":user/" + who + " is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::" + target + ":root"
	}
	off := func(name string) {
		t.Helper()
		_, err := admin.AssumeRoot(t.Context(), in(other, task))
		if err == nil {
			t.Errorf("%s: it works", name)
			return
		}
		wantError(t, err, "AccessDenied", refused("admin", home, other))
	}
	off("without trusted access")
	put(h, organization.TrustedServices, home, organization.TrustedService{Service: "iam.amazonaws.com", Enabled: h.clock.Now()})
	off("without root sessions")
	put(h, identity.AllSettings, home, identity.Settings{Account: home, RootSessions: true})

	out, err := admin.AssumeRoot(t.Context(), in(other, task))
	if err != nil {
		t.Fatal(err)
	}
	if d := out.Credentials.Expiration.Sub(h.clock.Now()); d > 15*time.Minute || d < 14*time.Minute {
		t.Errorf("they last %s", d)
	}
	if got := h.whoami(out.Credentials); got != "arn:aws:iam::"+other+":root" {
		t.Errorf("they are %s", got)
	}
	if r := h.last(other); !strings.Contains(r, `"assumedRoot":"true"`) || !strings.Contains(r, `"type":"Root"`) {
		t.Errorf("the record is %s", r)
	}
	if _, err := h.with(out.Credentials).GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: out.Credentials.AccessKeyId}); code(err) != "AccessDenied" {
		t.Errorf("the session is not limited to its task: %v", err)
	}
	if _, err := auditor.AssumeRoot(t.Context(), in("arn:aws:iam::"+other+":root", task)); err != nil {
		t.Errorf("by an ARN, under a condition: %v", err)
	}
	_, err = auditor.AssumeRoot(t.Context(), in(other, "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"))
	wantError(t, err, "AccessDenied", refused("auditor", home, other))
	for _, tt := range []struct {
		name          string
		as            *sts.Client
		in            *sts.AssumeRootInput
		code, message string
	}{
		{"NotAllowed", weak, in(other, task), "AccessDenied", refused("weak", home, other)},
		{"NotDelegated", member, in(other, task), "AccessDenied", refused("admin", delegate, other)},
		{"Outside", stranger, in(other, task), "AccessDenied", refused("admin", outside, other)},
		{"TargetOutside", admin, in(outside, task), "AccessDenied", refused("admin", home, outside)},
		{"TheManagementAccount", admin, in(home, task), "AccessDenied", refused("admin", home, home)},
		{"NoTask", admin, in(other, "arn:aws:iam::aws:policy/AdministratorAccess"), "ValidationError", "arn:aws:iam::aws:policy/AdministratorAccess is not"},
		{"NoAccount", admin, in("arn:aws:iam::444455556666:user/ann", task), "ValidationError", "arn:aws:iam::444455556666:user/ann is invalid"},
		{"TooLong", admin, &sts.AssumeRootInput{TargetPrincipal: aws.String(other), TaskPolicyArn: in(other, task).TaskPolicyArn, DurationSeconds: aws.Int32(901)},
			"ValidationError", "1 validation error detected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.as.AssumeRoot(t.Context(), tt.in)
			wantError(t, err, tt.code, tt.message)
		})
	}
	put(h, organization.Delegations, home, organization.Delegation{Account: delegate, Service: "iam.amazonaws.com", Enabled: h.clock.Now()})
	if _, err := member.AssumeRoot(t.Context(), in(other, task)); err != nil {
		t.Errorf("as the delegated administrator: %v", err)
	}
	var settings *identity.Settings
	if err := h.store.View(t.Context(), func(r store.Reader) (err error) {
		settings, err = identity.AllSettings.In(home, "").Get(r)
		return err
	}); err != nil || !settings.RootSessions {
		t.Errorf("settings %+v, %v", settings, err)
	}
}

// Nobody gets credentials of an account that is closed, nor goes on with those of before.
func TestClosedAccount(t *testing.T) {
	h := build(t)
	h.organize()
	ann := h.user(home, "ann", allow(`"sts:*"`))
	r := h.role(other, "guest", trust(account(home), ""))
	before, err := ann.AssumeRole(t.Context(), role(r))
	if err != nil {
		t.Fatal(err)
	}
	put(h, organization.Accounts, home, organization.Account{
		ID: other, OrgID: "o-abcdefghij", Management: home, Parent: "r-abcd", Status: organization.Suspended, Joined: h.clock.Now(),
	})
	_, err = ann.AssumeRole(t.Context(), role(r))
	wantError(t, err, "AccessDenied", "User: arn:aws:iam::"+home+":user/ann is not authorized to perform: sts:AssumeRole on resource: "+r)
	if got := h.whoami(before.Credentials); got != "InvalidClientTokenId" {
		t.Errorf("with the session of before: %s", got)
	}
}
