package iam

import (
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
)

// notApplicable stands where there is nothing to tell.
const notApplicable = "N/A"

// keyLastUsed is the last use of an access key as answers have it.
func (s *Service) keyLastUsed(c *call.Call, k *identity.AccessKey) (*iam.AccessKeyLastUsed, error) {
	uses, err := s.cfg.Directory.LastUses(c.Tx(), k.Account, k.ID)
	if err != nil {
		return nil, err
	}
	if len(uses) == 0 {
		return &iam.AccessKeyLastUsed{ServiceName: new(notApplicable), Region: new(notApplicable)}, nil
	}
	return &iam.AccessKeyLastUsed{LastUsedDate: &uses[0].Time, ServiceName: &uses[0].Service, Region: &uses[0].Region}, nil
}

// roleLastUsed is the last use of a role as answers have it: empty if there was none.
func (s *Service) roleLastUsed(c *call.Call, r *identity.Role) (*iam.RoleLastUsed, error) {
	uses, err := s.cfg.Directory.LastUses(c.Tx(), r.Account, r.ID)
	if err != nil || len(uses) == 0 {
		return &iam.RoleLastUsed{}, err
	}
	return &iam.RoleLastUsed{LastUsedDate: &uses[0].Time, Region: &uses[0].Region}, nil
}
