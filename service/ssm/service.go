// Package ssm is Parameter Store, the part of AWS Systems Manager that keeps configuration and secrets by name: in hierarchies, versions and tiers, encrypted where asked for.
package ssm

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
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

// Config is what the service is made of. All of it is needed but Services.
type Config struct {
	Store      store.Store
	Seal       *seal.Keyring       // seals values that no KMS key encrypts
	Principals *identity.Directory // who may be named in resource policies
	Partition  string              // aws, aws-cn, aws-us-gov
	KMS        KMS
	Secrets    Secrets

	// Services are the services that have a room, for the public parameters that tell of them. It is not called before all rooms are open.
	Services func() []*wire.Service
}

// cacheLimit is how many bytes of parameters are kept ready, about.
const cacheLimit = 64 << 20

// Service is Parameter Store.
type Service struct {
	cfg      Config
	box      seal.Box
	cache    *cache.Cache[place, *parameter]
	policies *identity.ResourcePolicies
	limits   limits
	public   public
}

// New returns the service over what is in cfg.Store.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.Partition == "" || cfg.KMS == nil || cfg.Secrets == nil {
		return nil, errors.New("ssm: Config needs everything in it but Services")
	}
	s := &Service{cfg: cfg, box: cfg.Seal.Box("ssm"), policies: identity.NewResourcePolicies(), limits: awsLimits}
	s.cache = cache.Weighed(cacheLimit, func(_ place, p *parameter) int { return p.weight }, s.loadParameter)
	parameterTable.Watch(cfg.Store, func(account, region string, key []string) {
		s.cache.Forget(place{account, region, name{key[0], key[1]}})
	})
	return s, nil
}

// CacheStats tells how the cache of parameters does.
func (s *Service) CacheStats() cache.Stats { return s.cache.Stats() }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: ssm.Service, Endpoints: ssm.Endpoints(s), Internal: &ssm.InternalServerError{Message: "An internal error occurred."},
		Timers: map[string]door.TimerHandler{policyTimer: s.policyDue},
	}
}

// invalid is a ValidationException, which the model does not have.
func invalid(format string, args ...any) error {
	return &wire.Error{Code: "ValidationException", Status: 400, Message: fmt.Sprintf(format, args...)}
}

func accessDenied(format string, args ...any) error {
	return &wire.Error{Code: "AccessDeniedException", Status: 400, Message: fmt.Sprintf(format, args...)}
}
