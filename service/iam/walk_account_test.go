package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
)

// organize makes the account the management account of an organization that IAM works with.
func organize(t *testing.T, x *things) {
	t.Helper()
	orgs := organizations.NewFromConfig(x.w.Config())
	o := must(orgs.CreateOrganization(ctx, nil))(t).Organization
	root := must(orgs.ListRoots(ctx, nil))(t).Roots[0].Id
	ok(t)(orgs.EnablePolicyType(ctx, &organizations.EnablePolicyTypeInput{RootId: root, PolicyType: "SERVICE_CONTROL_POLICY"}))
	ok(t)(orgs.EnableAWSServiceAccess(ctx, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: new("iam.amazonaws.com")}))
	x.place = *o.Id + "/" + *root + "/" + account
}

var walkAccount = []walked{
	op("CreateAccountAlias", "*", (*iam.Client).CreateAccountAlias, func(*things) *iam.CreateAccountAliasInput {
		return &iam.CreateAccountAliasInput{AccountAlias: new("slow")}
	}),
	op("ListAccountAliases", "*", (*iam.Client).ListAccountAliases, func(*things) *iam.ListAccountAliasesInput {
		return &iam.ListAccountAliasesInput{}
	}),
	op("DeleteAccountAlias", "*", (*iam.Client).DeleteAccountAlias, func(*things) *iam.DeleteAccountAliasInput {
		return &iam.DeleteAccountAliasInput{AccountAlias: new("fast")}
	}),
	op("GetAccountSummary", "*", (*iam.Client).GetAccountSummary, func(*things) *iam.GetAccountSummaryInput {
		return &iam.GetAccountSummaryInput{}
	}),
	op("UpdateAccountPasswordPolicy", "*", (*iam.Client).UpdateAccountPasswordPolicy, func(*things) *iam.UpdateAccountPasswordPolicyInput {
		return &iam.UpdateAccountPasswordPolicyInput{}
	}),
	op("GetAccountPasswordPolicy", "*", (*iam.Client).GetAccountPasswordPolicy, func(*things) *iam.GetAccountPasswordPolicyInput {
		return &iam.GetAccountPasswordPolicyInput{}
	}),
	op("DeleteAccountPasswordPolicy", "*", (*iam.Client).DeleteAccountPasswordPolicy, func(*things) *iam.DeleteAccountPasswordPolicyInput {
		return &iam.DeleteAccountPasswordPolicyInput{}
	}),
	op("GenerateCredentialReport", "*", (*iam.Client).GenerateCredentialReport, func(*things) *iam.GenerateCredentialReportInput {
		return &iam.GenerateCredentialReportInput{}
	}),
	op("GetCredentialReport", "*", (*iam.Client).GetCredentialReport, func(*things) *iam.GetCredentialReportInput {
		return &iam.GetCredentialReportInput{}
	}),
	op("SetSecurityTokenServicePreferences", "*", (*iam.Client).SetSecurityTokenServicePreferences,
		func(*things) *iam.SetSecurityTokenServicePreferencesInput {
			return &iam.SetSecurityTokenServicePreferencesInput{GlobalEndpointTokenVersion: types.GlobalEndpointTokenVersionV2Token}
		}),
	op("EnableOutboundWebIdentityFederation", "*", (*iam.Client).EnableOutboundWebIdentityFederation,
		func(*things) *iam.EnableOutboundWebIdentityFederationInput {
			return &iam.EnableOutboundWebIdentityFederationInput{}
		}),
	op("GetOutboundWebIdentityFederationInfo", "*", (*iam.Client).GetOutboundWebIdentityFederationInfo,
		func(*things) *iam.GetOutboundWebIdentityFederationInfoInput {
			return &iam.GetOutboundWebIdentityFederationInfoInput{}
		}).after(func(t *testing.T, x *things) { ok(t)(x.w.EnableOutboundWebIdentityFederation(ctx, nil)) }),
	op("DisableOutboundWebIdentityFederation", "*", (*iam.Client).DisableOutboundWebIdentityFederation,
		func(*things) *iam.DisableOutboundWebIdentityFederationInput {
			return &iam.DisableOutboundWebIdentityFederationInput{}
		}).after(func(t *testing.T, x *things) { ok(t)(x.w.EnableOutboundWebIdentityFederation(ctx, nil)) }),

	op("ListOrganizationsFeatures", "*", (*iam.Client).ListOrganizationsFeatures, func(*things) *iam.ListOrganizationsFeaturesInput {
		return &iam.ListOrganizationsFeaturesInput{}
	}).after(organize),
	op("EnableOrganizationsRootSessions", "*", (*iam.Client).EnableOrganizationsRootSessions, func(*things) *iam.EnableOrganizationsRootSessionsInput {
		return &iam.EnableOrganizationsRootSessionsInput{}
	}).after(organize),
	op("DisableOrganizationsRootSessions", "*", (*iam.Client).DisableOrganizationsRootSessions,
		func(*things) *iam.DisableOrganizationsRootSessionsInput {
			return &iam.DisableOrganizationsRootSessionsInput{}
		}).after(organize),
	op("EnableOrganizationsRootCredentialsManagement", "*", (*iam.Client).EnableOrganizationsRootCredentialsManagement,
		func(*things) *iam.EnableOrganizationsRootCredentialsManagementInput {
			return &iam.EnableOrganizationsRootCredentialsManagementInput{}
		}).after(organize),
	op("DisableOrganizationsRootCredentialsManagement", "*", (*iam.Client).DisableOrganizationsRootCredentialsManagement,
		func(*things) *iam.DisableOrganizationsRootCredentialsManagementInput {
			return &iam.DisableOrganizationsRootCredentialsManagementInput{}
		}).after(organize),
}

