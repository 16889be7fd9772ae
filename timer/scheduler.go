package timer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

// Scheduler fires timers when the domain clock has reached them, in the order of their times. With several
// nodes over one store, each runs one: Take lets only one of them carry a timer out.
type Scheduler struct {
	store store.Store
	clock clock.Clock
	fire  func(ctx context.Context, t *Timer) error

	mu    sync.Mutex // held while timers fire, so that Run and MoveTo do not interleave
	steps []func(context.Context) (bool, error)
	set   chan struct{}
	fired atomic.Uint64
	fails atomic.Uint64

	looking sync.Mutex // held while the next timer is looked for
	from    time.Time  // guarded by looking: no timer is due before it, but perhaps those written
	written struct {
		sync.Mutex
		ids  []ID // of timers that were set or removed since
		many bool // they are more than are worth remembering
	}
}

// maxWritten is how many timers are remembered until somebody looks for the next one.
const maxWritten = 1000

// The time until a timer that failed is tried again doubles from firstRetry to lastRetry, in domain time.
const (
	firstRetry = time.Second
	lastRetry  = time.Hour
)

// NewScheduler returns a scheduler of the timers in s. fire carries out a timer, in a transaction that begins with Take; if it
// fails, the timer is tried again later.
func NewScheduler(s store.Store, c clock.Clock, fire func(ctx context.Context, t *Timer) error) *Scheduler {
	sch := &Scheduler{store: s, clock: c, fire: fire, set: make(chan struct{}, 1)}
	timers.Watch(s, func(account, region string, key []string) {
		sch.note(ID{Service: key[0], Account: account, Region: region, Kind: key[1], Subject: key[2]})
		select {
		case sch.set <- struct{}{}:
		default:
		}
	})
	return sch
}

// BeforeStep has MoveTo call fn before the clock goes on to a later time, when nothing is due: fn does what is to be done at the time it is, such as delivering what timers have
// caused, and reports whether there was anything. It is called until none has. It must be given before the scheduler is used.
func (s *Scheduler) BeforeStep(fn func(ctx context.Context) (worked bool, err error)) {
	s.steps = append(s.steps, fn)
}

// Stats are counts since the start.
type Stats struct{ Fired, Failed uint64 }

// Stats returns how many timers were carried out, and how many attempts failed.
func (s *Scheduler) Stats() Stats { return Stats{s.fired.Load(), s.fails.Load()} }

// Run fires timers until ctx ends. An error of the store is reported to failed and tried again.
func (s *Scheduler) Run(ctx context.Context, failed func(error)) {
	for ctx.Err() == nil {
		t, err := s.peek(ctx)
		if err != nil {
			if ctx.Err() == nil {
				failed(err)
			}
			_ = clock.Pause(ctx, time.Second)
			continue
		}
		if !s.await(ctx, t) {
			continue
		}
		s.mu.Lock()
		err = s.fireDue(ctx, s.clock.Now())
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			failed(err)
			_ = clock.Pause(ctx, time.Second)
		}
	}
}

// await waits until t is due. It reports false if the timers have changed or ctx has ended.
func (s *Scheduler) await(ctx context.Context, t *Timer) bool {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	due := make(chan struct{})
	if t != nil {
		go func() {
			if s.clock.Wait(wait, t.Due) == nil {
				close(due)
			}
		}()
	}
	select {
	case <-due:
		return true
	case <-s.set:
	case <-ctx.Done():
	}
	return false
}

// fireDue fires everything that is due at now, and what that sets for a time that has come as well.
func (s *Scheduler) fireDue(ctx context.Context, now time.Time) error {
	for {
		t, err := s.peek(ctx)
		if err != nil {
			return err
		}
		if t == nil || t.Due.After(now) {
			return nil
		}
		if err := s.fireOne(ctx, t, now); err != nil {
			return err
		}
	}
}

// fireOne carries t out or puts it off; its error is one of the store or of ctx.
func (s *Scheduler) fireOne(ctx context.Context, t *Timer, now time.Time) error {
	err := s.fire(ctx, t)
	if err == nil {
		s.fired.Add(1)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.fails.Add(1)
	retry := min(firstRetry<<min(t.Attempts, 20), lastRetry)
	err = s.store.Update(ctx, func(tx store.Tx) error {
		taken, err := Take(tx, t)
		if err != nil || !taken {
			return err
		}
		later := *t
		later.Attempts++
		later.Due = now.Add(retry)
		return timers.In(t.Account, t.Region).Put(tx, &later)
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("putting off a timer: %w", err)
	}
	return err
}

// note remembers a timer that was set or removed.
func (s *Scheduler) note(id ID) {
	w := &s.written
	w.Lock()
	defer w.Unlock()
	if w.many = w.many || len(w.ids) == maxWritten; w.many {
		w.ids = nil
		return
	}
	w.ids = append(w.ids, id)
}

// noted returns what was noted since the last time, and whether that is all.
func (s *Scheduler) noted() (ids []ID, all bool) {
	w := &s.written
	w.Lock()
	defer w.Unlock()
	ids, all = w.ids, !w.many
	w.ids, w.many = nil, false
	return ids, all
}

// peek returns the timer that is due first, or nil. It does not look at times before the last one that it found, if nothing was set for them since: an ordered store passes slowly over
// what was deleted lately, which is each timer that has fired.
func (s *Scheduler) peek(ctx context.Context) (t *Timer, err error) {
	s.looking.Lock()
	defer s.looking.Unlock()
	from := s.from
	s.from = time.Time{} // if this fails
	ids, all := s.noted()
	if !all {
		from = time.Time{}
	}
	err = s.store.View(ctx, func(r store.Reader) error {
		for _, id := range ids {
			due, err := dueTime(r, id)
			if err != nil {
				return err
			}
			if !due.IsZero() && due.Before(from) {
				from = due
			}
		}
		t, err = next(r, from)
		return err
	})
	if err == nil {
		if s.from = from; t != nil {
			s.from = t.Due
		}
	}
	return t, err
}

// MoveTo moves the clock to the time given, step by step: each timer due until then fires at its own time, in order, as does
// what firing sets. It returns when all have fired. A clock that is further on already stays where it is.
func (s *Scheduler) MoveTo(ctx context.Context, c *clock.Movable, to time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	release := c.Hold()
	defer release()
	for {
		t, err := s.peek(ctx)
		if err != nil {
			return err
		}
		if t == nil || t.Due.After(c.Now()) {
			switch worked, err := s.step(ctx); {
			case err != nil:
				return err
			case worked:
				continue // it may have set timers
			}
			// What ended just before step looked may have set one since t was looked for.
			sooner, err := s.peek(ctx)
			switch {
			case err != nil:
				return err
			case sooner != nil && (t == nil || sooner.Due.Before(t.Due)):
				continue
			case t == nil || t.Due.After(to):
				if to.After(c.Now()) {
					c.Set(to)
				}
				return nil
			}
			c.Set(t.Due)
		}
		if err := s.fireOne(ctx, t, c.Now()); err != nil {
			return err
		}
	}
}

// step does what is to be done before the clock moves.
func (s *Scheduler) step(ctx context.Context) (worked bool, err error) {
	for _, fn := range s.steps {
		did, err := fn(ctx)
		if err != nil {
			return false, err
		}
		worked = worked || did
	}
	return worked, nil
}
