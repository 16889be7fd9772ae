package organizations

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	day = 24 * time.Hour

	// maxAccounts is how many accounts an organization may have. AWS begins with fewer and raises it on request up to this.
	maxAccounts = 10_000

	// closure is how long a closed account stays in its organization: https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-closing.html
	closure      = 90 * day
	closureTimer = "closure"

	// Within closingWindow a tenth of the accounts may be closed, and a few in any case.
	closingWindow = 30 * day
	closingLeast  = 10
	closingMost   = 1000
)

// account reads an account of the organization.
func (o *org) account(id string) (*organization.Account, error) {
	return organization.Accounts.In(o.Management, "").Get(o.c.Tx(), id)
}

// join puts an account into the organization's root.
func (o *org) join(a *organization.Account) error {
	rows := organization.Accounts.In(o.Management, "")
	n, err := rows.Count(o.c.Tx(), store.Query{})
	if err != nil {
		return err
	}
	if n >= maxAccounts {
		return errFull
	}
	a.OrgID, a.Management, a.Parent, a.Status = o.ID, o.Management, o.Root, organization.Active
	if err := rows.Insert(o.c.Tx(), a); err != nil {
		return err
	}
	return o.attachDefaults(a.ID)
}

var errFull = errors.New("the organization has as many accounts as it may have")

// leave takes an account out of the organization.
func (o *org) leave(a *organization.Account) error {
	delegated, err := o.isDelegated(a.ID)
	if err != nil {
		return err
	}
	if delegated {
		return constraint(organizations.ConstraintViolationExceptionReasonCannotRemoveDelegatedAdministratorFromOrg,
			"You cannot remove the account from the organization because it is a delegated administrator for a service. Deregister it first.")
	}
	if err := o.detachAll(a.ID); err != nil {
		return err
	}
	if err := o.c.Cancel(o.scope(), closureTimer, a.ID); err != nil {
		return err
	}
	if err := organization.Accounts.In(o.Management, "").Delete(o.c.Tx(), a.ID); err != nil {
		return err
	}
	return o.withdraw(a.ID)
}

// scope is where the organization's timers live.
func (o *org) scope() call.Scope {
	return call.Scope{Partition: o.s.cfg.Partition, Account: o.Management}
}

// showAccount is an account as the API has it.
func (o *org) showAccount(a *organization.Account) (*organizations.Account, error) {
	p, err := organization.ProfileOf(o.c.Tx(), a.ID)
	if err != nil {
		return nil, err
	}
	path, err := o.path(a.Parent, a.ID)
	if err != nil {
		return nil, err
	}
	out := &organizations.Account{
		Id: &a.ID, Arn: new(o.AccountARN(o.s.cfg.Partition, a.ID)), Email: &p.Email, Name: &p.Name, Paths: []string{path},
		Status: organizations.AccountStatusActive, State: organizations.AccountStateActive,
		JoinedMethod: organizations.AccountJoinedMethodCreated, JoinedTimestamp: &a.Joined,
	}
	if a.Status == organization.Suspended {
		out.Status, out.State = organizations.AccountStatusSuspended, organizations.AccountStateClosed
	}
	if a.Invited {
		out.JoinedMethod = organizations.AccountJoinedMethodInvited
	}
	return out, nil
}

// existingAccount finds an account of the organization after asking about it.
func (o *org) existingAccount(who access, id string) (*organization.Account, error) {
	r, err := o.ofTarget(id)
	if err != nil {
		return nil, err
	}
	if err := o.ask(who, r); err != nil {
		return nil, err
	}
	a, err := o.account(id)
	if missing(err) {
		return nil, noAccount()
	}
	return a, err
}

