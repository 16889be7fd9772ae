package organizations

import (
	"errors"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// How long parties have to agree: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
const (
	invitationLife  = 15 * day
	allFeaturesLife = 90 * day

	// listed is how long a handshake that has ended stays in the lists.
	listed = 30 * day
)

// state is the state of a handshake at a time.
func state(h *organization.Handshake, now time.Time) organizations.HandshakeState {
	st := organizations.HandshakeState(h.State)
	if (st == organizations.HandshakeStateOpen || st == organizations.HandshakeStateRequested) && !now.Before(h.Expires) {
		return organizations.HandshakeStateExpired
	}
	return st
}

// pending reports whether the parties may still agree.
func pending(h *organization.Handshake, now time.Time) bool {
	st := state(h, now)
	return st == organizations.HandshakeStateOpen || st == organizations.HandshakeStateRequested
}

// showHandshake is a handshake as the API has it.
func (s *Service) showHandshake(c *call.Call, h *organization.Handshake) (organizations.Handshake, error) {
	owner, err := organization.ProfileOf(c.Tx(), h.Management)
	if err != nil {
		return organizations.Handshake{}, err
	}
	action := organizations.ActionType(h.Action)
	out := organizations.Handshake{
		Id: new(h.ID), Arn: new(h.ARN(s.cfg.Partition)), Action: action, State: state(h, c.Time),
		RequestedTimestamp: new(h.Requested), ExpirationTimestamp: new(h.Expires),
		Parties: []organizations.HandshakeParty{{Id: new(h.OrgID), Type: organizations.HandshakePartyTypeOrganization}},
	}
	resource := func(t organizations.HandshakeResourceType, value string, within ...organizations.HandshakeResource) organizations.HandshakeResource {
		return organizations.HandshakeResource{Type: t, Value: &value, Resources: within}
	}
	set := "ALL"
	if action == organizations.ActionTypeInvite {
		// What an invited account is told it joins.
		if o, err := organization.Organizations.In(h.Management, "").Get(c.Tx(), h.OrgID); err == nil && !o.All {
			set = "CONSOLIDATED_BILLING"
		} else if store.IgnoreNotFound(err) != nil {
			return out, err
		}
	}
	out.Resources = append(out.Resources, resource(organizations.HandshakeResourceTypeOrganization, h.OrgID,
		resource(organizations.HandshakeResourceTypeMasterEmail, owner.Email),
		resource(organizations.HandshakeResourceTypeMasterName, owner.Name),
		resource(organizations.HandshakeResourceTypeOrganizationFeatureSet, set)))
	switch {
	case h.Email != "":
		out.Parties = append(out.Parties, organizations.HandshakeParty{Id: new(h.Email), Type: organizations.HandshakePartyTypeEmail})
		out.Resources = append(out.Resources, resource(organizations.HandshakeResourceTypeEmail, h.Email))
	case h.Account != "":
		out.Parties = append(out.Parties, organizations.HandshakeParty{Id: new(h.Account), Type: organizations.HandshakePartyTypeAccount})
		out.Resources = append(out.Resources, resource(organizations.HandshakeResourceTypeAccount, h.Account))
	}
	if h.Notes != "" {
		out.Resources = append(out.Resources, resource(organizations.HandshakeResourceTypeNotes, h.Notes))
	}
	if h.Parent != "" {
		out.Resources = append(out.Resources, resource(organizations.HandshakeResourceTypeParentHandshake, h.Parent))
	}
	return out, nil
}

func (s *Service) answerHandshake(c *call.Call, h *organization.Handshake) (*organizations.Handshake, error) {
	shown, err := s.showHandshake(c, h)
	return &shown, err
}

// openHandshake finds a handshake of the organization that is pending and that match accepts.
func (o *org) openHandshake(match func(*organization.Handshake) bool) (*organization.Handshake, error) {
	for h, err := range organization.Handshakes.In(o.Management, "").Scan(o.c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if pending(h, o.c.Time) && match(h) {
			return h, nil
		}
	}
	return nil, nil
}

func isAllFeatures(h *organization.Handshake) bool {
	return h.Action == string(organizations.ActionTypeEnableAllFeatures)
}

// InviteAccountToOrganization asks an account to join.
func (s *Service) InviteAccountToOrganization(c *call.Call, in *organizations.InviteAccountToOrganizationRequest) (*organizations.InviteAccountToOrganizationResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	h := &organization.Handshake{
		OrgID: o.ID, Management: o.Management, Action: string(organizations.ActionTypeInvite), State: string(organizations.HandshakeStateOpen),
		Notes: optional.Value(in.Notes), Tags: tags, Requested: c.Time, Expires: c.Time.Add(invitationLife),
	}
	if err := o.address(h, in.Target); err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: "*", RequestTags: tags}
	if h.Account != "" {
		r.ARN = o.AccountARN(s.cfg.Partition, h.Account)
	}
	if err := o.ask(management, r); err != nil {
		return nil, err
	}
	if h.Account == "" {
		return nil, invalid(organizations.InvalidInputExceptionReasonInvalidEmailAddressTarget, "You specified an invalid email address for the invited account owner.")
	}
	if _, err := organization.Of(c.Tx(), h.Account); err == nil {
		return nil, alreadyIn()
	} else if !missing(err) {
		return nil, err
	}
	migrating, err := o.openHandshake(isAllFeatures)
	if err != nil {
		return nil, err
	}
	if migrating != nil {
		return nil, handshakeConstraint(organizations.HandshakeConstraintViolationExceptionReasonInviteDisabledDuringEnableAllFeatures,
			"You can't issue new invitations to join an organization while it's in the process of enabling all features.")
	}
	twin, err := o.openHandshake(func(other *organization.Handshake) bool {
		return other.Action == h.Action && other.Account == h.Account
	})
	if err != nil {
		return nil, err
	}
	if twin != nil {
		return nil, &organizations.DuplicateHandshakeException{Message: "A handshake with the same action and target already exists."}
	}
	if err := o.insertHandshake(h); err != nil {
		return nil, err
	}
	shown, err := s.answerHandshake(c, h)
	return &organizations.InviteAccountToOrganizationResponse{Handshake: shown}, err
}

