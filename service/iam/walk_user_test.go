package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/holdfast-cloud/holdfast/engine/totp"
)

// populate makes what operations about users and the account need beside ann.
func (x *things) populate(t *testing.T) {
	t.Helper()
	w, name := x.w, new("ann")
	ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: new("bea"), Path: new("/team/")}))
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: new("crew")}))
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: new("free")}))
	ok(t)(w.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: new("crew"), UserName: name}))
	x.key = must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey.AccessKeyId
	ok(t)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: name, Password: new("Secret-123")}))
	x.seed, x.phone = w.device(t, "phone")
	x.spareSeed, x.spare = w.device(t, "spare")
	w.enable(t, "ann", x.phone, x.seed)
	ok(t)(w.UpdateAccountPasswordPolicy(ctx, nil))
	ok(t)(w.CreateAccountAlias(ctx, &iam.CreateAccountAliasInput{AccountAlias: new("fast")}))
	ok(t)(w.GenerateCredentialReport(ctx, nil))
}

var walkUsers = []walked{
	op("CreateUser", "user/x/new", (*iam.Client).CreateUser, func(*things) *iam.CreateUserInput {
		return &iam.CreateUserInput{UserName: new("new"), Path: new("/x/")}
	}),
	op("CreateUser", "user/tagged", (*iam.Client).CreateUser, func(*things) *iam.CreateUserInput {
		return &iam.CreateUserInput{UserName: new("tagged"), Tags: red}
	}).tagged("iam:TagUser"),
	op("GetUser", ann, (*iam.Client).GetUser, func(*things) *iam.GetUserInput {
		return &iam.GetUserInput{UserName: new("ann")}
	}),
	op("ListUsers", "user/", (*iam.Client).ListUsers, func(*things) *iam.ListUsersInput {
		return &iam.ListUsersInput{}
	}),
	op("UpdateUser", bea+" user/p/cid", (*iam.Client).UpdateUser, func(*things) *iam.UpdateUserInput {
		return &iam.UpdateUserInput{UserName: new("bea"), NewUserName: new("cid"), NewPath: new("/p/")}
	}),
	op("DeleteUser", bea, (*iam.Client).DeleteUser, func(*things) *iam.DeleteUserInput {
		return &iam.DeleteUserInput{UserName: new("bea")}
	}),
	op("TagUser", ann, (*iam.Client).TagUser, func(*things) *iam.TagUserInput {
		return &iam.TagUserInput{UserName: new("ann"), Tags: red}
	}),
	op("UntagUser", ann, (*iam.Client).UntagUser, func(*things) *iam.UntagUserInput {
		return &iam.UntagUserInput{UserName: new("ann"), TagKeys: keys}
	}),
	op("ListUserTags", ann, (*iam.Client).ListUserTags, func(*things) *iam.ListUserTagsInput {
		return &iam.ListUserTagsInput{UserName: new("ann")}
	}),

	op("CreateGroup", "group/x/new", (*iam.Client).CreateGroup, func(*things) *iam.CreateGroupInput {
		return &iam.CreateGroupInput{GroupName: new("new"), Path: new("/x/")}
	}),
	op("GetGroup", crew, (*iam.Client).GetGroup, func(*things) *iam.GetGroupInput {
		return &iam.GetGroupInput{GroupName: new("crew")}
	}),
	op("ListGroups", "group/", (*iam.Client).ListGroups, func(*things) *iam.ListGroupsInput {
		return &iam.ListGroupsInput{}
	}),
	op("UpdateGroup", crew+" group/p/cooks", (*iam.Client).UpdateGroup, func(*things) *iam.UpdateGroupInput {
		return &iam.UpdateGroupInput{GroupName: new("crew"), NewGroupName: new("cooks"), NewPath: new("/p/")}
	}),
	op("DeleteGroup", "group/free", (*iam.Client).DeleteGroup, func(*things) *iam.DeleteGroupInput {
		return &iam.DeleteGroupInput{GroupName: new("free")}
	}),
	op("AddUserToGroup", crew, (*iam.Client).AddUserToGroup, func(*things) *iam.AddUserToGroupInput {
		return &iam.AddUserToGroupInput{GroupName: new("crew"), UserName: new("bea")}
	}),
	op("RemoveUserFromGroup", crew, (*iam.Client).RemoveUserFromGroup, func(*things) *iam.RemoveUserFromGroupInput {
		return &iam.RemoveUserFromGroupInput{GroupName: new("crew"), UserName: new("ann")}
	}),
	op("ListGroupsForUser", ann, (*iam.Client).ListGroupsForUser, func(*things) *iam.ListGroupsForUserInput {
		return &iam.ListGroupsForUserInput{UserName: new("ann")}
	}),
}

