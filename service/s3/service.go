// Package s3 is Amazon Simple Storage Service: buckets, their policies, and the objects in them.
package s3

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// KMS is what S3 asks of KMS for objects that are encrypted with its keys; kms.Client has it.
type KMS interface {
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
}

// Config is what the service is made of. All of it is needed but Serves.
type Config struct {
	Store      store.Store
	Blob       blob.Store // of sealed objects: it keeps what objects hold
	Principals *identity.Directory
	KMS        KMS
	Queues     Queues // and Topics and Functions: whom buckets tell of what happens in them
	Topics     Topics
	Functions  Functions
	Partition  string // aws, aws-cn, aws-us-gov

	// Serves reports whether this process serves a region; nil is that it serves all.
	Serves func(region string) bool
}

// Service is Amazon S3.
type Service struct {
	cfg      Config
	policies *identity.ResourcePolicies
}

// New returns the service. But for the bytes of objects, it keeps all it knows in the store that its calls bring.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Blob == nil || cfg.Principals == nil || cfg.KMS == nil || cfg.Queues == nil || cfg.Topics == nil || cfg.Functions == nil || cfg.Partition == "" {
		return nil, errors.New("s3: Config needs everything in it")
	}
	return &Service{cfg: cfg, policies: identity.NewResourcePolicies()}, nil
}

// CacheStats tells how the cache of compiled bucket policies does.
func (s *Service) CacheStats() cache.Stats { return s.policies.Stats() }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: s3.Service, Endpoints: s3.Endpoints(s), Validates: true, Recorded: recorded,
		Carriers: map[string]door.Carrier{notificationLane: notifier{s}},
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html#cloudtrail-object-level-tracking
		DataEvents: map[string]bool{
			s3.OpGetObject.Name: true, s3.OpPutObject.Name: true, s3.OpDeleteObject.Name: true, s3.OpHeadObject.Name: true,
			s3.OpHeadBucket.Name: true, s3.OpListObjects.Name: true, s3.OpListObjectsV2.Name: true,
		},
	}
}