func alreadyIn() error {
	return handshakeConstraint(organizations.HandshakeConstraintViolationExceptionReasonAlreadyInAnOrganization,
		"The account is already a member of an organization.")
}

// address fills in whom an invitation is for. The account stays empty if nobody has the e-mail address.
func (o *org) address(h *organization.Handshake, to *organizations.HandshakeParty) error {
	id := optional.Value(to.Id)
	switch to.Type {
	case organizations.HandshakePartyTypeAccount:
		if !identity.IsAccount(id) {
			return invalid(organizations.InvalidInputExceptionReasonInvalidPattern, "You provided a value that does not match the required pattern.")
		}
		h.Account = id
	case organizations.HandshakePartyTypeEmail:
		h.Email = id
		account, err := organization.ByEmail(o.c.Tx(), id)
		h.Account = account
		return store.IgnoreNotFound(err)
	default:
		return invalid(organizations.InvalidInputExceptionReasonInvalidPartyTypeTarget, "You specified the wrong type of entity (account, organization, or email) as a party.")
	}
	return nil
}

func (o *org) insertHandshake(h *organization.Handshake) (err error) {
	if h.ID, err = newID(o.c, "h-", 32); err != nil {
		return err
	}
	return organization.Handshakes.In(o.Management, "").Insert(o.c.Tx(), h)
}

func putHandshake(c *call.Call, h *organization.Handshake) error {
	return organization.Handshakes.In(h.Management, "").Put(c.Tx(), h)
}

// party says which side of a handshake an account is on.
type party uint8

const (
	originator party = iota + 1 // the management account
	recipient                   // the other one
)

