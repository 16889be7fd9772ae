package iam_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// at runs functions at the same time and returns their errors.
func at(calls ...func() error) []error {
	var done sync.WaitGroup
	errs := make([]error, len(calls))
	for i, f := range calls {
		done.Go(func() { errs[i] = f() })
	}
	done.Wait()
	return errs
}

// What is deleted while somebody gives it something leaves nothing to who has its name next.
func TestDeletedWhileChanged(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 6 {
		name, policyARN := fmt.Sprintf("n%d", i), iamARN("policy", fmt.Sprintf("n%d", i))
		w.newUser(t, name)
		ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: &name}))
		ok(t)(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &anyone}))
		w.newUser(t, "stays-"+name)
		stays := "stays-" + name
		k := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &stays}))(t).AccessKey
		var made *iam.CreateAccessKeyOutput
		errs := at(
			func() error { _, err := w.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &name}); return err },
			func() (err error) {
				made, err = w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
				return err
			},
			func() error { _, err := w.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: &name}); return err },
			func() error {
				_, err := w.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: &name, UserName: &stays})
				return err
			},
			func() error { _, err := w.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: &policyARN}); return err },
			func() error {
				_, err := w.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &stays, PolicyArn: &policyARN})
				return err
			},
		)
		// Of each pair one was first, and the other found what it left.
		for pair, what := range []string{"DeleteConflict and NoSuchEntity of a user", "of a group", "of a policy"} {
			if (errs[2*pair] == nil) == (errs[2*pair+1] == nil) {
				t.Errorf("%s: %v and %v", what, errs[2*pair], errs[2*pair+1])
			}
		}
		for j, err := range errs {
			if err != nil {
				refused(t, []string{"DeleteConflict", "NoSuchEntity"}[j%2], "-")(nil, err)
			}
		}
		ok(t)(sts.NewFromConfig(w.As(*k.AccessKeyId, *k.SecretAccessKey)).GetCallerIdentity(ctx, nil))
		if errs[0] == nil {
			w.newUser(t, name)
			if list := must(w.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &name}))(t).AccessKeyMetadata; len(list) > 0 {
				t.Errorf("a new user has %d access keys", len(list))
			}
		} else {
			ok(t)(sts.NewFromConfig(w.As(*made.AccessKey.AccessKeyId, *made.AccessKey.SecretAccessKey)).GetCallerIdentity(ctx, nil))
		}
		if errs[2] == nil {
			ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: &name}))
			if list := must(w.GetGroup(ctx, &iam.GetGroupInput{GroupName: &name}))(t).Users; len(list) > 0 {
				t.Errorf("a new group has %d members", len(list))
			}
		}
	}
}

// Names are given once, whatever their case and however many ask at once; what a rename moves is there once.
func TestNamesAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "a")
	w.newUser(t, "b")
	one := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("a")}))(t).AccessKey
	rename := func(from, to string) func() error {
		return func() error {
			_, err := w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: &from, NewUserName: &to})
			return err
		}
	}
	create := func(name string) func() error {
		return func() error { _, err := w.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); return err }
	}
	won := 0
	for _, err := range at(rename("a", "New"), rename("b", "NEW"), create("new"), create("nEw")) {
		if err == nil {
			won++
			continue
		}
		refused(t, "EntityAlreadyExists", "-")(nil, err)
	}
	if won != 1 {
		t.Errorf("%d have the name", won)
	}
	ok(t)(sts.NewFromConfig(w.As(*one.AccessKeyId, *one.SecretAccessKey)).GetCallerIdentity(ctx, nil))
}

// A tool that makes many things at once, as Terraform does, gets them all.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.role(t, "one")
	var calls []func() error
	for i := range 10 {
		name := fmt.Sprintf("n%d", i)
		calls = append(calls, func() error {
			_, err := w.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustEC2})
			return err
		}, func() error {
			out, err := w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &anyone})
			if err == nil {
				_, err = w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("one"), PolicyArn: out.Policy.Arn})
			}
			return err
		}, func() error {
			_, err := w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("one"), PolicyName: &name, PolicyDocument: &anyone})
			return err
		})
	}
	for _, err := range at(calls...) {
		ok(t)(nil, err)
	}
	attached := must(w.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: new("one")}))(t).AttachedPolicies
	inline := must(w.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: new("one")}))(t).PolicyNames
	if len(attached) != 10 || len(inline) != 10 {
		t.Errorf("%d policies are attached and %d are inline, want 10 of each", len(attached), len(inline))
	}
}
