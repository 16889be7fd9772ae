package iam_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/engine/actions"
	"github.com/holdfast-cloud/holdfast/engine/totp"
	"github.com/holdfast-cloud/holdfast/identity"
	walks "github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is the smallest request of an operation, and what it asks about: who may do that, and no more, succeeds.
type walked struct {
	name, as string // the second tells requests of one operation apart
	on       string // the resources after arn:aws:iam::account:, with spaces between and {place} for things.place, or * where the operation has none
	run      func(c *iam.Client, x *things) (any, error)

	// Further actions that are needed, with the statement that allows them.
	also, statement string
	// before makes what the request is about, where newThings does not. The operation has a cloud of its own.
	before func(t *testing.T, x *things)
}

// things are what walked operations are done to: the user ann, with credentials of all sorts, and bea, with none, the groups devs and crew, with ann, the role
// app, the instance profiles web, with the role, and bare, the server certificate site, and the following by their ARNs or IDs.
type things struct {
	w *world

	policy   string // /team/pol, which nobody has; it has the versions v1 and v2
	attached string // /team/used, which ann, devs and app have, and ann and app have as boundary
	oidc     string
	saml     string
	metadata string
	linked   string
	task     string // of a linked role that was deleted

	key, ssh, signing, service *string // of ann
	phone, spare               string  // MFA devices, ann's and nobody's
	seed, spareSeed            totp.Seed
	public                     *string // an SSH key
	cert                       *issued // a certificate that nobody has uploaded

	job   *string // of a report that was made
	place string  // the path of the account in its organization
}

func newThings(t *testing.T, w *world) *things {
	t.Helper()
	x := &things{w: w, metadata: idp(t)}
	x.policy = *must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("pol"), Path: new("/team/"), PolicyDocument: &anyone}))(t).Policy.Arn
	ok(t)(w.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &x.policy, PolicyDocument: &anyone}))
	x.attached = *must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("used"), Path: new("/team/"), PolicyDocument: &anyone}))(t).Policy.Arn
	held := identity.Permissions{Attached: []string{x.attached}, Boundary: x.attached, Inline: map[string]string{"in": anyone}}
	ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "ann", Permissions: held}))
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: new("devs")}))
	ok(t)(w.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: new("devs"), PolicyArn: &x.attached}))
	ok(t)(w.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: new("devs"), PolicyName: new("in"), PolicyDocument: &anyone}))
	for _, name := range []string{"app", "free"} {
		ok(t)(w.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustEC2, Path: new("/team/")}))
	}
	ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("app"), PolicyArn: &x.attached}))
	ok(t)(w.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: new("app"), PermissionsBoundary: &x.attached}))
	ok(t)(w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("app"), PolicyName: new("in"), PolicyDocument: &anyone}))
	for _, name := range []string{"web", "bare"} {
		ok(t)(w.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: &name}))
	}
	ok(t)(w.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: new("web"), RoleName: new("app")}))
	x.oidc = *must(w.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: new("https://id.example.com/x"), ClientIDList: []string{"one"}}))(t).OpenIDConnectProviderArn
	x.saml = *must(w.CreateSAMLProvider(ctx, &iam.CreateSAMLProviderInput{Name: new("corp"), SAMLMetadataDocument: &x.metadata}))(t).SAMLProviderArn
	x.linked = *must(w.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: new("config.amazonaws.com")}))(t).Role.RoleName
	gone := must(w.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: new("rds.amazonaws.com")}))(t).Role.RoleName
	x.task = *must(w.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: gone}))(t).DeletionTaskId
	ok(t)(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("free"), PolicyDocument: &anyone}))
	x.populate(t)
	x.equip(t)
	return x
}

const (
	ann, devs, app = "user/ann", "group/devs", "role/team/app"
	web, pol, used = "instance-profile/web", "policy/team/pol", "policy/team/used"
	oidc, saml     = "oidc-provider/id.example.com/x", "saml-provider/corp"
	bea, crew      = "user/team/bea", "group/crew"
	phone, spare   = "mfa/phone", "mfa/spare"
	site           = "server-certificate/site"
)

