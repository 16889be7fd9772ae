package organizations_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
)

// ask invites an account and returns the handshake.
func (w *world) ask(account string) (*types.Handshake, error) {
	out, err := w.InviteAccountToOrganization(bg, &organizations.InviteAccountToOrganizationInput{
		Target: &types.HandshakeParty{Id: &account, Type: types.HandshakePartyTypeAccount}, Notes: aws.String("join us"),
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})
	if err != nil {
		return nil, err
	}
	return out.Handshake, nil
}

func accept(c *organizations.Client, id *string) error {
	_, err := c.AcceptHandshake(bg, &organizations.AcceptHandshakeInput{HandshakeId: id})
	return err
}

func decline(c *organizations.Client, id *string) error {
	_, err := c.DeclineHandshake(bg, &organizations.DeclineHandshakeInput{HandshakeId: id})
	return err
}

func cancel(c *organizations.Client, id *string) error {
	_, err := c.CancelHandshake(bg, &organizations.CancelHandshakeInput{HandshakeId: id})
	return err
}

func (w *world) state(c *organizations.Client, id *string) types.HandshakeState {
	w.t.Helper()
	return must(c.DescribeHandshake(bg, &organizations.DescribeHandshakeInput{HandshakeId: id}))(w.t).Handshake.State
}

