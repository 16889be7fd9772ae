package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
)

const readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// policy makes a managed policy with statements and returns its ARN.
func (w *world) policy(t *testing.T, name string, statements ...string) string {
	t.Helper()
	return *must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: new(document(statements...))}))(t).Policy.Arn
}

const anything = `"Action":"*","Resource":"*"`

func TestPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("OK", func(t *testing.T) {
		made := must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("Full"), Path: new("/a/"), PolicyDocument: &anyone, Description: new("d"), Tags: red}))(t).Policy
		if *made.Arn != iamARN("policy", "a/Full") || !strings.HasPrefix(*made.PolicyId, "ANPA") || *made.DefaultVersionId != "v1" || *made.AttachmentCount != 0 ||
			*made.PermissionsBoundaryUsageCount != 0 || !made.IsAttachable || made.Description != nil || len(made.Tags) != 1 {
			t.Errorf("CreatePolicy gave %+v", made)
		}
		got := must(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: made.Arn}))(t).Policy
		if *got.Description != "d" || *got.Path != "/a/" || len(got.Tags) != 1 || !got.CreateDate.Equal(*made.CreateDate) || !got.UpdateDate.Equal(*made.CreateDate) {
			t.Errorf("GetPolicy gave %+v", got)
		}
		v := must(w.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: made.Arn, VersionId: new("v1")}))(t).PolicyVersion
		if decoded(t, v.Document) != anyone || !v.IsDefaultVersion {
			t.Errorf("GetPolicyVersion gave %+v", v)
		}
	})
	create := func(name, document string) (any, error) {
		return w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document})
	}
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "A policy called full already exists. Duplicate names are not allowed.")(create("full", anyone))
	})
	t.Run("MalformedPolicyDocument", func(t *testing.T) {
		refused(t, "MalformedPolicyDocument", "Syntax errors in policy.")(create("bad", "{}"))
		refused(t, "MalformedPolicyDocument", "Policy document should not specify a principal.")(create("bad", document(`"Principal":"*","Action":"*","Resource":"*"`)))
		refused(t, "MalformedPolicyDocument", "Policy statement must contain resources.")(create("bad", document(`"Action":"s3:*"`)))
		refused(t, "MalformedPolicyDocument", "-")(create("bad", "{"))
	})
	t.Run("LimitExceeded", func(t *testing.T) {
		long := document(`"Action":["s3:*"` + strings.Repeat(`,"s3:GetObject"`, 400) + `],"Resource":"*"`)
		long = long[:len(long)-1] + strings.Repeat(" ", 10_000) + "}"
		pad := 6144 - (len(long) - 10_000)
		fits := strings.Replace(long, `"s3:*"`, `"s3:`+strings.Repeat("x", pad)+`*"`, 1)
		ok(t)(create("fits", fits))
		over := strings.Replace(long, `"s3:*"`, `"s3:`+strings.Repeat("x", pad+1)+`*"`, 1)
		refused(t, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")(create("over", over))
		refused(t, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: new(iamARN("policy", "fits")), PolicyDocument: &over}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		none := new(iamARN("policy", "none"))
		gone := "Policy " + *none + " does not exist or is not attachable."
		version := "Policy " + *none + " version v1 does not exist or is not attachable."
		refused(t, "NoSuchEntity", "Policy "+*none+" was not found.")(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: none}))
		refused(t, "NoSuchEntity", gone)(w.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: none}))
		refused(t, "NoSuchEntity", gone)(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: none, PolicyDocument: &anyone}))
		refused(t, "NoSuchEntity", version)(w.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: none, VersionId: new("v1")}))
		refused(t, "NoSuchEntity", version)(w.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: none, VersionId: new("v1")}))
		refused(t, "NoSuchEntity", version)(w.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: none, VersionId: new("v1")}))
		refused(t, "NoSuchEntity", gone)(w.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: none}))
		refused(t, "NoSuchEntity", gone)(w.ListEntitiesForPolicy(ctx, &iam.ListEntitiesForPolicyInput{PolicyArn: none}))
		refused(t, "NoSuchEntity", gone)(w.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: none, Tags: red}))
		refused(t, "NoSuchEntity", gone)(w.UntagPolicy(ctx, &iam.UntagPolicyInput{PolicyArn: none, TagKeys: keys}))
		refused(t, "NoSuchEntity", gone)(w.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: none}))
		// The path belongs to the name.
		refused(t, "NoSuchEntity", "-")(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: new(iamARN("policy", "Full"))}))
		refused(t, "InvalidInput", "ARN longpolicynamebutnoarn is not valid.")(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: new("longpolicynamebutnoarn")}))
		// Another account's is nobody's business, its own root's neither.
		denied(t)(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: new("arn:aws:iam::" + other + ":policy/none")}))
	})
	t.Run("AWSManaged", func(t *testing.T) {
		arn := new(readOnly)
		got := must(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn}))(t).Policy
		if *got.PolicyName != "ReadOnlyAccess" || !got.IsAttachable || *got.DefaultVersionId != "v1" {
			t.Errorf("GetPolicy gave %+v", got)
		}
		v := must(w.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: new("v1")}))(t).PolicyVersion
		if !strings.Contains(decoded(t, v.Document), "2012-10-17") {
			t.Errorf("GetPolicyVersion gave %+v", v)
		}
		if list := must(w.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: arn}))(t).Versions; len(list) != 1 || !list[0].IsDefaultVersion {
			t.Errorf("ListPolicyVersions gave %+v", list)
		}
		if tags := must(w.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: arn}))(t).Tags; len(tags) != 0 {
			t.Errorf("tags %+v", tags)
		}
		refused(t, "NoSuchEntity", "-")(w.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: new("v9")}))
		for _, f := range []func() (any, error){
			func() (any, error) { return w.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn}) },
			func() (any, error) {
				return w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: &anyone})
			},
			func() (any, error) {
				return w.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: new("v1")})
			},
			func() (any, error) {
				return w.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: new("v1")})
			},
			func() (any, error) { return w.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: arn, Tags: red}) },
			func() (any, error) { return w.UntagPolicy(ctx, &iam.UntagPolicyInput{PolicyArn: arn, TagKeys: keys}) },
		} {
			refused(t, "AccessDenied", "Policy is outside your own account.")(f())
		}
	})
	t.Run("Tags", func(t *testing.T) {
		arn := w.policy(t, "tagged", anything)
		ok(t)(w.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: &arn, Tags: red}))
		if tags := must(w.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: &arn}))(t).Tags; len(tags) != 1 || *tags[0].Value != "red" {
			t.Errorf("tags %+v", tags)
		}
		denied(t)(w.user("kim", `"Action":"iam:GetPolicy","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}`).GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn}))
		ok(t)(w.user("lea", `"Action":"iam:GetPolicy","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}`).GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn}))
		ok(t)(w.UntagPolicy(ctx, &iam.UntagPolicyInput{PolicyArn: &arn, TagKeys: keys}))
		if tags := must(w.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: &arn}))(t).Tags; len(tags) != 0 {
			t.Errorf("tags %+v", tags)
		}
	})
}

