// Package sqs is Amazon Simple Queue Service: queues of messages, standard and FIFO, with visibility timeouts, long polling, dead-letter queues and redrive.
package sqs

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// KMS is what SQS asks of KMS for queues that are encrypted with its keys; kms.Client has it.
type KMS interface {
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
}

// Config is what the service is made of. All of it is needed but Meter.
type Config struct {
	Store      store.Store
	Clock      clock.Clock // which messages in flight become visible by
	Seal       *seal.Keyring
	Principals *identity.Directory
	KMS        KMS
	Partition  string // aws, aws-cn, aws-us-gov
	PublicURL  string // where others reach the cloud: the URLs of queues lie below it

	Meter *meter.Meter // takes the service's metrics; nil is that nobody asks for them
}

// Service is Amazon SQS.
type Service struct {
	cfg      Config
	bodies   seal.Box // messages
	handles  seal.Box // receipt handles and task handles
	policies *identity.ResourcePolicies
	queues   *store.Decoded[queueRecord]
	fronts   fronts
	polls    polls
	keys     dataKeys
	metrics  metrics
	ticket   ticket

	stopped chan struct{} // closed when long polls are to end
	stop    func()
}

// maxQueues is how many queues are kept as they were decoded.
const maxQueues = 10_000

// New returns the service. All that counts, it keeps in the store; what it has in memory is found there again.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.KMS == nil || cfg.Partition == "" || cfg.PublicURL == "" {
		return nil, errors.New("sqs: Config needs everything in it")
	}
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	s := &Service{
		cfg: cfg, bodies: cfg.Seal.Box("sqs"), handles: cfg.Seal.Box("sqs-handle"), policies: identity.NewResourcePolicies(), stopped: make(chan struct{}),
		metrics: metrics{cfg.Meter}, queues: store.NewDecoded[queueRecord](maxQueues),
	}
	s.stop = sync.OnceFunc(func() { close(s.stopped) })
	s.fronts.watch(cfg.Store)
	cfg.Meter.Collect(s.gauge)
	return s, nil
}

// CacheStats tells how the cache of compiled queue policies does.
func (s *Service) CacheStats() cache.Stats { return s.policies.Stats() }

// EndPolls has all long polls answered at once, now and later: the process is about to end.
func (s *Service) EndPolls() { s.stop() }

// Run ends long polls when ctx ends.
func (s *Service) Run(ctx context.Context) {
	<-ctx.Done()
	s.EndPolls()
}

var _ sqs.Handler = (*Service)(nil)

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: sqs.Service, Endpoints: sqs.Endpoints(s), Validates: true, Addressed: addressed,
		// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/logging-using-cloudtrail.html
		DataEvents: map[string]bool{
			sqs.OpChangeMessageVisibility.Name: true, sqs.OpChangeMessageVisibilityBatch.Name: true, sqs.OpDeleteMessage.Name: true,
			sqs.OpDeleteMessageBatch.Name: true, sqs.OpGetQueueAttributes.Name: true, sqs.OpGetQueueUrl.Name: true,
			sqs.OpListDeadLetterSourceQueues.Name: true, sqs.OpListQueues.Name: true, sqs.OpListQueueTags.Name: true,
			sqs.OpReceiveMessage.Name: true, sqs.OpSendMessage.Name: true, sqs.OpSendMessageBatch.Name: true,
		},
		Timers: map[string]door.TimerHandler{sweepTimer: s.sweep, removeTimer: s.remove, moveTimer: s.move},
	}
}
