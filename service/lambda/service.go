// Package lambda is AWS Lambda: functions, their versions, aliases and layers, who may invoke them, and what runs them.
package lambda

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// KMS is what Lambda asks of KMS for environment variables; kms.Client has it.
type KMS interface {
	Encrypt(*call.Call, *kms.EncryptRequest) (*kms.EncryptResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
	CreateGrant(*call.Call, *kms.CreateGrantRequest) (*kms.CreateGrantResponse, error)
	RetireGrant(*call.Call, *kms.RetireGrantRequest) (*kms.RetireGrantResponse, error)
}

// S3 is where code can come from, and what became of events can go to; s3.Client has it.
type S3 interface {
	GetObject(*call.Call, *s3.GetObjectRequest) (*s3.GetObjectOutput, error)
	PutObject(*call.Call, *s3.PutObjectRequest) (*s3.PutObjectOutput, error)
}

// Config is what the service is made of. All of it is needed but Isolated and Supports.
type Config struct {
	Store      store.Store
	Blob       blob.Store // of sealed objects: it keeps code
	Principals *identity.Directory
	KMS        KMS
	S3         S3
	Partition  string // aws, aws-cn, aws-us-gov

	// FunctionURL is where a function's URL with this ID is, in a region.
	FunctionURL func(region, id string) string

	// CodeURL is where Code gives out what it is given with a location.
	CodeURL func(location string) string

	// Isolated returns why functions cannot be isolated from this host, in which case there are none; nil is that they can.
	Isolated func() error

	// Supports returns why functions of a runtime and an architecture do not run on this host; nil is that all do.
	Supports func(runtime, architecture string) error

	Running
}

// Service is AWS Lambda.
type Service struct {
	lambda.Unimplemented

	cfg      Config
	policies *identity.ResourcePolicies
	tickets  seal.Box // of where code is

	box        seal.Box // of events that wait
	limits     *limits
	logbook    *logbook
	variables  variables
	background atomic.Int32 // events that run
}

// New returns the service. But for code, it keeps all it knows in the store that its calls bring.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Blob == nil || cfg.Principals == nil || cfg.KMS == nil || cfg.S3 == nil || cfg.Partition == "" || cfg.FunctionURL == nil || cfg.CodeURL == nil || !cfg.Running.complete() {
		return nil, errors.New("lambda: Config needs everything in it but Isolated and Supports")
	}
	if cfg.Isolated == nil {
		cfg.Isolated = func() error { return nil }
	}
	if cfg.Supports == nil {
		cfg.Supports = func(string, string) error { return nil }
	}
	s := &Service{cfg: cfg, policies: identity.NewResourcePolicies(), tickets: cfg.Seal.Box("lambda-code"), box: cfg.Seal.Box("lambda"), limits: newLimits()}
	s.logbook = newLogbook(s)
	return s, nil
}

// CacheStats tells how the cache of compiled function policies does.
func (s *Service) CacheStats() cache.Stats { return s.policies.Stats() }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: lambda.Service, Endpoints: lambda.Endpoints(s), Internal: &lambda.ServiceException{Type: new("Service"), Message: "An internal error occurred."},
		// https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html
		Carriers:   map[string]door.Carrier{eventLane: carrier{s}},
		Site:       s.site(),
		DataEvents: map[string]bool{lambda.OpInvoke.Name: true, lambda.OpInvokeAsync.Name: true, lambda.OpInvokeWithResponseStream.Name: true, opInvokeURL.Name: true},
	}
}

// The errors that most operations answer with, as AWS types them.

func invalid(format string, args ...any) error {
	return &lambda.InvalidParameterValueException{Type: new("User"), Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &lambda.ResourceNotFoundException{Type: new("User"), Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &lambda.ResourceConflictException{Type: new("User"), Message: fmt.Sprintf(format, args...)}
}
