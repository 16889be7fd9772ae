// Package logs is Amazon CloudWatch Logs: groups of streams of log events, what is found in them, and who is told of it.
package logs

import (
	"context"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/logpattern"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/seal"
)

// KMS is what the service asks of KMS for groups that are encrypted with its keys; kms.Client has it.
type KMS interface {
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
}

// Lambda is where subscription filters send events; lambda.Client has it.
type Lambda interface {
	Invoke(*call.Call, *lambda.InvocationRequest) (*lambda.InvocationResponse, error)
}

// Config is what the service is made of. All of it is needed but Meter.
type Config struct {
	Seal       *seal.Keyring
	Principals *identity.Directory
	KMS        KMS
	Lambda     Lambda
	Partition  string // aws, aws-cn, aws-us-gov

	// Meter takes the metrics of the service, and those that metric filters make.
	Meter *meter.Meter
}

// maxPatterns is how many compiled filter patterns are kept ready.
const maxPatterns = 2000

// Service is Amazon CloudWatch Logs.
type Service struct {
	cfg      Config
	box      seal.Box
	policies *cache.Cache[string, *policy.Policy]
	patterns *cache.Cache[string, *logpattern.Pattern]
	zip      *zstd.Encoder
	unzip    *zstd.Decoder

	searchLimit int64 // see maxSearched

	mu   sync.Mutex // guards keys
	keys map[keyName]heldKey
}

// New returns the service. All it knows is in the store that its calls bring.
func New(cfg Config) (*Service, error) {
	if cfg.Seal == nil || cfg.Principals == nil || cfg.KMS == nil || cfg.Lambda == nil || cfg.Partition == "" {
		return nil, errors.New("logs: Config needs all but Meter")
	}
	// Chunks are small: the fastest level makes little more of them than the next one, in half the time.
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(zipConcurrency), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(zipConcurrency), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, err
	}
	return &Service{
		cfg: cfg, box: cfg.Seal.Box("logs"), zip: zip, unzip: unzip, policies: cache.New(maxPolicies, compilePolicy), keys: make(map[keyName]heldKey), searchLimit: maxSearched,
		patterns: cache.New(maxPatterns, func(_ context.Context, text string) (*logpattern.Pattern, error) { return logpattern.Compile(text) }),
	}, nil
}

// CacheStats tells how the cache of compiled resource policies does.
func (s *Service) CacheStats() cache.Stats { return s.policies.Stats() }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: logs.Service, Endpoints: logs.Endpoints(s), Invalid: breach,
		// CloudTrail has no record of what is logged.
		DataEvents: map[string]bool{logs.OpPutLogEvents.Name: true},
		Timers:     map[string]door.TimerHandler{retentionTimer: s.retentionDue, purgeTimer: s.purgeDue},
		Carriers:   map[string]door.Carrier{subscriptionLane: subscriber{s}},
	}
}
