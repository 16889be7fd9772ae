package organizations_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/google/go-cmp/cmp"

	api "github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// stage is an organization with a thing of every kind in it.
type stage struct {
	*world
	org, root, ou, empty, account, policy, loose string // IDs
	creation                                     *string
}

func set(t *testing.T) *stage {
	w := organized(t)
	s := &stage{world: w, root: w.root(), org: *must(w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization.Id}
	w.enable(scp)
	s.ou, s.empty = w.unit(s.root, "ou"), w.unit(s.root, "empty")
	s.account = w.account("a")
	s.creation = must(w.ListCreateAccountStatus(bg, &organizations.ListCreateAccountStatusInput{}))(t).CreateAccountStatuses[0].Id
	s.policy, s.loose = w.policy(scp, "p", denyKMS), w.policy(scp, "loose", denyKMS)
	w.attach(s.policy, s.account)
	return s
}

func (s *stage) arn(kind, id string) string {
	return "arn:aws:organizations::" + management + ":" + kind + "/" + s.org + "/" + id
}

// invitation is a handshake with the account invitee.
func (s *stage) invitation() *types.Handshake {
	s.t.Helper()
	return must(s.ask(invitee))(s.t)
}

// step is an operation that is allowed with permission for just these resources.
type step struct {
	resources []string // "*" where there is none
	account   string   // who calls; the management account if empty
	call      func(*organizations.Client) error
}

// steps are the operations that are built.
var steps = map[string]func(*stage) step{
	"AcceptHandshake": func(s *stage) step {
		h := s.invitation()
		return step{[]string{*h.Arn}, invitee, func(c *organizations.Client) error { return accept(c, h.Id) }}
	},
	"AttachPolicy": func(s *stage) step {
		return step{[]string{s.arn("policy", "service_control_policy/"+s.loose), s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.AttachPolicy(bg, &organizations.AttachPolicyInput{PolicyId: &s.loose, TargetId: &s.ou})
			return err
		}}
	},
	"CancelHandshake": func(s *stage) step {
		h := s.invitation()
		return step{[]string{*h.Arn}, "", func(c *organizations.Client) error { return cancel(c, h.Id) }}
	},
	"CloseAccount": func(s *stage) step {
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.CloseAccount(bg, &organizations.CloseAccountInput{AccountId: &s.account})
			return err
		}}
	},
	"CreateAccount": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.CreateAccount(bg, &organizations.CreateAccountInput{AccountName: aws.String("x"), Email: aws.String("x@corp.example")})
			return err
		}}
	},
	"CreateOrganization": func(*stage) step {
		return step{[]string{"*"}, stranger, func(c *organizations.Client) error {
			_, err := c.CreateOrganization(bg, &organizations.CreateOrganizationInput{})
			return err
		}}
	},
	"CreateOrganizationalUnit": func(s *stage) step {
		return step{[]string{s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.CreateOrganizationalUnit(bg, &organizations.CreateOrganizationalUnitInput{ParentId: &s.ou, Name: aws.String("x")})
			return err
		}}
	},
	"CreatePolicy": func(s *stage) step {
		return step{[]string{s.arn("policy", "tag_policy/*")}, "", func(c *organizations.Client) error {
			_, err := c.CreatePolicy(bg, &organizations.CreatePolicyInput{Type: types.PolicyTypeTagPolicy, Name: aws.String("x"), Description: aws.String(""), Content: aws.String(`{"tags":{}}`)})
			return err
		}}
	},
	"DeclineHandshake": func(s *stage) step {
		h := s.invitation()
		return step{[]string{*h.Arn}, invitee, func(c *organizations.Client) error { return decline(c, h.Id) }}
	},
	"DeleteOrganization": func(s *stage) step {
		must(s.rootOf(stranger).CreateOrganization(bg, &organizations.CreateOrganizationInput{}))(s.t)
		return step{[]string{"*"}, stranger, func(c *organizations.Client) error {
			_, err := c.DeleteOrganization(bg, &organizations.DeleteOrganizationInput{})
			return err
		}}
	},
	"DeleteOrganizationalUnit": func(s *stage) step {
		return step{[]string{s.arn("ou", s.empty)}, "", func(c *organizations.Client) error {
			_, err := c.DeleteOrganizationalUnit(bg, &organizations.DeleteOrganizationalUnitInput{OrganizationalUnitId: &s.empty})
			return err
		}}
	},
	"DeletePolicy": func(s *stage) step {
		return step{[]string{s.arn("policy", "service_control_policy/"+s.loose)}, "", func(c *organizations.Client) error {
			_, err := c.DeletePolicy(bg, &organizations.DeletePolicyInput{PolicyId: &s.loose})
			return err
		}}
	},
	"DeleteResourcePolicy": func(s *stage) step {
		s.putResourcePolicy()
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.DeleteResourcePolicy(bg, &organizations.DeleteResourcePolicyInput{})
			return err
		}}
	},
	"DeregisterDelegatedAdministrator": func(s *stage) step {
		s.delegate(s.account, guardDuty)
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.DeregisterDelegatedAdministrator(bg, &organizations.DeregisterDelegatedAdministratorInput{AccountId: &s.account, ServicePrincipal: aws.String(guardDuty)})
			return err
		}}
	},
	"DescribeAccount": func(s *stage) step {
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &s.account})
			return err
		}}
	},
	"DescribeCreateAccountStatus": func(s *stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: s.creation})
			return err
		}}
	},
	"DescribeEffectivePolicy": func(s *stage) step {
		s.enable(types.PolicyTypeTagPolicy)
		s.attach(s.world.policy(types.PolicyTypeTagPolicy, "t", `{"tags":{}}`), s.account)
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.DescribeEffectivePolicy(bg, &organizations.DescribeEffectivePolicyInput{PolicyType: types.EffectivePolicyTypeTagPolicy, TargetId: &s.account})
			return err
		}}
	},
	"DescribeHandshake": func(s *stage) step {
		h := s.invitation()
		return step{[]string{*h.Arn}, invitee, func(c *organizations.Client) error {
			_, err := c.DescribeHandshake(bg, &organizations.DescribeHandshakeInput{HandshakeId: h.Id})
			return err
		}}
	},
	"DescribeOrganization": func(s *stage) step {
		return step{[]string{"*"}, s.account, func(c *organizations.Client) error {
			_, err := c.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{})
			return err
		}}
	},
	"DescribeOrganizationalUnit": func(s *stage) step {
		return step{[]string{s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.DescribeOrganizationalUnit(bg, &organizations.DescribeOrganizationalUnitInput{OrganizationalUnitId: &s.ou})
			return err
		}}
	},
	"DescribePolicy": func(s *stage) step {
		return step{[]string{"arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"}, "", func(c *organizations.Client) error {
			_, err := c.DescribePolicy(bg, &organizations.DescribePolicyInput{PolicyId: aws.String(fullAccess)})
			return err
		}}
	},
	"DescribeResourcePolicy": func(s *stage) step {
		s.putResourcePolicy()
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.DescribeResourcePolicy(bg, &organizations.DescribeResourcePolicyInput{})
			return err
		}}
	},
	"DetachPolicy": func(s *stage) step {
		return step{[]string{s.arn("policy", "service_control_policy/"+s.policy), s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.DetachPolicy(bg, &organizations.DetachPolicyInput{PolicyId: &s.policy, TargetId: &s.account})
			return err
		}}
	},
	"DisableAWSServiceAccess": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.DisableAWSServiceAccess(bg, &organizations.DisableAWSServiceAccessInput{ServicePrincipal: aws.String(guardDuty)})
			return err
		}}
	},
	"DisablePolicyType": func(s *stage) step {
		return step{[]string{s.arn("root", s.root)}, "", func(c *organizations.Client) error {
			_, err := c.DisablePolicyType(bg, &organizations.DisablePolicyTypeInput{RootId: &s.root, PolicyType: scp})
			return err
		}}
	},
	"EnableAWSServiceAccess": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String(guardDuty)})
			return err
		}}
	},
	"EnableAllFeatures": func(s *stage) step {
		must(s.rootOf(stranger).CreateOrganization(bg, &organizations.CreateOrganizationInput{FeatureSet: types.OrganizationFeatureSetConsolidatedBilling}))(s.t)
		return step{[]string{"*"}, stranger, func(c *organizations.Client) error {
			_, err := c.EnableAllFeatures(bg, &organizations.EnableAllFeaturesInput{})
			return err
		}}
	},
	"EnablePolicyType": func(s *stage) step {
		return step{[]string{s.arn("root", s.root)}, "", func(c *organizations.Client) error {
			_, err := c.EnablePolicyType(bg, &organizations.EnablePolicyTypeInput{RootId: &s.root, PolicyType: rcp})
			return err
		}}
	},
	"InviteAccountToOrganization": func(s *stage) step {
		return step{[]string{s.arn("account", invitee)}, "", func(c *organizations.Client) error {
			_, err := c.InviteAccountToOrganization(bg, &organizations.InviteAccountToOrganizationInput{Target: &types.HandshakeParty{Id: aws.String(invitee), Type: types.HandshakePartyTypeAccount}})
			return err
		}}
	},
	"LeaveOrganization": func(s *stage) step {
		return step{[]string{"*"}, s.account, func(c *organizations.Client) error {
			_, err := c.LeaveOrganization(bg, &organizations.LeaveOrganizationInput{})
			return err
		}}
	},
	"ListAWSServiceAccessForOrganization": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListAWSServiceAccessForOrganization(bg, &organizations.ListAWSServiceAccessForOrganizationInput{})
			return err
		}}
	},
	"ListAccounts": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListAccounts(bg, &organizations.ListAccountsInput{})
			return err
		}}
	},
	"ListAccountsForParent": func(s *stage) step {
		return step{[]string{s.arn("root", s.root)}, "", func(c *organizations.Client) error {
			_, err := c.ListAccountsForParent(bg, &organizations.ListAccountsForParentInput{ParentId: &s.root})
			return err
		}}
	},
	"ListChildren": func(s *stage) step {
		return step{[]string{s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.ListChildren(bg, &organizations.ListChildrenInput{ParentId: &s.ou, ChildType: types.ChildTypeAccount})
			return err
		}}
	},
	"ListCreateAccountStatus": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListCreateAccountStatus(bg, &organizations.ListCreateAccountStatusInput{})
			return err
		}}
	},
	"ListDelegatedAdministrators": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListDelegatedAdministrators(bg, &organizations.ListDelegatedAdministratorsInput{})
			return err
		}}
	},
	"ListDelegatedServicesForAccount": func(s *stage) step {
		s.delegate(s.account, "config.amazonaws.com")
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.ListDelegatedServicesForAccount(bg, &organizations.ListDelegatedServicesForAccountInput{AccountId: &s.account})
			return err
		}}
	},
	"ListHandshakesForAccount": func(*stage) step {
		return step{[]string{"*"}, invitee, func(c *organizations.Client) error {
			_, err := c.ListHandshakesForAccount(bg, &organizations.ListHandshakesForAccountInput{})
			return err
		}}
	},
	"ListHandshakesForOrganization": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListHandshakesForOrganization(bg, &organizations.ListHandshakesForOrganizationInput{})
			return err
		}}
	},
	"ListOrganizationalUnitsForParent": func(s *stage) step {
		return step{[]string{s.arn("root", s.root)}, "", func(c *organizations.Client) error {
			_, err := c.ListOrganizationalUnitsForParent(bg, &organizations.ListOrganizationalUnitsForParentInput{ParentId: &s.root})
			return err
		}}
	},
	"ListParents": func(s *stage) step {
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.ListParents(bg, &organizations.ListParentsInput{ChildId: &s.account})
			return err
		}}
	},
	"ListPolicies": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListPolicies(bg, &organizations.ListPoliciesInput{Filter: scp})
			return err
		}}
	},
	"ListPoliciesForTarget": func(s *stage) step {
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.ListPoliciesForTarget(bg, &organizations.ListPoliciesForTargetInput{TargetId: &s.account, Filter: scp})
			return err
		}}
	},
	"ListRoots": func(*stage) step {
		return step{[]string{"*"}, "", func(c *organizations.Client) error {
			_, err := c.ListRoots(bg, &organizations.ListRootsInput{})
			return err
		}}
	},
	"ListTagsForResource": func(s *stage) step {
		return step{[]string{s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: &s.ou})
			return err
		}}
	},
	"ListTargetsForPolicy": func(s *stage) step {
		return step{[]string{s.arn("policy", "service_control_policy/"+s.policy)}, "", func(c *organizations.Client) error {
			_, err := c.ListTargetsForPolicy(bg, &organizations.ListTargetsForPolicyInput{PolicyId: &s.policy})
			return err
		}}
	},
	"MoveAccount": func(s *stage) step {
		return step{[]string{s.arn("account", s.account), s.arn("root", s.root), s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &s.account, SourceParentId: &s.root, DestinationParentId: &s.ou})
			return err
		}}
	},
	"PutResourcePolicy": func(s *stage) step {
		return step{[]string{s.arn("resourcepolicy", "*")}, "", func(c *organizations.Client) error {
			_, err := c.PutResourcePolicy(bg, &organizations.PutResourcePolicyInput{Content: aws.String(s.document())})
			return err
		}}
	},
	"RegisterDelegatedAdministrator": func(s *stage) step {
		must(s.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String(guardDuty)}))(s.t)
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.RegisterDelegatedAdministrator(bg, &organizations.RegisterDelegatedAdministratorInput{AccountId: &s.account, ServicePrincipal: aws.String(guardDuty)})
			return err
		}}
	},
	"RemoveAccountFromOrganization": func(s *stage) step {
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: &s.account})
			return err
		}}
	},
	"TagResource": func(s *stage) step {
		return step{[]string{s.arn("policy", "service_control_policy/"+s.policy)}, "", func(c *organizations.Client) error {
			_, err := c.TagResource(bg, &organizations.TagResourceInput{ResourceId: &s.policy, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
			return err
		}}
	},
	"UntagResource": func(s *stage) step {
		return step{[]string{s.arn("account", s.account)}, "", func(c *organizations.Client) error {
			_, err := c.UntagResource(bg, &organizations.UntagResourceInput{ResourceId: &s.account, TagKeys: []string{"a"}})
			return err
		}}
	},
	"UpdateOrganizationalUnit": func(s *stage) step {
		return step{[]string{s.arn("ou", s.ou)}, "", func(c *organizations.Client) error {
			_, err := c.UpdateOrganizationalUnit(bg, &organizations.UpdateOrganizationalUnitInput{OrganizationalUnitId: &s.ou, Name: aws.String("x")})
			return err
		}}
	},
	"UpdatePolicy": func(s *stage) step {
		return step{[]string{s.arn("policy", "service_control_policy/"+s.policy)}, "", func(c *organizations.Client) error {
			_, err := c.UpdatePolicy(bg, &organizations.UpdatePolicyInput{PolicyId: &s.policy, Name: aws.String("x")})
			return err
		}}
	},
}

func (s *stage) document() string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + s.account + `"},"Action":"organizations:ListRoots","Resource":"*"}]}`
}

