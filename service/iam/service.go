// Package iam is Identity and Access Management: users, groups, roles and the policies that say what they may do. What it writes
// is in package identity, where everybody reads it.
package iam

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/seal"
)

// Config is what the service is made of.
type Config struct {
	Directory     *identity.Directory
	Organizations *organization.Directory
	Seal          *seal.Keyring
	Partition     string // aws, aws-cn, aws-us-gov

	// PublicURL is where others reach the cloud: the issuers of web identity tokens lie below it.
	PublicURL string
}

// Service is Identity and Access Management.
type Service struct {
	iam.Unimplemented
	cfg Config
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Directory == nil || cfg.Organizations == nil || cfg.Seal == nil || cfg.Partition == "" || cfg.PublicURL == "" {
		return nil, errors.New("iam: Config needs Directory, Organizations, Seal, Partition and PublicURL")
	}
	return &Service{cfg: cfg}, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{Service: iam.Service, Endpoints: iam.Endpoints(s), Internal: &iam.ServiceFailureException{Message: "An internal error occurred."}}
}