// CreateAccount makes an account in the organization. As at AWS the answer is that it is being made; DescribeCreateAccountStatus tells, from the
// moment of the answer on, how it went.
func (s *Service) CreateAccount(c *call.Call, in *organizations.CreateAccountRequest) (*organizations.CreateAccountResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	// The account does not have an ID yet, but tags already.
	if err := o.ask(management, &call.Resource{ARN: "*", Tags: tags, RequestTags: tags}); err != nil {
		return nil, err
	}
	id, err := newID(c, "car-", 32)
	if err != nil {
		return nil, err
	}
	status := &organization.Creation{
		ID: id, Name: optional.Value(in.AccountName), State: string(organizations.CreateAccountStateInProgress), Requested: c.Time,
	}
	answer := showCreation(status)
	status.Completed = c.Time
	role := optional.Value(in.RoleName)
	if role == "" {
		role = defaultRole
	}
	failure, err := o.create(status, optional.Value(in.Email), role, tags)
	if err != nil {
		return nil, err
	}
	status.State, status.Failure = string(organizations.CreateAccountStateSucceeded), string(failure)
	if failure != "" {
		status.State = string(organizations.CreateAccountStateFailed)
	}
	if err := organization.Creations.In(o.Management, "").Insert(c.Tx(), status); err != nil {
		return nil, err
	}
	details, err := json.Marshal(map[string]any{"createAccountStatus": creationDetails(status)})
	if err != nil {
		return nil, err
	}
	c.ServiceEvent("CreateAccountResult", details)
	return &organizations.CreateAccountResponse{CreateAccountStatus: answer}, nil
}

// defaultRole is the role by which the management account gets into a new account, if no other name is asked for.
const defaultRole = "OrganizationAccountAccessRole"

// create makes an account, or says why there can be none.
func (o *org) create(status *organization.Creation, email, role string, tags map[string]string) (organizations.CreateAccountFailureReason, error) {
	if _, err := organization.ByEmail(o.c.Tx(), email); err == nil {
		return organizations.CreateAccountFailureReasonEmailAlreadyExists, nil
	} else if !missing(err) {
		return "", err
	}
	id, err := newAccountID(o.c)
	if err != nil {
		return "", err
	}
	err = o.join(&organization.Account{ID: id, Joined: o.c.Time, Tags: tags})
	if errors.Is(err, errFull) {
		return organizations.CreateAccountFailureReasonAccountLimitExceeded, nil
	}
	if err != nil {
		return "", err
	}
	status.Account = id
	if err := organization.Profiles.In("", "").Insert(o.c.Tx(), &organization.Profile{ID: id, Name: status.Name, Email: email}); err != nil {
		return "", err
	}
	return "", o.accessRole(id, role)
}

// creationDetails are the details of the service event CreateAccountResult:
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html
func creationDetails(r *organization.Creation) map[string]string {
	out := map[string]string{
		"id": r.ID, "state": r.State, "accountName": "****",
		"requestedTimestamp": r.Requested.UTC().Format(time.RFC3339), "completedTimestamp": r.Completed.UTC().Format(time.RFC3339),
	}
	if r.Account != "" {
		out["accountId"] = r.Account
	}
	if r.Failure != "" {
		out["failureReason"] = r.Failure
	}
	return out
}

// showCreation is the state of a creation as the API has it.
func showCreation(r *organization.Creation) *organizations.CreateAccountStatus {
	out := &organizations.CreateAccountStatus{
		Id: new(r.ID), AccountName: new(r.Name), State: organizations.CreateAccountState(r.State),
		FailureReason: organizations.CreateAccountFailureReason(r.Failure), RequestedTimestamp: new(r.Requested),
	}
	if !r.Completed.IsZero() {
		out.CompletedTimestamp = new(r.Completed)
	}
	if r.Account != "" {
		out.AccountId = new(r.Account)
	}
	return out
}

// DescribeCreateAccountStatus tells how the creation of an account went.
func (s *Service) DescribeCreateAccountStatus(c *call.Call, in *organizations.DescribeCreateAccountStatusRequest) (*organizations.DescribeCreateAccountStatusResponse, error) {
	o, err := s.open(c, readable, nil)
	if err != nil {
		return nil, err
	}
	r, err := organization.Creations.In(o.Management, "").Get(c.Tx(), optional.Value(in.CreateAccountRequestId))
	if missing(err) {
		return nil, &organizations.CreateAccountStatusNotFoundException{
			Message: "We can't find a create account request with the CreateAccountRequestId that you specified.",
		}
	}
	if err != nil {
		return nil, err
	}
	return &organizations.DescribeCreateAccountStatusResponse{CreateAccountStatus: showCreation(r)}, nil
}