// op makes a walked operation of a method of the client and its input.
func op[In, Out any](name, on string, call func(*iam.Client, context.Context, *In, ...func(*iam.Options)) (*Out, error), in func(x *things) *In) walked {
	return walked{name: name, on: on, run: func(c *iam.Client, x *things) (any, error) { return call(c, ctx, in(x)) }}
}

// and is an operation that needs another action as well.
func (o walked) and(action, statement string) walked {
	o.also, o.statement = action, statement
	return o
}

// tagged is an operation that makes something with tags: they need permission as well.
func (o walked) tagged(action string) walked {
	o.as = "WithTags"
	return o.and(action, `"Action":"`+action+`","Resource":"arn:aws:iam::`+account+":"+o.on+`"`)
}

// after is an operation that needs something that others do not.
func (o walked) after(before func(t *testing.T, x *things)) walked {
	o.before = before
	return o
}

// called is another request of an operation.
func (o walked) called(as string) walked {
	o.as = as
	return o
}

var walk = slices.Concat([]walked{
	op("CreateRole", "role/x/new", (*iam.Client).CreateRole, func(*things) *iam.CreateRoleInput {
		return &iam.CreateRoleInput{RoleName: new("new"), Path: new("/x/"), AssumeRolePolicyDocument: &trustEC2}
	}),
	op("CreateRole", "role/tagged", (*iam.Client).CreateRole, func(*things) *iam.CreateRoleInput {
		return &iam.CreateRoleInput{RoleName: new("tagged"), AssumeRolePolicyDocument: &trustEC2, Tags: red}
	}).tagged("iam:TagRole"),
	op("GetRole", app, (*iam.Client).GetRole, func(*things) *iam.GetRoleInput { return &iam.GetRoleInput{RoleName: new("app")} }),
	op("ListRoles", "role/", (*iam.Client).ListRoles, func(*things) *iam.ListRolesInput { return &iam.ListRolesInput{} }),
	op("UpdateRole", app, (*iam.Client).UpdateRole, func(*things) *iam.UpdateRoleInput {
		return &iam.UpdateRoleInput{RoleName: new("app"), Description: new("d"), MaxSessionDuration: aws.Int32(7200)}
	}),
	op("UpdateRoleDescription", app, (*iam.Client).UpdateRoleDescription, func(*things) *iam.UpdateRoleDescriptionInput {
		return &iam.UpdateRoleDescriptionInput{RoleName: new("app"), Description: new("d")}
	}),
	op("UpdateAssumeRolePolicy", app, (*iam.Client).UpdateAssumeRolePolicy, func(*things) *iam.UpdateAssumeRolePolicyInput {
		return &iam.UpdateAssumeRolePolicyInput{RoleName: new("app"), PolicyDocument: &trustEC2}
	}),
	op("DeleteRole", "role/team/free", (*iam.Client).DeleteRole, func(*things) *iam.DeleteRoleInput { return &iam.DeleteRoleInput{RoleName: new("free")} }),
	op("TagRole", app, (*iam.Client).TagRole, func(*things) *iam.TagRoleInput { return &iam.TagRoleInput{RoleName: new("app"), Tags: red} }),
	op("UntagRole", app, (*iam.Client).UntagRole, func(*things) *iam.UntagRoleInput { return &iam.UntagRoleInput{RoleName: new("app"), TagKeys: keys} }),
	op("ListRoleTags", app, (*iam.Client).ListRoleTags, func(*things) *iam.ListRoleTagsInput { return &iam.ListRoleTagsInput{RoleName: new("app")} }),

	op("CreatePolicy", "policy/new", (*iam.Client).CreatePolicy, func(*things) *iam.CreatePolicyInput {
		return &iam.CreatePolicyInput{PolicyName: new("new"), PolicyDocument: &anyone}
	}),
	op("CreatePolicy", "policy/tagged", (*iam.Client).CreatePolicy, func(*things) *iam.CreatePolicyInput {
		return &iam.CreatePolicyInput{PolicyName: new("tagged"), PolicyDocument: &anyone, Tags: red}
	}).tagged("iam:TagPolicy"),
	op("GetPolicy", pol, (*iam.Client).GetPolicy, func(x *things) *iam.GetPolicyInput { return &iam.GetPolicyInput{PolicyArn: &x.policy} }),
	op("ListPolicies", "*", (*iam.Client).ListPolicies, func(*things) *iam.ListPoliciesInput { return &iam.ListPoliciesInput{} }),
	op("CreatePolicyVersion", pol, (*iam.Client).CreatePolicyVersion, func(x *things) *iam.CreatePolicyVersionInput {
		return &iam.CreatePolicyVersionInput{PolicyArn: &x.policy, PolicyDocument: &anyone}
	}),
	op("GetPolicyVersion", pol, (*iam.Client).GetPolicyVersion, func(x *things) *iam.GetPolicyVersionInput {
		return &iam.GetPolicyVersionInput{PolicyArn: &x.policy, VersionId: new("v1")}
	}),
	op("ListPolicyVersions", pol, (*iam.Client).ListPolicyVersions, func(x *things) *iam.ListPolicyVersionsInput {
		return &iam.ListPolicyVersionsInput{PolicyArn: &x.policy}
	}),
	op("SetDefaultPolicyVersion", pol, (*iam.Client).SetDefaultPolicyVersion, func(x *things) *iam.SetDefaultPolicyVersionInput {
		return &iam.SetDefaultPolicyVersionInput{PolicyArn: &x.policy, VersionId: new("v2")}
	}),
	op("DeletePolicyVersion", pol, (*iam.Client).DeletePolicyVersion, func(x *things) *iam.DeletePolicyVersionInput {
		return &iam.DeletePolicyVersionInput{PolicyArn: &x.policy, VersionId: new("v2")}
	}),
	op("DeletePolicy", "policy/free", (*iam.Client).DeletePolicy, func(*things) *iam.DeletePolicyInput {
		return &iam.DeletePolicyInput{PolicyArn: new(iamARN("policy", "free"))}
	}),
	op("TagPolicy", pol, (*iam.Client).TagPolicy, func(x *things) *iam.TagPolicyInput { return &iam.TagPolicyInput{PolicyArn: &x.policy, Tags: red} }),
	op("UntagPolicy", pol, (*iam.Client).UntagPolicy, func(x *things) *iam.UntagPolicyInput {
		return &iam.UntagPolicyInput{PolicyArn: &x.policy, TagKeys: keys}
	}),
	op("ListPolicyTags", pol, (*iam.Client).ListPolicyTags, func(x *things) *iam.ListPolicyTagsInput { return &iam.ListPolicyTagsInput{PolicyArn: &x.policy} }),
	op("ListEntitiesForPolicy", used, (*iam.Client).ListEntitiesForPolicy, func(x *things) *iam.ListEntitiesForPolicyInput {
		return &iam.ListEntitiesForPolicyInput{PolicyArn: &x.attached}
	}),
}, walkHeld, walkProvided, walkUsers, walkKeys, walkCredentials, walkAccount, walkReports)