func (s *stage) putResourcePolicy() {
	s.t.Helper()
	must(s.PutResourcePolicy(bg, &organizations.PutResourcePolicyInput{Content: aws.String(s.document())}))(s.t)
}

// notBuilt are the operations that answer by name.
var notBuilt = []string{
	"CreateGovCloudAccount", "DescribeResponsibilityTransfer", "InviteOrganizationToTransferResponsibility", "ListAccountsWithInvalidEffectivePolicy",
	"ListEffectivePolicyValidationErrors", "ListInboundResponsibilityTransfers", "ListOutboundResponsibilityTransfers",
	"TerminateResponsibilityTransfer", "UpdateResponsibilityTransfer",
}

// Without permission every operation is denied, with any resource left out it is denied, and with permission for just the action on just its resources it
// is allowed; refusal and success are on record.
func TestWalk(t *testing.T) {
	var there []string
	for _, op := range api.Operations() {
		if !slices.Contains(notBuilt, op.Name) {
			there = append(there, op.Name)
		}
	}
	if d := cmp.Diff(there, slices.Sorted(maps.Keys(steps))); d != "" {
		t.Errorf("operations of the model and of the walk (-model +walk):\n%s", d)
	}
	if err := walk.Check(walk.File, slices.Collect(maps.Keys(steps)), nil); err != nil {
		t.Error(err)
	}
	readers := set(t) // what changes nothing shares a stage
	for name, prepare := range steps {
		t.Run(name, func(t *testing.T) {
			s := readers
			if !strings.HasPrefix(name, "List") && !strings.HasPrefix(name, "Describe") {
				s = set(t)
			}
			st := prepare(s)
			if st.account == "" {
				st.account = management
			}
			all := `"Action":"organizations:` + name + `","Resource":["` + strings.Join(st.resources, `","`) + `"]`
			others := `"Effect":"Allow","NotAction":"organizations:` + name + `","Resource":"*"`
			ann := organizations.NewFromConfig(s.User(st.account, "ann", `{"Version":"2012-10-17","Statement":[{`+others+`}]}`))
			fails(t, st.call(ann), "AccessDeniedException")
			for i := range st.resources {
				if st.resources[0] == "*" {
					break
				}
				elsewhere := slices.Clone(st.resources)
				elsewhere[i] += "x"
				if strings.HasSuffix(elsewhere[i], "*x") {
					elsewhere[i] = strings.Replace(elsewhere[i], s.org, "o-0000000000", 1)
				}
				less := `"Action":"organizations:` + name + `","Resource":["` + strings.Join(elsewhere, `","`) + `"]`
				fails(t, st.call(s.as(st.account, fmt.Sprint("less", i), less)), "AccessDeniedException")
			}
			if err := st.call(s.as(st.account, "just", all)); err != nil {
				t.Fatalf("with permission for %v: %v", st.resources, err)
			}
			var outcomes []string
			for _, e := range s.Trail(st.account) {
				if e.EventName == name && (strings.HasSuffix(e.UserIdentity.ARN, "/ann") || strings.HasSuffix(e.UserIdentity.ARN, "/just")) {
					outcomes = append(outcomes, e.ErrorCode)
				}
			}
			slices.Sort(outcomes) // records of one second come in any order
			if d := cmp.Diff([]string{"", "AccessDenied"}, outcomes); d != "" {
				t.Errorf("on record (-want +got):\n%s", d)
			}
		})
	}
}

func TestNotBuilt(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range notBuilt {
		if !regexp.MustCompile("`" + name + "`").Match(text) {
			t.Errorf("README.md does not say that %s is not built", name)
		}
	}
}
