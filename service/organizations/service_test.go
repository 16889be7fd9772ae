package organizations_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	management = "111122223333"
	invitee    = "444455556666"
	stranger   = "777788889999"
)

var bg = context.Background()

// world is a cloud and the client of the management account's root user.
type world struct {
	*cloudtest.Cloud
	*organizations.Client
	t *testing.T
}

func start(t *testing.T) *world {
	t.Helper()
	c := cloudtest.Start(t)
	return &world{c, organizations.NewFromConfig(c.Config()), t}
}

// organized is a world with an organization of all features.
func organized(t *testing.T) *world {
	t.Helper()
	w := start(t)
	must(w.CreateOrganization(bg, &organizations.CreateOrganizationInput{}))(t)
	return w
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// fails checks that an error has a code, and a reason if one is given as Code/REASON.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	code, reason, _ := strings.Cut(want, "/")
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code {
		t.Fatalf("error = %v, want %s", err, want)
	}
	if reason == "" {
		return
	}
	var got string
	if e, ok := errors.AsType[*types.ConstraintViolationException](err); ok {
		got = string(e.Reason)
	}
	if e, ok := errors.AsType[*types.InvalidInputException](err); ok {
		got = string(e.Reason)
	}
	if e, ok := errors.AsType[*types.HandshakeConstraintViolationException](err); ok {
		got = string(e.Reason)
	}
	if got != reason {
		t.Fatalf("reason = %q in %v, want %s", got, err, reason)
	}
}

// root is the ID of the organization's root.
func (w *world) root() string {
	w.t.Helper()
	return *must(w.ListRoots(bg, &organizations.ListRootsInput{}))(w.t).Roots[0].Id
}

// account makes an account in the organization and returns its ID.
func (w *world) account(name string) string {
	w.t.Helper()
	out := must(w.CreateAccount(bg, &organizations.CreateAccountInput{AccountName: &name, Email: aws.String(name + "@corp.example")}))(w.t)
	st := must(w.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: out.CreateAccountStatus.Id}))(w.t)
	if st.CreateAccountStatus.State != types.CreateAccountStateSucceeded {
		w.t.Fatalf("creating account %s: %s", name, st.CreateAccountStatus.FailureReason)
	}
	return *st.CreateAccountStatus.AccountId
}

// unit makes a unit and returns its ID.
func (w *world) unit(parent, name string) string {
	w.t.Helper()
	return *must(w.CreateOrganizationalUnit(bg, &organizations.CreateOrganizationalUnitInput{ParentId: &parent, Name: &name}))(w.t).OrganizationalUnit.Id
}

// move moves an account out of the root.
func (w *world) move(account, to string) {
	w.t.Helper()
	must(w.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &account, SourceParentId: aws.String(w.root()), DestinationParentId: &to}))(w.t)
}

func (w *world) enable(t types.PolicyType) {
	w.t.Helper()
	must(w.EnablePolicyType(bg, &organizations.EnablePolicyTypeInput{RootId: aws.String(w.root()), PolicyType: t}))(w.t)
}

// policy makes a policy and returns its ID.
func (w *world) policy(t types.PolicyType, name, content string) string {
	w.t.Helper()
	out := must(w.CreatePolicy(bg, &organizations.CreatePolicyInput{Type: t, Name: &name, Description: aws.String("about " + name), Content: &content}))(w.t)
	return *out.Policy.PolicySummary.Id
}

func (w *world) attach(policy, target string) {
	w.t.Helper()
	must(w.AttachPolicy(bg, &organizations.AttachPolicyInput{PolicyId: &policy, TargetId: &target}))(w.t)
}

// as is the client of a user of an account that may do what the statements say.
func (w *world) as(account, name string, statements ...string) *organizations.Client {
	w.t.Helper()
	var policies []string
	for _, s := range statements {
		policies = append(policies, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+s+`}]}`)
	}
	return organizations.NewFromConfig(w.User(account, name, policies...))
}

func (w *world) rootOf(account string) *organizations.Client {
	w.t.Helper()
	return organizations.NewFromConfig(w.Root(account))
}