func TestInvitation(t *testing.T) {
	t.Run("Accepted", func(t *testing.T) {
		w := organized(t)
		w.enable(scp)
		h, err := w.ask(invitee)
		if err != nil {
			t.Fatal(err)
		}
		like(t, "ID", h.Id, "h-[a-z0-9]{32}")
		like(t, "ARN", h.Arn, "arn:aws:organizations::111122223333:handshake/o-[a-z0-9]{10}/invite/"+*h.Id)
		if h.State != types.HandshakeStateOpen || h.Action != types.ActionTypeInviteAccountToOrganization || h.ExpirationTimestamp.Sub(*h.RequestedTimestamp) != 15*24*time.Hour || len(h.Parties) != 2 {
			t.Errorf("handshake = %+v", h)
		}
		_, err = w.ask(invitee)
		fails(t, err, "DuplicateHandshakeException")
		guest := w.rootOf(invitee)
		if l := must(guest.ListHandshakesForAccount(bg, &organizations.ListHandshakesForAccountInput{}))(t).Handshakes; len(l) != 1 || *l[0].Id != *h.Id {
			t.Errorf("handshakes of the invited account = %+v", l)
		}
		// Only the invited account can accept, and only with permission.
		fails(t, accept(w.Client, h.Id), "AccessDeniedException")
		fails(t, decline(w.Client, h.Id), "AccessDeniedException")
		fails(t, cancel(guest, h.Id), "AccessDeniedException")
		fails(t, accept(w.rootOf(stranger), h.Id), "HandshakeNotFoundException")
		fails(t, accept(w.as(invitee, "ann"), h.Id), "AccessDeniedException")
		fails(t, accept(guest, aws.String("h-12345678")), "HandshakeNotFoundException")
		_, err = guest.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{})
		fails(t, err, "AWSOrganizationsNotInUseException")
		if err := accept(guest, h.Id); err != nil {
			t.Fatal(err)
		}
		must(guest.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t)
		a := must(w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: aws.String(invitee)}))(t).Account
		if a.JoinedMethod != types.AccountJoinedMethodInvited {
			t.Errorf("account = %+v", a)
		}
		if tags := must(w.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: a.Id}))(t).Tags; len(tags) != 1 {
			t.Errorf("tags = %+v", tags)
		}
		fails(t, accept(guest, h.Id), "HandshakeAlreadyInStateException")
		fails(t, decline(guest, h.Id), "InvalidHandshakeTransitionException")
		fails(t, cancel(w.Client, h.Id), "InvalidHandshakeTransitionException")
		_, err = w.ask(invitee)
		fails(t, err, "HandshakeConstraintViolationException/ALREADY_IN_AN_ORGANIZATION")
		w.audited("InviteAccountToOrganization")
	})
	t.Run("Declined", func(t *testing.T) {
		w := organized(t)
		h, _ := w.ask(invitee)
		if err := decline(w.rootOf(invitee), h.Id); err != nil {
			t.Fatal(err)
		}
		fails(t, decline(w.rootOf(invitee), h.Id), "HandshakeAlreadyInStateException")
		fails(t, accept(w.rootOf(invitee), h.Id), "InvalidHandshakeTransitionException")
		if _, err := w.ask(invitee); err != nil {
			t.Errorf("inviting again: %v", err)
		}
	})
	t.Run("Canceled", func(t *testing.T) {
		w := organized(t)
		h, _ := w.ask(invitee)
		fails(t, cancel(w.as(management, "ann"), h.Id), "AccessDeniedException")
		if err := cancel(w.Client, h.Id); err != nil {
			t.Fatal(err)
		}
		fails(t, cancel(w.Client, h.Id), "HandshakeAlreadyInStateException")
		fails(t, accept(w.rootOf(invitee), h.Id), "InvalidHandshakeTransitionException")
		w.audited("CancelHandshake")
	})
	t.Run("Expired", func(t *testing.T) {
		w := organized(t)
		h, _ := w.ask(invitee)
		w.Advance(15 * 24 * time.Hour)
		if got := w.state(w.Client, h.Id); got != types.HandshakeStateExpired {
			t.Errorf("state = %s, want EXPIRED", got)
		}
		fails(t, accept(w.rootOf(invitee), h.Id), "InvalidHandshakeTransitionException")
		if l := must(w.ListHandshakesForOrganization(bg, &organizations.ListHandshakesForOrganizationInput{}))(t).Handshakes; len(l) != 1 {
			t.Errorf("%d handshakes are listed after they expired, want 1", len(l))
		}
		w.Advance(31 * 24 * time.Hour)
		if l := must(w.ListHandshakesForOrganization(bg, &organizations.ListHandshakesForOrganizationInput{}))(t).Handshakes; len(l) != 0 {
			t.Errorf("%d handshakes are listed a month after they expired, want none", len(l))
		}
	})
	t.Run("ByEmail", func(t *testing.T) {
		w := organized(t)
		email := func(address string) (*types.Handshake, error) {
			out, err := w.InviteAccountToOrganization(bg, &organizations.InviteAccountToOrganizationInput{
				Target: &types.HandshakeParty{Id: &address, Type: types.HandshakePartyTypeEmail},
			})
			if err != nil {
				return nil, err
			}
			return out.Handshake, nil
		}
		a := w.account("a")
		must(w.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: &a}))(t)
		h, err := email("a@corp.example")
		if err != nil {
			t.Fatal(err)
		}
		if h.Parties[1].Type != types.HandshakePartyTypeEmail {
			t.Errorf("parties = %+v", h.Parties)
		}
		if err := accept(w.rootOf(a), h.Id); err != nil {
			t.Error(err)
		}
		_, err = email("nobody@corp.example")
		fails(t, err, "InvalidInputException/INVALID_EMAIL_ADDRESS_TARGET")
		_, err = w.InviteAccountToOrganization(bg, &organizations.InviteAccountToOrganizationInput{
			Target: &types.HandshakeParty{Id: aws.String("o-1234567890"), Type: types.HandshakePartyTypeOrganization},
		})
		fails(t, err, "InvalidInputException/INVALID_PARTY_TYPE_TARGET")
		_, err = w.ask("12345")
		fails(t, err, "InvalidInputException/INVALID_PATTERN")
	})
	t.Run("TwoOrganizations", func(t *testing.T) {
		w := organized(t)
		h, _ := w.ask(invitee)
		other := w.rootOf(stranger)
		must(other.CreateOrganization(bg, &organizations.CreateOrganizationInput{}))(t)
		second := must(other.InviteAccountToOrganization(bg, &organizations.InviteAccountToOrganizationInput{
			Target: &types.HandshakeParty{Id: aws.String(invitee), Type: types.HandshakePartyTypeAccount},
		}))(t).Handshake
		if err := accept(w.rootOf(invitee), second.Id); err != nil {
			t.Fatal(err)
		}
		fails(t, accept(w.rootOf(invitee), h.Id), "HandshakeConstraintViolationException/ALREADY_IN_AN_ORGANIZATION")
		if got := w.state(w.Client, h.Id); got != types.HandshakeStateOpen {
			t.Errorf("the state after a failed acceptance = %s, want OPEN", got)
		}
		_, err := w.DescribeAccount(bg, &organizations.DescribeAccountInput{AccountId: aws.String(invitee)})
		fails(t, err, "AccountNotFoundException")
	})
	t.Run("Denied", func(t *testing.T) {
		w := organized(t)
		in := &organizations.InviteAccountToOrganizationInput{Target: &types.HandshakeParty{Id: aws.String(invitee), Type: types.HandshakePartyTypeAccount}}
		_, err := w.as(management, "ann").InviteAccountToOrganization(bg, in)
		fails(t, err, "AccessDeniedException")
		_, err = w.rootOf(w.account("a")).InviteAccountToOrganization(bg, in)
		fails(t, err, "AccessDeniedException")
		_, err = w.as(invitee, "ann").ListHandshakesForAccount(bg, &organizations.ListHandshakesForAccountInput{})
		fails(t, err, "AccessDeniedException")
		_, err = w.ListHandshakesForOrganization(bg, &organizations.ListHandshakesForOrganizationInput{
			Filter: &types.HandshakeFilter{ActionType: types.ActionTypeInviteAccountToOrganization, ParentHandshakeId: aws.String("h-12345678")},
		})
		fails(t, err, "InvalidInputException/MAX_LIMIT_EXCEEDED_FILTER")
	})
}