// ListCreateAccountStatus lists the creations of accounts, of some states or of all.
func (s *Service) ListCreateAccountStatus(c *call.Call, in *organizations.ListCreateAccountStatusRequest) (*organizations.ListCreateAccountStatusResponse, error) {
	o, err := s.open(c, readable, nil)
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]bool)
	var filters strings.Builder
	for _, st := range in.States {
		wanted[string(st)] = true
		filters.WriteString(string(st) + " ")
	}
	found, next, err := page(organization.Creations.In(o.Management, ""), c.Tx(), store.Query{Limit: limit(in.MaxResults)}, in.NextToken, filters.String(),
		func(r *organization.Creation) bool { return len(wanted) == 0 || wanted[r.State] },
		func(r *organization.Creation) (organizations.CreateAccountStatus, error) {
			return *showCreation(r), nil
		})
	return &organizations.ListCreateAccountStatusResponse{CreateAccountStatuses: found, NextToken: next}, err
}

// DescribeAccount tells about an account.
func (s *Service) DescribeAccount(c *call.Call, in *organizations.DescribeAccountRequest) (*organizations.DescribeAccountResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	a, err := o.existingAccount(readable, optional.Value(in.AccountId))
	if err != nil {
		return nil, err
	}
	shown, err := o.showAccount(a)
	return &organizations.DescribeAccountResponse{Account: shown}, err
}

// accounts lists accounts as the API has them.
func (o *org) accounts(q store.Query, token *string) ([]organizations.Account, *string, error) {
	return page(organization.Accounts.In(o.Management, ""), o.c.Tx(), q, token, "", nil, func(a *organization.Account) (organizations.Account, error) {
		shown, err := o.showAccount(a)
		if err != nil {
			return organizations.Account{}, err
		}
		return *shown, nil
	})
}

// ListAccounts lists all accounts of the organization.
func (s *Service) ListAccounts(c *call.Call, in *organizations.ListAccountsRequest) (*organizations.ListAccountsResponse, error) {
	o, err := s.open(c, readable, nil)
	if err != nil {
		return nil, err
	}
	accounts, next, err := o.accounts(store.Query{Limit: limit(in.MaxResults)}, in.NextToken)
	return &organizations.ListAccountsResponse{Accounts: accounts, NextToken: next}, err
}

// ListAccountsForParent lists the accounts that lie directly in the root or a unit.
func (s *Service) ListAccountsForParent(c *call.Call, in *organizations.ListAccountsForParentRequest) (*organizations.ListAccountsForParentResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	parent := optional.Value(in.ParentId)
	if err := o.parentOf(readable, parent); err != nil {
		return nil, err
	}
	accounts, next, err := o.accounts(store.Query{Index: "parent", Prefix: store.Key{parent}, Limit: limit(in.MaxResults)}, in.NextToken)
	return &organizations.ListAccountsForParentResponse{Accounts: accounts, NextToken: next}, err
}

// MoveAccount moves an account from the root or a unit to another.
func (s *Service) MoveAccount(c *call.Call, in *organizations.MoveAccountRequest) (*organizations.MoveAccountResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	id, from, to := optional.Value(in.AccountId), optional.Value(in.SourceParentId), optional.Value(in.DestinationParentId)
	var resources []*call.Resource
	for _, id := range []string{id, from, to} {
		r, err := o.ofTarget(id)
		if err != nil {
			return nil, err
		}
		resources = append(resources, r)
	}
	if err := o.ask(management, resources...); err != nil {
		return nil, err
	}
	a, err := o.account(id)
	if missing(err) {
		return nil, noAccount()
	}
	if err != nil {
		return nil, err
	}
	if _, err := o.chain(from); missing(err) {
		return nil, &organizations.SourceParentNotFoundException{Message: "You specified a source parent that doesn't exist."}
	} else if err != nil {
		return nil, err
	}
	if _, err := o.chain(to); missing(err) {
		return nil, &organizations.DestinationParentNotFoundException{Message: "You specified a destination parent that doesn't exist."}
	} else if err != nil {
		return nil, err
	}
	if a.Parent != from {
		return nil, noAccount() // in that parent
	}
	if from == to {
		return nil, &organizations.DuplicateAccountException{Message: "That account is already present in the specified destination."}
	}
	a.Parent = to
	return &organizations.MoveAccountResponse{}, organization.Accounts.In(o.Management, "").Put(c.Tx(), a)
}