var walkHeld = []walked{
	op("AttachUserPolicy", ann, (*iam.Client).AttachUserPolicy, func(x *things) *iam.AttachUserPolicyInput {
		return &iam.AttachUserPolicyInput{UserName: new("ann"), PolicyArn: &x.policy}
	}),
	op("AttachGroupPolicy", devs, (*iam.Client).AttachGroupPolicy, func(x *things) *iam.AttachGroupPolicyInput {
		return &iam.AttachGroupPolicyInput{GroupName: new("devs"), PolicyArn: &x.policy}
	}),
	op("AttachRolePolicy", app, (*iam.Client).AttachRolePolicy, func(x *things) *iam.AttachRolePolicyInput {
		return &iam.AttachRolePolicyInput{RoleName: new("app"), PolicyArn: &x.policy}
	}),
	op("DetachUserPolicy", ann, (*iam.Client).DetachUserPolicy, func(x *things) *iam.DetachUserPolicyInput {
		return &iam.DetachUserPolicyInput{UserName: new("ann"), PolicyArn: &x.attached}
	}),
	op("DetachGroupPolicy", devs, (*iam.Client).DetachGroupPolicy, func(x *things) *iam.DetachGroupPolicyInput {
		return &iam.DetachGroupPolicyInput{GroupName: new("devs"), PolicyArn: &x.attached}
	}),
	op("DetachRolePolicy", app, (*iam.Client).DetachRolePolicy, func(x *things) *iam.DetachRolePolicyInput {
		return &iam.DetachRolePolicyInput{RoleName: new("app"), PolicyArn: &x.attached}
	}),
	op("ListAttachedUserPolicies", ann, (*iam.Client).ListAttachedUserPolicies, func(*things) *iam.ListAttachedUserPoliciesInput {
		return &iam.ListAttachedUserPoliciesInput{UserName: new("ann")}
	}),
	op("ListAttachedGroupPolicies", devs, (*iam.Client).ListAttachedGroupPolicies, func(*things) *iam.ListAttachedGroupPoliciesInput {
		return &iam.ListAttachedGroupPoliciesInput{GroupName: new("devs")}
	}),
	op("ListAttachedRolePolicies", app, (*iam.Client).ListAttachedRolePolicies, func(*things) *iam.ListAttachedRolePoliciesInput {
		return &iam.ListAttachedRolePoliciesInput{RoleName: new("app")}
	}),
	op("PutUserPolicy", ann, (*iam.Client).PutUserPolicy, func(*things) *iam.PutUserPolicyInput {
		return &iam.PutUserPolicyInput{UserName: new("ann"), PolicyName: new("new"), PolicyDocument: &anyone}
	}),
	op("PutGroupPolicy", devs, (*iam.Client).PutGroupPolicy, func(*things) *iam.PutGroupPolicyInput {
		return &iam.PutGroupPolicyInput{GroupName: new("devs"), PolicyName: new("new"), PolicyDocument: &anyone}
	}),
	op("PutRolePolicy", app, (*iam.Client).PutRolePolicy, func(*things) *iam.PutRolePolicyInput {
		return &iam.PutRolePolicyInput{RoleName: new("app"), PolicyName: new("new"), PolicyDocument: &anyone}
	}),
	op("GetUserPolicy", ann, (*iam.Client).GetUserPolicy, func(*things) *iam.GetUserPolicyInput {
		return &iam.GetUserPolicyInput{UserName: new("ann"), PolicyName: new("in")}
	}),
	op("GetGroupPolicy", devs, (*iam.Client).GetGroupPolicy, func(*things) *iam.GetGroupPolicyInput {
		return &iam.GetGroupPolicyInput{GroupName: new("devs"), PolicyName: new("in")}
	}),
	op("GetRolePolicy", app, (*iam.Client).GetRolePolicy, func(*things) *iam.GetRolePolicyInput {
		return &iam.GetRolePolicyInput{RoleName: new("app"), PolicyName: new("in")}
	}),
	op("DeleteUserPolicy", ann, (*iam.Client).DeleteUserPolicy, func(*things) *iam.DeleteUserPolicyInput {
		return &iam.DeleteUserPolicyInput{UserName: new("ann"), PolicyName: new("in")}
	}),
	op("DeleteGroupPolicy", devs, (*iam.Client).DeleteGroupPolicy, func(*things) *iam.DeleteGroupPolicyInput {
		return &iam.DeleteGroupPolicyInput{GroupName: new("devs"), PolicyName: new("in")}
	}),
	op("DeleteRolePolicy", app, (*iam.Client).DeleteRolePolicy, func(*things) *iam.DeleteRolePolicyInput {
		return &iam.DeleteRolePolicyInput{RoleName: new("app"), PolicyName: new("in")}
	}),
	op("ListUserPolicies", ann, (*iam.Client).ListUserPolicies, func(*things) *iam.ListUserPoliciesInput {
		return &iam.ListUserPoliciesInput{UserName: new("ann")}
	}),
	op("ListGroupPolicies", devs, (*iam.Client).ListGroupPolicies, func(*things) *iam.ListGroupPoliciesInput {
		return &iam.ListGroupPoliciesInput{GroupName: new("devs")}
	}),
	op("ListRolePolicies", app, (*iam.Client).ListRolePolicies, func(*things) *iam.ListRolePoliciesInput {
		return &iam.ListRolePoliciesInput{RoleName: new("app")}
	}),
	op("PutUserPermissionsBoundary", ann, (*iam.Client).PutUserPermissionsBoundary, func(x *things) *iam.PutUserPermissionsBoundaryInput {
		return &iam.PutUserPermissionsBoundaryInput{UserName: new("ann"), PermissionsBoundary: &x.policy}
	}),
	op("PutRolePermissionsBoundary", app, (*iam.Client).PutRolePermissionsBoundary, func(x *things) *iam.PutRolePermissionsBoundaryInput {
		return &iam.PutRolePermissionsBoundaryInput{RoleName: new("app"), PermissionsBoundary: &x.policy}
	}),
	op("DeleteUserPermissionsBoundary", ann, (*iam.Client).DeleteUserPermissionsBoundary, func(*things) *iam.DeleteUserPermissionsBoundaryInput {
		return &iam.DeleteUserPermissionsBoundaryInput{UserName: new("ann")}
	}),
	op("DeleteRolePermissionsBoundary", app, (*iam.Client).DeleteRolePermissionsBoundary, func(*things) *iam.DeleteRolePermissionsBoundaryInput {
		return &iam.DeleteRolePermissionsBoundaryInput{RoleName: new("app")}
	}),
}

