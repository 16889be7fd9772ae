package clock

import (
	"context"
	"iter"
	"time"
)

// Pause returns after d of wall time, or with ctx's error when that ends first. It is for back-off and pacing; what a
// user could wait for is [Clock.Wait].
func Pause(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// After returns a channel that receives once d of wall time has passed, for use in a select. It needs no stopping.
func After(d time.Duration) <-chan time.Time { return time.After(d) }

// Tick yields about every d of wall time until ctx ends or the loop breaks; the first time after d. A slow body skips
// ticks. d must be positive.
//
//	for range clock.Tick(ctx, time.Second) {
//		flush()
//	}
func Tick(ctx context.Context, d time.Duration) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				// Both may have been ready, and an ended context wins.
				if ctx.Err() != nil || !yield(struct{}{}) {
					return
				}
			}
		}
	}
}

// A Stopwatch measures elapsed wall time on the monotonic clock. Get one from [Start].
type Stopwatch struct{ start time.Time }

// Start starts a stopwatch. It costs one clock reading and no allocation.
func Start() Stopwatch { return Stopwatch{time.Now()} }

// Elapsed returns the time since Start. It is never negative, and blind to changes of the wall clock.
func (s Stopwatch) Elapsed() time.Duration { return time.Since(s.start) }
