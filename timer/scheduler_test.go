package timer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/timer"
)

var epoch = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// schedule is a scheduler whose timers do what their kind says.
type schedule struct {
	*timer.Scheduler
	t     *testing.T
	store store.Store
	clock *clock.Movable

	mu    sync.Mutex
	fired []string // subject@hours since epoch
	do    func(tx store.Tx, t *timer.Timer) error
}

func newSchedule(t *testing.T) *schedule {
	s := &schedule{t: t, store: memstore.New(), clock: clock.NewFrozen(epoch)}
	s.Scheduler = timer.NewScheduler(s.store, s.clock, func(ctx context.Context, tm *timer.Timer) error {
		return s.store.Update(ctx, func(tx store.Tx) error {
			taken, err := timer.Take(tx, tm)
			if err != nil || !taken {
				return err
			}
			if s.do != nil {
				if err := s.do(tx, tm); err != nil {
					return err
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.fired = append(s.fired, fmt.Sprintf("%s@%g", tm.Subject, s.clock.Now().Sub(epoch).Hours()))
			return nil
		})
	})
	return s
}

func id(subject string) timer.ID {
	return timer.ID{Service: "kms", Account: "1", Region: "r", Kind: "k", Subject: subject}
}

func (s *schedule) set(subject string, hours float64) {
	s.t.Helper()
	err := s.store.Update(s.t.Context(), func(tx store.Tx) error {
		return timer.Set(tx, id(subject), epoch.Add(time.Duration(hours*float64(time.Hour))), nil)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *schedule) move(hours float64) {
	s.t.Helper()
	if err := s.MoveTo(s.t.Context(), s.clock, epoch.Add(time.Duration(hours*float64(time.Hour)))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *schedule) want(fired string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := cmp.Diff(fired, strings.Join(s.fired, " ")); d != "" {
		s.t.Errorf("fired (-want +got):\n%s", d)
	}
}

func TestMoveToFiresEachAtItsTime(t *testing.T) {
	s := newSchedule(t)
	s.set("c", 3)
	s.set("a", 1)
	s.set("d", 4)
	s.set("b", 2)
	s.set("past", -1)
	s.move(3)
	s.want("past@0 a@1 b@2 c@3")
	if now := s.clock.Now(); !now.Equal(epoch.Add(3 * time.Hour)) {
		t.Errorf("the clock says %s", now)
	}
	s.move(2)
	if now := s.clock.Now(); !now.Equal(epoch.Add(3 * time.Hour)) {
		t.Errorf("the clock went back to %s", now)
	}
	s.move(3.9)
	s.move(4)
	s.want("past@0 a@1 b@2 c@3 d@4")
}

func TestMoveToFiresWhatFiringSets(t *testing.T) {
	s := newSchedule(t)
	s.do = func(tx store.Tx, tm *timer.Timer) error {
		if tm.Subject != "a" {
			return nil
		}
		return errors.Join(timer.Set(tx, id("now"), tm.Due, nil), timer.Set(tx, id("next"), tm.Due.Add(30*time.Minute), nil), timer.Set(tx, id("late"), tm.Due.Add(9*time.Hour), nil))
	}
	s.set("a", 1)
	s.set("b", 2)
	s.move(3)
	s.want("a@1 now@1 next@1.5 b@2")
	s.move(24)
	s.want("a@1 now@1 next@1.5 b@2 late@10")
}

func TestAMonthOfHourlyTimers(t *testing.T) {
	s := newSchedule(t)
	s.do = func(tx store.Tx, tm *timer.Timer) error { return timer.Set(tx, tm.ID, tm.Due.Add(time.Hour), nil) }
	s.set("hourly", 1)
	start := time.Now()
	s.move(30 * 24)
	t.Logf("%d timers in %s", len(s.fired), time.Since(start))
	if len(s.fired) != 30*24 || s.Stats().Fired != 30*24 || s.fired[719] != "hourly@720" {
		t.Errorf("%d fired, the last %s", len(s.fired), s.fired[len(s.fired)-1])
	}
}

// The time until the next attempt doubles from a second to an hour, in domain time.
func TestBackOff(t *testing.T) {
	s := newSchedule(t)
	var attempts []time.Duration
	s.do = func(tx store.Tx, tm *timer.Timer) error {
		attempts = append(attempts, s.clock.Now().Sub(tm.Wanted))
		return errors.New("no")
	}
	s.set("a", 1)
	s.move(7)
	want := []time.Duration{0}
	for d := time.Second; d < time.Hour; d *= 2 {
		want = append(want, want[len(want)-1]+d)
	}
	for want[len(want)-1]+time.Hour <= 6*time.Hour {
		want = append(want, want[len(want)-1]+time.Hour)
	}
	if d := cmp.Diff(want, attempts); d != "" || s.Stats().Failed != uint64(len(want)) || s.Stats().Fired != 0 {
		t.Errorf("attempts (-want +got):\n%s\n%+v", d, s.Stats())
	}
	s.do = nil
	s.move(9)
	if len(s.fired) != 1 {
		t.Errorf("fired %v", s.fired)
	}
}

func TestCancel(t *testing.T) {
	s := newSchedule(t)
	s.set("a", 1)
	for range 2 {
		if err := s.store.Update(t.Context(), func(tx store.Tx) error { return timer.Cancel(tx, id("a")) }); err != nil {
			t.Errorf("Cancel: %v", err)
		}
	}
	s.move(2)
	s.want("")
}

// running runs a scheduler until the test ends.
func (s *schedule) running() {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx, func(err error) { s.t.Errorf("Run: %v", err) })
		close(done)
	}()
	s.t.Cleanup(func() { cancel(); <-done })
}

func TestRunWakes(t *testing.T) {
	s := newSchedule(t)
	fired := make(chan string, 100)
	s.do = func(_ store.Tx, tm *timer.Timer) error { fired <- tm.Subject; return nil }
	s.running()
	s.set("past", -1)
	if got := <-fired; got != "past" {
		t.Errorf("fired %s", got)
	}
	s.set("later", 5)
	s.set("sooner", 2)
	select {
	case got := <-fired:
		t.Errorf("a frozen clock fired %s", got)
	default:
	}
	s.clock.Set(epoch.Add(3 * time.Hour))
	if got := <-fired; got != "sooner" {
		t.Errorf("fired %s", got)
	}
	s.clock.Set(epoch.Add(5 * time.Hour))
	if got := <-fired; got != "later" {
		t.Errorf("fired %s", got)
	}
}

func TestConcurrentSets(t *testing.T) {
	s := newSchedule(t)
	var fired atomic.Int32
	all := make(chan struct{})
	const n = 200
	s.do = func(store.Tx, *timer.Timer) error {
		if fired.Add(1) == n {
			close(all)
		}
		return nil
	}
	s.running()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				s.set(fmt.Sprintf("%d-%d", w, i), -float64(i%3))
			}
		})
	}
	wg.Wait()
	<-all
	if s.Stats().Failed != 0 {
		t.Errorf("stats: %+v", s.Stats())
	}
}

