package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
)

func TestInstanceProfile(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.role(t, "app")
	w.role(t, "two")
	name := new("web")
	add := func(c *iam.Client, role string) (any, error) {
		return c.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: &role})
	}
	t.Run("OK", func(t *testing.T) {
		made := must(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: name, Path: new("/a/"), Tags: red}))(t).InstanceProfile
		if *made.Arn != iamARN("instance-profile", "a/web") || (*made.InstanceProfileId)[:4] != "AIPA" || len(made.Roles) != 0 || len(made.Tags) != 1 {
			t.Errorf("CreateInstanceProfile gave %+v", made)
		}
		ok(t)(add(w.Client, "app"))
		got := must(w.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: name}))(t).InstanceProfile
		if len(got.Roles) != 1 || *got.Roles[0].RoleName != "app" || decoded(t, got.Roles[0].AssumeRolePolicyDocument) != trustEC2 || len(got.Tags) != 1 {
			t.Errorf("GetInstanceProfile gave %+v", got)
		}
	})
	t.Run("LimitExceeded", func(t *testing.T) {
		refused(t, "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")(add(w.Client, "two"))
	})
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "Instance Profile Web already exists.")(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: new("Web")}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		none, gone := new("none"), "Instance Profile none cannot be found."
		refused(t, "NoSuchEntity", gone)(w.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: none}))
		refused(t, "NoSuchEntity", gone)(w.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: none}))
		refused(t, "NoSuchEntity", gone)(w.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: none, RoleName: new("app")}))
		refused(t, "NoSuchEntity", gone)(w.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: none, RoleName: new("app")}))
		refused(t, "NoSuchEntity", gone)(w.TagInstanceProfile(ctx, &iam.TagInstanceProfileInput{InstanceProfileName: none, Tags: red}))
		refused(t, "NoSuchEntity", gone)(w.UntagInstanceProfile(ctx, &iam.UntagInstanceProfileInput{InstanceProfileName: none, TagKeys: keys}))
		refused(t, "NoSuchEntity", gone)(w.ListInstanceProfileTags(ctx, &iam.ListInstanceProfileTagsInput{InstanceProfileName: none}))
		refused(t, "NoSuchEntity", "The role with name none cannot be found.")(add(w.Client, "none"))
		refused(t, "NoSuchEntity", "The role with name none cannot be found.")(w.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: none}))
		refused(t, "NoSuchEntity", "The role with name none cannot be found.")(w.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: none}))
	})
	t.Run("DeleteConflict", func(t *testing.T) {
		remove := func() (any, error) {
			return w.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: name})
		}
		refused(t, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")(remove())
		ok(t)(w.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: new("app")}))
		ok(t)(remove())
		ok(t)(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: name}))
	})
	t.Run("UnmodifiableEntity", func(t *testing.T) {
		ok(t)(w.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: new("config.amazonaws.com")}))
		refused(t, "UnmodifiableEntity", "-")(add(w.Client, "AWSServiceRoleForConfig"))
	})
	// Whoever puts a role into a profile hands it to instances: without iam:PassRole that would be a way to every role of the account.
	t.Run("PassRole", func(t *testing.T) {
		adds := `"Action":"iam:AddRoleToInstanceProfile","Resource":"*"`
		denied(t)(add(w.user("ann", adds), "app"))
		denied(t)(add(w.user("ann", adds), "none"))
		denied(t)(add(w.user("bob", adds, `"Action":"iam:PassRole","Resource":"`+iamARN("role", "two")+`"`), "app"))
		denied(t)(add(w.user("carl", adds, `"Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}`), "app"))
		ok(t)(add(w.user("dora", adds, `"Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}`), "app"))
	})
	t.Run("List", func(t *testing.T) {
		for _, n := range []string{"a", "b"} {
			ok(t)(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: &n, Path: new("/p/")}))
			ok(t)(w.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &n, RoleName: new("app")}))
		}
		list := func(prefix *string) (names []string) {
			in := &iam.ListInstanceProfilesInput{PathPrefix: prefix, MaxItems: aws.Int32(2)}
			for {
				out := must(w.ListInstanceProfiles(ctx, in))(t)
				for _, p := range out.InstanceProfiles {
					names = append(names, *p.InstanceProfileName)
					if len(p.Roles) != 1 || p.Tags != nil {
						t.Errorf("listed %+v", p)
					}
				}
				if !out.IsTruncated {
					return names
				}
				in.Marker = out.Marker
			}
		}
		if got := list(nil); !cmp.Equal(got, []string{"a", "b", "web"}) {
			t.Errorf("listed %v", got)
		}
		if got := list(new("/p/")); !cmp.Equal(got, []string{"a", "b"}) {
			t.Errorf("listed %v", got)
		}
		first := must(w.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: new("app"), MaxItems: aws.Int32(2)}))(t)
		rest := must(w.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: new("app"), MaxItems: aws.Int32(2), Marker: first.Marker}))(t)
		if len(first.InstanceProfiles) != 2 || !first.IsTruncated || len(rest.InstanceProfiles) != 1 || rest.IsTruncated {
			t.Errorf("listed %d and %d", len(first.InstanceProfiles), len(rest.InstanceProfiles))
		}
		if none := must(w.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: new("two")}))(t).InstanceProfiles; len(none) != 0 {
			t.Errorf("listed %v", none)
		}
		refused(t, "ValidationError", "Invalid Marker.")(w.ListInstanceProfiles(ctx, &iam.ListInstanceProfilesInput{Marker: new("x")}))
	})
	t.Run("Tags", func(t *testing.T) {
		ok(t)(w.TagInstanceProfile(ctx, &iam.TagInstanceProfileInput{InstanceProfileName: name, Tags: red}))
		if tags := must(w.ListInstanceProfileTags(ctx, &iam.ListInstanceProfileTagsInput{InstanceProfileName: name}))(t).Tags; len(tags) != 1 {
			t.Errorf("tags %+v", tags)
		}
		ok(t)(w.UntagInstanceProfile(ctx, &iam.UntagInstanceProfileInput{InstanceProfileName: name, TagKeys: keys}))
		if tags := must(w.ListInstanceProfileTags(ctx, &iam.ListInstanceProfileTagsInput{InstanceProfileName: name}))(t).Tags; len(tags) != 0 {
			t.Errorf("tags %+v", tags)
		}
	})
}