var walkProvided = []walked{
	op("CreateInstanceProfile", "instance-profile/new", (*iam.Client).CreateInstanceProfile, func(*things) *iam.CreateInstanceProfileInput {
		return &iam.CreateInstanceProfileInput{InstanceProfileName: new("new")}
	}),
	op("CreateInstanceProfile", "instance-profile/tagged", (*iam.Client).CreateInstanceProfile, func(*things) *iam.CreateInstanceProfileInput {
		return &iam.CreateInstanceProfileInput{InstanceProfileName: new("tagged"), Tags: red}
	}).tagged("iam:TagInstanceProfile"),
	op("GetInstanceProfile", web, (*iam.Client).GetInstanceProfile, func(*things) *iam.GetInstanceProfileInput {
		return &iam.GetInstanceProfileInput{InstanceProfileName: new("web")}
	}),
	op("ListInstanceProfiles", "instance-profile/", (*iam.Client).ListInstanceProfiles, func(*things) *iam.ListInstanceProfilesInput { return &iam.ListInstanceProfilesInput{} }),
	op("ListInstanceProfilesForRole", app, (*iam.Client).ListInstanceProfilesForRole, func(*things) *iam.ListInstanceProfilesForRoleInput {
		return &iam.ListInstanceProfilesForRoleInput{RoleName: new("app")}
	}),
	op("AddRoleToInstanceProfile", "instance-profile/bare", (*iam.Client).AddRoleToInstanceProfile, func(*things) *iam.AddRoleToInstanceProfileInput {
		return &iam.AddRoleToInstanceProfileInput{InstanceProfileName: new("bare"), RoleName: new("app")}
	}).and("iam:PassRole", `"Action":"iam:PassRole","Resource":"`+iamARN("role", "team/app")+`","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}`),
	op("RemoveRoleFromInstanceProfile", web, (*iam.Client).RemoveRoleFromInstanceProfile, func(*things) *iam.RemoveRoleFromInstanceProfileInput {
		return &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: new("web"), RoleName: new("app")}
	}),
	op("DeleteInstanceProfile", "instance-profile/bare", (*iam.Client).DeleteInstanceProfile, func(*things) *iam.DeleteInstanceProfileInput {
		return &iam.DeleteInstanceProfileInput{InstanceProfileName: new("bare")}
	}),
	op("TagInstanceProfile", web, (*iam.Client).TagInstanceProfile, func(*things) *iam.TagInstanceProfileInput {
		return &iam.TagInstanceProfileInput{InstanceProfileName: new("web"), Tags: red}
	}),
	op("UntagInstanceProfile", web, (*iam.Client).UntagInstanceProfile, func(*things) *iam.UntagInstanceProfileInput {
		return &iam.UntagInstanceProfileInput{InstanceProfileName: new("web"), TagKeys: keys}
	}),
	op("ListInstanceProfileTags", web, (*iam.Client).ListInstanceProfileTags, func(*things) *iam.ListInstanceProfileTagsInput {
		return &iam.ListInstanceProfileTagsInput{InstanceProfileName: new("web")}
	}),

	op("CreateServiceLinkedRole", "role/aws-service-role/guardduty.amazonaws.com/AWSServiceRoleForAmazonGuardDuty", (*iam.Client).CreateServiceLinkedRole,
		func(*things) *iam.CreateServiceLinkedRoleInput {
			return &iam.CreateServiceLinkedRoleInput{AWSServiceName: new("guardduty.amazonaws.com")}
		}),
	op("DeleteServiceLinkedRole", "role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig", (*iam.Client).DeleteServiceLinkedRole,
		func(x *things) *iam.DeleteServiceLinkedRoleInput {
			return &iam.DeleteServiceLinkedRoleInput{RoleName: &x.linked}
		}),
	op("GetServiceLinkedRoleDeletionStatus", "role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS", (*iam.Client).GetServiceLinkedRoleDeletionStatus,
		func(x *things) *iam.GetServiceLinkedRoleDeletionStatusInput {
			return &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: &x.task}
		}),

	op("CreateOpenIDConnectProvider", "oidc-provider/new.example.com", (*iam.Client).CreateOpenIDConnectProvider,
		func(*things) *iam.CreateOpenIDConnectProviderInput {
			return &iam.CreateOpenIDConnectProviderInput{Url: new("https://new.example.com")}
		}),
	op("CreateOpenIDConnectProvider", "oidc-provider/tagged.example.com", (*iam.Client).CreateOpenIDConnectProvider,
		func(*things) *iam.CreateOpenIDConnectProviderInput {
			return &iam.CreateOpenIDConnectProviderInput{Url: new("https://tagged.example.com"), Tags: red}
		}).tagged("iam:TagOpenIDConnectProvider"),
	op("GetOpenIDConnectProvider", oidc, (*iam.Client).GetOpenIDConnectProvider, func(x *things) *iam.GetOpenIDConnectProviderInput {
		return &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &x.oidc}
	}),
	op("ListOpenIDConnectProviders", "*", (*iam.Client).ListOpenIDConnectProviders, func(*things) *iam.ListOpenIDConnectProvidersInput {
		return &iam.ListOpenIDConnectProvidersInput{}
	}),
	op("AddClientIDToOpenIDConnectProvider", oidc, (*iam.Client).AddClientIDToOpenIDConnectProvider, func(x *things) *iam.AddClientIDToOpenIDConnectProviderInput {
		return &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: &x.oidc, ClientID: new("two")}
	}),
	op("RemoveClientIDFromOpenIDConnectProvider", oidc, (*iam.Client).RemoveClientIDFromOpenIDConnectProvider,
		func(x *things) *iam.RemoveClientIDFromOpenIDConnectProviderInput {
			return &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: &x.oidc, ClientID: new("one")}
		}),
	op("UpdateOpenIDConnectProviderThumbprint", oidc, (*iam.Client).UpdateOpenIDConnectProviderThumbprint,
		func(x *things) *iam.UpdateOpenIDConnectProviderThumbprintInput {
			return &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: &x.oidc, ThumbprintList: []string{thumbprint}}
		}),
	op("DeleteOpenIDConnectProvider", oidc, (*iam.Client).DeleteOpenIDConnectProvider, func(x *things) *iam.DeleteOpenIDConnectProviderInput {
		return &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &x.oidc}
	}),
	op("TagOpenIDConnectProvider", oidc, (*iam.Client).TagOpenIDConnectProvider, func(x *things) *iam.TagOpenIDConnectProviderInput {
		return &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: &x.oidc, Tags: red}
	}),
	op("UntagOpenIDConnectProvider", oidc, (*iam.Client).UntagOpenIDConnectProvider, func(x *things) *iam.UntagOpenIDConnectProviderInput {
		return &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: &x.oidc, TagKeys: keys}
	}),
	op("ListOpenIDConnectProviderTags", oidc, (*iam.Client).ListOpenIDConnectProviderTags, func(x *things) *iam.ListOpenIDConnectProviderTagsInput {
		return &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: &x.oidc}
	}),

	op("CreateSAMLProvider", "saml-provider/new", (*iam.Client).CreateSAMLProvider, func(x *things) *iam.CreateSAMLProviderInput {
		return &iam.CreateSAMLProviderInput{Name: new("new"), SAMLMetadataDocument: &x.metadata}
	}),
	op("CreateSAMLProvider", "saml-provider/tagged", (*iam.Client).CreateSAMLProvider, func(x *things) *iam.CreateSAMLProviderInput {
		return &iam.CreateSAMLProviderInput{Name: new("tagged"), SAMLMetadataDocument: &x.metadata, Tags: red}
	}).tagged("iam:TagSAMLProvider"),
	op("UpdateSAMLProvider", saml, (*iam.Client).UpdateSAMLProvider, func(x *things) *iam.UpdateSAMLProviderInput {
		return &iam.UpdateSAMLProviderInput{SAMLProviderArn: &x.saml, SAMLMetadataDocument: &x.metadata}
	}),
	op("GetSAMLProvider", saml, (*iam.Client).GetSAMLProvider, func(x *things) *iam.GetSAMLProviderInput { return &iam.GetSAMLProviderInput{SAMLProviderArn: &x.saml} }),
	op("ListSAMLProviders", "*", (*iam.Client).ListSAMLProviders, func(*things) *iam.ListSAMLProvidersInput { return &iam.ListSAMLProvidersInput{} }),
	op("DeleteSAMLProvider", saml, (*iam.Client).DeleteSAMLProvider, func(x *things) *iam.DeleteSAMLProviderInput {
		return &iam.DeleteSAMLProviderInput{SAMLProviderArn: &x.saml}
	}),
	op("TagSAMLProvider", saml, (*iam.Client).TagSAMLProvider, func(x *things) *iam.TagSAMLProviderInput {
		return &iam.TagSAMLProviderInput{SAMLProviderArn: &x.saml, Tags: red}
	}),
	op("UntagSAMLProvider", saml, (*iam.Client).UntagSAMLProvider, func(x *things) *iam.UntagSAMLProviderInput {
		return &iam.UntagSAMLProviderInput{SAMLProviderArn: &x.saml, TagKeys: keys}
	}),
	op("ListSAMLProviderTags", saml, (*iam.Client).ListSAMLProviderTags, func(x *things) *iam.ListSAMLProviderTagsInput {
		return &iam.ListSAMLProviderTagsInput{SAMLProviderArn: &x.saml}
	}),

	op("GetAccountAuthorizationDetails", "*", (*iam.Client).GetAccountAuthorizationDetails, func(*things) *iam.GetAccountAuthorizationDetailsInput {
		return &iam.GetAccountAuthorizationDetailsInput{}
	}),
}

