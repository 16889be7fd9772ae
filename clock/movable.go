package clock

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Movable is a clock that runs with real time at an offset, or stands still while held, and can be set to any time.
// Make it with [NewMovable] or [NewFrozen].
//
// Moving it wakes the waiters whose time has come, and that is all: whoever owns durable timers drives a long move step
// by step, so that everything fires at its own time and in order:
//
//	release := c.Hold()     // time stands still between the steps
//	defer release()         // and runs on from the last one
//	for due := range timersUntil(target) {
//		c.Set(due)
//		fire(due)           // sees Now() == due
//	}
//	c.Set(target)
type Movable struct {
	real  *Real
	state atomic.Pointer[setting]
	mu    sync.Mutex // guards replacing state; nothing is called under it but Now
}

// A setting is immutable. Replacing it closes moved.
type setting struct {
	holds  int
	at     time.Time     // the time, while holds > 0
	offset time.Duration // what is added to real time, while holds == 0
	moved  chan struct{}
}

// NewMovable returns a clock that runs offset ahead of real time (behind, if negative). A process that keeps its data
// across restarts keeps [Movable.Offset] with it, or its past lies in the future.
func NewMovable(offset time.Duration) *Movable {
	m := &Movable{real: new(Real)}
	m.state.Store(&setting{offset: offset, moved: make(chan struct{})})
	return m
}

// NewFrozen returns a clock that stands still at t until it is set or advanced: the clock for tests.
func NewFrozen(t time.Time) *Movable {
	m := &Movable{real: new(Real)}
	m.state.Store(&setting{holds: 1, at: t.Round(0).UTC(), moved: make(chan struct{})})
	return m
}

// Now implements [Clock].
func (m *Movable) Now() time.Time { return m.now(m.state.Load()) }

func (m *Movable) now(s *setting) time.Time {
	if s.holds > 0 {
		return s.at
	}
	return m.real.Now().Add(s.offset)
}

// Wait implements [Clock].
func (m *Movable) Wait(ctx context.Context, t time.Time) error {
	for {
		s := m.state.Load()
		d := t.Sub(m.now(s))
		if d <= 0 {
			return nil
		}
		var nap <-chan time.Time // never ready while held
		var timer *time.Timer
		if s.holds == 0 {
			timer = time.NewTimer(min(d, maxNap))
			nap = timer.C
		}
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-s.moved:
		case <-nap:
		}
		if timer != nil {
			timer.Stop()
		}
		if err != nil {
			return err
		}
	}
}

// Set makes Now return exactly t at this moment, and wakes whoever waits. A held clock stays at t; a running one runs on
// from t, which must then be within 292 years of real time. Set may go back: that is how a test plays a wall clock that
// was corrected. Who offers moving to users should refuse it.
func (m *Movable) Set(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setLocked(t)
}

// Advance moves the clock by d and returns the new time.
func (m *Movable) Advance(d time.Duration) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.now(m.state.Load()).Add(d)
	m.setLocked(t)
	return t
}

func (m *Movable) setLocked(t time.Time) {
	old := m.state.Load()
	next := setting{holds: old.holds}
	if old.holds > 0 {
		next.at = t.Round(0).UTC()
	} else {
		next.offset = t.Sub(m.real.Now())
	}
	m.replaceLocked(old, next)
}

func (m *Movable) replaceLocked(old *setting, next setting) {
	next.moved = make(chan struct{})
	m.state.Store(&next)
	close(old.moved)
}

// Hold makes time stand still, except for Set and Advance, until release is called; it then runs on from where it
// stands. Holds nest. Calling release again does nothing.
func (m *Movable) Hold() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.state.Load()
	m.replaceLocked(old, setting{holds: old.holds + 1, at: m.now(old)})
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		old := m.state.Load()
		next := setting{holds: old.holds - 1, at: old.at}
		if next.holds == 0 {
			next.offset = old.at.Sub(m.real.Now())
		}
		m.replaceLocked(old, next)
	})
}

// Offset returns how far the clock is ahead of real time.
func (m *Movable) Offset() time.Duration {
	s := m.state.Load()
	if s.holds == 0 {
		return s.offset
	}
	return s.at.Sub(m.real.Now())
}
