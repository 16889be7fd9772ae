// Package sns is Amazon Simple Notification Service: topics, those who subscribe to them, and the messages that go from the ones to the others.
package sns

import (
	"context"
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/mail"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// SQS is what SNS asks of queues; sqs.Client has it.
type SQS interface {
	SendMessage(*call.Call, *sqs.SendMessageRequest) (*sqs.SendMessageResult, error)
}

// KMS is what SNS asks of KMS for topics that are encrypted with its keys; kms.Client has it.
type KMS interface {
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
}

// Lambda is what SNS asks of functions; lambda.Client has it.
type Lambda interface {
	Invoke(*call.Call, *lambda.InvocationRequest) (*lambda.InvocationResponse, error)
}

// HTTP reaches the servers that subscribe; an *outbound.Client does.
type HTTP interface {
	Do(context.Context, *outbound.Request) (*outbound.Response, error)
}

// Mail sends e-mail; a *mail.Server does.
type Mail interface {
	Send(context.Context, *mail.Message) error
}

// Config is what the service is made of. All of it is needed but Mail and Meter.
type Config struct {
	Store      store.Store
	Seal       *seal.Keyring
	Principals *identity.Directory
	SQS        SQS
	KMS        KMS
	Lambda     Lambda
	HTTP       HTTP
	Partition  string // aws, aws-cn, aws-us-gov

	// URL is where others reach SNS in a region, without a slash at the end: links in messages begin with it.
	URL func(region string) string

	// Mail is nil where there is no server for e-mail: then no address can subscribe.
	Mail Mail

	Meter *meter.Meter
}

// Service is Amazon SNS.
type Service struct {
	cfg      Config
	box      seal.Box // of messages and of keys that sign
	policies *identity.ResourcePolicies
	filters  *cache.Cache[filterKey, *filter]
	signers  *cache.Cache[string, *signer] // by region; see signer.usable
}

const (
	maxFilters = 10_000 // the same
	maxSigners = 100
)

// New returns the service. It keeps all it knows in the store that its calls bring.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.SQS == nil || cfg.KMS == nil || cfg.Lambda == nil || cfg.HTTP == nil || cfg.Partition == "" || cfg.URL == nil {
		return nil, errors.New("sns: Config needs everything in it")
	}
	s := &Service{cfg: cfg, box: cfg.Seal.Box("sns"), policies: identity.NewResourcePolicies(), filters: cache.New(maxFilters, compileFilter)}
	s.signers = cache.New(maxSigners, s.loadSigner)
	return s, nil
}

// CacheStats tells how the cache of compiled filter policies does.
func (s *Service) CacheStats() cache.Stats { return s.filters.Stats() }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: sns.Service, Endpoints: sns.Endpoints(s),
		Denied:   "AuthorizationError",
		Internal: &sns.InternalErrorException{Message: "An internal error occurred."},
		// https://docs.aws.amazon.com/sns/latest/dg/logging-using-cloudtrail.html#sns-data-events-cloudtrail
		DataEvents: map[string]bool{sns.OpPublish.Name: true, sns.OpPublishBatch.Name: true},
		Timers:     map[string]door.TimerHandler{expireTimer: s.expire, purgeTimer: s.purge},
		Carriers:   map[string]door.Carrier{subscriptionLane: carrier{s}, fanOutLane: fanOut{s}},
	}
}
