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

// role makes a role and returns its ARN.
func (w *world) role(t *testing.T, name string, change ...func(*iam.CreateRoleInput)) string {
	t.Helper()
	in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustEC2}
	for _, f := range change {
		f(in)
	}
	return *must(w.CreateRole(ctx, in))(t).Role.Arn
}

func TestRole(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("OK", func(t *testing.T) {
		boundary := "arn:aws:iam::aws:policy/ReadOnlyAccess"
		out := must(w.CreateRole(ctx, &iam.CreateRoleInput{
			RoleName: new("Full"), Path: new("/a/b/"), AssumeRolePolicyDocument: &trustEC2, Description: new("d"), MaxSessionDuration: aws.Int32(43200),
			PermissionsBoundary: &boundary, Tags: red,
		}))(t).Role
		if *out.Arn != iamARN("role", "a/b/Full") || *out.Path != "/a/b/" || !strings.HasPrefix(*out.RoleId, "AROA") || len(*out.RoleId) != 21 || out.CreateDate.IsZero() ||
			*out.Description != "d" || out.MaxSessionDuration != nil || len(out.Tags) != 1 || *out.PermissionsBoundary.PermissionsBoundaryArn != boundary {
			t.Errorf("CreateRole gave %+v", out)
		}
		if got := decoded(t, out.AssumeRolePolicyDocument); got != trustEC2 {
			t.Errorf("the trust policy is %s", got)
		}
		got := must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("Full")}))(t).Role
		if *got.MaxSessionDuration != 43200 || got.RoleLastUsed == nil || *got.RoleId != *out.RoleId || len(got.Tags) != 1 ||
			got.PermissionsBoundary.PermissionsBoundaryType != types.PermissionsBoundaryAttachmentTypePolicy {
			t.Errorf("GetRole gave %+v", got)
		}
	})
	t.Run("Defaults", func(t *testing.T) {
		w.role(t, "plain")
		got := must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("plain")}))(t).Role
		if *got.Path != "/" || *got.MaxSessionDuration != 3600 || got.Description != nil || got.Tags != nil || got.PermissionsBoundary != nil {
			t.Errorf("GetRole gave %+v", got)
		}
	})
	create := func(change func(*iam.CreateRoleInput)) (any, error) {
		in := &iam.CreateRoleInput{RoleName: new("bad"), AssumeRolePolicyDocument: &trustEC2}
		change(in)
		return w.CreateRole(ctx, in)
	}
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		w.role(t, "Twice")
		refused(t, "EntityAlreadyExists", "Role with name Twice already exists.")(create(func(in *iam.CreateRoleInput) { in.RoleName = new("Twice") }))
		refused(t, "EntityAlreadyExists", "Role with name tWICE already exists.")(create(func(in *iam.CreateRoleInput) { in.RoleName = new("tWICE") }))
	})
	for name, tt := range map[string]struct {
		change        func(*iam.CreateRoleInput)
		code, message string
	}{
		"InvalidJSON": {func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = new("{") }, "MalformedPolicyDocument", "-"},
		"Actions": {func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = new(document(`"Principal":"*","Action":"s3:*"`))
		}, "MalformedPolicyDocument", "AssumeRole policy may only specify STS AssumeRole actions."},
		"Resource": {func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = new(document(`"Principal":"*","Action":"sts:AssumeRole","Resource":"*"`))
		}, "MalformedPolicyDocument", "Has prohibited field Resource"},
		"TooLong": {func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = new(trusting(`"AWS":["` + strings.Repeat(account+`","`, 140) + account + `"]`))
		}, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"},
		"SessionTooShort": {func(in *iam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(3599) }, "ValidationError", "-"},
		"SessionTooLong":  {func(in *iam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(43201) }, "ValidationError", "-"},
		"Path":            {func(in *iam.CreateRoleInput) { in.Path = new("a") }, "ValidationError", "-"},
		"Name":            {func(in *iam.CreateRoleInput) { in.RoleName = new("a b") }, "ValidationError", "-"},
		"DuplicateTags": {func(in *iam.CreateRoleInput) {
			in.Tags = []types.Tag{{Key: new("a"), Value: new("")}, {Key: new("A"), Value: new("")}}
		}, "InvalidInput", "-"},
		"NoBoundary":       {func(in *iam.CreateRoleInput) { in.PermissionsBoundary = new(iamARN("policy", "none")) }, "NoSuchEntity", "Scope ARN: arn:aws:iam::111122223333:policy/none does not exist or is not attachable."},
		"BoundaryNoPolicy": {func(in *iam.CreateRoleInput) { in.PermissionsBoundary = new(iamARN("role", "plain")) }, "InvalidInput", "ARN arn:aws:iam::111122223333:role/plain is not valid."},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, tt.code, tt.message)(create(tt.change))
			refused(t, "NoSuchEntity", "The role with name bad cannot be found.")(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("bad")}))
		})
	}
	t.Run("WhiteSpaceIsFree", func(t *testing.T) {
		ok(t)(create(func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = new(trustEC2 + strings.Repeat(" \n", 2000))
		}))
		ok(t)(w.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("bad")}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		missing := "The role with name none cannot be found."
		none := new("none")
		refused(t, "NoSuchEntity", missing)(w.GetRole(ctx, &iam.GetRoleInput{RoleName: none}))
		refused(t, "NoSuchEntity", missing)(w.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: none}))
		refused(t, "NoSuchEntity", missing)(w.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: none, Description: none}))
		refused(t, "NoSuchEntity", missing)(w.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: none, PolicyDocument: &trustEC2}))
		refused(t, "NoSuchEntity", missing)(w.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: none}))
		refused(t, "NoSuchEntity", missing)(w.TagRole(ctx, &iam.TagRoleInput{RoleName: none, Tags: red}))
		refused(t, "NoSuchEntity", missing)(w.UntagRole(ctx, &iam.UntagRoleInput{RoleName: none, TagKeys: keys}))
		refused(t, "NoSuchEntity", missing)(w.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: none}))
	})
	t.Run("Update", func(t *testing.T) {
		w.role(t, "changing", func(in *iam.CreateRoleInput) { in.Description = new("first") })
		ok(t)(w.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: new("changing"), MaxSessionDuration: aws.Int32(7200)}))
		got := must(w.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: new("changing"), Description: new("second")}))(t).Role
		if *got.Description != "second" || got.MaxSessionDuration != nil {
			t.Errorf("UpdateRoleDescription gave %+v", got)
		}
		ok(t)(w.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: new("changing"), Description: new("third")}))
		got = must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("changing")}))(t).Role
		if *got.Description != "third" || *got.MaxSessionDuration != 7200 {
			t.Errorf("GetRole gave %+v", got)
		}
		trust := trusting(`"AWS":"` + other + `"`)
		ok(t)(w.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: new("changing"), PolicyDocument: &trust}))
		got = must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("changing")}))(t).Role
		if doc := decoded(t, got.AssumeRolePolicyDocument); doc != trust {
			t.Errorf("the trust policy is %s", doc)
		}
		refused(t, "MalformedPolicyDocument", "-")(w.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: new("changing"), PolicyDocument: new("{}")}))
		refused(t, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")(w.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
			RoleName: new("changing"), PolicyDocument: new(trusting(`"AWS":["` + strings.Repeat(account+`","`, 140) + account + `"]`))}))
	})
	t.Run("DeleteConflict", func(t *testing.T) {
		name := new("kept")
		w.role(t, *name)
		ok(t)(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: name}))
		ok(t)(w.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: name}))
		policy := new("arn:aws:iam::aws:policy/ReadOnlyAccess")
		ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: policy}))
		ok(t)(w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: name, PolicyDocument: &anyone}))
		remove := func() (any, error) { return w.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}) }
		refused(t, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")(remove())
		ok(t)(w.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: name}))
		refused(t, "DeleteConflict", "Cannot delete entity, must detach all policies first.")(remove())
		ok(t)(w.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: policy}))
		refused(t, "DeleteConflict", "Cannot delete entity, must delete policies first.")(remove())
		ok(t)(w.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: name}))
		ok(t)(remove())
		refused(t, "NoSuchEntity", "-")(remove())
	})
	t.Run("Tags", func(t *testing.T) {
		name := new("tagged")
		w.role(t, *name)
		ok(t)(w.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: new("b"), Value: new("1")}, {Key: new("a"), Value: new("2")}}}))
		ok(t)(w.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: new("B"), Value: new("3")}}}))
		list := func(marker *string, max int32) *iam.ListRoleTagsOutput {
			return must(w.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: name, Marker: marker, MaxItems: &max}))(t)
		}
		first := list(nil, 1)
		second := list(first.Marker, 1)
		if *first.Tags[0].Key != "B" || !first.IsTruncated || *second.Tags[0].Key != "a" || second.IsTruncated || second.Marker != nil {
			t.Errorf("the tags are %+v and %+v", first, second)
		}
		ok(t)(w.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"b", "none"}}))
		if left := list(nil, 10); len(left.Tags) != 1 || *left.Tags[0].Key != "a" {
			t.Errorf("left are %+v", left.Tags)
		}
		refused(t, "InvalidInput", "-")(w.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: new("aws:x"), Value: new("")}}}))
		refused(t, "ValidationError", "Invalid Marker.")(w.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: name, Marker: new("none")}))
	})
}

