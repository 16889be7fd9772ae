package organizations

import (
	"strings"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// isServicePrincipal reports whether a name has the form of a service's.
func isServicePrincipal(name string) bool {
	host, ok := strings.CutSuffix(strings.TrimSuffix(name, ".cn"), ".amazonaws.com")
	return ok && host != "" && !strings.HasPrefix(host, ".")
}

func noService() error {
	return invalid(organizations.InvalidInputExceptionReasonUnrecognizedServicePrincipal, "You specified an unrecognized service principal.")
}

// needAll returns an error unless the organization has all features.
func (o *org) needAll() error {
	if o.All {
		return nil
	}
	return constraint(organizations.ConstraintViolationExceptionReasonOrganizationNotInAllFeaturesMode,
		"This operation requires that your organization has all features enabled.")
}

// EnableAWSServiceAccess lets a service act in the organization.
func (s *Service) EnableAWSServiceAccess(c *call.Call, in *organizations.EnableAWSServiceAccessRequest) (*organizations.EnableAWSServiceAccessResponse, error) {
	name := optional.Value(in.ServicePrincipal)
	o, err := s.open(c, management, servicePrincipal(name))
	if err != nil {
		return nil, err
	}
	if err := o.needAll(); err != nil {
		return nil, err
	}
	if !isServicePrincipal(name) {
		return nil, noService()
	}
	rows := organization.TrustedServices.In(o.Management, "")
	if _, err := rows.Get(c.Tx(), name); err == nil {
		return &organizations.EnableAWSServiceAccessResponse{}, nil
	} else if !missing(err) {
		return nil, err
	}
	return &organizations.EnableAWSServiceAccessResponse{}, rows.Insert(c.Tx(), &organization.TrustedService{Service: name, Enabled: c.Time})
}

// DisableAWSServiceAccess ends what EnableAWSServiceAccess began.
func (s *Service) DisableAWSServiceAccess(c *call.Call, in *organizations.DisableAWSServiceAccessRequest) (*organizations.DisableAWSServiceAccessResponse, error) {
	name := optional.Value(in.ServicePrincipal)
	o, err := s.open(c, management, servicePrincipal(name))
	if err != nil {
		return nil, err
	}
	if err := o.needAll(); err != nil {
		return nil, err
	}
	if !isServicePrincipal(name) {
		return nil, noService()
	}
	n, err := organization.Delegations.In(o.Management, "").Count(c.Tx(), store.Query{Index: "service", Prefix: store.Key{name}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonDelegatedAdministratorExistsForThisService,
			"You must deregister all delegated administrators for the service before you disable its access.")
	}
	err = organization.TrustedServices.In(o.Management, "").Delete(c.Tx(), name)
	return &organizations.DisableAWSServiceAccessResponse{}, store.IgnoreNotFound(err)
}

// ListAWSServiceAccessForOrganization lists the services that may act in the organization.
func (s *Service) ListAWSServiceAccessForOrganization(c *call.Call, in *organizations.ListAWSServiceAccessForOrganizationRequest) (*organizations.ListAWSServiceAccessForOrganizationResponse, error) {
	o, err := s.open(c, readable, nil)
	if err != nil {
		return nil, err
	}
	found, next, err := page(organization.TrustedServices.In(o.Management, ""), c.Tx(), store.Query{Limit: limit(in.MaxResults)}, in.NextToken, "", nil,
		func(r *organization.TrustedService) (organizations.EnabledServicePrincipal, error) {
			return organizations.EnabledServicePrincipal{ServicePrincipal: &r.Service, DateEnabled: &r.Enabled}, nil
		})
	return &organizations.ListAWSServiceAccessForOrganizationResponse{EnabledServicePrincipals: found, NextToken: next}, err
}

// delegate finds the account that a delegation is about, after asking about it.
func (s *Service) delegate(c *call.Call, account, service string) (*org, *organization.Account, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, nil, err
	}
	r, err := o.ofTarget(account)
	if err != nil {
		return nil, nil, err
	}
	r.Conditions = servicePrincipal(service)
	if err := o.ask(management, r); err != nil {
		return nil, nil, err
	}
	if err := o.needAll(); err != nil {
		return nil, nil, err
	}
	if !isServicePrincipal(service) {
		return nil, nil, noService()
	}
	a, err := o.account(account)
	if missing(err) {
		return nil, nil, noAccount()
	}
	return o, a, err
}

