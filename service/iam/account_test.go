package iam_test

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
)

func TestAccountAlias(t *testing.T) {
	t.Parallel()
	w := start(t)
	there := iam.NewFromConfig(w.Root(other))
	create := func(c *iam.Client, alias string) (any, error) {
		return c.CreateAccountAlias(ctx, &iam.CreateAccountAliasInput{AccountAlias: &alias})
	}
	ok(t)(create(w.Client, "fast"))
	ok(t)(create(w.Client, "faster")) // in its place
	if out := must(w.ListAccountAliases(ctx, nil))(t); len(out.AccountAliases) != 1 || out.AccountAliases[0] != "faster" {
		t.Errorf("the aliases are %v", out.AccountAliases)
	}
	ok(t)(create(there, "fast"))
	refused(t, "EntityAlreadyExists", "The account alias faster already exists.")(create(there, "faster"))
	refused(t, "InvalidInput", "-")(create(there, account))
	refused(t, "ValidationError", "-")(create(w.Client, "-a"))
	refused(t, "NoSuchEntity", "-")(w.DeleteAccountAlias(ctx, &iam.DeleteAccountAliasInput{AccountAlias: aws.String("fast")}))
	denied(t)(create(w.user("nobody"), "slow"))
	ok(t)(w.DeleteAccountAlias(ctx, &iam.DeleteAccountAliasInput{AccountAlias: aws.String("faster")}))
	ok(t)(create(there, "faster"))
	w.recorded(t, "DeleteAccountAlias", "")
}

func TestAccountSummary(t *testing.T) {
	t.Parallel()
	w := start(t)
	summary := func() map[string]int32 { t.Helper(); return must(w.GetAccountSummary(ctx, nil))(t).SummaryMap }
	before := summary()
	if len(before) != 34 || before["UsersQuota"] != 5000 || before["GlobalEndpointTokenVersion"] != 1 || before["AccountAccessKeysPresent"] != 1 || before["Users"] != 0 {
		t.Errorf("%d numbers: %v", len(before), before)
	}
	w.newUser(t, "ann")
	ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("g")}))
	ok(t)(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: &anyone}))
	seed, serial := w.device(t, "phone")
	w.enable(t, "ann", serial, seed)
	ok(t)(w.SetSecurityTokenServicePreferences(ctx, &iam.SetSecurityTokenServicePreferencesInput{GlobalEndpointTokenVersion: types.GlobalEndpointTokenVersionV2Token}))
	after := summary()
	for key, want := range map[string]int32{"Users": 1, "Groups": 1, "Policies": 1, "PolicyVersionsInUse": 1, "MFADevices": 1, "MFADevicesInUse": 1, "GlobalEndpointTokenVersion": 1, "Roles": 0} {
		if got := after[key] - before[key]; got != want {
			t.Errorf("%s rose by %d, want %d", key, got, want)
		}
	}
	nobody := w.user("nobody")
	denied(t)(nobody.GetAccountSummary(ctx, nil))
	denied(t)(nobody.SetSecurityTokenServicePreferences(ctx, &iam.SetSecurityTokenServicePreferencesInput{GlobalEndpointTokenVersion: types.GlobalEndpointTokenVersionV1Token}))
}