// invite has an account join.
func (w *world) invite(account string) {
	w.t.Helper()
	h := must(w.InviteAccountToOrganization(bg, &organizations.InviteAccountToOrganizationInput{
		Target: &types.HandshakeParty{Id: &account, Type: types.HandshakePartyTypeAccount},
	}))(w.t).Handshake
	must(w.rootOf(account).AcceptHandshake(bg, &organizations.AcceptHandshakeInput{HandshakeId: h.Id}))(w.t)
}

// like checks a string against a pattern of the whole.
func like(t *testing.T, what string, got *string, pattern string) {
	t.Helper()
	if !regexp.MustCompile("^(" + pattern + ")$").MatchString(aws.ToString(got)) {
		t.Errorf("%s = %q, want %s", what, aws.ToString(got), pattern)
	}
}

const (
	denyKMS    = `{"Version":"2012-10-17","Statement":[{"Sid":"NoDeletion","Effect":"Deny","Action":"kms:ScheduleKeyDeletion","Resource":"*"}]}`
	denyRCP    = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}]}`
	anything   = `"Action":"organizations:*","Resource":"*"`
	fullAccess = "p-FullAWSAccess"
)

func TestCreateOrganization(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		w := start(t)
		o := must(w.CreateOrganization(bg, &organizations.CreateOrganizationInput{FeatureSet: types.OrganizationFeatureSetAll}))(t).Organization
		like(t, "ID", o.Id, "o-[a-z0-9]{10}")
		like(t, "ARN", o.Arn, "arn:aws:organizations::111122223333:organization/"+*o.Id)
		like(t, "management account", o.MasterAccountArn, "arn:aws:organizations::111122223333:account/"+*o.Id+"/111122223333")
		if o.FeatureSet != types.OrganizationFeatureSetAll || *o.MasterAccountId != management {
			t.Errorf("organization = %+v", o)
		}
		d := must(w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization
		if *d.Id != *o.Id || *d.MasterAccountEmail != *o.MasterAccountEmail {
			t.Errorf("DescribeOrganization = %+v", d)
		}
		roots := must(w.ListRoots(bg, &organizations.ListRootsInput{}))(t).Roots
		like(t, "root", roots[0].Id, "r-[a-z0-9]{4}")
		like(t, "root's ARN", roots[0].Arn, "arn:aws:organizations::111122223333:root/"+*o.Id+"/"+*roots[0].Id)
		if len(roots) != 1 || len(roots[0].PolicyTypes) != 0 || *roots[0].Name != "Root" {
			t.Errorf("roots = %+v", roots)
		}
		if a := must(w.ListAccounts(bg, &organizations.ListAccountsInput{}))(t).Accounts; len(a) != 1 || *a[0].Id != management {
			t.Errorf("accounts = %+v", a)
		}
		w.audited("CreateOrganization")
	})
	t.Run("AlreadyInOrganization", func(t *testing.T) {
		w := organized(t)
		_, err := w.CreateOrganization(bg, &organizations.CreateOrganizationInput{})
		fails(t, err, "AlreadyInOrganizationException")
	})
	t.Run("Denied", func(t *testing.T) {
		w := start(t)
		_, err := w.as(management, "ann").CreateOrganization(bg, &organizations.CreateOrganizationInput{})
		fails(t, err, "AccessDeniedException")
	})
}

// audited checks that the last record of the management account is of an operation.
func (w *world) audited(name string) {
	w.t.Helper()
	events := w.Trail(management)
	i := slices.IndexFunc(events, func(e cloudtest.Event) bool {
		return e.EventName == name && e.EventSource == "organizations.amazonaws.com" && e.ErrorCode == ""
	})
	if i < 0 {
		w.t.Errorf("no audit record of %s", name)
	}
}

// Whoever is in no organization is told so by every operation that needs one, and after asking for permission.
func TestNotInUse(t *testing.T) {
	w := start(t)
	_, err := w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{})
	fails(t, err, "AWSOrganizationsNotInUseException")
	_, err = w.ListAccounts(bg, &organizations.ListAccountsInput{})
	fails(t, err, "AWSOrganizationsNotInUseException")
	_, err = w.as(management, "ann").DescribeOrganization(bg, &organizations.DescribeOrganizationInput{})
	fails(t, err, "AccessDeniedException")
}

func TestDeleteOrganization(t *testing.T) {
	w := organized(t)
	w.enable(types.PolicyTypeServiceControlPolicy)
	w.unit(w.root(), "a")
	w.policy(types.PolicyTypeServiceControlPolicy, "no", denyKMS)
	w.invite(invitee)
	_, err := w.rootOf(invitee).DeleteOrganization(bg, &organizations.DeleteOrganizationInput{})
	fails(t, err, "AccessDeniedException")
	_, err = w.DeleteOrganization(bg, &organizations.DeleteOrganizationInput{})
	fails(t, err, "OrganizationNotEmptyException")
	must(w.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: aws.String(invitee)}))(t)
	must(w.DeleteOrganization(bg, &organizations.DeleteOrganizationInput{}))(t)
	_, err = w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{})
	fails(t, err, "AWSOrganizationsNotInUseException")
	must(w.CreateOrganization(bg, &organizations.CreateOrganizationInput{}))(t)
	if p := must(w.ListPolicies(bg, &organizations.ListPoliciesInput{Filter: types.PolicyTypeServiceControlPolicy}))(t).Policies; len(p) != 1 || *p[0].Id != fullAccess {
		t.Errorf("policies of a new organization = %+v", p)
	}
	w.audited("DeleteOrganization")
}

// Who joins a later organization of the same account has not agreed to what the members of the one before had.
func TestDeleteOrganizationForgetsRootAccess(t *testing.T) {
	w := organized(t)
	admin := iam.NewFromConfig(w.Config())
	trust := func() {
		t.Helper()
		must(w.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String("iam.amazonaws.com")}))(t)
	}
	trust()
	must(admin.EnableOrganizationsRootSessions(bg, nil))(t)
	must(admin.EnableOrganizationsRootCredentialsManagement(bg, nil))(t)
	must(w.DeleteOrganization(bg, &organizations.DeleteOrganizationInput{}))(t)
	must(w.CreateOrganization(bg, &organizations.CreateOrganizationInput{}))(t)
	trust()
	if f := must(admin.ListOrganizationsFeatures(bg, nil))(t).EnabledFeatures; len(f) != 0 {
		t.Errorf("enabled in a new organization: %v", f)
	}
}

func TestNotImplemented(t *testing.T) {
	w := organized(t)
	_, err := w.ListInboundResponsibilityTransfers(bg, &organizations.ListInboundResponsibilityTransfersInput{Type: types.ResponsibilityTransferTypeBilling})
	if api, ok := errors.AsType[smithy.APIError](err); !ok || !strings.Contains(api.ErrorMessage(), "organizations:ListInboundResponsibilityTransfers") {
		t.Errorf("ListInboundResponsibilityTransfers = %v, want its name", err)
	}
}

func decode(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// What breaks the model's constraints is answered as Organizations does, with a reason.
func TestInvalidInput(t *testing.T) {
	w := organized(t)
	for want, call := range map[string]func() error{
		"INVALID_PATTERN": func() error {
			_, err := w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: aws.String("arn:aws:x")})
			return err
		},
		"INVALID_ENUM": func() error {
			_, err := w.ListPolicies(bg, &organizations.ListPoliciesInput{Filter: "NO_POLICY"})
			return err
		},
		"MAX_VALUE_EXCEEDED": func() error {
			_, err := w.ListRoots(bg, &organizations.ListRootsInput{MaxResults: aws.Int32(21)})
			return err
		},
		"MIN_VALUE_EXCEEDED": func() error {
			_, err := w.ListRoots(bg, &organizations.ListRootsInput{MaxResults: aws.Int32(0)})
			return err
		},
		"MAX_LENGTH_EXCEEDED": func() error {
			_, err := w.CreateOrganizationalUnit(bg, &organizations.CreateOrganizationalUnitInput{ParentId: aws.String(w.root()), Name: aws.String(strings.Repeat("x", 129))})
			return err
		},
		"INVALID_LIST_MEMBER": func() error {
			_, err := w.ListCreateAccountStatus(bg, &organizations.ListCreateAccountStatusInput{States: []types.CreateAccountState{"GONE"}})
			return err
		},
	} {
		fails(t, call(), "InvalidInputException/"+want)
	}
}