// RegisterDelegatedAdministrator makes a member the administrator of the organization for a service.
func (s *Service) RegisterDelegatedAdministrator(c *call.Call, in *organizations.RegisterDelegatedAdministratorRequest) (*organizations.RegisterDelegatedAdministratorResponse, error) {
	account, service := optional.Value(in.AccountId), optional.Value(in.ServicePrincipal)
	o, a, err := s.delegate(c, account, service)
	if err != nil {
		return nil, err
	}
	switch {
	case account == o.Management:
		return nil, constraint(organizations.ConstraintViolationExceptionReasonCannotRegisterMasterAsDelegatedAdministrator,
			"You cannot register master account/yourself as delegated administrator for your organization.")
	case a.Status != organization.Active:
		return nil, constraint(organizations.ConstraintViolationExceptionReasonCannotRegisterSuspendedAccountAsDelegatedAdministrator,
			"You cannot register a suspended account as delegated administrator.")
	}
	if _, err := organization.TrustedServices.In(o.Management, "").Get(c.Tx(), service); missing(err) {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonServiceAccessNotEnabled,
			"You attempted to register a delegated administrator before you enabled service access. Call the EnableAWSServiceAccess API first.")
	} else if err != nil {
		return nil, err
	}
	rows := organization.Delegations.In(o.Management, "")
	if _, err := rows.Get(c.Tx(), account, service); err == nil {
		return nil, &organizations.AccountAlreadyRegisteredException{Message: "The provided account is already a delegated administrator for your organization."}
	} else if !missing(err) {
		return nil, err
	}
	return &organizations.RegisterDelegatedAdministratorResponse{}, rows.Insert(c.Tx(), &organization.Delegation{Account: account, Service: service, Enabled: c.Time})
}

func notRegistered() error {
	return &organizations.AccountNotRegisteredException{Message: "The provided account is not a registered delegated administrator for your organization."}
}

// DeregisterDelegatedAdministrator ends what RegisterDelegatedAdministrator began.
func (s *Service) DeregisterDelegatedAdministrator(c *call.Call, in *organizations.DeregisterDelegatedAdministratorRequest) (*organizations.DeregisterDelegatedAdministratorResponse, error) {
	account, service := optional.Value(in.AccountId), optional.Value(in.ServicePrincipal)
	o, _, err := s.delegate(c, account, service)
	if err != nil {
		return nil, err
	}
	err = organization.Delegations.In(o.Management, "").Delete(c.Tx(), account, service)
	if missing(err) {
		return nil, notRegistered()
	}
	return &organizations.DeregisterDelegatedAdministratorResponse{}, err
}

// ListDelegatedAdministrators lists the delegated administrators, of a service or all, each once.
func (s *Service) ListDelegatedAdministrators(c *call.Call, in *organizations.ListDelegatedAdministratorsRequest) (*organizations.ListDelegatedAdministratorsResponse, error) {
	var conditions = servicePrincipal(optional.Value(in.ServicePrincipal))
	if in.ServicePrincipal == nil {
		conditions = nil
	}
	o, err := s.open(c, readable, conditions)
	if err != nil {
		return nil, err
	}
	if err := o.needAll(); err != nil {
		return nil, err
	}
	q := store.Query{Limit: limit(in.MaxResults)}
	var failed error
	once := func(d *organization.Delegation) bool {
		// The first of an account's delegations stands for it, on whatever page.
		for first, err := range organization.Delegations.In(o.Management, "").Scan(c.Tx(), store.Query{Prefix: store.Key{d.Account}, Limit: 1}) {
			if err != nil {
				failed = err
				return false
			}
			return first.Service == d.Service
		}
		return false
	}
	if in.ServicePrincipal != nil {
		q.Index, q.Prefix, once = "service", store.Key{*in.ServicePrincipal}, nil
	}
	found, next, err := page(organization.Delegations.In(o.Management, ""), c.Tx(), q, in.NextToken, "", once,
		func(d *organization.Delegation) (organizations.DelegatedAdministrator, error) {
			var out organizations.DelegatedAdministrator
			a, err := o.account(d.Account)
			if err != nil {
				return out, err
			}
			shown, err := o.showAccount(a)
			if err != nil {
				return out, err
			}
			return organizations.DelegatedAdministrator{
				Id: shown.Id, Arn: shown.Arn, Email: shown.Email, Name: shown.Name, Status: shown.Status, State: shown.State,
				JoinedMethod: shown.JoinedMethod, JoinedTimestamp: shown.JoinedTimestamp, DelegationEnabledDate: &d.Enabled,
			}, nil
		})
	if failed != nil {
		err = failed
	}
	return &organizations.ListDelegatedAdministratorsResponse{DelegatedAdministrators: found, NextToken: next}, err
}

// ListDelegatedServicesForAccount lists the services that a member administers.
func (s *Service) ListDelegatedServicesForAccount(c *call.Call, in *organizations.ListDelegatedServicesForAccountRequest) (*organizations.ListDelegatedServicesForAccountResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	a, err := o.existingAccount(readable, optional.Value(in.AccountId))
	if err != nil {
		return nil, err
	}
	if err := o.needAll(); err != nil {
		return nil, err
	}
	is, err := o.isDelegated(a.ID)
	if err != nil {
		return nil, err
	}
	if !is {
		return nil, notRegistered()
	}
	found, next, err := page(organization.Delegations.In(o.Management, ""), c.Tx(), store.Query{Prefix: store.Key{a.ID}, Limit: limit(in.MaxResults)}, in.NextToken, "", nil,
		func(d *organization.Delegation) (organizations.DelegatedService, error) {
			return organizations.DelegatedService{ServicePrincipal: &d.Service, DelegationEnabledDate: &d.Enabled}, nil
		})
	return &organizations.ListDelegatedServicesForAccountResponse{DelegatedServices: found, NextToken: next}, err
}
