package iam_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/engine/totp"
)

func (w *world) newUser(t *testing.T, name string) {
	t.Helper()
	ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))
}

func noUser(name string) string { return "The user with name " + name + " cannot be found." }

func TestCreateUser(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("OK", func(t *testing.T) {
		out := must(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("Ann"), Path: aws.String("/a/b/"), Tags: red}))(t).User
		if *out.Arn != iamARN("user/a/b", "Ann") || len(*out.UserId) != 21 || (*out.UserId)[:4] != "AIDA" || *out.Path != "/a/b/" || len(out.Tags) != 1 || out.CreateDate == nil {
			t.Errorf("created %+v", out)
		}
		got := must(w.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("Ann")}))(t).User
		if *got.UserId != *out.UserId || *got.Arn != *out.Arn || *got.Tags[0].Value != "red" {
			t.Errorf("got %+v", got)
		}
		if e := w.recorded(t, "CreateUser", ""); e.RequestParameters["userName"] != "Ann" {
			t.Errorf("recorded %s", e.Raw)
		}
	})
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "User with name Ann already exists.")(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("Ann")}))
		refused(t, "EntityAlreadyExists", "User with name ANN already exists.")(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ANN")}))
	})
	t.Run("ValidationError", func(t *testing.T) {
		refused(t, "ValidationError", "-")(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("a b")}))
		refused(t, "ValidationError", "-")(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ben"), Path: aws.String("a")}))
	})
	t.Run("InvalidInput", func(t *testing.T) {
		twice := []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("A"), Value: aws.String("2")}}
		refused(t, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")(
			w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ben"), Tags: twice}))
		refused(t, "InvalidInput", "-")(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ben"), Tags: []types.Tag{{Key: aws.String("AWS:x"), Value: aws.String("")}}}))
	})
	t.Run("NoSuchBoundary", func(t *testing.T) {
		refused(t, "NoSuchEntity", "-")(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ben"), PermissionsBoundary: aws.String(iamARN("policy", "none"))}))
	})
	t.Run("Boundary", func(t *testing.T) {
		view := "arn:aws:iam::aws:policy/ReadOnlyAccess"
		out := must(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bound"), PermissionsBoundary: &view}))(t).User
		if *out.PermissionsBoundary.PermissionsBoundaryArn != view {
			t.Errorf("created %+v", out)
		}
		// Whoever may make users with one boundary only, makes no others.
		admin := w.user("limited", `"Action":"iam:CreateUser","Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+view+`"}}`)
		ok(t)(admin.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bound2"), PermissionsBoundary: &view}))
		denied(t)(admin.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bound3")}))
	})
	t.Run("Denied", func(t *testing.T) {
		// Tags need iam:TagUser as well, and who may not create is not told what is there.
		creator := w.user("creator", `"Action":"iam:CreateUser","Resource":"`+iamARN("user", "x*")+`"`)
		ok(t)(creator.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("x1")}))
		denied(t)(creator.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("x2"), Tags: red}))
		denied(t)(creator.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("Ann")}))
		if e := w.recorded(t, "CreateUser", "AccessDenied"); e.ErrorMessage == "" {
			t.Errorf("recorded %s", e.Raw)
		}
	})
}

