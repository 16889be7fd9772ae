package organizations_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
)

// delegate makes an account the administrator for a service.
func (w *world) delegate(account, service string) {
	w.t.Helper()
	must(w.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: &service}))(w.t)
	must(w.RegisterDelegatedAdministrator(bg, &organizations.RegisterDelegatedAdministratorInput{AccountId: &account, ServicePrincipal: &service}))(w.t)
}

const guardDuty = "guardduty.amazonaws.com"

func TestAWSServiceAccess(t *testing.T) {
	w := organized(t)
	enable := func(c *organizations.Client, name string) error {
		_, err := c.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: &name})
		return err
	}
	disable := func(c *organizations.Client, name string) error {
		_, err := c.DisableAWSServiceAccess(bg, &organizations.DisableAWSServiceAccessInput{ServicePrincipal: &name})
		return err
	}
	fails(t, enable(w.Client, "nobody.example"), "InvalidInputException/UNRECOGNIZED_SERVICE_PRINCIPAL")
	fails(t, disable(w.Client, "nobody.example"), "InvalidInputException/UNRECOGNIZED_SERVICE_PRINCIPAL")
	ann := w.as(management, "ann", `"Action":"organizations:*AWSServiceAccess","Resource":"*","Condition":{"StringEquals":{"organizations:ServicePrincipal":"`+guardDuty+`"}}`)
	fails(t, enable(ann, "config.amazonaws.com"), "AccessDeniedException")
	for range 2 { // enabling what is enabled is no error
		if err := enable(ann, guardDuty); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := enable(w.Client, fmt.Sprintf("service%d.amazonaws.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for p := organizations.NewListAWSServiceAccessForOrganizationPaginator(w.Client, &organizations.ListAWSServiceAccessForOrganizationInput{MaxResults: aws.Int32(3)}); p.HasMorePages(); {
		for _, s := range must(p.NextPage(bg))(t).EnabledServicePrincipals {
			names = append(names, *s.ServicePrincipal)
		}
	}
	if len(names) != 4 || names[0] != guardDuty {
		t.Errorf("services = %v", names)
	}
	a := w.account("a")
	w.delegate(a, guardDuty)
	fails(t, disable(w.Client, guardDuty), "ConstraintViolationException/DELEGATED_ADMINISTRATOR_EXISTS_FOR_THIS_SERVICE")
	for range 2 {
		if err := disable(w.Client, "service0.amazonaws.com"); err != nil {
			t.Fatal(err)
		}
	}
	fails(t, enable(w.rootOf(a), guardDuty), "AccessDeniedException")
	fails(t, disable(w.rootOf(a), guardDuty), "AccessDeniedException")
	w.audited("EnableAWSServiceAccess")
	w.audited("DisableAWSServiceAccess")
}

func TestDelegatedAdministrators(t *testing.T) {
	w := organized(t)
	a, b := w.account("a"), w.account("b")
	register := func(c *organizations.Client, id, name string) error {
		_, err := c.RegisterDelegatedAdministrator(bg, &organizations.RegisterDelegatedAdministratorInput{AccountId: &id, ServicePrincipal: &name})
		return err
	}
	deregister := func(c *organizations.Client, id, name string) error {
		_, err := c.DeregisterDelegatedAdministrator(bg, &organizations.DeregisterDelegatedAdministratorInput{AccountId: &id, ServicePrincipal: &name})
		return err
	}
	fails(t, register(w.Client, a, guardDuty), "ConstraintViolationException/SERVICE_ACCESS_NOT_ENABLED")
	must(w.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String(guardDuty)}))(t)
	fails(t, register(w.Client, a, "nobody.example"), "InvalidInputException/UNRECOGNIZED_SERVICE_PRINCIPAL")
	fails(t, register(w.Client, stranger, guardDuty), "AccountNotFoundException")
	fails(t, register(w.Client, management, guardDuty), "ConstraintViolationException/CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR")
	fails(t, register(w.rootOf(a), a, guardDuty), "AccessDeniedException")
	fails(t, deregister(w.Client, a, guardDuty), "AccountNotRegisteredException")
	_, err := w.ListDelegatedServicesForAccount(bg, &organizations.ListDelegatedServicesForAccountInput{AccountId: &a})
	fails(t, err, "AccountNotRegisteredException")
	_, err = w.ListDelegatedServicesForAccount(bg, &organizations.ListDelegatedServicesForAccountInput{AccountId: aws.String(stranger)})
	fails(t, err, "AccountNotFoundException")

	if err := register(w.Client, a, guardDuty); err != nil {
		t.Fatal(err)
	}
	fails(t, register(w.Client, a, guardDuty), "AccountAlreadyRegisteredException")
	w.delegate(a, "config.amazonaws.com")
	w.delegate(b, "config.amazonaws.com")

	list := func(service *string) (ids []string) {
		for p := organizations.NewListDelegatedAdministratorsPaginator(w.Client, &organizations.ListDelegatedAdministratorsInput{ServicePrincipal: service, MaxResults: aws.Int32(1)}); p.HasMorePages(); {
			for _, d := range must(p.NextPage(bg))(t).DelegatedAdministrators {
				ids = append(ids, *d.Name)
				if d.DelegationEnabledDate == nil {
					t.Errorf("administrator %s has no date", *d.Id)
				}
			}
		}
		return ids
	}
	if got := list(nil); len(got) != 2 || got[0] == got[1] {
		t.Errorf("all administrators = %v, want a and b once each", got)
	}
	if got := list(aws.String(guardDuty)); len(got) != 1 || got[0] != "a" {
		t.Errorf("administrators of GuardDuty = %v, want a", got)
	}
	services := must(w.ListDelegatedServicesForAccount(bg, &organizations.ListDelegatedServicesForAccountInput{AccountId: &a}))(t).DelegatedServices
	if len(services) != 2 || *services[1].ServicePrincipal != guardDuty {
		t.Errorf("services of a = %+v", services)
	}
	must(w.CloseAccount(bg, &organizations.CloseAccountInput{AccountId: &b}))(t)
	fails(t, register(w.Client, b, guardDuty), "ConstraintViolationException/CANNOT_REGISTER_SUSPENDED_ACCOUNT_AS_DELEGATED_ADMINISTRATOR")
	if err := deregister(w.Client, a, guardDuty); err != nil {
		t.Error(err)
	}
	w.audited("RegisterDelegatedAdministrator")
	w.audited("DeregisterDelegatedAdministrator")
}

