// Package cloudtrail is AWS CloudTrail: the event history of an account, and the trails that deliver its events.
package cloudtrail

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/api/cloudtraildata"
	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// History is where events are looked up: an *audit.Trail.
type History interface {
	Lookup(context.Context, audit.Query) (audit.Page, error)
}

// Feed is where all events come from, in the order of the log: an *audit.Trail.
type Feed interface {
	Read(ctx context.Context, after audit.Cursor, fn func(audit.Cursor, audit.Entry) error) (audit.Cursor, error)
	End(context.Context) (audit.Cursor, error)
	Settle(context.Context) error
}

// Config is what the service is made of.
type Config struct {
	History       History
	Feed          Feed
	Store         store.Store
	Blob          blob.Store // of sealed objects: it keeps the events of event data stores
	Seal          *seal.Keyring
	Principals    *identity.Directory
	Organizations call.Members
	Partition     string // aws, aws-cn, aws-us-gov

	// The services that trails deliver to, and encrypt with.
	S3  s3.Client
	KMS kms.Client

	// Where trails tell of their files, and send their events.
	SNS  sns.Client
	Logs logs.Client

	// Registrar is where delegated administrators are registered.
	Registrar organizations.Client

	// Report is told of parts of the log that were altered when they are met; nil tells nobody.
	Report func(error)
}

// Service is AWS CloudTrail.
type Service struct {
	cloudtrail.Unimplemented
	cfg Config

	policies *identity.ResourcePolicies
	queries  *queries

	mu        sync.Mutex // guards what follows
	delivered Stats
	failing   map[string]time.Time // by home region: since when the delivery fails that does so longest
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.History == nil || cfg.Feed == nil || cfg.Store == nil || cfg.Blob == nil || cfg.Seal == nil || cfg.Principals == nil || cfg.Organizations == nil || cfg.Partition == "" ||
		cfg.S3.Transport == nil || cfg.SNS.Transport == nil || cfg.Logs.Transport == nil || cfg.KMS.Transport == nil || cfg.Registrar.Transport == nil {
		return nil, errors.New("cloudtrail: Config needs all but Report")
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	return &Service{cfg: cfg, queries: newQueries(), policies: identity.NewResourcePolicies(), failing: make(map[string]time.Time)}, nil
}

// Rooms are the service as it stands behind the door: CloudTrail, and the service that takes events from outside.
func (s *Service) Rooms() []door.Room {
	return []door.Room{
		{Service: cloudtrail.Service, Endpoints: cloudtrail.Endpoints(s), Invalid: breach, Timers: map[string]door.TimerHandler{
			deliverTimer: s.deliverDue, digestTimer: s.digestDue, insightsTimer: s.insightsDue,
			readingTimer: s.readingDue, pendingTimer: s.pendingDue, retentionTimer: s.retentionDue, deletionTimer: s.deletionDue, queryTimer: s.queryDue,
		}, Carriers: map[string]door.Carrier{topicLane: teller{s}, logsLane: sender{s}}},
		{
			Service: cloudtraildata.Service, Endpoints: cloudtraildata.Endpoints(s), Invalid: outsideBreach,
			DataEvents: map[string]bool{cloudtraildata.OpPutAuditEvents.Name: true},
		},
	}
}

// breach is what CloudTrail says of an input that breaks a constraint of its model, where it has an error for that.
func breach(e *wire.Error) wire.ModeledError {
	switch {
	case strings.Contains(e.Message, "'maxResults'"), strings.Contains(e.Message, "'maxQueryResults'"):
		return &cloudtrail.InvalidMaxResultsException{Message: e.Message}
	case strings.Contains(e.Message, "'queryStatus'"):
		return &cloudtrail.InvalidQueryStatusException{Message: e.Message}
	case strings.Contains(e.Message, "'eventCategory'"):
		return &cloudtrail.InvalidEventCategoryException{Message: e.Message}
	case strings.Contains(e.Message, "'lookupAttributes"):
		return &cloudtrail.InvalidLookupAttributesException{Message: e.Message}
	case strings.Contains(e.Message, "'eventSelectors"), strings.Contains(e.Message, "'advancedEventSelectors"):
		return &cloudtrail.InvalidEventSelectorsException{Message: e.Message}
	case strings.Contains(e.Message, "'tagsList"):
		return &cloudtrail.InvalidTagParameterException{Message: e.Message}
	case strings.Contains(e.Message, "'resourceArn'"):
		return &cloudtrail.ResourceARNNotValidException{Message: e.Message}
	case strings.Contains(e.Message, "'resourcePolicy'"):
		return &cloudtrail.ResourcePolicyNotValidException{Message: e.Message}
	}
	return lakeBreach(e)
}