func TestCredentialReport(t *testing.T) {
	t.Parallel()
	w := start(t)
	refused(t, "ReportNotPresent", "-")(w.GetCredentialReport(ctx, nil))
	ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ann"), Path: aws.String("/p/")}))
	ok(t)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("ann"), Password: aws.String("Secret-123")}))
	ok(t)(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ann")}))
	ok(t)(w.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{MaxPasswordAge: aws.Int32(5)}))
	if out := must(w.GenerateCredentialReport(ctx, nil))(t); out.State != types.ReportStateTypeStarted || *out.Description != "No report exists. Starting a new report generation task" {
		t.Errorf("generating: %s", text(t, out))
	}
	if out := must(w.GenerateCredentialReport(ctx, nil))(t); out.State != types.ReportStateTypeComplete {
		t.Errorf("generating: %s", text(t, out))
	}
	out := must(w.GetCredentialReport(ctx, nil))(t)
	lines, err := csv.NewReader(strings.NewReader(string(out.Content))).ReadAll()
	ok(t)(nil, err)
	if len(lines) != 3 || len(lines[0]) != 22 || lines[1][0] != "<root_account>" || out.ReportFormat != types.ReportFormatTypeTextCsv {
		t.Fatalf("the report is\n%s", out.Content)
	}
	got := make(map[string]string)
	for i, column := range lines[0] {
		got[column] = lines[2][i]
	}
	changed, err := time.Parse("2006-01-02T15:04:05-07:00", got["password_last_changed"])
	ok(t)(nil, err)
	for column, want := range map[string]string{
		"user": "ann", "arn": iamARN("user/p", "ann"), "password_enabled": "true", "mfa_active": "false", "access_key_1_active": "true",
		"access_key_1_last_used_date": "N/A", "access_key_2_active": "false", "access_key_2_last_rotated": "N/A", "cert_1_active": "false",
		"password_next_rotation": changed.Add(5 * 24 * time.Hour).Format("2006-01-02T15:04:05-07:00"),
	} {
		if got[column] != want {
			t.Errorf("%s is %q, want %q", column, got[column], want)
		}
	}
	w.Advance(4 * time.Hour)
	refused(t, "ReportExpired", "-")(w.GetCredentialReport(ctx, nil))
	if out := must(w.GenerateCredentialReport(ctx, nil))(t); out.State != types.ReportStateTypeStarted {
		t.Errorf("generating: %s", text(t, out))
	}
	ok(t)(w.GetCredentialReport(ctx, nil))
	nobody := w.user("nobody")
	denied(t)(nobody.GenerateCredentialReport(ctx, nil))
	denied(t)(nobody.GetCredentialReport(ctx, nil))
}

func TestOutboundFederation(t *testing.T) {
	t.Parallel()
	w := start(t)
	refused(t, "FeatureDisabled", "-")(w.GetOutboundWebIdentityFederationInfo(ctx, nil))
	refused(t, "FeatureDisabled", "-")(w.DisableOutboundWebIdentityFederation(ctx, nil))
	on := must(w.EnableOutboundWebIdentityFederation(ctx, nil))(t)
	refused(t, "FeatureEnabled", "-")(w.EnableOutboundWebIdentityFederation(ctx, nil))
	info := must(w.GetOutboundWebIdentityFederationInfo(ctx, nil))(t)
	if *info.IssuerIdentifier != *on.IssuerIdentifier || !info.JwtVendingEnabled {
		t.Errorf("enabled as %s; it is %s", text(t, on), text(t, info))
	}
	denied(t)(w.user("nobody").DisableOutboundWebIdentityFederation(ctx, nil))
	ok(t)(w.DisableOutboundWebIdentityFederation(ctx, nil))
	ok(t)(w.EnableOutboundWebIdentityFederation(ctx, nil))
}

func TestOrganizationsFeatures(t *testing.T) {
	t.Parallel()
	w := start(t)
	refused(t, "OrganizationNotFoundException", "-")(w.ListOrganizationsFeatures(ctx, nil))
	denied(t)(w.user("nobody").EnableOrganizationsRootSessions(ctx, nil))
	orgs := organizations.NewFromConfig(w.Config())
	if _, err := orgs.CreateOrganization(ctx, nil); err != nil {
		t.Skipf("there are no organizations yet: %v", err)
	}
	refused(t, "ServiceAccessNotEnabledException", "-")(w.ListOrganizationsFeatures(ctx, nil))
	ok(t)(orgs.EnableAWSServiceAccess(ctx, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String("iam.amazonaws.com")}))
	if out := must(w.ListOrganizationsFeatures(ctx, nil))(t); len(out.EnabledFeatures) != 0 || out.OrganizationId == nil {
		t.Errorf("enabled are %s", text(t, out))
	}
	ok(t)(w.EnableOrganizationsRootCredentialsManagement(ctx, nil))
	if out := must(w.EnableOrganizationsRootSessions(ctx, nil))(t); len(out.EnabledFeatures) != 2 {
		t.Errorf("enabled are %s", text(t, out))
	}
	ok(t)(w.DisableOrganizationsRootCredentialsManagement(ctx, nil))
	if out := must(w.DisableOrganizationsRootSessions(ctx, nil))(t); len(out.EnabledFeatures) != 0 {
		t.Errorf("enabled are %s", text(t, out))
	}
}
