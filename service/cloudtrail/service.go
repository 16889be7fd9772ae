// Package cloudtrail shows an account what was done in it: the event history of the audit trail.
package cloudtrail

import (
	"context"
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/wire"
)

// History is where events are looked up: an *audit.Trail.
type History interface {
	Lookup(context.Context, audit.Query) (audit.Page, error)
}

// Config is what the service is made of.
type Config struct {
	History History

	// Report is told of parts of the log that were altered when a lookup meets them; nil tells nobody.
	Report func(error)
}

// Service is AWS CloudTrail.
type Service struct {
	cloudtrail.Unimplemented
	cfg Config
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.History == nil {
		return nil, errors.New("cloudtrail: Config needs History")
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	return &Service{cfg: cfg}, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{Service: cloudtrail.Service, Endpoints: cloudtrail.Endpoints(s), Invalid: breach}
}

// breach is what CloudTrail says of an input that breaks a constraint of its model, where it has an error for that.
func breach(e *wire.Error) wire.ModeledError {
	switch {
	case strings.Contains(e.Message, "'maxResults'"):
		return &cloudtrail.InvalidMaxResultsException{Message: e.Message}
	case strings.Contains(e.Message, "'eventCategory'"):
		return &cloudtrail.InvalidEventCategoryException{Message: e.Message}
	case strings.Contains(e.Message, "'lookupAttributes"):
		return &cloudtrail.InvalidLookupAttributesException{Message: e.Message}
	}
	return nil
}