func TestGetUser(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("Root", func(t *testing.T) {
		out := must(w.GetUser(ctx, &iam.GetUserInput{}))(t).User
		if *out.UserId != account || *out.Arn != "arn:aws:iam::"+account+":root" || out.CreateDate.IsZero() {
			t.Errorf("root is %+v", out)
		}
	})
	t.Run("Self", func(t *testing.T) {
		ann := w.user("ann", `"Action":"iam:GetUser","Resource":"`+iamARN("user", "${aws:username}")+`"`)
		if out := must(ann.GetUser(ctx, &iam.GetUserInput{}))(t).User; *out.UserName != "ann" {
			t.Errorf("ann is %+v", out)
		}
		denied(t)(ann.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("ben")}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		refused(t, "NoSuchEntity", noUser("nobody"))(w.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("nobody")}))
	})
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 7 {
		path := "/"
		if i%2 == 1 {
			path = "/odd/"
		}
		ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprint("u", i)), Path: &path}))
	}
	list := func(in *iam.ListUsersInput) (names []string, pages int) {
		t.Helper()
		for p := iam.NewListUsersPaginator(w.Client, in); p.HasMorePages(); pages++ {
			for _, u := range must(p.NextPage(ctx))(t).Users {
				names = append(names, *u.UserName)
			}
		}
		return names, pages
	}
	if names, pages := list(&iam.ListUsersInput{MaxItems: aws.Int32(3)}); pages != 3 || !slices.Equal(names, []string{"u0", "u1", "u2", "u3", "u4", "u5", "u6"}) {
		t.Errorf("listed %v on %d pages", names, pages)
	}
	if names, _ := list(&iam.ListUsersInput{PathPrefix: aws.String("/od"), MaxItems: aws.Int32(2)}); !slices.Equal(names, []string{"u1", "u3", "u5"}) {
		t.Errorf("listed %v", names)
	}
	refused(t, "ValidationError", "Invalid Marker.")(w.ListUsers(ctx, &iam.ListUsersInput{Marker: aws.String("x")}))
	denied(t)(w.user("nobody").ListUsers(ctx, nil))
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	w.newUser(t, "ben")
	before := must(w.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("ann")}))(t).User
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("g")}))
	ok(t)(w.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: aws.String("g"), UserName: aws.String("ann")}))
	key := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ann")}))(t).AccessKey
	ok(t)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("ann"), Password: aws.String("Secret-123")}))
	seed, serial := w.device(t, "phone")
	w.enable(t, "ann", serial, seed)
	t.Run("RenameTakesEverythingAlong", func(t *testing.T) {
		ok(t)(w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("ann"), NewUserName: aws.String("Anna"), NewPath: aws.String("/p/")}))
		after := must(w.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("Anna")}))(t).User
		if *after.UserId != *before.UserId || *after.Arn != iamARN("user/p", "Anna") || !after.CreateDate.Equal(*before.CreateDate) {
			t.Errorf("after the rename: %+v", after)
		}
		refused(t, "NoSuchEntity", noUser("ann"))(w.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("ann")}))
		if keys := must(w.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: aws.String("Anna")}))(t).AccessKeyMetadata; len(keys) != 1 || *keys[0].UserName != "Anna" {
			t.Errorf("access keys: %+v", keys)
		}
		ok(t)(w.GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: aws.String("Anna")}))
		if devices := must(w.ListMFADevices(ctx, &iam.ListMFADevicesInput{UserName: aws.String("Anna")}))(t).MFADevices; len(devices) != 1 || *devices[0].UserName != "Anna" {
			t.Errorf("devices: %+v", devices)
		}
		if g := must(w.GetGroup(ctx, &iam.GetGroupInput{GroupName: aws.String("g")}))(t); len(g.Users) != 1 || *g.Users[0].UserName != "Anna" {
			t.Errorf("the group's users: %+v", g.Users)
		}
		who := must(sts.NewFromConfig(w.As(*key.AccessKeyId, *key.SecretAccessKey)).GetCallerIdentity(ctx, nil))(t)
		if *who.Arn != iamARN("user/p", "Anna") {
			t.Errorf("the key's owner is %s", *who.Arn)
		}
	})
	t.Run("CaseAlone", func(t *testing.T) {
		ok(t)(w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("Anna"), NewUserName: aws.String("ANNA")}))
		ok(t)(w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("ANNA"), NewUserName: aws.String("Anna")}))
	})
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "User with name BEN already exists.")(w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("Anna"), NewUserName: aws.String("BEN")}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		refused(t, "NoSuchEntity", noUser("x"))(w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("x"), NewPath: aws.String("/")}))
	})
	t.Run("DeniedForTheNewName", func(t *testing.T) {
		limited := w.user("limited", `"Action":"iam:UpdateUser","Resource":["`+iamARN("user", "ben")+`","`+iamARN("user", "ben2")+`"]`)
		denied(t)(limited.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("ben"), NewUserName: aws.String("root")}))
		ok(t)(limited.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("ben"), NewUserName: aws.String("ben2")}))
	})
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann := aws.String("ann")
	remove := func() (any, error) { return w.DeleteUser(ctx, &iam.DeleteUserInput{UserName: ann}) }
	conflict := func(message string) { t.Helper(); refused(t, "DeleteConflict", message)(remove()) }
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("g")}))
	ok(t)(w.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: aws.String("g"), UserName: ann}))
	conflict("Cannot delete entity, must remove users from group first.")
	ok(t)(w.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: aws.String("g"), UserName: ann}))
	view := aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")
	ok(t)(w.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: ann, PolicyArn: view}))
	conflict("Cannot delete entity, must detach all policies first.")
	ok(t)(w.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: ann, PolicyArn: view}))
	ok(t)(w.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: ann, PolicyName: aws.String("p"), PolicyDocument: &anyone}))
	conflict("Cannot delete entity, must delete policies first.")
	ok(t)(w.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: ann, PolicyName: aws.String("p")}))
	key := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: ann}))(t).AccessKey
	conflict("Cannot delete entity, must delete access keys first.")
	ok(t)(w.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: ann, AccessKeyId: key.AccessKeyId}))
	ok(t)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: ann, Password: aws.String("Secret-123")}))
	conflict("Cannot delete entity, must delete login profile first.")
	ok(t)(w.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: ann}))
	seed, serial := w.device(t, "phone")
	w.enable(t, "ann", serial, seed)
	conflict("Cannot delete entity, must delete MFA device first.")
	ok(t)(w.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{UserName: ann, SerialNumber: &serial}))
	credential := must(w.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: ann, ServiceName: aws.String("codecommit.amazonaws.com")}))(t)
	conflict("Cannot delete entity, must remove referenced objects first.")
	ok(t)(w.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{
		UserName: ann, ServiceSpecificCredentialId: credential.ServiceSpecificCredential.ServiceSpecificCredentialId,
	}))
	denied(t)(w.user("nobody").DeleteUser(ctx, &iam.DeleteUserInput{UserName: ann}))
	ok(t)(remove())
	refused(t, "NoSuchEntity", noUser("ann"))(remove())
	w.recorded(t, "DeleteUser", "")
}

