package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/identity"
)

// What changes a policy decides about the very next call.
func TestEffectAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	name := new("ann")
	ann := kms.NewFromConfig(w.User(account, *name))
	may := func(what string) {
		t.Helper()
		if _, err := ann.ListKeys(ctx, &kms.ListKeysInput{}); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
	}
	mayNot := func(what string) {
		t.Helper()
		if _, err := ann.ListKeys(ctx, &kms.ListKeysInput{}); err == nil {
			t.Errorf("after %s the call succeeded", what)
		}
	}
	list, none := `"Action":"kms:ListKeys","Resource":"*"`, `"Action":"s3:*","Resource":"*"`
	arn := w.policy(t, "p", list)
	mayNot("nothing")
	ok(t)(w.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: &arn}))
	may("AttachUserPolicy")
	ok(t)(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: new(document(none))}))
	may("CreatePolicyVersion that is not in force")
	ok(t)(w.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: new("v2")}))
	mayNot("SetDefaultPolicyVersion")
	ok(t)(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: new(document(list)), SetAsDefault: true}))
	may("CreatePolicyVersion in force")
	ok(t)(w.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: name, PolicyDocument: new(document(`"Effect":"Deny","Action":"kms:*","Resource":"*"`))}))
	mayNot("PutUserPolicy that denies")
	ok(t)(w.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: name}))
	may("DeleteUserPolicy")
	boundary := w.policy(t, "boundary", none)
	ok(t)(w.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: &boundary}))
	mayNot("PutUserPermissionsBoundary")
	ok(t)(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &boundary, PolicyDocument: new(document(list)), SetAsDefault: true}))
	may("the boundary was widened")
	ok(t)(w.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: &boundary, VersionId: new("v1")}))
	mayNot("the boundary was narrowed")
	ok(t)(w.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: name}))
	may("DeleteUserPermissionsBoundary")
	ok(t)(w.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: &arn}))
	mayNot("DetachUserPolicy")
	ok(t)(w.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: new(readOnly)}))
	may("AWS's policy was attached")
}

// The same through a group.
func TestEffectOfGroups(t *testing.T) {
	t.Parallel()
	w := start(t)
	group := new("devs")
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: group}))
	w.User(account, "ann")
	ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "ann", Groups: []string{*group}}))
	id, secret, err := w.CreateKey(ctx, account, "ann")
	ok(t)(nil, err)
	ann := kms.NewFromConfig(w.As(id, secret))
	allowed := func() bool {
		_, err := ann.ListKeys(ctx, &kms.ListKeysInput{})
		return err == nil
	}
	arn := w.policy(t, "p", `"Action":"kms:ListKeys","Resource":"*"`)
	steps := []struct {
		name string
		do   func() (any, error)
		want bool
	}{
		{"AttachGroupPolicy", func() (any, error) {
			return w.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: group, PolicyArn: &arn})
		}, true},
		{"DetachGroupPolicy", func() (any, error) {
			return w.DetachGroupPolicy(ctx, &iam.DetachGroupPolicyInput{GroupName: group, PolicyArn: &arn})
		}, false},
		{"PutGroupPolicy", func() (any, error) {
			return w.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: group, PolicyName: group, PolicyDocument: new(document(`"Action":"kms:*","Resource":"*"`))})
		}, true},
		{"DeleteGroupPolicy", func() (any, error) {
			return w.DeleteGroupPolicy(ctx, &iam.DeleteGroupPolicyInput{GroupName: group, PolicyName: group})
		}, false},
	}
	if allowed() {
		t.Error("allowed before anything was")
	}
	for _, s := range steps {
		ok(t)(s.do())
		if got := allowed(); got != s.want {
			t.Errorf("after %s the call is allowed: %t", s.name, got)
		}
	}
}