// shares reports whether an operation leaves everything as others need it, so that it can share a cloud with them.
func (o *walked) shares() bool {
	return o.before == nil && slices.ContainsFunc([]string{"Get", "List", "Simulate", "Generate", "Create", "Upload", "Add", "Attach", "Put", "Tag", "Untag"},
		func(verb string) bool { return strings.HasPrefix(o.name, verb) })
}

// lists reports whether an operation asks about the path that it lists. The reference gives those no resource, and a path is none that trails have a type for.
func (o *walked) lists() bool { return strings.HasSuffix(o.on, "/") }

// resources are the ARNs of those that the operation asks about, or *.
func (o *walked) resources(x *things) []string {
	if o.on == "*" {
		return []string{"*"}
	}
	var all []string
	for name := range strings.FieldsSeq(strings.ReplaceAll(o.on, "{place}", x.place)) {
		all = append(all, "arn:aws:iam::"+account+":"+name)
	}
	return all
}

// TestWalk proves for every operation that a principal without permission is denied, that the same principal with just that action on just that resource is
// not, and that both are on record.
func TestWalk(t *testing.T) {
	t.Parallel()
	shared := newThings(t, start(t))
	var done []string
	for _, o := range walk {
		done = append(done, o.name)
		t.Run(o.name+o.as, func(t *testing.T) {
			t.Parallel()
			x := shared
			if !o.shares() {
				x = newThings(t, start(t))
			}
			if o.before != nil {
				o.before(t, x)
			}
			o.test(t, x)
		})
	}
	if err := walks.Check(walks.File, done, nil); err != nil {
		t.Error(err)
	}
}