func TestEnableAllFeatures(t *testing.T) {
	billing := func(t *testing.T) *world {
		w := start(t)
		must(w.CreateOrganization(bg, &organizations.CreateOrganizationInput{FeatureSet: types.OrganizationFeatureSetConsolidatedBilling}))(t)
		return w
	}
	begin := func(w *world) (*types.Handshake, error) {
		out, err := w.EnableAllFeatures(bg, &organizations.EnableAllFeaturesInput{})
		if err != nil {
			return nil, err
		}
		return out.Handshake, nil
	}
	t.Run("AllAgree", func(t *testing.T) {
		w := billing(t)
		w.account("created")
		w.invite(invitee)
		w.invite(stranger)
		h, err := begin(w)
		if err != nil {
			t.Fatal(err)
		}
		if h.State != types.HandshakeStateRequested || h.Action != types.ActionTypeEnableAllFeatures {
			t.Errorf("handshake = %+v", h)
		}
		_, err = begin(w)
		fails(t, err, "HandshakeConstraintViolationException/ORGANIZATION_IS_ALREADY_PENDING_ALL_FEATURES_MIGRATION")
		_, err = w.ask("123456789012")
		fails(t, err, "HandshakeConstraintViolationException/INVITE_DISABLED_DURING_ENABLE_ALL_FEATURES")
		children := must(w.ListHandshakesForOrganization(bg, &organizations.ListHandshakesForOrganizationInput{Filter: &types.HandshakeFilter{ParentHandshakeId: h.Id}}))(t).Handshakes
		if len(children) != 2 {
			t.Fatalf("%d accounts were asked, want the two that were invited", len(children))
		}
		fails(t, accept(w.Client, h.Id), "InvalidHandshakeTransitionException")
		approve := func(account string) error {
			l := must(w.rootOf(account).ListHandshakesForAccount(bg, &organizations.ListHandshakesForAccountInput{
				Filter: &types.HandshakeFilter{ActionType: types.ActionTypeApproveAllFeatures},
			}))(t).Handshakes
			return accept(w.rootOf(account), l[0].Id)
		}
		if err := approve(invitee); err != nil {
			t.Fatal(err)
		}
		fails(t, accept(w.Client, h.Id), "InvalidHandshakeTransitionException")
		if err := approve(stranger); err != nil {
			t.Fatal(err)
		}
		if got := w.state(w.Client, h.Id); got != types.HandshakeStateOpen {
			t.Errorf("state = %s, want OPEN", got)
		}
		if err := accept(w.Client, h.Id); err != nil {
			t.Fatal(err)
		}
		if o := must(w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization; o.FeatureSet != types.OrganizationFeatureSetAll {
			t.Errorf("organization = %+v", o)
		}
		_, err = begin(w)
		fails(t, err, "HandshakeConstraintViolationException/ORGANIZATION_ALREADY_HAS_ALL_FEATURES")
		w.audited("EnableAllFeatures")
	})
	t.Run("NobodyToAsk", func(t *testing.T) {
		w := billing(t)
		h, err := begin(w)
		if err != nil || h.State != types.HandshakeStateOpen {
			t.Fatalf("handshake = %+v, %v", h, err)
		}
		if err := accept(w.Client, h.Id); err != nil {
			t.Error(err)
		}
	})
	t.Run("WhoDisagreesLeaves", func(t *testing.T) {
		w := billing(t)
		w.invite(invitee)
		h, _ := begin(w)
		must(w.rootOf(invitee).LeaveOrganization(bg, &organizations.LeaveOrganizationInput{}))(t)
		if err := accept(w.Client, h.Id); err != nil {
			t.Error(err)
		}
	})
	t.Run("InvitationsEnd", func(t *testing.T) {
		w := billing(t)
		invitation, err := w.ask(invitee)
		if err != nil {
			t.Fatal(err)
		}
		h, err := begin(w)
		if err != nil {
			t.Fatal(err)
		}
		// Whoever accepted it now would be bound without having been asked.
		fails(t, accept(w.rootOf(invitee), invitation.Id), "InvalidHandshakeTransitionException")
		if err := accept(w.Client, h.Id); err != nil {
			t.Fatal(err)
		}
		fails(t, accept(w.rootOf(invitee), invitation.Id), "InvalidHandshakeTransitionException")
		if got := w.state(w.rootOf(invitee), invitation.Id); got != types.HandshakeStateCanceled {
			t.Errorf("the invitation is %s, want CANCELED", got)
		}
		w.invite(invitee)
	})
	t.Run("TakenBack", func(t *testing.T) {
		w := billing(t)
		w.invite(invitee)
		h, _ := begin(w)
		if err := cancel(w.Client, h.Id); err != nil {
			t.Fatal(err)
		}
		for _, child := range must(w.rootOf(invitee).ListHandshakesForAccount(bg, &organizations.ListHandshakesForAccountInput{
			Filter: &types.HandshakeFilter{ActionType: types.ActionTypeApproveAllFeatures},
		}))(t).Handshakes {
			if child.State != types.HandshakeStateCanceled {
				t.Errorf("a member's handshake is %s, want CANCELED", child.State)
			}
		}
		if _, err := begin(w); err != nil {
			t.Error(err)
		}
	})
	t.Run("Denied", func(t *testing.T) {
		w := billing(t)
		_, err := w.as(management, "ann").EnableAllFeatures(bg, &organizations.EnableAllFeaturesInput{})
		fails(t, err, "AccessDeniedException")
		_, err = w.rootOf(w.account("a")).EnableAllFeatures(bg, &organizations.EnableAllFeaturesInput{})
		fails(t, err, "AccessDeniedException")
	})
}