// handshake finds a handshake that the caller's account is a party of, after asking about it. may says which party may do the operation.
func (s *Service) handshake(c *call.Call, id string, may ...party) (*organization.Handshake, error) {
	h, err := organization.Handshakes.In("", "").Find(c.Tx(), "id", id)
	var side party
	switch {
	case missing(err):
	case err != nil:
		return nil, err
	case c.Scope.Account == h.Account:
		side = recipient
	case c.Scope.Account == h.Management:
		side = originator
	}
	if side == 0 {
		// One that concerns others is as good as none. Who may ask about all of them is told that there is none.
		if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
			return nil, err
		}
		return nil, noHandshake()
	}
	if err := c.Authorize(&call.Resource{ARN: h.ARN(s.cfg.Partition), Account: c.Scope.Account}); err != nil {
		return nil, err
	}
	if !slices.Contains(may, side) {
		return nil, notAllowed()
	}
	return h, nil
}

// move changes the state of a handshake, if it can be.
func move(c *call.Call, h *organization.Handshake, to organizations.HandshakeState) error {
	switch {
	case state(h, c.Time) == to:
		return &organizations.HandshakeAlreadyInStateException{Message: "The specified handshake is already in the requested state."}
	case !pending(h, c.Time):
		return &organizations.InvalidHandshakeTransitionException{Message: "You can't perform the operation on the handshake in its current state."}
	}
	h.State, h.Ended = string(to), c.Time
	return putHandshake(c, h)
}

// DescribeHandshake tells a party about a handshake.
func (s *Service) DescribeHandshake(c *call.Call, in *organizations.DescribeHandshakeRequest) (*organizations.DescribeHandshakeResponse, error) {
	h, err := s.handshake(c, optional.Value(in.HandshakeId), originator, recipient)
	if err != nil {
		return nil, err
	}
	shown, err := s.answerHandshake(c, h)
	return &organizations.DescribeHandshakeResponse{Handshake: shown}, err
}

// CancelHandshake takes back an invitation, or the wish for all features.
func (s *Service) CancelHandshake(c *call.Call, in *organizations.CancelHandshakeRequest) (*organizations.CancelHandshakeResponse, error) {
	h, err := s.handshake(c, optional.Value(in.HandshakeId), originator)
	if err != nil {
		return nil, err
	}
	if err := move(c, h, organizations.HandshakeStateCanceled); err != nil {
		return nil, err
	}
	if isAllFeatures(h) {
		if err := cancelAll(c, h.Management, func(child *organization.Handshake) bool { return child.Parent == h.ID }); err != nil {
			return nil, err
		}
	}
	shown, err := s.answerHandshake(c, h)
	return &organizations.CancelHandshakeResponse{Handshake: shown}, err
}

// cancelAll cancels handshakes of an organization that are pending and that match accepts.
func cancelAll(c *call.Call, management string, match func(*organization.Handshake) bool) error {
	for h, err := range organization.Handshakes.In(management, "").Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return err
		}
		if !pending(h, c.Time) || !match(h) {
			continue
		}
		if err := move(c, h, organizations.HandshakeStateCanceled); err != nil {
			return err
		}
	}
	return nil
}

// DeclineHandshake is a no.
func (s *Service) DeclineHandshake(c *call.Call, in *organizations.DeclineHandshakeRequest) (*organizations.DeclineHandshakeResponse, error) {
	h, err := s.handshake(c, optional.Value(in.HandshakeId), recipient)
	if err != nil {
		return nil, err
	}
	if err := move(c, h, organizations.HandshakeStateDeclined); err != nil {
		return nil, err
	}
	shown, err := s.answerHandshake(c, h)
	return &organizations.DeclineHandshakeResponse{Handshake: shown}, err
}