func (o *walked) test(t *testing.T, x *things) {
	who, own := o.name+o.as, "iam:"+o.name
	on := o.resources(x)
	allow := func(resources []string) string {
		return `"Action":"` + own + `","Resource":["` + strings.Join(resources, `","`) + `"]`
	}
	lacking := func(action string, statements ...string) {
		t.Helper()
		_, err := o.run(x.w.user(who, statements...), x)
		if e, is := errors.AsType[smithy.APIError](err); !is || e.ErrorCode() != "AccessDenied" || !strings.Contains(e.ErrorMessage(), action+" on resource: ") {
			t.Fatalf("with %v: got %v, want a refusal that names %s", statements, err, action)
		}
	}
	lacking(own)
	lacking(own, `"NotAction":"`+own+`","Resource":"*"`)
	if o.on != "*" {
		for i, name := range on { // all but one are not enough
			rest := slices.Delete(slices.Clone(on), i, i+1)
			statements := []string{`"Action":"` + own + `","NotResource":"` + name + `"`, `"NotAction":"` + own + `","Resource":"*"`}
			if len(rest) > 0 {
				statements[0] = allow(rest)
			}
			lacking(own, statements...)
		}
	}
	statements := []string{allow(on)}
	if o.also != "" {
		lacking(o.also, statements...)
		statements = append(statements, o.statement)
	}
	ok(t)(o.run(x.w.user(who, statements...), x))

	for _, code := range []string{"AccessDenied", ""} {
		e := x.w.recordedOf(t, who, o.name, code)
		if e.EventSource != "iam.amazonaws.com" || e.EventType != "AwsApiCall" || e.RecipientAccountID != account {
			t.Errorf("recorded as %s", e.Raw)
		}
		if strings.Contains(string(e.Raw), "PRIVATE KEY") {
			t.Error("a private key is in the audit record")
		}
		if o.on == "*" || o.lists() || code != "" || o.name == "GenerateOrganizationsAccessReport" { // a report is no resource that trails have a type for
			continue
		}
		for _, name := range on {
			if !slices.ContainsFunc(e.Resources, func(r struct{ AccountID, Type, ARN string }) bool {
				return r.ARN == name && r.Type != "" && r.AccountID == account
			}) {
				t.Errorf("the record has the resources %v, want %s", e.Resources, name)
			}
		}
	}
}

