package secretsmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
)

// Some databases take two passwords of a user. There a rotation keeps nobody waiting: the one before stays for a while, for those who have got it, and may keep it as the caching agent does.

const (
	// overlapTime is how long the password before stays. Caches of clients live for as long by default.
	overlapTime = 5 * time.Minute

	// forgetAttempts is how often the database is asked to forget it. The next rotation takes it in any case.
	forgetAttempts = 5
)

// overlap sees to it that the password before does not stay, in the transaction in which AWSCURRENT moves.
func (s *Service) overlap(c *call.Call, sec *secret, overlapped bool) error {
	r := sec.rotating()
	if !overlapped {
		r.Overlap = ""
		return nil
	}
	r.Overlap = sec.Labels[currentLabel]
	payload, err := json.Marshal(errand{Name: sec.Name, Suffix: sec.Suffix, Token: r.Overlap, Overlap: true})
	if err != nil {
		return err
	}
	return c.At(c.Time.Add(overlapTime), sec.scope(c), overlapTimer, sec.subject(), payload)
}

// overlaps reports whether the errand is still to be done: the version is AWSCURRENT, and no other rotation goes on.
func (sec *secret) overlaps(e *errand) bool {
	return sec != nil && sec.Rotation != nil && sec.Rotation.Run == nil && sec.Rotation.Overlap == e.Token && sec.Labels[currentLabel] == e.Token && sec.alive() == nil
}

// overlapDue has the database forget the password before.
func (s *Service) overlapDue(c *call.Call, subject string, payload []byte) error {
	var e errand
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("reading the timer of secret %s: %w", subject, err)
	}
	sec, err := s.errandOf(c, &e)
	if err != nil || !sec.overlaps(&e) {
		return err
	}
	return s.post(c, sec, e, forgetAttempts)
}

// forget has the database take AWSCURRENT alone. Nothing else changes the password meanwhile: it is an errand of the same lane.
func (a *attempt) forget(c *call.Call) (func(context.Context) error, error) {
	sec, err := a.s.errandOf(c, &a.errand)
	if err != nil || !sec.overlaps(&a.errand) || a.s.cfg.Databases == nil {
		return nil, err
	}
	current, err := a.s.credentials(c, sec, currentLabel)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		// Five minutes may have passed in a moment, if the cloud's clock was moved.
		if err := clock.Pause(ctx, a.s.cfg.Grace); err != nil {
			return err
		}
		if err := a.s.cfg.Databases.Settle(ctx, current, current.Username, current.Password); err != nil {
			return err
		}
		return a.s.cfg.Perform(ctx, a.account, a.region, func(c *call.Call) error {
			sec, err := a.s.errandOf(c, &a.errand)
			if err != nil || !sec.overlaps(&a.errand) {
				return err
			}
			sec.rotating().Overlap = ""
			return sec.save(c)
		})
	}, nil
}
