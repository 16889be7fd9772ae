package organizations_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
)

func TestCreateAccount(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		w := organized(t)
		st := must(w.CreateAccount(bg, &organizations.CreateAccountInput{
			AccountName: aws.String("Prod"), Email: aws.String("prod@corp.example"), Tags: []types.Tag{{Key: aws.String("env"), Value: aws.String("prod")}},
		}))(t).CreateAccountStatus
		like(t, "request", st.Id, "car-[a-z0-9]{32}")
		if st.State != types.CreateAccountStateInProgress || st.AccountId != nil {
			t.Errorf("status = %+v, want one in progress", st)
		}
		done := must(w.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: st.Id}))(t).CreateAccountStatus
		if done.State != types.CreateAccountStateSucceeded || done.CompletedTimestamp == nil {
			t.Fatalf("status = %+v, want success", done)
		}
		like(t, "account", done.AccountId, "[1-9][0-9]{11}")
		a := must(w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: done.AccountId}))(t).Account
		if *a.Name != "Prod" || *a.Email != "prod@corp.example" || a.Status != types.AccountStatusActive || a.State != types.AccountStateActive ||
			a.JoinedMethod != types.AccountJoinedMethodCreated {
			t.Errorf("account = %+v", a)
		}
		like(t, "ARN", a.Arn, "arn:aws:organizations::111122223333:account/o-[a-z0-9]{10}/"+*a.Id)
		like(t, "path", &a.Paths[0], "o-[a-z0-9]{10}/r-[a-z0-9]{4}/"+*a.Id+"/")
		tags := must(w.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: a.Id}))(t).Tags
		if len(tags) != 1 || *tags[0].Value != "prod" {
			t.Errorf("tags = %+v", tags)
		}
		w.audited("CreateAccount")
		w.audited("CreateAccountResult")
	})
	t.Run("EmailAlreadyExists", func(t *testing.T) {
		w := organized(t)
		w.account("prod")
		st := must(w.CreateAccount(bg, &organizations.CreateAccountInput{AccountName: aws.String("again"), Email: aws.String("PROD@corp.example")}))(t).CreateAccountStatus
		done := must(w.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: st.Id}))(t).CreateAccountStatus
		if done.State != types.CreateAccountStateFailed || done.FailureReason != types.CreateAccountFailureReasonEmailAlreadyExists || done.AccountId != nil {
			t.Errorf("status = %+v", done)
		}
		for _, c := range []struct {
			states []types.CreateAccountState
			want   int
		}{
			{nil, 2},
			{[]types.CreateAccountState{types.CreateAccountStateFailed}, 1},
			{[]types.CreateAccountState{types.CreateAccountStateInProgress}, 0},
		} {
			got := must(w.ListCreateAccountStatus(bg, &organizations.ListCreateAccountStatusInput{States: c.states}))(t).CreateAccountStatuses
			if len(got) != c.want {
				t.Errorf("ListCreateAccountStatus(%v) = %d, want %d", c.states, len(got), c.want)
			}
		}
	})
	t.Run("NoSuchStatus", func(t *testing.T) {
		w := organized(t)
		_, err := w.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: aws.String("car-00000000")})
		fails(t, err, "CreateAccountStatusNotFoundException")
	})
	t.Run("Denied", func(t *testing.T) {
		w := organized(t)
		create := &organizations.CreateAccountInput{AccountName: aws.String("x"), Email: aws.String("x@corp.example")}
		_, err := w.as(management, "ann", `"Action":"organizations:List*","Resource":"*"`).CreateAccount(bg, create)
		fails(t, err, "AccessDeniedException")
		_, err = w.rootOf(w.account("member")).CreateAccount(bg, create)
		fails(t, err, "AccessDeniedException")
	})
	t.Run("TagConditions", func(t *testing.T) {
		w := organized(t)
		ann := w.as(management, "ann", `"Action":"organizations:CreateAccount","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/env":"dev"}}`)
		in := &organizations.CreateAccountInput{AccountName: aws.String("x"), Email: aws.String("x@corp.example")}
		_, err := ann.CreateAccount(bg, in)
		fails(t, err, "AccessDeniedException")
		in.Tags = []types.Tag{{Key: aws.String("env"), Value: aws.String("dev")}}
		must(ann.CreateAccount(bg, in))(t)
	})
}

func TestDescribeAccount(t *testing.T) {
	w := organized(t)
	_, err := w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: aws.String(stranger)})
	fails(t, err, "AccountNotFoundException")
	a, b := w.account("a"), w.account("b")
	o := must(w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization
	ann := w.as(management, "ann", `"Action":"organizations:DescribeAccount","Resource":"arn:aws:organizations::`+management+`:account/`+*o.Id+`/`+a+`"`)
	must(ann.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &a}))(t)
	for _, id := range []string{b, stranger} {
		_, err = ann.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &id})
		fails(t, err, "AccessDeniedException")
	}
	must(w.TagResource(bg, &organizations.TagResourceInput{ResourceId: &b, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}}))(t)
	bob := w.as(management, "bob", `"Action":"organizations:DescribeAccount","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}`)
	must(bob.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &b}))(t)
	_, err = bob.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &a})
	fails(t, err, "AccessDeniedException")
}