var walkKeys = []walked{
	op("CreateAccessKey", bea, (*iam.Client).CreateAccessKey, func(*things) *iam.CreateAccessKeyInput {
		return &iam.CreateAccessKeyInput{UserName: new("bea")}
	}),
	op("ListAccessKeys", ann, (*iam.Client).ListAccessKeys, func(*things) *iam.ListAccessKeysInput {
		return &iam.ListAccessKeysInput{UserName: new("ann")}
	}),
	op("UpdateAccessKey", ann, (*iam.Client).UpdateAccessKey, func(x *things) *iam.UpdateAccessKeyInput {
		return &iam.UpdateAccessKeyInput{UserName: new("ann"), AccessKeyId: x.key, Status: types.StatusTypeInactive}
	}),
	op("DeleteAccessKey", ann, (*iam.Client).DeleteAccessKey, func(x *things) *iam.DeleteAccessKeyInput {
		return &iam.DeleteAccessKeyInput{UserName: new("ann"), AccessKeyId: x.key}
	}),
	op("GetAccessKeyLastUsed", ann, (*iam.Client).GetAccessKeyLastUsed, func(x *things) *iam.GetAccessKeyLastUsedInput {
		return &iam.GetAccessKeyLastUsedInput{AccessKeyId: x.key}
	}),

	op("CreateLoginProfile", bea, (*iam.Client).CreateLoginProfile, func(*things) *iam.CreateLoginProfileInput {
		return &iam.CreateLoginProfileInput{UserName: new("bea"), Password: new("Secret-123")}
	}),
	op("GetLoginProfile", ann, (*iam.Client).GetLoginProfile, func(*things) *iam.GetLoginProfileInput {
		return &iam.GetLoginProfileInput{UserName: new("ann")}
	}),
	op("UpdateLoginProfile", ann, (*iam.Client).UpdateLoginProfile, func(*things) *iam.UpdateLoginProfileInput {
		return &iam.UpdateLoginProfileInput{UserName: new("ann"), Password: new("Secret-456")}
	}),
	op("DeleteLoginProfile", ann, (*iam.Client).DeleteLoginProfile, func(*things) *iam.DeleteLoginProfileInput {
		return &iam.DeleteLoginProfileInput{UserName: new("ann")}
	}),
	op("ChangePassword", "user/ChangePassword", (*iam.Client).ChangePassword, func(*things) *iam.ChangePasswordInput {
		return &iam.ChangePasswordInput{OldPassword: new("Secret-123"), NewPassword: new("Secret-456")}
	}).after(func(t *testing.T, x *things) {
		x.w.user("ChangePassword") // changes its own
		ok(t)(x.w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: new("ChangePassword"), Password: new("Secret-123")}))
	}),

	op("CreateVirtualMFADevice", "mfa/x/new", (*iam.Client).CreateVirtualMFADevice, func(*things) *iam.CreateVirtualMFADeviceInput {
		return &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("new"), Path: new("/x/")}
	}),
	op("CreateVirtualMFADevice", "mfa/tagged", (*iam.Client).CreateVirtualMFADevice, func(*things) *iam.CreateVirtualMFADeviceInput {
		return &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("tagged"), Tags: red}
	}).tagged("iam:TagMFADevice"),
	op("EnableMFADevice", bea, (*iam.Client).EnableMFADevice, func(x *things) *iam.EnableMFADeviceInput {
		first, second := codes(x.spareSeed, x.w.Now().Add(-totp.Period))
		return &iam.EnableMFADeviceInput{UserName: new("bea"), SerialNumber: &x.spare, AuthenticationCode1: first, AuthenticationCode2: second}
	}),
	op("ResyncMFADevice", ann, (*iam.Client).ResyncMFADevice, func(x *things) *iam.ResyncMFADeviceInput {
		first, second := codes(x.seed, x.w.Now().Add(10*totp.Period)) // its clock is fast
		return &iam.ResyncMFADeviceInput{UserName: new("ann"), SerialNumber: &x.phone, AuthenticationCode1: first, AuthenticationCode2: second}
	}),
	op("DeactivateMFADevice", ann, (*iam.Client).DeactivateMFADevice, func(x *things) *iam.DeactivateMFADeviceInput {
		return &iam.DeactivateMFADeviceInput{UserName: new("ann"), SerialNumber: &x.phone}
	}),
	op("GetMFADevice", ann, (*iam.Client).GetMFADevice, func(x *things) *iam.GetMFADeviceInput {
		return &iam.GetMFADeviceInput{UserName: new("ann"), SerialNumber: &x.phone}
	}),
	op("ListMFADevices", ann, (*iam.Client).ListMFADevices, func(*things) *iam.ListMFADevicesInput {
		return &iam.ListMFADevicesInput{UserName: new("ann")}
	}),
	op("ListVirtualMFADevices", "*", (*iam.Client).ListVirtualMFADevices, func(*things) *iam.ListVirtualMFADevicesInput {
		return &iam.ListVirtualMFADevicesInput{}
	}),
	op("DeleteVirtualMFADevice", spare, (*iam.Client).DeleteVirtualMFADevice, func(x *things) *iam.DeleteVirtualMFADeviceInput {
		return &iam.DeleteVirtualMFADeviceInput{SerialNumber: &x.spare}
	}),
	op("TagMFADevice", phone, (*iam.Client).TagMFADevice, func(x *things) *iam.TagMFADeviceInput {
		return &iam.TagMFADeviceInput{SerialNumber: &x.phone, Tags: red}
	}),
	op("UntagMFADevice", phone, (*iam.Client).UntagMFADevice, func(x *things) *iam.UntagMFADeviceInput {
		return &iam.UntagMFADeviceInput{SerialNumber: &x.phone, TagKeys: keys}
	}),
	op("ListMFADeviceTags", phone, (*iam.Client).ListMFADeviceTags, func(x *things) *iam.ListMFADeviceTagsInput {
		return &iam.ListMFADeviceTagsInput{SerialNumber: &x.phone}
	}),
}