func TestMoveToWhileRunning(t *testing.T) {
	s := newSchedule(t)
	s.running()
	for i := range 50 {
		s.set(fmt.Sprint(i), float64(i+1))
	}
	s.move(50)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.fired {
		if f != fmt.Sprintf("%d@%d", i, i+1) {
			t.Fatalf("fired %v", s.fired)
		}
	}
	if len(s.fired) != 50 {
		t.Errorf("%d fired", len(s.fired))
	}
}

func TestMoveToEndsWithItsContext(t *testing.T) {
	s := newSchedule(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.do = func(tx store.Tx, tm *timer.Timer) error {
		cancel()
		return timer.Set(tx, tm.ID, tm.Due.Add(time.Second), nil)
	}
	s.set("a", 1)
	if err := s.MoveTo(ctx, s.clock, epoch.Add(1000*time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("MoveTo: %v", err)
	}
	if now := s.clock.Now(); now.After(epoch.Add(2 * time.Hour)) {
		t.Errorf("the clock says %s, but not all timers until then have fired", now)
	}
}

// What is set for a time that is over fires next, whichever timers have fired since then.
func TestSetForATimeThatIsOver(t *testing.T) {
	s := newSchedule(t)
	for i := range 5 {
		s.set(fmt.Sprint(i), float64(i))
	}
	s.do = func(tx store.Tx, tm *timer.Timer) error {
		switch tm.Subject {
		case "2":
			return timer.Set(tx, id("late"), epoch.Add(time.Hour/2), nil)
		case "3": // and so many that nobody keeps their names
			for i := range 2000 {
				if err := timer.Set(tx, id(fmt.Sprintf("far%04d", i)), epoch.Add(1000*time.Hour), nil); err != nil {
					return err
				}
			}
			return timer.Set(tx, id("zlate"), epoch.Add(time.Hour), nil)
		}
		return nil
	}
	s.move(3.5)
	s.want("0@0 1@1 2@2 late@2 3@3 zlate@3")
	s.set("again", 1)
	s.move(4)
	s.want("0@0 1@1 2@2 late@2 3@3 zlate@3 again@3.5 4@4")
}

// What is done beside the scheduler may end, and set a timer, after the scheduler looked for one and before it asked whether anything is being done.
func TestMoveToSeesWhatWasJustSet(t *testing.T) {
	s := newSchedule(t)
	done := false
	s.BeforeStep(func(context.Context) (bool, error) {
		if !done {
			done = true
			s.set("retry", 1)
		}
		return false, nil
	})
	s.move(3)
	s.want("retry@1")
}