func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	w := start(t)
	arn := w.policy(t, "p", `"Action":"s3:Get1","Resource":"*"`)
	add := func(n int, inForce bool) (*iam.CreatePolicyVersionOutput, error) {
		return w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, SetAsDefault: inForce,
			PolicyDocument: new(document(fmt.Sprintf(`"Action":"s3:Get%d","Resource":"*"`, n)))})
	}
	list := func(items int32) (ids []string) {
		in := &iam.ListPolicyVersionsInput{PolicyArn: &arn, MaxItems: &items}
		for {
			out := must(w.ListPolicyVersions(ctx, in))(t)
			for _, v := range out.Versions {
				id := *v.VersionId
				if v.IsDefaultVersion {
					id += "*"
				}
				if v.Document != nil {
					t.Error("the document was listed")
				}
				ids = append(ids, id)
			}
			if !out.IsTruncated {
				return ids
			}
			in.Marker = out.Marker
		}
	}
	v2 := must(add(2, true))(t).PolicyVersion
	if *v2.VersionId != "v2" || !v2.IsDefaultVersion || v2.Document != nil {
		t.Errorf("CreatePolicyVersion gave %+v", v2)
	}
	for n := 3; n <= 5; n++ {
		ok(t)(add(n, false))
	}
	refused(t, "LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")(add(6, false))
	want := []string{"v5", "v4", "v3", "v2*", "v1"}
	if got := list(2); !cmp.Equal(got, want) {
		t.Errorf("versions %v, want %v", got, want)
	}
	remove := func(id string) (any, error) {
		return w.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: &id})
	}
	refused(t, "DeleteConflict", "Cannot delete the default version of a policy.")(remove("v2"))
	refused(t, "NoSuchEntity", "Policy "+arn+" version v9 does not exist or is not attachable.")(remove("v9"))
	refused(t, "ValidationError", "-")(remove("9"))
	ok(t)(w.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: new("v3")}))
	refused(t, "NoSuchEntity", "-")(w.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: new("v9")}))
	ok(t)(remove("v2"))
	ok(t)(remove("v5"))
	// A number is never given again.
	if v := must(add(6, false))(t).PolicyVersion; *v.VersionId != "v6" {
		t.Errorf("the version is %s", *v.VersionId)
	}
	if got := list(10); !cmp.Equal(got, []string{"v6", "v4", "v3*", "v1"}) {
		t.Errorf("versions %v", got)
	}
	v := must(w.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: new("v3")}))(t).PolicyVersion
	if got := decoded(t, v.Document); !strings.Contains(got, "s3:Get3") {
		t.Errorf("v3 is %s", got)
	}
	drop := func() (any, error) { return w.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: &arn}) }
	refused(t, "DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "+
		"The default version is deleted with the policy.")(drop())
	for _, id := range []string{"v1", "v4", "v6"} {
		ok(t)(remove(id))
	}
	w.role(t, "r")
	ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("r"), PolicyArn: &arn}))
	refused(t, "DeleteConflict", "Cannot delete a policy attached to entities.")(drop())
	ok(t)(w.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: new("r"), PolicyArn: &arn}))
	ok(t)(w.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: new("r"), PermissionsBoundary: &arn}))
	refused(t, "DeleteConflict", "Cannot delete a policy attached to entities.")(drop())
	ok(t)(w.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: new("r")}))
	ok(t)(drop())
}