func TestListRoles(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 5 {
		w.role(t, fmt.Sprintf("r%d", i), func(in *iam.CreateRoleInput) {
			in.Tags = red
			if i%2 == 0 {
				in.Path = new("/even/")
			}
		})
	}
	list := func(prefix *string) (names []string, pages int) {
		in := &iam.ListRolesInput{PathPrefix: prefix, MaxItems: aws.Int32(2)}
		for {
			out := must(w.ListRoles(ctx, in))(t)
			pages++
			for _, r := range out.Roles {
				names = append(names, *r.RoleName)
				if *r.MaxSessionDuration != 3600 || r.Tags != nil || r.RoleLastUsed != nil {
					t.Errorf("listed %+v", r)
				}
			}
			if !out.IsTruncated {
				return names, pages
			}
			in.Marker = out.Marker
		}
	}
	if names, pages := list(nil); pages != 3 || !cmp.Equal(names, []string{"r0", "r1", "r2", "r3", "r4"}) {
		t.Errorf("listed %v on %d pages", names, pages)
	}
	if names, pages := list(new("/even/")); pages != 2 || !cmp.Equal(names, []string{"r0", "r2", "r4"}) {
		t.Errorf("listed %v on %d pages", names, pages)
	}
	if names, _ := list(new("/none/")); names != nil {
		t.Errorf("listed %v", names)
	}
	refused(t, "ValidationError", "Invalid Marker.")(w.ListRoles(ctx, &iam.ListRolesInput{Marker: new("x")}))
}