// AcceptHandshake is a yes: the invited account joins, a member agrees to all features, or the management account has them begin.
func (s *Service) AcceptHandshake(c *call.Call, in *organizations.AcceptHandshakeRequest) (*organizations.AcceptHandshakeResponse, error) {
	h, err := s.handshake(c, optional.Value(in.HandshakeId), originator, recipient)
	if err != nil {
		return nil, err
	}
	// Each kind is accepted by one side only.
	if (c.Scope.Account == h.Management) != isAllFeatures(h) {
		return nil, notAllowed()
	}
	if isAllFeatures(h) && state(h, c.Time) == organizations.HandshakeStateRequested {
		return nil, &organizations.InvalidHandshakeTransitionException{Message: "You can't perform the operation on the handshake in its current state."}
	}
	if err := move(c, h, organizations.HandshakeStateAccepted); err != nil {
		return nil, err
	}
	record, err := organization.Organizations.In(h.Management, "").Get(c.Tx(), h.OrgID)
	if err != nil {
		return nil, err
	}
	o := &org{s: s, c: c, Organization: record}
	switch organizations.ActionType(h.Action) {
	case organizations.ActionTypeInvite:
		err = o.accept(h)
	case organizations.ActionTypeApproveAllFeatures:
		err = o.agreed(h.Parent)
	case organizations.ActionTypeEnableAllFeatures:
		o.All = true
		err = o.put()
	}
	if err != nil {
		return nil, err
	}
	shown, err := s.answerHandshake(c, h)
	return &organizations.AcceptHandshakeResponse{Handshake: shown}, err
}

// accept has an invited account join.
func (o *org) accept(h *organization.Handshake) error {
	if _, err := organization.Of(o.c.Tx(), h.Account); err == nil {
		return alreadyIn()
	} else if !missing(err) {
		return err
	}
	err := o.join(&organization.Account{ID: h.Account, Invited: true, Joined: o.c.Time, Tags: h.Tags})
	if errors.Is(err, errFull) {
		return handshakeConstraint(organizations.HandshakeConstraintViolationExceptionReasonAccountNumberLimitExceeded,
			"The organization has reached the number of accounts that it may have.")
	}
	return err
}

// agreed opens a handshake on all features once all invited members have agreed.
func (o *org) agreed(parent string) error {
	asked := func(child *organization.Handshake) bool { return child.Parent == parent }
	if waiting, err := o.openHandshake(asked); err != nil || waiting != nil {
		return err
	}
	h, err := organization.Handshakes.In(o.Management, "").Get(o.c.Tx(), parent)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	for child, err := range organization.Handshakes.In(o.Management, "").Scan(o.c.Tx(), store.Query{}) {
		if err != nil {
			return err
		}
		if asked(child) && state(child, o.c.Time) != organizations.HandshakeStateAccepted {
			return nil // somebody has said no
		}
	}
	h.State = string(organizations.HandshakeStateOpen)
	return putHandshake(o.c, h)
}

// withdraw no longer asks an account for its agreement that has left.
func (o *org) withdraw(account string) error {
	h, err := o.openHandshake(func(h *organization.Handshake) bool { return h.Account == account && h.Parent != "" })
	if err != nil || h == nil {
		return err
	}
	if err := organization.Handshakes.In(o.Management, "").Delete(o.c.Tx(), h.ID); err != nil {
		return err
	}
	return o.agreed(h.Parent)
}