// RemoveAccountFromOrganization takes a member out.
func (s *Service) RemoveAccountFromOrganization(c *call.Call, in *organizations.RemoveAccountFromOrganizationRequest) (*organizations.RemoveAccountFromOrganizationResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	a, err := o.existingAccount(management, optional.Value(in.AccountId))
	if err != nil {
		return nil, err
	}
	if a.ID == o.Management {
		return nil, managementStays()
	}
	if a.Status != organization.Active {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonAccountCannotLeaveOrganization,
			"You can't remove a closed account from its organization. It leaves by itself when its closure is final.")
	}
	return &organizations.RemoveAccountFromOrganizationResponse{}, o.leave(a)
}

// LeaveOrganization takes the caller's account out.
func (s *Service) LeaveOrganization(c *call.Call, _ *organizations.LeaveOrganizationRequest) (*organizations.LeaveOrganizationResponse, error) {
	o, err := s.open(c, member, nil)
	if err != nil {
		return nil, err
	}
	if o.caller.ID == o.Management {
		return nil, managementStays()
	}
	return &organizations.LeaveOrganizationResponse{}, o.leave(o.caller)
}

// CloseAccount closes a member, which stays in the organization for ninety days.
func (s *Service) CloseAccount(c *call.Call, in *organizations.CloseAccountRequest) (*organizations.CloseAccountResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	a, err := o.existingAccount(management, optional.Value(in.AccountId))
	if err != nil {
		return nil, err
	}
	switch {
	case a.ID == o.Management:
		return nil, constraint(organizations.ConstraintViolationExceptionReasonCannotCloseManagementAccount,
			"You can't close the management account of an organization by this operation.")
	case a.Status != organization.Active:
		return nil, &organizations.AccountAlreadyClosedException{Message: "You attempted to close an account that is already closed."}
	}
	all, closed := 0, 0
	for other, err := range organization.Accounts.In(o.Management, "").Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		all++
		if !other.Closed.IsZero() && c.Time.Sub(other.Closed) < closingWindow {
			closed++
		}
	}
	if closed >= min(max(closingLeast, all/10), closingMost) {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonCloseAccountQuotaExceeded,
			"You have exceeded the number of accounts that you can close within 30 days.")
	}
	a.Status, a.Closed = organization.Suspended, c.Time
	if err := organization.Accounts.In(o.Management, "").Put(c.Tx(), a); err != nil {
		return nil, err
	}
	p, err := organization.ProfileOf(c.Tx(), a.ID)
	if err != nil {
		return nil, err
	}
	p.Closed = c.Time
	if err := organization.Profiles.In("", "").Put(c.Tx(), p); err != nil {
		return nil, err
	}
	return &organizations.CloseAccountResponse{}, c.At(c.Time.Add(closure), o.scope(), closureTimer, a.ID, nil)
}

// closureDue takes an account out of its organization that was closed long enough ago.
func (s *Service) closureDue(c *call.Call, account string, _ []byte) error {
	a, err := organization.Of(c.Tx(), account)
	if missing(err) || err == nil && a.Status != organization.Suspended {
		return nil
	}
	if err != nil {
		return err
	}
	o, err := a.Organization(c.Tx())
	if err != nil {
		return err
	}
	rows := organization.Delegations.In(o.Management, "")
	for d, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{account}}) {
		if err != nil {
			return err
		}
		if err := rows.Delete(c.Tx(), d.Account, d.Service); err != nil {
			return err
		}
	}
	return (&org{s: s, c: c, Organization: o}).leave(a)
}
