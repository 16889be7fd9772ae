// Package secretsmanager is AWS Secrets Manager: secrets that are encrypted under KMS keys, with versions, labels, policies, rotation and copies in other regions.
package secretsmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/lastuse"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/remote/letter"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// KMS is what the service asks of KMS; kms.Client has it.
type KMS interface {
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
}

// Self is the service as its own caller; secretsmanager.Client is it.
type Self interface {
	GetSecretValue(*call.Call, *secretsmanager.GetSecretValueRequest) (*secretsmanager.GetSecretValueResponse, error)
}

// Lambda is what the service asks of Lambda within a call; lambda.Client has it.
type Lambda interface {
	Invoke(*call.Call, *lambda.InvocationRequest) (*lambda.InvocationResponse, error)
}

// Config is what the service is made of. All of it is needed but Databases, Grace, Peers, Meter and Report.
type Config struct {
	Store      store.Store
	Clock      clock.Clock
	Seal       *seal.Keyring // seals what tells whether two values are the same
	Principals *identity.Directory
	KMS        KMS
	Self       Self
	Partition  string // aws, aws-cn, aws-us-gov

	// Perform runs what the service does of its own accord, as door.Perform does.
	Perform func(ctx context.Context, account, region string, do func(*call.Call) error) error

	// Ask calls another service on behalf of a secret with no transaction open, as door.Ask does.
	Ask func(ctx context.Context, region, secretARN string, op *wire.Operation, in wire.Shape) (wire.Shape, error)

	// Lambda is asked whether rotation functions may be invoked.
	Lambda Lambda

	// Databases are those whose passwords are rotated without a function; nil is none. Grace is how long who has just read a password has to log in before it changes; 0 is a default.
	Databases Databases
	Grace     time.Duration

	// Peers serve other regions; nil is that this process serves all.
	Peers letter.Peers

	// Meter takes the service's metrics; nil is that nobody asks for them.
	Meter *meter.Meter

	// Report is told of errors that no caller hears of; nil means nobody.
	Report func(error)
}

// What is kept ready for GetSecretValue: as many secrets, and as many versions as take about so many bytes.
const (
	secretLimit  = 50_000
	versionLimit = 256 << 20
)

// Service is Secrets Manager.
type Service struct {
	cfg      Config
	box      seal.Box
	policies *identity.ResourcePolicies
	secrets  *cache.Cache[place, *secret]
	versions *cache.Cache[versionPlace, *versionRecord]
	uses     *lastuse.Recorder[versionPlace, use]
	hour     atomic.Int64 // in which secrets were counted last, in seconds since 1970
}

// New returns the service over what is in cfg.Store.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.KMS == nil || cfg.Self == nil || cfg.Partition == "" || cfg.Perform == nil || cfg.Ask == nil || cfg.Lambda == nil {
		return nil, errors.New("secretsmanager: Config needs everything in it but Databases, Grace, Peers, Meter and Report")
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	cfg.Grace = cmp.Or(cfg.Grace, defaultGrace)
	s := &Service{cfg: cfg, box: cfg.Seal.Box("secretsmanager"), policies: identity.NewResourcePolicies(), uses: lastuse.New(cfg.Store, writeUse)}
	s.secrets = cache.New(secretLimit, s.loadSecret).Owning(place.own)
	s.versions = cache.Weighed(versionLimit, func(_ versionPlace, v *versionRecord) int { return v.weight() }, s.loadVersion).Owning(versionPlace.own)
	s.watch()
	cfg.Meter.Collect(s.gauge)
	return s, nil
}

// CacheStats tells how the cache of secrets does.
func (s *Service) CacheStats() cache.Stats { return s.secrets.Stats() }

// Run does what the service does in the background, until ctx ends.
func (s *Service) Run(ctx context.Context) { s.uses.Run(ctx, s.cfg.Report) }

// The kinds of timers.
const deleteTimer = "delete" // a secret's recovery window ends

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: secretsmanager.Service, Endpoints: secretsmanager.Endpoints(s),
		Internal: &secretsmanager.InternalServiceError{Message: "An error occurred on the server side."},
		Timers:   map[string]door.TimerHandler{deleteTimer: s.deleteDue, rotateTimer: s.rotationDue, overlapTimer: s.overlapDue},
		Carriers: map[string]door.Carrier{rotationLane: rotator{s}, peerLane: courier{s}},
		Peers:    s.peerEndpoints(),
		Recorded: recorded,
	}
}

// recorded is the name in audit records of members that CloudTrail does not write as it does those of other services:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
func recorded(m *wire.Member) string {
	if m.Name == "ARN" {
		return "arn"
	}
	return ""
}

func invalidParameter(format string, args ...any) error {
	return &secretsmanager.InvalidParameterException{Message: fmt.Sprintf(format, args...)}
}

func invalidRequest(format string, args ...any) error {
	return &secretsmanager.InvalidRequestException{Message: fmt.Sprintf(format, args...)}
}

// notFound is the answer for a secret that is not there.
func notFound() error {
	return &secretsmanager.ResourceNotFoundException{Message: "Secrets Manager can't find the specified secret."}
}

func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
