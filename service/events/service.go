// Package events is Amazon EventBridge: buses, the rules that say who wants which of their events, and the targets that get them.
//
// An event comes to a bus by PutEvents, by the outbox of another service (see package outbox), or from the audit trail. It is matched with all of the bus's listeners,
// its rules and archives, at once. Each target of a rule that wants it gets a parcel in a lane of its own (see package delivery), in the same transaction.
package events

import (
	"context"
	"errors"
	"sync"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// Feed is where the records of API calls come from, in the order of the log: an *audit.Trail.
type Feed interface {
	Read(ctx context.Context, after audit.Cursor, fn func(audit.Cursor, audit.Entry) error) (audit.Cursor, error)
	End(context.Context) (audit.Cursor, error)
	Settle(context.Context) error
}

// Config is what the service is made of. All of it is needed but Meter, Serves and Report.
type Config struct {
	Store      store.Store
	Blob       blob.Store // of sealed objects: what archives hold
	Seal       *seal.Keyring
	Principals *identity.Directory
	Feed       Feed
	Partition  string // aws, aws-cn, aws-us-gov

	// The services that events are sent to, and KMS, which encrypts them. Events is the service itself: how it comes to buses of other accounts and regions.
	Events events.Client
	SQS    sqs.Client
	SNS    sns.Client
	Logs   logs.Client
	Lambda lambda.Client
	KMS    kms.Client

	// Secrets keeps the credentials of connections; IAM has the role by which they are read.
	Secrets secretsmanager.Client
	IAM     iam.Client

	// Trails tells which of the records of Feed are CloudTrail's to pass on.
	Trails Trails

	// Outbound sends what API destinations get.
	Outbound *outbound.Client

	// Perform has the service do something of its own accord, see door.Door.
	Perform func(ctx context.Context, service, account, region string, do func(*call.Call) error) error

	// Meter takes the metrics of AWS/Events.
	Meter *meter.Meter
	// Serves reports whether this process serves a region; nil is that it serves all.
	Serves func(region string) bool
	// Report is told of what goes wrong in the background; nil tells nobody.
	Report func(error)
}

// Service is Amazon EventBridge.
type Service struct {
	events.Unimplemented
	cfg       Config
	box       seal.Box
	policies  *identity.ResourcePolicies
	audiences *cache.Cache[busKey, *audience]
	keys      dataKeys
	archiving archiving
	rates     rates
	tail      tail

	feed sync.Mutex   // held during a pass over the audit trail
	read audit.Cursor // how far the passes of this process have come; guarded by feed
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Blob == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.Feed == nil || cfg.Partition == "" || cfg.Events.Transport == nil || cfg.SQS.Transport == nil ||
		cfg.SNS.Transport == nil || cfg.Logs.Transport == nil || cfg.Lambda.Transport == nil || cfg.KMS.Transport == nil ||
		cfg.Secrets.Transport == nil || cfg.IAM.Transport == nil || cfg.Trails == nil || cfg.Outbound == nil || cfg.Perform == nil {
		return nil, errors.New("events: Config needs all but Meter, Serves and Report")
	}
	if cfg.Serves == nil {
		cfg.Serves = func(string) bool { return true }
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	s := &Service{cfg: cfg, box: cfg.Seal.Box("event"), policies: identity.NewResourcePolicies()}
	s.keys.kept = make(map[string]*dataKey)
	s.audiences = cache.Weighed(maxAudience, func(_ busKey, a *audience) int { return 256 + a.weight }, s.loadAudience)
	s.watch()
	return s, nil
}

// CacheStats tells how the cache of who listens on buses does.
func (s *Service) CacheStats() cache.Stats { return s.audiences.Stats() }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: events.Service, Endpoints: events.Endpoints(s),
		DataEvents: map[string]bool{events.OpPutEvents.Name: true},
		Timers: map[string]door.TimerHandler{
			scheduleTimer: s.scheduleDue, timerReplay: s.goOnReplay, timerReplayForget: s.forgetReplay, timerSourceExpire: s.expireSource,
			timerArchivePack: s.packArchive, timerArchiveExpire: s.expireArchive, timerArchiveErase: s.eraseArchive,
		},
		Carriers: map[string]door.Carrier{outbox.Kind: taker{s}, targetLane: carrier{s}, spreadLane: spreader{s}, authorizeLane: authorizer{s}, logLane: logger{s}},
	}
}
