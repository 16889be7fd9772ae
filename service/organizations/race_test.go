package organizations_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
)

// Of two changes that exclude each other one comes first, and the other finds what it left: nothing lies in a unit, is bound by a policy, or administers
// what is no more.
func TestExcludingChanges(t *testing.T) {
	w := organized(t)
	w.enable(scp)
	root := w.root()
	must(w.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String("config.amazonaws.com")}))(t)
	for i := range 5 {
		a, b := w.account(fmt.Sprintf("a%d", i)), w.account(fmt.Sprintf("b%d", i))
		u, v := w.unit(root, fmt.Sprintf("u%d", i)), w.unit(root, fmt.Sprintf("v%d", i))
		p := w.policy(scp, fmt.Sprintf("p%d", i), denyKMS)
		pairs := map[string][2]func() error{
			"unit deleted, account moved in": {
				func() error {
					_, err := w.DeleteOrganizationalUnit(bg, &organizations.DeleteOrganizationalUnitInput{OrganizationalUnitId: &u})
					return err
				},
				func() error {
					_, err := w.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &a, SourceParentId: &root, DestinationParentId: &u})
					return err
				},
			},
			"unit deleted, unit made in it": {
				func() error {
					_, err := w.DeleteOrganizationalUnit(bg, &organizations.DeleteOrganizationalUnitInput{OrganizationalUnitId: &v})
					return err
				},
				func() error {
					_, err := w.CreateOrganizationalUnit(bg, &organizations.CreateOrganizationalUnitInput{ParentId: &v, Name: aws.String("below")})
					return err
				},
			},
			"policy deleted, policy attached": {
				func() error {
					_, err := w.DeletePolicy(bg, &organizations.DeletePolicyInput{PolicyId: &p})
					return err
				},
				func() error {
					_, err := w.AttachPolicy(bg, &organizations.AttachPolicyInput{PolicyId: &p, TargetId: &root})
					return err
				},
			},
			"account removed, made administrator": {
				func() error {
					_, err := w.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: &b})
					return err
				},
				func() error {
					_, err := w.RegisterDelegatedAdministrator(bg, &organizations.RegisterDelegatedAdministratorInput{AccountId: &b, ServicePrincipal: aws.String("config.amazonaws.com")})
					return err
				},
			},
		}
		var done sync.WaitGroup
		for what, pair := range pairs {
			var errs [2]error
			var both sync.WaitGroup
			for j, f := range pair {
				both.Go(func() { errs[j] = f() })
			}
			done.Go(func() {
				both.Wait()
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Errorf("%s: %v and %v", what, errs[0], errs[1])
				}
			})
		}
		done.Wait()
		// Everything can still be told about.
		for _, account := range must(w.ListAccounts(bg, &organizations.ListAccountsInput{}))(t).Accounts {
			must(w.ListParents(bg, &organizations.ListParentsInput{ChildId: account.Id}))(t)
		}
		must(w.ListDelegatedAdministrators(bg, &organizations.ListDelegatedAdministratorsInput{}))(t)
		for _, at := range must(w.ListPoliciesForTarget(bg, &organizations.ListPoliciesForTargetInput{TargetId: &root, Filter: scp}))(t).Policies {
			if *at.Id == p {
				must(w.DetachPolicy(bg, &organizations.DetachPolicyInput{PolicyId: &p, TargetId: &root}))(t)
			}
		}
	}
}