func thatIs(name string) *string { return new("arn:aws:iam::" + account + ":" + name) }

// accessReport has a user make a report, which nobody else can have.
func accessReport(user string) func(t *testing.T, x *things) {
	return func(t *testing.T, x *things) {
		t.Helper()
		c := x.w.user(user, `"Action":"iam:GenerateServiceLastAccessedDetails","Resource":"*"`)
		x.job = must(c.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: thatIs(ann)}))(t).JobId
	}
}

// readOrganizations is what a report on an organization needs as well.
const readOrganizations = `"Action":["organizations:Describe*","organizations:List*"],"Resource":"*"`

// placeReport has a user make a report on the account's place in its organization.
func placeReport(user string) func(t *testing.T, x *things) {
	return func(t *testing.T, x *things) {
		t.Helper()
		organize(t, x)
		c := x.w.user(user, `"Action":"iam:GenerateOrganizationsAccessReport","Resource":"*"`, readOrganizations)
		x.job = must(c.GenerateOrganizationsAccessReport(ctx, &iam.GenerateOrganizationsAccessReportInput{EntityPath: &x.place}))(t).JobId
	}
}

// walkReports: simulations and reports ask about whom they are about.
var walkReports = []walked{
	op("GetContextKeysForPrincipalPolicy", ann, (*iam.Client).GetContextKeysForPrincipalPolicy,
		func(*things) *iam.GetContextKeysForPrincipalPolicyInput {
			return &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: thatIs(ann)}
		}),
	op("GetContextKeysForPrincipalPolicy", devs, (*iam.Client).GetContextKeysForPrincipalPolicy,
		func(*things) *iam.GetContextKeysForPrincipalPolicyInput {
			return &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: thatIs(devs)}
		}).called("OfGroup"),
	op("GetContextKeysForPrincipalPolicy", app, (*iam.Client).GetContextKeysForPrincipalPolicy,
		func(*things) *iam.GetContextKeysForPrincipalPolicyInput {
			return &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: thatIs(app)}
		}).called("OfRole"),
	op("SimulatePrincipalPolicy", ann, (*iam.Client).SimulatePrincipalPolicy, func(*things) *iam.SimulatePrincipalPolicyInput {
		return &iam.SimulatePrincipalPolicyInput{PolicySourceArn: thatIs(ann), ActionNames: []string{"s3:GetObject"}}
	}),
	op("SimulatePrincipalPolicy", devs, (*iam.Client).SimulatePrincipalPolicy, func(*things) *iam.SimulatePrincipalPolicyInput {
		return &iam.SimulatePrincipalPolicyInput{PolicySourceArn: thatIs(devs), ActionNames: []string{"s3:GetObject"}}
	}).called("OfGroup"),
	op("SimulatePrincipalPolicy", app, (*iam.Client).SimulatePrincipalPolicy, func(*things) *iam.SimulatePrincipalPolicyInput {
		return &iam.SimulatePrincipalPolicyInput{PolicySourceArn: thatIs(app), ActionNames: []string{"s3:GetObject"}}
	}).called("OfRole"),
	op("GetContextKeysForCustomPolicy", "*", (*iam.Client).GetContextKeysForCustomPolicy, func(*things) *iam.GetContextKeysForCustomPolicyInput {
		return &iam.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{anyone}}
	}),
	op("SimulateCustomPolicy", "*", (*iam.Client).SimulateCustomPolicy, func(*things) *iam.SimulateCustomPolicyInput {
		return &iam.SimulateCustomPolicyInput{PolicyInputList: []string{anyone}, ActionNames: []string{"s3:GetObject"}}
	}),

	op("GenerateServiceLastAccessedDetails", ann, (*iam.Client).GenerateServiceLastAccessedDetails,
		func(*things) *iam.GenerateServiceLastAccessedDetailsInput {
			return &iam.GenerateServiceLastAccessedDetailsInput{Arn: thatIs(ann)}
		}),
	op("GenerateServiceLastAccessedDetails", devs, (*iam.Client).GenerateServiceLastAccessedDetails,
		func(*things) *iam.GenerateServiceLastAccessedDetailsInput {
			return &iam.GenerateServiceLastAccessedDetailsInput{Arn: thatIs(devs)}
		}).called("OfGroup"),
	op("GenerateServiceLastAccessedDetails", app, (*iam.Client).GenerateServiceLastAccessedDetails,
		func(*things) *iam.GenerateServiceLastAccessedDetailsInput {
			return &iam.GenerateServiceLastAccessedDetailsInput{Arn: thatIs(app)}
		}).called("OfRole"),
	op("GenerateServiceLastAccessedDetails", used, (*iam.Client).GenerateServiceLastAccessedDetails,
		func(*things) *iam.GenerateServiceLastAccessedDetailsInput {
			return &iam.GenerateServiceLastAccessedDetailsInput{Arn: thatIs(used)}
		}).called("OfPolicy"),
	op("ListPoliciesGrantingServiceAccess", ann, (*iam.Client).ListPoliciesGrantingServiceAccess,
		func(*things) *iam.ListPoliciesGrantingServiceAccessInput {
			return &iam.ListPoliciesGrantingServiceAccessInput{Arn: thatIs(ann), ServiceNamespaces: []string{"s3"}}
		}),
	op("ListPoliciesGrantingServiceAccess", devs, (*iam.Client).ListPoliciesGrantingServiceAccess,
		func(*things) *iam.ListPoliciesGrantingServiceAccessInput {
			return &iam.ListPoliciesGrantingServiceAccessInput{Arn: thatIs(devs), ServiceNamespaces: []string{"s3"}}
		}).called("OfGroup"),
	op("ListPoliciesGrantingServiceAccess", app, (*iam.Client).ListPoliciesGrantingServiceAccess,
		func(*things) *iam.ListPoliciesGrantingServiceAccessInput {
			return &iam.ListPoliciesGrantingServiceAccessInput{Arn: thatIs(app), ServiceNamespaces: []string{"s3"}}
		}).called("OfRole"),
	op("GetServiceLastAccessedDetails", "*", (*iam.Client).GetServiceLastAccessedDetails, func(x *things) *iam.GetServiceLastAccessedDetailsInput {
		return &iam.GetServiceLastAccessedDetailsInput{JobId: x.job}
	}).after(accessReport("GetServiceLastAccessedDetails")),
	op("GetServiceLastAccessedDetailsWithEntities", "*", (*iam.Client).GetServiceLastAccessedDetailsWithEntities,
		func(x *things) *iam.GetServiceLastAccessedDetailsWithEntitiesInput {
			return &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: x.job, ServiceNamespace: new("s3")}
		}).after(accessReport("GetServiceLastAccessedDetailsWithEntities")),
	op("GenerateOrganizationsAccessReport", "access-report/{place}", (*iam.Client).GenerateOrganizationsAccessReport,
		func(x *things) *iam.GenerateOrganizationsAccessReportInput {
			return &iam.GenerateOrganizationsAccessReportInput{EntityPath: &x.place}
		}).and("organizations:DescribePolicy", readOrganizations).after(organize),
	op("GetOrganizationsAccessReport", "*", (*iam.Client).GetOrganizationsAccessReport, func(x *things) *iam.GetOrganizationsAccessReportInput {
		return &iam.GetOrganizationsAccessReportInput{JobId: x.job}
	}).after(placeReport("GetOrganizationsAccessReport")),
}
