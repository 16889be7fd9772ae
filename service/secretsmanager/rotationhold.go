package secretsmanager

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// Where a database takes one password at a time, there is a moment between its commit and ours in which AWSCURRENT is a value that is refused. Before it begins, the secret says in its
// record that it is switching, and whoever asks for AWSCURRENT from then on waits until it says that no more: a third of a second, or after a crash as long as it takes to find out
// which password the database has. Who got the value before has logged in when the password changes, as that waits for a grace.

const (
	// defaultGrace is how long who has just got a value has to log in.
	defaultGrace = 300 * time.Millisecond

	// maxHeld is how long a call waits. It is an internal error then, which clients try again.
	maxHeld = 2 * time.Second

	glance = 10 * time.Millisecond
)

// settled is the secret that a target names, as soon as it is not switching. It is given the secret as the cache has it, and begins no transaction; one that is open is ended, unless the
// call is a part of another one.
func (s *Service) settled(c *call.Call, t target, sec *secret) (*secret, error) {
	if sec == nil || !sec.switching() {
		return sec, nil
	}
	c.Release()
	for watch := clock.Start(); watch.Elapsed() < maxHeld; {
		if err := clock.Pause(c.Context, glance); err != nil {
			return nil, err
		}
		now, err := s.cached(c, t)
		if err != nil {
			return nil, err
		}
		if now == nil || !now.switching() {
			return now, nil
		}
	}
	return nil, &secretsmanager.InternalServiceError{Message: "The secret is being rotated. Try again in a moment."}
}

// calm waits, for a call that changes the secret, until this is not switching. A secret that goes on to be cannot be kept from being changed.
func (s *Service) calm(c *call.Call, id *string) error {
	t, err := parse(c, optional.Value(id))
	if err != nil {
		return err
	}
	sec, err := s.cached(c, t)
	if err != nil {
		return err
	}
	if _, err := s.settled(c, t, sec); c.Context.Err() != nil {
		return err
	}
	return nil
}