// A request that sets tags needs the right to tag as well, and its tags are what conditions on tags look at.
func TestCreateWithTags(t *testing.T) {
	t.Parallel()
	w := start(t)
	create := func(c *iam.Client, name string, tags ...types.Tag) (any, error) {
		return c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustEC2, Tags: tags})
	}
	plain := w.user("ann", `"Action":"iam:CreateRole","Resource":"*"`)
	ok(t)(create(plain, "a"))
	denied(t)(create(plain, "b", red...))
	if e := w.recorded(t, "CreateRole", "AccessDenied"); !strings.Contains(e.ErrorMessage, "iam:TagRole") {
		t.Errorf("the refusal reads %s", e.ErrorMessage)
	}
	ok(t)(create(w.user("bob", `"Action":["iam:CreateRole","iam:TagRole"],"Resource":"*"`), "b", red...))
	onlyRed := w.user("carl", `"Action":["iam:CreateRole","iam:TagRole"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"red"}}`)
	denied(t)(create(onlyRed, "c"))
	denied(t)(create(onlyRed, "c", types.Tag{Key: new("team"), Value: new("blue")}))
	ok(t)(create(onlyRed, "c", red...))
	mine := w.user("dora", `"Action":"iam:DeleteRole","Resource":"*","Condition":{"StringEquals":{"iam:ResourceTag/Team":"red"}}`)
	denied(t)(mine.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("a")}))
	ok(t)(mine.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("b")}))
}

// Policies except the roles that services make from what they deny, by their ARNs: nobody else may have one like that.
func TestReservedPaths(t *testing.T) {
	t.Parallel()
	w := start(t)
	for path, message := range map[string]string{
		"/aws-service-role/":                      "Path prefix '/aws-service-role/' can only be used for AWS Service linked Roles",
		"/aws-service-role/config.amazonaws.com/": "Path prefix '/aws-service-role/' can only be used for AWS Service linked Roles",
		"/aws-reserved/sso.amazonaws.com/":        "-",
	} {
		in := &iam.CreateRoleInput{RoleName: new("AWSServiceRoleForConfig"), Path: &path, AssumeRolePolicyDocument: &trustEC2}
		refused(t, "InvalidInput", message)(w.CreateRole(ctx, in))
		denied(t)(w.user("nobody").CreateRole(ctx, in))
	}
	w.role(t, "near", func(in *iam.CreateRoleInput) { in.Path = new("/aws-service-roles/") })
	// A name that the other operations do not take would stay for ever.
	long := &iam.CreateServiceLinkedRoleInput{AWSServiceName: new("autoscaling.amazonaws.com"), CustomSuffix: new(strings.Repeat("x", 40))}
	refused(t, "InvalidInput", "-")(w.CreateServiceLinkedRole(ctx, long))
}

// Tag keys have no case, in no script: the long s is an s, and the Kelvin sign a k.
func TestTagKeysFold(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.role(t, "r")
	tag := func(keys ...string) (any, error) {
		var tags []types.Tag
		for _, k := range keys {
			tags = append(tags, types.Tag{Key: &k, Value: new("v" + k)})
		}
		return w.TagRole(ctx, &iam.TagRoleInput{RoleName: new("r"), Tags: tags})
	}
	const twice = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
	refused(t, "InvalidInput", twice)(tag("secret", "\u017fecret"))
	refused(t, "InvalidInput", twice)(tag("k", "\u212a"))
	refused(t, "InvalidInput", "Tag keys starting with 'aws:' are reserved for system use.")(tag("aw\u017f:stack"))
	ok(t)(tag("secret"))
	ok(t)(tag("\u017fecret", "日本", "日本語", "日"))
	var got []string
	for marker := (*string)(nil); ; {
		page := must(w.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: new("r"), MaxItems: aws.Int32(1), Marker: marker}))(t)
		for _, tag := range page.Tags {
			got = append(got, *tag.Key)
		}
		if marker = page.Marker; page.IsTruncated != (marker != nil) {
			t.Fatalf("IsTruncated %t and marker %v", page.IsTruncated, marker)
		}
		if marker == nil {
			break
		}
	}
	if want := []string{"\u017fecret", "日", "日本", "日本語"}; !cmp.Equal(got, want) {
		t.Errorf("the tags are %q, want %q", got, want)
	}
	refused(t, "ValidationError", "Invalid Marker.")(w.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: new("r"), Marker: new("secret")}))
}