func TestListAccounts(t *testing.T) {
	w := organized(t)
	want := map[string]bool{management: true}
	for i := range 24 {
		want[w.account(fmt.Sprintf("account%d", i))] = true
	}
	got := map[string]bool{}
	pages := 0
	for p := organizations.NewListAccountsPaginator(w.Client, &organizations.ListAccountsInput{MaxResults: aws.Int32(7)}); p.HasMorePages(); pages++ {
		for _, a := range must(p.NextPage(bg))(t).Accounts {
			if got[*a.Id] {
				t.Errorf("account %s came twice", *a.Id)
			}
			got[*a.Id] = true
		}
	}
	if len(got) != len(want) || pages != 4 {
		t.Errorf("%d accounts on %d pages, want %d on 4", len(got), pages, len(want))
	}
	out := must(w.ListAccounts(bg, &organizations.ListAccountsInput{}))(t)
	if len(out.Accounts) != 20 || out.NextToken == nil {
		t.Errorf("%d accounts on a page without a size, want 20 and a token", len(out.Accounts))
	}
	for _, token := range []string{"made-up", *out.NextToken + "x"} {
		_, err := w.ListAccounts(bg, &organizations.ListAccountsInput{NextToken: &token})
		fails(t, err, "InvalidInputException/INVALID_NEXT_TOKEN")
	}
	_, err := w.ListRoots(bg, &organizations.ListRootsInput{NextToken: out.NextToken})
	fails(t, err, "InvalidInputException/INVALID_NEXT_TOKEN")
}

func TestMoveAccount(t *testing.T) {
	w := organized(t)
	root := w.root()
	a := w.account("a")
	ou := w.unit(root, "ou")
	move := func(id, from, to string) error {
		_, err := w.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &id, SourceParentId: &from, DestinationParentId: &to})
		return err
	}
	const nowhere = "ou-none-12345678"
	fails(t, move(stranger, root, ou), "AccountNotFoundException")
	fails(t, move(a, nowhere, ou), "SourceParentNotFoundException")
	fails(t, move(a, root, nowhere), "DestinationParentNotFoundException")
	fails(t, move(a, "r-none", ou), "SourceParentNotFoundException")
	fails(t, move(a, ou, root), "AccountNotFoundException")
	fails(t, move(a, root, root), "DuplicateAccountException")
	if err := move(a, root, ou); err != nil {
		t.Fatal(err)
	}
	p := must(w.ListParents(bg, &organizations.ListParentsInput{ChildId: &a}))(t).Parents
	if len(p) != 1 || *p[0].Id != ou || p[0].Type != types.ParentTypeOrganizationalUnit {
		t.Errorf("parents = %+v", p)
	}
	in := must(w.ListAccountsForParent(bg, &organizations.ListAccountsForParentInput{ParentId: &ou}))(t).Accounts
	if len(in) != 1 || *in[0].Id != a {
		t.Errorf("accounts of the unit = %+v", in)
	}
	if err := move(management, root, ou); err != nil {
		t.Errorf("moving the management account: %v", err)
	}
	o := must(w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization
	arns := `"arn:aws:organizations::` + management + `:`
	ann := w.as(management, "ann", `"Action":"organizations:MoveAccount","Resource":[`+arns+`account/`+*o.Id+`/`+a+`",`+arns+`ou/`+*o.Id+`/`+ou+`"]`)
	_, err := ann.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &a, SourceParentId: &ou, DestinationParentId: &root})
	fails(t, err, "AccessDeniedException") // of the root
	_, err = w.rootOf(a).MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &a, SourceParentId: &ou, DestinationParentId: &root})
	fails(t, err, "AccessDeniedException")
	w.audited("MoveAccount")
}

func TestRemoveAccount(t *testing.T) {
	w := organized(t)
	a := w.account("a")
	remove := func(c *organizations.Client, id string) error {
		_, err := c.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: &id})
		return err
	}
	fails(t, remove(w.Client, stranger), "AccountNotFoundException")
	fails(t, remove(w.Client, management), "MasterCannotLeaveOrganizationException")
	fails(t, remove(w.rootOf(a), a), "AccessDeniedException")
	fails(t, remove(w.as(management, "ann"), a), "AccessDeniedException")
	w.delegate(a, "guardduty.amazonaws.com")
	fails(t, remove(w.Client, a), "ConstraintViolationException/CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG")
	must(w.DeregisterDelegatedAdministrator(bg, &organizations.DeregisterDelegatedAdministratorInput{AccountId: &a, ServicePrincipal: aws.String("guardduty.amazonaws.com")}))(t)
	if err := remove(w.Client, a); err != nil {
		t.Fatal(err)
	}
	_, err := w.rootOf(a).DescribeOrganization(bg, &organizations.DescribeOrganizationInput{})
	fails(t, err, "AWSOrganizationsNotInUseException")
	w.audited("RemoveAccountFromOrganization")
}

