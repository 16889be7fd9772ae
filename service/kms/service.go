// Package kms is the Key Management Service: keys that never leave it, and what can be done with them under their key policies.
package kms

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/attest"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/lastuse"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// Config is what the service is made of.
type Config struct {
	Store      store.Store
	Seal       *seal.Keyring
	Principals *identity.Directory // who may be named in key policies and grants
	Partition  string              // aws, aws-cn, aws-us-gov

	// ManagedServices are the services that may have an AWS managed key, e.g. "secretsmanager".
	ManagedServices map[string]bool

	// CloudHSM are the tokens that CloudHSM key stores may use, by the ID of the cluster that each stands for.
	CloudHSM map[string]CloudHSM

	// Attestation decides which enclaves to believe; its zero value trusts AWS's Nitro root.
	Attestation attest.Verifier

	// Proxies says how external key store proxies are reached.
	Proxies xksproxy.Config

	// Peers serve other regions; nil is that this process serves all. Perform, which is needed with them, runs what the service does of its own accord, as door.Perform does.
	Peers   Peers
	Perform func(ctx context.Context, account, region string, do func(*call.Call) error) error

	// Meter takes the service's metrics; nil is that nobody asks for them.
	Meter *meter.Meter

	// Report is told of errors that no caller hears of; nil means nobody.
	Report func(error)
}

// What is kept ready for use: as many keys as take about so many bytes, some 50,000 usual ones, and so many aliases and custom key stores.
const (
	cacheLimit = 512 << 20
	aliasLimit = 50_000
	storeLimit = 1_000
)

// Service is the Key Management Service.
type Service struct {
	cfg       Config
	generator *keys.Generator
	cache     *cache.Cache[place, *key]
	aliases   *cache.Cache[aliasPlace, string]
	stores    *cache.Cache[storePlace, *customStore]
	uses      *lastuse.Recorder[place, usageRecord]
	logins    *hsmLogins
	making    making
	couriers  map[string]*courier // by the region of a peer
}

// New returns the service over what is in cfg.Store.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.Partition == "" {
		return nil, errors.New("kms: Config needs Store, Seal, Principals and Partition")
	}
	if cfg.Peers != nil && cfg.Perform == nil {
		return nil, errors.New("kms: Config.Peers needs Perform")
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	s := &Service{cfg: cfg, generator: keys.NewGenerator(0), uses: lastuse.New(cfg.Store, writeUsage), couriers: newCouriers(cfg.Peers), logins: newHSMLogins()}
	s.cache = cache.Weighed(cacheLimit, func(_ place, k *key) int { return k.weight() }, s.loadKey)
	s.aliases = cache.New(aliasLimit, s.loadAlias)
	s.stores = cache.New(storeLimit, s.loadStore)
	s.watch()
	cfg.Meter.Collect(s.gauge)
	return s, nil
}

// CacheStats tells how the cache of keys does.
func (s *Service) CacheStats() cache.Stats { return s.cache.Stats() }

// Run does what the service does in the background, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var couriers sync.WaitGroup
	couriers.Go(func() { s.runCouriers(ctx) })
	s.uses.Run(ctx, s.cfg.Report)
	couriers.Wait()
	s.logins.closeAll()
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service:   kms.Service,
		Endpoints: kms.Endpoints(s),
		Peers:     s.peerEndpoints(),
		Internal:  &kms.KMSInternalException{},
		Timers: map[string]door.TimerHandler{
			deletionTimer: s.deleteDue,
			rotationTimer: s.rotateDue,
			expiryTimer:   s.expireDue,
			connectTimer:  s.connectDue,
			destroyTimer:  s.destroyDue,
			unmadeTimer:   s.unmadeDue,
		},
	}
}

const day = 24 * time.Hour
