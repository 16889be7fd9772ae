// Package clock is the one clock of a cloud: everything that happens because of a time asks it.
//
// There are two kinds of time, and code must say which one it means.
//
// Domain time is what a user can see: creation dates, expiries, rotation schedules, signature windows. It comes from a
// [Clock] that is handed in, it can be moved ([Movable]), and it may stand still. Waiting in it is [Clock.Wait].
//
// Wall time paces this process: back-off after a failed connection, flushing every second, measuring a latency. Moving the
// domain clock by a year must not turn a back-off of a second into nothing, and holding it must not stop the flusher, so
// these are functions on real time: [Pause], [Tick], [After], [Stopwatch].
//
// This package is the only one that calls time.Now and its relatives.
package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// A Clock tells domain time. All methods may be called concurrently.
type Clock interface {
	// Now returns the time in UTC, without a monotonic reading, so that == and Sub mean what they say. It does not lock
	// and does not allocate.
	Now() time.Time

	// Wait returns nil as soon as Now has reached t, be it because time passed or because the clock was moved; at once
	// if it already has. It returns ctx's error when ctx ends first. A clock that is moved past t and back before the
	// waiter ran may leave it waiting.
	Wait(ctx context.Context, t time.Time) error
}

const (
	// grain is how much earlier than a value it gave before Now may be when the wall clock steps back. It exists so that
	// Now writes shared memory a thousand times a second at most, not at every call.
	grain = time.Millisecond

	// maxHold is the longest step back that Real hides by standing still.
	maxHold = 10 * time.Second

	// maxNap bounds how long a waiter trusts a timer before it looks at the clock again. Timers follow the monotonic
	// clock, which knows nothing of suspended machines and corrected wall clocks.
	maxNap = 10 * time.Second
)

// Real is the machine's wall clock. The zero value is ready; a process should share one.
//
// Wall clocks go backwards, when NTP steps them or a person sets them. A Real hides a step of up to ten seconds by
// standing still until the wall clock has caught up, so within a process no two calls see time go back by more than a
// millisecond. A larger step means the clock was wrong before, and standing still for hours would be worse: it is
// followed. What is due then becomes due later; nothing is due twice because of it.
//
// It deliberately does not derive time from the monotonic clock, which stops while a laptop sleeps: signatures would be
// refused until a restart.
type Real struct {
	high atomic.Int64     // Unix nanoseconds; at most grain behind the highest value given out
	wall func() time.Time // nil: time.Now. Tests of this package step it.
}

// Now implements [Clock].
func (r *Real) Now() time.Time {
	var ns int64
	if r.wall == nil {
		ns = time.Now().UnixNano()
	} else {
		ns = r.wall().UnixNano()
	}
	high := r.high.Load()
	if ahead := time.Duration(ns - high); ahead > grain || ahead < -maxHold {
		// Losing this race means that another call recorded a value as recent as ours.
		r.high.CompareAndSwap(high, ns)
	} else if ahead < 0 {
		ns = high
	}
	return time.Unix(0, ns).UTC()
}

// Wait implements [Clock].
func (r *Real) Wait(ctx context.Context, t time.Time) error {
	for {
		d := t.Sub(r.Now())
		if d <= 0 {
			return nil
		}
		if err := Pause(ctx, min(d, maxNap)); err != nil {
			return err
		}
	}
}