// EnableAllFeatures begins the way of an organization that only shares its bill to all features: its invited members are asked, and when they have
// agreed the management account accepts the handshake that is returned.
func (s *Service) EnableAllFeatures(c *call.Call, _ *organizations.EnableAllFeaturesRequest) (*organizations.EnableAllFeaturesResponse, error) {
	o, err := s.open(c, management, nil)
	if err != nil {
		return nil, err
	}
	if o.All {
		return nil, handshakeConstraint(organizations.HandshakeConstraintViolationExceptionReasonOrganizationAlreadyHasAllFeatures,
			"The handshake request is invalid because the organization has already enabled all features.")
	}
	migrating, err := o.openHandshake(isAllFeatures)
	if err != nil {
		return nil, err
	}
	if migrating != nil {
		return nil, handshakeConstraint(organizations.HandshakeConstraintViolationExceptionReasonOrganizationIsAlreadyPendingAllFeaturesMigration,
			"The handshake request is invalid because the organization has already started the process to enable all features.")
	}
	// Who was invited to share a bill has not been asked whether policies may bind them: they have to be invited once more.
	invitation := func(h *organization.Handshake) bool { return h.Action == string(organizations.ActionTypeInvite) }
	if err := cancelAll(c, o.Management, invitation); err != nil {
		return nil, err
	}
	h := &organization.Handshake{
		OrgID: o.ID, Management: o.Management, Action: string(organizations.ActionTypeEnableAllFeatures),
		State: string(organizations.HandshakeStateRequested), Requested: c.Time, Expires: c.Time.Add(allFeaturesLife),
	}
	if err := o.insertHandshake(h); err != nil {
		return nil, err
	}
	for a, err := range organization.Accounts.In(o.Management, "").Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if a.ID == o.Management || !a.Invited {
			continue // accounts that were created in the organization need not be asked
		}
		err := o.insertHandshake(&organization.Handshake{
			OrgID: o.ID, Management: o.Management, Action: string(organizations.ActionTypeApproveAllFeatures),
			State: string(organizations.HandshakeStateOpen), Account: a.ID, Parent: h.ID, Requested: c.Time, Expires: h.Expires,
		})
		if err != nil {
			return nil, err
		}
	}
	if err := o.agreed(h.ID); err != nil {
		return nil, err
	}
	if h, err = organization.Handshakes.In(o.Management, "").Get(c.Tx(), h.ID); err != nil {
		return nil, err
	}
	shown, err := s.answerHandshake(c, h)
	return &organizations.EnableAllFeaturesResponse{Handshake: shown}, err
}

// handshakes lists what a filter lets through.
func (s *Service) handshakes(c *call.Call, rows store.Rows[organization.Handshake], q store.Query, f *organizations.HandshakeFilter, token *string, max *int32) ([]organizations.Handshake, *string, error) {
	var action, parent string
	if f != nil {
		action, parent = string(f.ActionType), optional.Value(f.ParentHandshakeId)
		if action != "" && parent != "" {
			return nil, nil, invalid(organizations.InvalidInputExceptionReasonMaxLimitExceededFilter, "You can specify only one filter parameter for the operation.")
		}
	}
	q.Limit = limit(max)
	return page(rows, c.Tx(), q, token, action+" "+parent, func(h *organization.Handshake) bool {
		ended := h.Ended
		if ended.IsZero() {
			ended = h.Expires
		}
		return (action == "" || h.Action == action) && (parent == "" || h.Parent == parent) && c.Time.Sub(ended) < listed
	}, func(h *organization.Handshake) (organizations.Handshake, error) { return s.showHandshake(c, h) })
}

// ListHandshakesForAccount lists the handshakes that the caller's account is the recipient of, whether it is in an organization
// or not.
func (s *Service) ListHandshakesForAccount(c *call.Call, in *organizations.ListHandshakesForAccountRequest) (*organizations.ListHandshakesForAccountResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	found, next, err := s.handshakes(c, organization.Handshakes.In("", ""), store.Query{Index: "party", Prefix: store.Key{c.Scope.Account}}, in.Filter, in.NextToken, in.MaxResults)
	return &organizations.ListHandshakesForAccountResponse{Handshakes: found, NextToken: next}, err
}

// ListHandshakesForOrganization lists the handshakes of the caller's organization.
func (s *Service) ListHandshakesForOrganization(c *call.Call, in *organizations.ListHandshakesForOrganizationRequest) (*organizations.ListHandshakesForOrganizationResponse, error) {
	o, err := s.open(c, readable, nil)
	if err != nil {
		return nil, err
	}
	found, next, err := s.handshakes(c, organization.Handshakes.In(o.Management, ""), store.Query{}, in.Filter, in.NextToken, in.MaxResults)
	return &organizations.ListHandshakesForOrganizationResponse{Handshakes: found, NextToken: next}, err
}
