// Package organizations is AWS Organizations: accounts that belong together, and the policies that bind them. Its records are those of package
// organization, from which every call learns what its account's membership means.
package organizations

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/door"
)

// Config is what the service is made of.
type Config struct {
	Partition string // aws, aws-cn, aws-us-gov
}

// Service is AWS Organizations.
type Service struct {
	organizations.Unimplemented
	cfg Config
}

// New returns the service. It keeps all it knows in the store that its calls bring.
func New(cfg Config) (*Service, error) {
	if cfg.Partition == "" {
		return nil, errors.New("organizations: Config needs Partition")
	}
	return &Service{cfg: cfg}, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service:   organizations.Service,
		Endpoints: organizations.Endpoints(s),
		Internal: &organizations.ServiceException{
			Message: "AWS Organizations can't complete your request because of an internal service error. Try again later.",
		},
		Invalid: breach,
		Timers:  map[string]door.TimerHandler{closureTimer: s.closureDue},
	}
}
