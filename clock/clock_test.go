package clock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRealFollowsTheWallClock(t *testing.T) {
	now := epoch
	r := &Real{wall: func() time.Time { return now }}
	for _, step := range []struct {
		name       string
		wall, want time.Duration // since epoch
	}{
		{"Start", 0, 0},
		{"Forward", time.Hour, time.Hour},
		{"BackABit", time.Hour - time.Second, time.Hour},
		{"StillBehind", time.Hour - time.Millisecond, time.Hour},
		{"CaughtUp", time.Hour + time.Second, time.Hour + time.Second},
		{"BackTenSeconds", time.Hour - 9*time.Second, time.Hour + time.Second},
		{"BackAnHour", time.Second, time.Second},
		{"OnFromThere", 2 * time.Second, 2 * time.Second},
		{"BackFromThere", time.Second, 2 * time.Second},
		{"FarForward", 1000 * time.Hour, 1000 * time.Hour},
	} {
		now = epoch.Add(step.wall)
		if got, want := r.Now(), epoch.Add(step.want); !got.Equal(want) {
			t.Errorf("%s: Now() = %v, want %v", step.name, got, want)
		}
	}
}

func TestRealNeverGoesBackMuch(t *testing.T) {
	// The wall clock of this test steps back by a second at every tenth reading.
	var readings atomic.Int64
	r := &Real{wall: func() time.Time {
		n := readings.Add(1)
		at := epoch.Add(time.Duration(n) * 100 * time.Microsecond)
		if n%10 == 0 {
			at = at.Add(-time.Second)
		}
		return at
	}}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := r.Now()
			for range 2000 {
				now := r.Now()
				if back := last.Sub(now); back > grain {
					t.Errorf("time went back by %v", back)
					return
				}
				last = now
			}
		})
	}
	wg.Wait()
}

func TestNowIsPlainUTC(t *testing.T) {
	for _, c := range []Clock{new(Real), NewMovable(time.Hour), NewFrozen(time.Now())} {
		now := c.Now()
		if now.Location() != time.UTC || now != now.Round(0) {
			t.Errorf("%T: Now() = %#v, want UTC without a monotonic reading", c, now)
		}
		if n := testing.AllocsPerRun(100, func() { c.Now() }); n != 0 {
			t.Errorf("%T: Now allocates %v times", c, n)
		}
	}
}

func TestRealWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Real
		start := time.Now()
		if err := r.Wait(t.Context(), r.Now().Add(48*time.Hour)); err != nil || time.Since(start) != 48*time.Hour {
			t.Errorf("Wait = %v after %v, want 2 days", err, time.Since(start))
		}
		if err := r.Wait(t.Context(), r.Now()); err != nil {
			t.Errorf("Wait for now: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Wait(ctx, r.Now().Add(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait with a context that ends: %v", err)
		}
	})
}

func TestRealWaitNoticesACorrectedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		r := &Real{wall: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
		start := time.Now()
		go func() {
			time.Sleep(time.Minute)
			ahead.Store(int64(24 * time.Hour)) // the laptop slept for a day
		}()
		if err := r.Wait(t.Context(), r.Now().Add(12*time.Hour)); err != nil || time.Since(start) > time.Minute+maxNap {
			t.Errorf("Wait = %v after %v, want soon after the minute", err, time.Since(start))
		}
	})
}

func TestFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewFrozen(epoch)
		var woken []int
		var mu sync.Mutex
		for _, hours := range []int{1, 2, 3, 3, 100} {
			go func() {
				if c.Wait(t.Context(), epoch.Add(time.Duration(hours)*time.Hour)) == nil {
					mu.Lock()
					woken = append(woken, hours)
					mu.Unlock()
				}
			}()
		}
		check := func(name string, want ...int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(woken)
			if !slices.Equal(woken, want) {
				t.Errorf("%s: woke %v, want %v", name, woken, want)
			}
		}
		check("Start")
		time.Sleep(1000 * time.Hour)
		check("RealTimePasses")
		c.Set(epoch.Add(time.Hour - 1))
		check("JustBefore")
		c.Set(epoch.Add(time.Hour))
		check("Exactly", 1)
		if got := c.Advance(time.Hour); !got.Equal(epoch.Add(2*time.Hour)) || !c.Now().Equal(got) {
			t.Errorf("Advance = %v, Now = %v", got, c.Now())
		}
		check("Advance", 1, 2)
		c.Set(epoch)
		check("Back", 1, 2)
		c.Advance(90 * 24 * time.Hour)
		check("Far", 1, 2, 3, 3, 100)
	})
}

