// Package ssm is Parameter Store, the part of AWS Systems Manager that keeps configuration and secrets by name: in hierarchies, versions and tiers, encrypted where asked for.
package ssm

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// KMS is what Parameter Store asks of KMS for SecureString parameters; kms.Client has it.
type KMS interface {
	Encrypt(*call.Call, *kms.EncryptRequest) (*kms.EncryptResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
}

// Secrets is what parameters below /aws/reference/secretsmanager/ are read from; secretsmanager.Client has it.
type Secrets interface {
	GetSecretValue(*call.Call, *secretsmanager.GetSecretValueRequest) (*secretsmanager.GetSecretValueResponse, error)
}

// Config is what the service is made of. All of it is needed.
type Config struct {
	Store      store.Store
	Seal       *seal.Keyring       // seals values that no KMS key encrypts
	Principals *identity.Directory // who may be named in resource policies
	KMS        KMS
	Secrets    Secrets
}

// Service is Parameter Store.
type Service struct {
	ssm.Unimplemented
	cfg Config
}

// New returns the service over what is in cfg.Store.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.KMS == nil || cfg.Secrets == nil {
		return nil, errors.New("ssm: Config needs everything in it")
	}
	return &Service{cfg: cfg}, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{Service: ssm.Service, Endpoints: ssm.Endpoints(s), Internal: &ssm.InternalServerError{Message: "An internal error occurred."}}
}