func TestLeaveOrganization(t *testing.T) {
	w := organized(t)
	_, err := w.LeaveOrganization(bg, &organizations.LeaveOrganizationInput{})
	fails(t, err, "MasterCannotLeaveOrganizationException")
	w.invite(invitee)
	_, err = w.as(invitee, "ann").LeaveOrganization(bg, &organizations.LeaveOrganizationInput{})
	fails(t, err, "AccessDeniedException")
	must(w.rootOf(invitee).LeaveOrganization(bg, &organizations.LeaveOrganizationInput{}))(t)
	_, err = w.rootOf(invitee).LeaveOrganization(bg, &organizations.LeaveOrganizationInput{})
	fails(t, err, "AWSOrganizationsNotInUseException")
}

func TestCloseAccount(t *testing.T) {
	w := organized(t)
	a := w.account("a")
	closeIt := func(c *organizations.Client, id string) error {
		_, err := c.CloseAccount(bg, &organizations.CloseAccountInput{AccountId: &id})
		return err
	}
	fails(t, closeIt(w.Client, stranger), "AccountNotFoundException")
	fails(t, closeIt(w.Client, management), "ConstraintViolationException/CANNOT_CLOSE_MANAGEMENT_ACCOUNT")
	fails(t, closeIt(w.as(management, "ann"), a), "AccessDeniedException")
	if err := closeIt(w.Client, a); err != nil {
		t.Fatal(err)
	}
	got := must(w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &a}))(t).Account
	if got.Status != types.AccountStatusSuspended || got.State != types.AccountStateClosed {
		t.Errorf("a closed account = %+v", got)
	}
	fails(t, closeIt(w.Client, a), "AccountAlreadyClosedException")
	w.audited("CloseAccount")
	t.Run("QuotaOfThirtyDays", func(t *testing.T) {
		for i := range 9 {
			if err := closeIt(w.Client, w.account(fmt.Sprintf("more%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		last := w.account("last")
		fails(t, closeIt(w.Client, last), "ConstraintViolationException/CLOSE_ACCOUNT_QUOTA_EXCEEDED")
		w.Advance(30 * 24 * time.Hour)
		if err := closeIt(w.Client, last); err != nil {
			t.Error(err)
		}
	})
	t.Run("GoneAfterNinetyDays", func(t *testing.T) {
		w.Advance(59 * 24 * time.Hour)
		must(w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &a}))(t)
		w.Advance(2 * 24 * time.Hour)
		_, err := w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &a})
		fails(t, err, "AccountNotFoundException")
	})
}

// Accounts that are created at once all come to be, and an e-mail address goes to one of them.
func TestCreateAccountAtOnce(t *testing.T) {
	w := organized(t)
	w.enable(scp)
	const n = 12
	ids := make([]*string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			address := fmt.Sprintf("a%d@corp.example", i)
			if i%2 == 0 {
				address = "same@corp.example"
			}
			out, err := w.CreateAccount(bg, &organizations.CreateAccountInput{AccountName: aws.String("a"), Email: &address})
			if err != nil {
				t.Errorf("CreateAccount = %v", err)
				return
			}
			ids[i] = out.CreateAccountStatus.Id
		})
	}
	wg.Wait()
	states := map[types.CreateAccountState]int{}
	for _, id := range ids {
		states[must(w.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: id}))(t).CreateAccountStatus.State]++
	}
	if states[types.CreateAccountStateSucceeded] != n/2+1 || states[types.CreateAccountStateFailed] != n/2-1 {
		t.Errorf("states = %v, want one of the %d with the same address, and all others", states, n/2)
	}
	if got := len(must(w.ListAccounts(bg, &organizations.ListAccountsInput{}))(t).Accounts); got != n/2+2 {
		t.Errorf("%d accounts, want %d and the management account", got, n/2+1)
	}
}

// A closed account does not open again by leaving its organization, where no SCP would bind it any more.
func TestClosedStaysClosed(t *testing.T) {
	w := organized(t)
	list := func(c *organizations.Client) error {
		_, err := c.ListHandshakesForAccount(bg, &organizations.ListHandshakesForAccountInput{})
		return err
	}
	removed, forgotten := w.account("removed"), w.account("forgotten")
	w.invite(invitee)
	all := []string{removed, forgotten, invitee}
	users := make(map[string]*organizations.Client)
	for _, id := range all {
		users[id] = w.as(id, "ann", `"Action":"*","Resource":"*"`)
		if err := list(users[id]); err != nil {
			t.Fatal(err)
		}
		must(w.CloseAccount(bg, &organizations.CloseAccountInput{AccountId: &id}))(t)
	}
	refused := func() {
		t.Helper()
		for _, id := range all {
			fails(t, list(users[id]), "UnrecognizedClientException")
			fails(t, list(w.rootOf(id)), "UnrecognizedClientException")
		}
	}
	refused()
	_, err := w.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: &removed})
	fails(t, err, "ConstraintViolationException/ACCOUNT_CANNOT_LEAVE_ORGANIZATION")
	w.Advance(91 * 24 * time.Hour)
	refused()
	_, err = w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: &forgotten})
	fails(t, err, "AccountNotFoundException")
	if err := list(w.rootOf(stranger)); err != nil {
		t.Error(err)
	}
}