// A script of who may do what in one organization.
func TestWhoMayCall(t *testing.T) {
	w := organized(t)
	admin, plain := w.account("admin"), w.account("plain")
	w.delegate(admin, guardDuty)
	w.enable(types.PolicyTypeServiceControlPolicy)
	list := func(c *organizations.Client) error {
		_, err := c.ListAccounts(bg, &organizations.ListAccountsInput{})
		return err
	}
	unit := func(c *organizations.Client) error {
		_, err := c.CreateOrganizationalUnit(bg, &organizations.CreateOrganizationalUnitInput{ParentId: aws.String(w.root()), Name: aws.String("x")})
		return err
	}
	create := func(c *organizations.Client, name string) error {
		_, err := c.CreatePolicy(bg, &organizations.CreatePolicyInput{
			Type: types.PolicyTypeServiceControlPolicy, Name: &name, Description: aws.String(""), Content: aws.String(denyKMS),
		})
		return err
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	// A delegated administrator reads everything and changes nothing.
	ok(list(w.rootOf(admin)))
	ok(list(w.as(admin, "ann", anything)))
	fails(t, list(w.as(admin, "bob")), "AccessDeniedException")
	fails(t, unit(w.rootOf(admin)), "AccessDeniedException")
	fails(t, create(w.rootOf(admin), "a"), "AccessDeniedException")
	// Another member knows its organization, and no more.
	must(w.rootOf(plain).DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t)
	fails(t, list(w.rootOf(plain)), "AccessDeniedException")

	put := func(content string) error {
		_, err := w.PutResourcePolicy(bg, &organizations.PutResourcePolicyInput{Content: &content})
		return err
	}
	// The organization's policy lets it list, and its user ann make SCPs.
	ok(put(`{"Version":"2012-10-17","Statement":[
		{"Sid":"list","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + plain + `:root"},"Action":["organizations:List*","organizations:DescribePolicy"],"Resource":"*"},
		{"Sid":"make","Effect":"Allow","Principal":{"AWS":"` + plain + `"},"Action":"organizations:CreatePolicy","Resource":"*",
			"Condition":{"StringEquals":{"organizations:PolicyType":"SERVICE_CONTROL_POLICY"}}},
		{"Effect":"Deny","Principal":{"AWS":"` + admin + `"},"Action":"organizations:ListRoots","Resource":"*"}]}`))
	ok(list(w.rootOf(plain)))
	ok(list(w.as(plain, "ann", anything)))
	fails(t, list(w.as(plain, "bob")), "AccessDeniedException") // both sides
	ok(create(w.as(plain, "ann", anything), "b"))
	fails(t, unit(w.rootOf(plain)), "AccessDeniedException")
	_, err := w.as(plain, "ann", anything).CreatePolicy(bg, &organizations.CreatePolicyInput{
		Type: types.PolicyTypeTagPolicy, Name: aws.String("c"), Description: aws.String(""), Content: aws.String(`{"tags":{}}`),
	})
	fails(t, err, "AccessDeniedException")
	// What it denies is denied, to delegated administrators too; the management account is not bound.
	_, err = w.rootOf(admin).ListRoots(bg, &organizations.ListRootsInput{})
	fails(t, err, "AccessDeniedException")
	ok(list(w.rootOf(admin)))
	must(w.ListRoots(bg, &organizations.ListRootsInput{}))(t)

	must(w.DeleteResourcePolicy(bg, &organizations.DeleteResourcePolicyInput{}))(t)
	fails(t, list(w.rootOf(plain)), "AccessDeniedException")
}

func TestResourcePolicy(t *testing.T) {
	w := organized(t)
	a := w.account("a")
	put := func(c *organizations.Client, content string, tags ...types.Tag) (*types.ResourcePolicy, error) {
		out, err := c.PutResourcePolicy(bg, &organizations.PutResourcePolicyInput{Content: &content, Tags: tags})
		if err != nil {
			return nil, err
		}
		return out.ResourcePolicy, nil
	}
	statement := func(principal, action string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"*"}]}`
	}
	account := `{"AWS":"` + a + `"}`
	_, err := w.DescribeResourcePolicy(bg, &organizations.DescribeResourcePolicyInput{})
	fails(t, err, "ResourcePolicyNotFoundException")
	_, err = w.DeleteResourcePolicy(bg, &organizations.DeleteResourcePolicyInput{})
	fails(t, err, "ResourcePolicyNotFoundException")
	for content, want := range map[string]string{
		`{`: "INVALID_RESOURCE_POLICY_JSON",
		statement(`{"Service":"ec2.amazonaws.com"}`, "organizations:ListRoots"): "INVALID_PRINCIPAL",
		statement(account, "organizations:LeaveOrganization"):                   "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY",
		statement(account, "kms:Encrypt"):                                       "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY",
		statement(account, "*"):                                                 "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY",
		`{"Statement":[{"Effect":"Allow","Principal":` + account + `,"NotAction":"organizations:ListRoots","Resource":"*"}]}`:                "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY",
		`{"Statement":[{"Effect":"Allow","Principal":` + account + `,"Action":"organizations:ListRoots","Resource":"arn:aws:s3:::bucket"}]}`: "UNSUPPORTED_RESOURCE_IN_RESOURCE_POLICY",
	} {
		_, err := put(w.Client, content)
		fails(t, err, "InvalidInputException/"+want)
	}
	p, err := put(w.Client, statement(account, "organizations:ListRoots"), types.Tag{Key: aws.String("k"), Value: aws.String("v")})
	if err != nil {
		t.Fatal(err)
	}
	like(t, "ID", p.ResourcePolicySummary.Id, "rp-[a-z0-9]{10}")
	like(t, "ARN", p.ResourcePolicySummary.Arn, "arn:aws:organizations::111122223333:resourcepolicy/o-[a-z0-9]{10}/"+*p.ResourcePolicySummary.Id)
	again, err := put(w.Client, statement(account, "organizations:ListAccounts"))
	if err != nil || *again.ResourcePolicySummary.Id != *p.ResourcePolicySummary.Id {
		t.Errorf("replacing the policy = %+v, %v", again, err)
	}
	got := must(w.DescribeResourcePolicy(bg, &organizations.DescribeResourcePolicyInput{}))(t).ResourcePolicy
	if *got.Content != statement(account, "organizations:ListAccounts") {
		t.Errorf("content = %s", *got.Content)
	}
	if tags := must(w.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: got.ResourcePolicySummary.Id}))(t).Tags; len(tags) != 1 {
		t.Errorf("tags = %+v", tags)
	}
	_, err = put(w.rootOf(a), statement(account, "organizations:ListAccounts"))
	fails(t, err, "AccessDeniedException")
	_, err = w.rootOf(a).DeleteResourcePolicy(bg, &organizations.DeleteResourcePolicyInput{})
	fails(t, err, "AccessDeniedException")
	w.audited("PutResourcePolicy")
}
