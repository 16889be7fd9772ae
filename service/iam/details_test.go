package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/identity"
)

func TestAccountAuthorizationDetails(t *testing.T) {
	t.Parallel()
	w := start(t)
	arn := w.policy(t, "p", anything)
	ok(t)(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: &anyone, SetAsDefault: true}))
	held := identity.Permissions{Attached: []string{arn}, Inline: map[string]string{"in": anyone}}
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: new("g")}))
	ok(t)(w.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: new("g"), PolicyName: new("in"), PolicyDocument: &anyone}))
	ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "u", Groups: []string{"g"}, Tags: map[string]string{"a": "b"}, Permissions: held}))
	ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "v"}))
	w.role(t, "r", func(in *iam.CreateRoleInput) { in.Tags, in.PermissionsBoundary = red, &arn })
	ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("r"), PolicyArn: new(readOnly)}))
	ok(t)(w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("r"), PolicyName: new("in"), PolicyDocument: &anyone}))
	ok(t)(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: new("web")}))
	ok(t)(w.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: new("web"), RoleName: new("r")}))

	all := func(in iam.GetAccountAuthorizationDetailsInput) (names []string, last *iam.GetAccountAuthorizationDetailsOutput) {
		for {
			out := must(w.GetAccountAuthorizationDetails(ctx, &in))(t)
			for _, u := range out.UserDetailList {
				names = append(names, "user "+*u.UserName)
			}
			for _, g := range out.GroupDetailList {
				names = append(names, "group "+*g.GroupName)
			}
			for _, r := range out.RoleDetailList {
				names = append(names, "role "+*r.RoleName)
			}
			for _, p := range out.Policies {
				names = append(names, "policy "+*p.PolicyName)
			}
			if !out.IsTruncated {
				return names, out
			}
			in.Marker = out.Marker
		}
	}
	want := []string{"user u", "user v", "group g", "role r", "policy p", "policy ReadOnlyAccess"}
	names, out := all(iam.GetAccountAuthorizationDetailsInput{})
	if !cmp.Equal(names, want) {
		t.Errorf("told of %v, want %v", names, want)
	}
	if names, _ := all(iam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(1)}); !cmp.Equal(names, want) {
		t.Errorf("by ones %v, want %v", names, want)
	}
	u, g, r, p, q := out.UserDetailList[0], out.GroupDetailList[0], out.RoleDetailList[0], out.Policies[0], out.Policies[1]
	if decoded(t, u.UserPolicyList[0].PolicyDocument) != anyone || !cmp.Equal(u.GroupList, []string{"g"}) || *u.AttachedManagedPolicies[0].PolicyArn != arn || len(u.Tags) != 1 {
		t.Errorf("the user is %+v", u)
	}
	if decoded(t, g.GroupPolicyList[0].PolicyDocument) != anyone || *g.GroupPolicyList[0].PolicyName != "in" {
		t.Errorf("the group is %+v", g)
	}
	if decoded(t, r.AssumeRolePolicyDocument) != trustEC2 || decoded(t, r.RolePolicyList[0].PolicyDocument) != anyone || *r.PermissionsBoundary.PermissionsBoundaryArn != arn ||
		*r.InstanceProfileList[0].InstanceProfileName != "web" || len(r.Tags) != 1 || *r.AttachedManagedPolicies[0].PolicyName != "ReadOnlyAccess" {
		t.Errorf("the role is %+v", r)
	}
	if len(p.PolicyVersionList) != 2 || *p.PolicyVersionList[0].VersionId != "v2" || decoded(t, p.PolicyVersionList[0].Document) != anyone ||
		*p.AttachmentCount != 1 || *p.PermissionsBoundaryUsageCount != 1 {
		t.Errorf("the policy is %+v", p)
	}
	if len(q.PolicyVersionList) != 1 || decoded(t, q.PolicyVersionList[0].Document) == "" || *q.AttachmentCount != 1 {
		t.Errorf("AWS's policy is %+v", q)
	}
	for filter, want := range map[types.EntityType][]string{
		types.EntityTypeUser: {"user u", "user v"}, types.EntityTypeGroup: {"group g"}, types.EntityTypeRole: {"role r"},
		types.EntityTypeLocalManagedPolicy: {"policy p"}, types.EntityTypeAWSManagedPolicy: {"policy ReadOnlyAccess"},
	} {
		if names, _ := all(iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{filter}}); !cmp.Equal(names, want) {
			t.Errorf("%s: told of %v, want %v", filter, names, want)
		}
	}
	refused(t, "ValidationError", "Invalid Marker.")(w.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{Marker: new("x")}))
}