func TestMovable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMovable(0)
		start := time.Now().UTC()
		elapsed := func() time.Duration { return c.Now().Sub(start) }
		want := func(name string, d time.Duration) {
			t.Helper()
			if got := elapsed(); got != d {
				t.Errorf("%s: %v since the start, want %v", name, got, d)
			}
		}
		want("Start", 0)
		time.Sleep(time.Hour)
		want("Runs", time.Hour)
		c.Advance(24 * time.Hour)
		want("Advance", 25*time.Hour)
		time.Sleep(time.Hour)
		want("RunsOn", 26*time.Hour)
		if c.Offset() != 24*time.Hour || NewMovable(c.Offset()).Now() != c.Now() {
			t.Errorf("Offset = %v", c.Offset())
		}

		release := c.Hold()
		time.Sleep(time.Hour)
		want("Held", 26*time.Hour)
		if c.Offset() != 23*time.Hour {
			t.Errorf("Offset while held = %v, want 23h", c.Offset())
		}
		c.Set(start.Add(50 * time.Hour))
		time.Sleep(time.Hour)
		want("SetWhileHeld", 50*time.Hour)
		inner := c.Hold()
		release()
		release()
		time.Sleep(time.Hour)
		want("HeldByTheOther", 50*time.Hour)
		inner()
		want("Released", 50*time.Hour)
		time.Sleep(time.Hour)
		want("RunsOnFromThere", 51*time.Hour)
		c.Set(start)
		want("SetBack", 0)
	})
}

func TestMovableWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMovable(0)
		due := c.Now().Add(time.Hour)
		done := make(chan time.Duration, 1)
		start := time.Now()
		wait := func() {
			if err := c.Wait(t.Context(), due); err != nil {
				t.Errorf("Wait: %v", err)
			}
			if c.Now().Before(due) {
				t.Errorf("woke at %v, before %v", c.Now(), due)
			}
			done <- time.Since(start)
		}
		go wait()
		if got := <-done; got != time.Hour {
			t.Errorf("time passed: woke after %v, want 1h", got)
		}

		start, due = time.Now(), c.Now().Add(90*24*time.Hour)
		go wait()
		synctest.Wait()
		c.Advance(90 * 24 * time.Hour)
		if got := <-done; got != 0 {
			t.Errorf("moved: woke after %v, want at once", got)
		}

		start, due = time.Now(), c.Now().Add(time.Minute)
		release := c.Hold()
		go wait()
		time.Sleep(time.Hour)
		release()
		if got := <-done; got != time.Hour+time.Minute {
			t.Errorf("held for an hour: woke after %v, want 1h1m", got)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Wait(ctx, c.Now().Add(time.Hour)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if err := NewFrozen(epoch).Wait(ctx, epoch.Add(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while frozen: %v", err)
		}
	})
}

// TestStepping is how timers drive a move: each sees its own time, in order.
func TestStepping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMovable(0)
		from := c.Now()
		target := from.Add(90 * 24 * time.Hour)
		release := c.Hold()
		for due := from.Add(24 * time.Hour); !due.After(target); due = due.Add(24 * time.Hour) {
			c.Set(due)
			time.Sleep(time.Second) // firing takes its time
			if c.Now() != due {
				t.Errorf("fired at %v, due %v", c.Now(), due)
			}
		}
		c.Set(target)
		release()
		if c.Now() != target {
			t.Errorf("after the move it is %v, want %v", c.Now(), target)
		}
	})
}

func TestMovingConcurrently(t *testing.T) {
	c := NewMovable(0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				c.Advance(time.Minute)
				release := c.Hold()
				c.Advance(time.Minute)
				release()
			}
		})
		wg.Go(func() {
			if err := c.Wait(t.Context(), time.Now().Add(20*time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := c.Offset().Round(time.Minute); got < 1599*time.Minute || got > 1601*time.Minute {
		t.Errorf("1600 advances of a minute moved the clock by %v", got)
	}
}

func TestWallTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := Start()
		if err := Pause(t.Context(), time.Minute); err != nil || watch.Elapsed() != time.Minute {
			t.Errorf("Pause = %v after %v", err, watch.Elapsed())
		}
		<-After(time.Minute)
		if watch.Elapsed() != 2*time.Minute {
			t.Errorf("After took until %v", watch.Elapsed())
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		watch = Start()
		for range Tick(ctx, time.Second) {
			if n++; n == 5 {
				cancel()
			}
		}
		if n != 5 || watch.Elapsed() < 5*time.Second || watch.Elapsed() > 6*time.Second {
			t.Errorf("%d ticks in %v, want 5", n, watch.Elapsed())
		}
		if err := Pause(ctx, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("Pause when cancelled: %v", err)
		}
		if err := Pause(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("Pause of nothing when cancelled: %v", err)
		}
		for range Tick(t.Context(), time.Second) {
			break
		}
	})
}

func BenchmarkNow(b *testing.B) {
	for name, c := range map[string]Clock{"Real": new(Real), "Movable": NewMovable(time.Hour), "Frozen": NewFrozen(epoch)} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.Now()
				}
			})
		})
	}
}
