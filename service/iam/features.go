package iam

import (
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
)

// organizationSettings are those of the caller's organization, which its management account keeps. They are for that account, and for the delegated
// administrator of IAM.
func (s *Service) organizationSettings(c *call.Call, who authority) (*organization.Organization, *identity.Settings, error) {
	if err := s.anything(c); err != nil {
		return nil, nil, err
	}
	a, err := organization.Of(c.Tx(), c.Scope.Account)
	if missing(err) {
		return nil, nil, &iam.OrganizationNotFoundException{Message: "The account is not a member of an organization."}
	}
	if err != nil {
		return nil, nil, err
	}
	o, err := a.Organization(c.Tx())
	if err != nil {
		return nil, nil, err
	}
	if c.Scope.Account != o.Management {
		_, err := organization.Delegations.In(o.Management, "").Get(c.Tx(), c.Scope.Account, iam.Service.EventSource)
		if missing(err) {
			return nil, nil, &iam.AccountNotManagementOrDelegatedAdministratorException{
				Message: "The account is neither the management account of the organization nor a delegated administrator for IAM.",
			}
		}
		if err != nil {
			return nil, nil, err
		}
		if who == managementOnly {
			return nil, nil, &iam.CallerIsNotManagementAccountException{Message: "The account is not the management account of the organization."}
		}
	}
	if !o.All {
		return nil, nil, &iam.OrganizationNotInAllFeaturesModeException{Message: "The organization does not have all features enabled."}
	}
	if _, err := organization.TrustedServices.In(o.Management, "").Get(c.Tx(), iam.Service.EventSource); missing(err) {
		return nil, nil, &iam.ServiceAccessNotEnabledException{Message: "Trusted access is not enabled for IAM in the organization."}
	} else if err != nil {
		return nil, nil, err
	}
	set, err := settings(c, o.Management)
	return o, set, err
}

// authority is who may call an operation. The API reference has CallerIsNotManagementAccount as an error of enabling alone.
type authority int

const (
	administrators authority = iota // the management account, and delegated administrators
	managementOnly
)

// feature changes what is enabled for an organization.
func (s *Service) feature(c *call.Call, who authority, change func(*identity.Settings)) (id *string, enabled []iam.FeatureType, err error) {
	o, set, err := s.organizationSettings(c, who)
	if err != nil {
		return nil, nil, err
	}
	if change != nil {
		change(set)
		if err := putSettings(c, set); err != nil {
			return nil, nil, err
		}
	}
	enabled = []iam.FeatureType{}
	if set.RootCredentials {
		enabled = append(enabled, iam.FeatureTypeRootCredentialsManagement)
	}
	if set.RootSessions {
		enabled = append(enabled, iam.FeatureTypeRootSessions)
	}
	return &o.ID, enabled, nil
}

// ListOrganizationsFeatures tells what is enabled for the organization.
func (s *Service) ListOrganizationsFeatures(c *call.Call, _ *iam.ListOrganizationsFeaturesRequest) (*iam.ListOrganizationsFeaturesResponse, error) {
	id, enabled, err := s.feature(c, administrators, nil)
	return &iam.ListOrganizationsFeaturesResponse{OrganizationId: id, EnabledFeatures: enabled}, err
}

// EnableOrganizationsRootCredentialsManagement lets the management account manage the credentials of its members' root users.
func (s *Service) EnableOrganizationsRootCredentialsManagement(c *call.Call, _ *iam.EnableOrganizationsRootCredentialsManagementRequest) (*iam.EnableOrganizationsRootCredentialsManagementResponse, error) {
	id, enabled, err := s.feature(c, managementOnly, func(set *identity.Settings) { set.RootCredentials = true })
	return &iam.EnableOrganizationsRootCredentialsManagementResponse{OrganizationId: id, EnabledFeatures: enabled}, err
}

// DisableOrganizationsRootCredentialsManagement ends that.
func (s *Service) DisableOrganizationsRootCredentialsManagement(c *call.Call, _ *iam.DisableOrganizationsRootCredentialsManagementRequest) (*iam.DisableOrganizationsRootCredentialsManagementResponse, error) {
	id, enabled, err := s.feature(c, administrators, func(set *identity.Settings) { set.RootCredentials = false })
	return &iam.DisableOrganizationsRootCredentialsManagementResponse{OrganizationId: id, EnabledFeatures: enabled}, err
}

// EnableOrganizationsRootSessions lets the management account act as its members' root users, with sts:AssumeRoot.
func (s *Service) EnableOrganizationsRootSessions(c *call.Call, _ *iam.EnableOrganizationsRootSessionsRequest) (*iam.EnableOrganizationsRootSessionsResponse, error) {
	id, enabled, err := s.feature(c, managementOnly, func(set *identity.Settings) { set.RootSessions = true })
	return &iam.EnableOrganizationsRootSessionsResponse{OrganizationId: id, EnabledFeatures: enabled}, err
}

// DisableOrganizationsRootSessions ends that.
func (s *Service) DisableOrganizationsRootSessions(c *call.Call, _ *iam.DisableOrganizationsRootSessionsRequest) (*iam.DisableOrganizationsRootSessionsResponse, error) {
	id, enabled, err := s.feature(c, administrators, func(set *identity.Settings) { set.RootSessions = false })
	return &iam.DisableOrganizationsRootSessionsResponse{OrganizationId: id, EnabledFeatures: enabled}, err
}
