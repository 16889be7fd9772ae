package cloudtrail

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxAdministrators is how many delegated administrators an organization has for CloudTrail:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-delegated-administrator.html
const maxAdministrators = 3

// org is the organization of the caller's account.
type org struct {
	*organization.Organization
}

// membership returns the organization of the caller's account, or nil.
func membership(c *call.Call) (*org, error) {
	a, err := organization.Of(c.Tx(), c.Scope.Account)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := a.Organization(c.Tx())
	if err != nil {
		return nil, fmt.Errorf("reading organization %s: %w", a.OrgID, err)
	}
	return &org{o}, nil
}

// mayManage refuses accounts that are neither the management account nor a delegated administrator for CloudTrail.
func (o *org) mayManage(c *call.Call) error {
	if o == nil {
		return noOrganization()
	}
	if c.Scope.Account == o.Management {
		return nil
	}
	_, err := organization.Delegations.In(o.Management, "").Get(c.Tx(), c.Scope.Account, cloudtrail.Service.EventSource)
	if errors.Is(err, store.ErrNotFound) {
		return &cloudtrail.NotOrganizationMasterAccountException{
			Message: "The account " + c.Scope.Account + " is neither the management account of the organization nor its delegated administrator for CloudTrail.",
		}
	}
	return err
}

// ready refuses organizations that CloudTrail may not act in.
func (o *org) ready(c *call.Call) error {
	if !o.All {
		return &cloudtrail.OrganizationNotInAllFeaturesModeException{Message: "All features must be enabled in the organization."}
	}
	_, err := organization.TrustedServices.In(o.Management, "").Get(c.Tx(), cloudtrail.Service.EventSource)
	if errors.Is(err, store.ErrNotFound) {
		return &cloudtrail.CloudTrailAccessNotEnabledException{Message: "Trusted access has not been enabled between AWS CloudTrail and AWS Organizations."}
	}
	return err
}

// forTrail returns the organization for which the caller's account may make trails.
func forTrail(c *call.Call) (*org, error) {
	o, err := membership(c)
	if err != nil {
		return nil, err
	}
	if err := o.mayManage(c); err != nil {
		return nil, err
	}
	return o, o.ready(c)
}

func noOrganization() error {
	return &cloudtrail.OrganizationsNotInUseException{Message: "The account is not a member of an organization."}
}

// forAdministrators returns the organization whose delegated administrators the caller's account may change, after asking for permission.
func forAdministrators(c *call.Call) (*org, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	o, err := membership(c)
	switch {
	case err != nil:
		return nil, err
	case o == nil:
		return nil, noOrganization()
	case c.Scope.Account != o.Management:
		return nil, &cloudtrail.NotOrganizationManagementAccountException{Message: "The account " + c.Scope.Account + " is not the management account of the organization."}
	}
	return o, o.ready(c)
}

// RegisterOrganizationDelegatedAdmin makes a member the administrator of the organization for CloudTrail. Organizations does it, for the caller.
func (s *Service) RegisterOrganizationDelegatedAdmin(c *call.Call, in *cloudtrail.RegisterOrganizationDelegatedAdminRequest) (*cloudtrail.RegisterOrganizationDelegatedAdminResponse, error) {
	o, err := forAdministrators(c)
	if err != nil {
		return nil, err
	}
	account := optional.Value(in.MemberAccountId)
	if account == o.Management {
		return nil, &cloudtrail.CannotDelegateManagementAccountException{Message: "The management account of an organization cannot be its delegated administrator."}
	}
	service := cloudtrail.Service.EventSource
	rows := organization.Delegations.In(o.Management, "")
	if _, err := rows.Get(c.Tx(), account, service); store.IgnoreNotFound(err) != nil {
		return nil, err
	} else if err == nil {
		return nil, alreadyRegistered(account)
	}
	n, err := rows.Count(c.Tx(), store.Query{Index: "service", Prefix: store.Key{service}, Limit: maxAdministrators})
	if err != nil {
		return nil, err
	}
	if n == maxAdministrators {
		return nil, &cloudtrail.DelegatedAdminAccountLimitExceededException{
			Message: fmt.Sprintf("The organization has %d delegated administrators for CloudTrail already.", maxAdministrators),
		}
	}
	_, err = s.cfg.Registrar.RegisterDelegatedAdministrator(c, &organizations.RegisterDelegatedAdministratorRequest{AccountId: &account, ServicePrincipal: &service})
	if err != nil {
		return nil, ofOrganizations(err, account)
	}
	return &cloudtrail.RegisterOrganizationDelegatedAdminResponse{}, nil
}

// DeregisterOrganizationDelegatedAdmin ends what RegisterOrganizationDelegatedAdmin began.
func (s *Service) DeregisterOrganizationDelegatedAdmin(c *call.Call, in *cloudtrail.DeregisterOrganizationDelegatedAdminRequest) (*cloudtrail.DeregisterOrganizationDelegatedAdminResponse, error) {
	if _, err := forAdministrators(c); err != nil {
		return nil, err
	}
	account, service := optional.Value(in.DelegatedAdminAccountId), cloudtrail.Service.EventSource
	_, err := s.cfg.Registrar.DeregisterDelegatedAdministrator(c, &organizations.DeregisterDelegatedAdministratorRequest{AccountId: &account, ServicePrincipal: &service})
	if err != nil {
		return nil, ofOrganizations(err, account)
	}
	return &cloudtrail.DeregisterOrganizationDelegatedAdminResponse{}, nil
}

func alreadyRegistered(account string) error {
	return &cloudtrail.AccountRegisteredException{Message: "The account " + account + " is a delegated administrator for CloudTrail already."}
}

// ofOrganizations is what CloudTrail says of an error of Organizations.
func ofOrganizations(err error, account string) error {
	if d, ok := errors.AsType[*call.Denied](err); ok {
		return &cloudtrail.InsufficientDependencyServiceAccessPermissionException{Message: d.Message}
	}
	if _, ok := errors.AsType[*organizations.AccountNotFoundException](err); ok {
		return &cloudtrail.AccountNotFoundException{Message: "The account " + account + " is not a member of the organization."}
	}
	if _, ok := errors.AsType[*organizations.AccountNotRegisteredException](err); ok {
		return &cloudtrail.AccountNotRegisteredException{Message: "The account " + account + " is not a delegated administrator for CloudTrail."}
	}
	if _, ok := errors.AsType[*organizations.AccountAlreadyRegisteredException](err); ok {
		return alreadyRegistered(account)
	}
	if e, ok := errors.AsType[*organizations.ConstraintViolationException](err); ok {
		return &cloudtrail.ConflictException{Message: e.Message}
	}
	if e, ok := errors.AsType[*organizations.InvalidInputException](err); ok {
		return &cloudtrail.InvalidParameterException{Message: e.Message}
	}
	return err
}