// recordedOf returns the last audit record of a user's operation that ended with the error code, or with success if that is "".
func (w *world) recordedOf(t *testing.T, user, operation, code string) (e cloudtest.Event) {
	t.Helper()
	raw, err := w.Events(ctx, audit.Filter{Account: account})
	ok(t)(raw, err)
	for _, r := range slices.Backward(raw) {
		if !bytes.Contains(r, []byte(`/`+user+`"`)) {
			continue
		}
		e = cloudtest.Event{Raw: r}
		ok(t)(nil, json.Unmarshal(r, &e))
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == iamARN("user", user) {
			return e
		}
	}
	t.Fatalf("there is no record of %s ending with %q", operation, code)
	return e
}

// TestWalkReference holds what the walk asks about against AWS's Service Authorization Reference.
func TestWalkReference(t *testing.T) {
	t.Parallel()
	service, _ := actions.Find("iam")
	part := regexp.MustCompile(`\\\$\\{[^}]*\\}`)
	for _, o := range walk {
		a, found := service.Action(o.name)
		if !found {
			t.Errorf("%s is no action", o.name)
			continue
		}
		if o.on == "*" || o.lists() {
			if len(a.Resources) > 0 {
				t.Errorf("%s is walked on *, and has the resources %v", o.name, a.Resources)
			}
			continue
		}
		for _, name := range o.resources(new(things)) {
			if !slices.ContainsFunc(a.Resources, func(pattern string) bool {
				return regexp.MustCompile("^" + part.ReplaceAllString(regexp.QuoteMeta(pattern), ".*") + "$").MatchString(name)
			}) {
				t.Errorf("%s is walked on %s, and has the resources %v", o.name, name, a.Resources)
			}
		}
	}
}