func TestUserTags(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann := aws.String("ann")
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	ok(t)(w.TagUser(ctx, &iam.TagUserInput{UserName: ann, Tags: []types.Tag{tag("a", "1"), tag("b", "2"), tag("c", "3")}}))
	ok(t)(w.TagUser(ctx, &iam.TagUserInput{UserName: ann, Tags: []types.Tag{tag("A", "4")}}))
	ok(t)(w.UntagUser(ctx, &iam.UntagUserInput{UserName: ann, TagKeys: []string{"B", "none"}}))
	var got []string
	for p := iam.NewListUserTagsPaginator(w.Client, &iam.ListUserTagsInput{UserName: ann, MaxItems: aws.Int32(1)}); p.HasMorePages(); {
		for _, tag := range must(p.NextPage(ctx))(t).Tags {
			got = append(got, *tag.Key+"="+*tag.Value)
		}
	}
	if !slices.Equal(got, []string{"A=4", "c=3"}) {
		t.Errorf("the tags are %v", got)
	}
	var many []types.Tag
	for i := range 49 {
		many = append(many, tag(fmt.Sprint("k", i), ""))
	}
	refused(t, "LimitExceeded", "-")(w.TagUser(ctx, &iam.TagUserInput{UserName: ann, Tags: many}))
	refused(t, "NoSuchEntity", noUser("x"))(w.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("x"), Tags: red}))
	refused(t, "NoSuchEntity", noUser("x"))(w.UntagUser(ctx, &iam.UntagUserInput{UserName: aws.String("x"), TagKeys: keys}))
	refused(t, "NoSuchEntity", noUser("x"))(w.ListUserTags(ctx, &iam.ListUserTagsInput{UserName: aws.String("x")}))
	// What policies say of tags, of the user and of the request, counts.
	tagger := w.user("tagger", `"Action":["iam:TagUser","iam:UntagUser"],"Resource":"*","Condition":{"StringEquals":{"iam:ResourceTag/c":"3"},"ForAllValues:StringEquals":{"aws:TagKeys":["d"]}}`)
	ok(t)(tagger.TagUser(ctx, &iam.TagUserInput{UserName: ann, Tags: []types.Tag{tag("d", "")}}))
	denied(t)(tagger.TagUser(ctx, &iam.TagUserInput{UserName: ann, Tags: []types.Tag{tag("e", "")}}))
	denied(t)(tagger.UntagUser(ctx, &iam.UntagUserInput{UserName: ann, TagKeys: []string{"A"}}))
	denied(t)(tagger.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("tagger"), Tags: []types.Tag{tag("d", "")}}))
}

// device makes a virtual device.
func (w *world) device(t *testing.T, name string) (totp.Seed, string) {
	t.Helper()
	out := must(w.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &name}))(t).VirtualMFADevice
	seed, err := totp.ParseSeed(string(out.Base32StringSeed))
	ok(t)(nil, err)
	return seed, *out.SerialNumber
}

// codes are what a device shows at a time and in the step after it.
func codes(seed totp.Seed, at time.Time) (*string, *string) {
	return aws.String(seed.Code(at)), aws.String(seed.Code(at.Add(totp.Period)))
}

// enable gives a user a device.
func (w *world) enable(t *testing.T, user, serial string, seed totp.Seed) {
	t.Helper()
	first, second := codes(seed, w.Now().Add(-totp.Period))
	ok(t)(w.EnableMFADevice(ctx, &iam.EnableMFADeviceInput{UserName: &user, SerialNumber: &serial, AuthenticationCode1: first, AuthenticationCode2: second}))
}

// text is a record as JSON, for looking for what must not be in it.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	ok(t)(nil, err)
	return string(b)
}