func TestListPolicies(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, name := range []string{"a", "b", "c"} {
		ok(t)(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, Path: new("/" + name + "/"), PolicyDocument: &anyone}))
	}
	b, c := iamARN("policy", "b/b"), iamARN("policy", "c/c")
	w.role(t, "r")
	ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("r"), PolicyArn: &b}))
	ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("r"), PolicyArn: new(readOnly)}))
	ok(t)(w.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: new("r"), PermissionsBoundary: &c}))
	list := func(in *iam.ListPoliciesInput) (names []string) {
		seen := map[string]bool{}
		for {
			out := must(w.ListPolicies(ctx, in))(t)
			for _, p := range out.Policies {
				names = append(names, *p.PolicyName)
				if seen[*p.Arn] || p.Tags != nil || p.Description != nil {
					t.Errorf("listed %+v", p)
				}
				seen[*p.Arn] = true
			}
			if !out.IsTruncated {
				return names
			}
			in.Marker = out.Marker
		}
	}
	for name, tt := range map[string]struct {
		in   iam.ListPoliciesInput
		want []string
	}{
		"Local":    {iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal, MaxItems: aws.Int32(2)}, []string{"a", "b", "c"}},
		"Attached": {iam.ListPoliciesInput{OnlyAttached: true, MaxItems: aws.Int32(1)}, []string{"b", "c", "ReadOnlyAccess"}},
		"Policy":   {iam.ListPoliciesInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsPolicy}, []string{"b", "ReadOnlyAccess"}},
		"Boundary": {iam.ListPoliciesInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsBoundary}, []string{"c"}},
		"Path":     {iam.ListPoliciesInput{PathPrefix: new("/a/")}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, list(&tt.in)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	t.Run("AWS", func(t *testing.T) {
		all := list(&iam.ListPoliciesInput{Scope: types.PolicyScopeTypeAws, MaxItems: aws.Int32(100)})
		if len(all) < 3 {
			t.Errorf("AWS has the policies %v", all)
		}
		everything := list(&iam.ListPoliciesInput{MaxItems: aws.Int32(7)})
		if len(everything) != len(all)+3 {
			t.Errorf("%d policies, want %d", len(everything), len(all)+3)
		}
	})
	t.Run("Counts", func(t *testing.T) {
		got := must(w.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &c}))(t).Policy
		if *got.AttachmentCount != 0 || *got.PermissionsBoundaryUsageCount != 1 {
			t.Errorf("GetPolicy gave %+v", got)
		}
	})
	refused(t, "ValidationError", "Invalid Marker.")(w.ListPolicies(ctx, &iam.ListPoliciesInput{Marker: new("x")}))
}
