// Package scheduler is Amazon EventBridge Scheduler: schedules in groups, which invoke an operation of any service here, once or again and again, at a time of any time zone.
package scheduler

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/scheduler"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/wire"
)

// KMS is what Scheduler asks of KMS for schedules with a key of their own; kms.Client has it.
type KMS interface {
	GenerateDataKey(*call.Call, *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
}

// Config is what the service is made of. All of it is needed but Meter.
type Config struct {
	Seal      *seal.Keyring  // seals what targets are given
	KMS       KMS            // where a schedule names a key
	Transport call.Transport // to targets
	Meter     *meter.Meter

	// Operation finds an operation that is built, by the name that the SDKs have for its service, and its own, both in lower case; nil is that there is none.
	Operation func(service, name string) *wire.Operation
}

// Service is EventBridge Scheduler.
type Service struct {
	cfg Config
	box seal.Box
}

// New returns the service. All it knows is in the store that its calls bring.
func New(cfg Config) (*Service, error) {
	if cfg.Seal == nil || cfg.KMS == nil || cfg.Transport == nil || cfg.Operation == nil {
		return nil, errors.New("scheduler: Config needs everything in it but Meter")
	}
	return &Service{cfg: cfg, box: cfg.Seal.Box("scheduler")}, nil
}

// The kinds of timers and lanes.
const (
	fireTimer  = "fire"   // a schedule is due
	groupTimer = "group"  // the schedules of a group are to be deleted
	targetLane = "target" // an invocation
)

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: scheduler.Service, Endpoints: scheduler.Endpoints(s), Internal: &scheduler.InternalServerException{Message: "An internal error occurred."},
		Invalid:  func(e *wire.Error) wire.ModeledError { return &scheduler.ValidationException{Message: e.Message} },
		Timers:   map[string]door.TimerHandler{fireTimer: s.fire, groupTimer: s.deleteSchedules},
		Carriers: map[string]door.Carrier{targetLane: carrier{s}},
	}
}

func invalid(format string, args ...any) error {
	return &scheduler.ValidationException{Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &scheduler.ConflictException{Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &scheduler.ResourceNotFoundException{Message: fmt.Sprintf(format, args...)}
}
