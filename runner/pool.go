package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

const (
	maxWait     = 10 * time.Second // for an instance of another function to become free, where there are as many as may be
	defaultIdle = 5 * time.Minute
)

// Runner runs functions. All methods may be called concurrently.
type Runner struct {
	cfg   Config
	now   func() time.Time // the cloud's
	trees *trees
	reach *reach
	stop  context.CancelFunc

	available func() error

	mu        sync.Mutex // guards the rest; nothing is waited for under it
	host      *host
	closed    bool
	functions map[string]*instances
	live      int           // of all functions, also those that start or end
	changed   chan struct{} // closed and made anew when an instance became free or ended
	ended     sync.WaitGroup
}

// instances are those of one function.
type instances struct {
	all          map[*instance]bool // those that may be used again: neither ending nor forgotten
	idle         []*instance        // the one used last is the last
	live, ending int
}

// New makes a runner. It starts nothing; ask Available whether it can.
func New(cfg Config) (*Runner, error) {
	if cfg.Dir == "" {
		return nil, errors.New("the function runner has no directory")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("making the function runner's directory: %w", err)
	}
	cfg.Dir = dir
	if cfg.Instances <= 0 {
		cfg.Instances = 64
	}
	if cfg.Idle <= 0 {
		cfg.Idle = defaultIdle
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = new(clock.Real)
	}
	reach, err := newReach(cfg.Reach)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Runner{
		cfg: cfg, now: cfg.Clock.Now, reach: reach, stop: stop, functions: map[string]*instances{}, changed: make(chan struct{}),
		trees: &trees{dir: filepath.Join(dir, "trees"), all: map[string]*tree{}},
	}
	r.available = sync.OnceValue(func() error { return r.open(ctx) })
	if err := r.clear(); err != nil { // of what a server left that was killed
		stop()
		return nil, err
	}
	return r, nil
}

// open makes the directory and tries a sandbox. It is done when a function is run for the first time, so that a cloud without functions touches nothing.
func (r *Runner) open(ctx context.Context) error {
	// Functions' users go through these, and nobody else comes near them: the one above is closed where it is the data directory.
	for _, d := range []string{"", "root", "trees"} {
		d = filepath.Join(r.cfg.Dir, d)
		if err := errors.Join(os.MkdirAll(d, 0o711), os.Chmod(d, 0o711)); err != nil {
			return fmt.Errorf("making the function runner's directory: %w", err)
		}
	}
	h, err := newHost(r.cfg.Dir, r.cfg.Hide, r.cfg.Log)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, maxInit)
	defer cancel()
	b, err := h.start(limit, &spec{Tmp: 1, Probe: true}, 64)
	if err != nil {
		h.close()
		return fmt.Errorf("this host does not let functions be isolated: %w", err)
	}
	<-b.exited
	b.close()
	if status := b.status(); status != "exit status 0" {
		h.close()
		return fmt.Errorf("this host does not let functions be isolated: a first one ended with %s", status)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		h.close()
		return ErrClosed
	}
	r.host = h
	go r.evict(ctx)
	return nil
}

func (r *Runner) clear() error {
	for _, d := range []string{"root", "trees"} {
		if err := os.RemoveAll(filepath.Join(r.cfg.Dir, d)); err != nil {
			return fmt.Errorf("emptying the function runner's directory: %w", err)
		}
	}
	return nil
}

// Available is nil, or says why this host cannot isolate functions. The first call finds out by trying.
func (r *Runner) Available() error { return r.available() }

// take returns an idle instance of a function, or nil and room for a new one.
func (r *Runner) take(ctx context.Context, f *Function) (*instance, error) {
	timeout := clock.After(maxWait)
	for {
		i, victim, changed, err := r.tryTake(f)
		if victim != nil {
			r.give(victim, false)
		}
		if changed == nil {
			return i, err
		}
		select {
		case <-changed:
		case <-timeout:
			return nil, ErrThrottled
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryTake also returns an instance to end, to make room, or what to wait for.
func (r *Runner) tryTake(f *Function) (i, victim *instance, changed chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, nil, ErrClosed
	}
	g := r.functions[f.ID]
	if g == nil {
		g = &instances{all: map[*instance]bool{}}
		r.functions[f.ID] = g
	}
	if n := len(g.idle); n > 0 {
		i = g.idle[n-1]
		g.idle = g.idle[:n-1]
		if i.expires.IsZero() || i.expires.Sub(r.now()) > f.Timeout {
			return i, nil, nil, nil
		}
		delete(g.all, i)
		return nil, i, r.changed, nil // and take it from there
	}
	if f.Concurrency > 0 && g.live >= f.Concurrency {
		if g.live-g.ending >= f.Concurrency {
			return nil, nil, nil, ErrThrottled
		}
		return nil, nil, r.changed, nil
	}
	if r.live < r.cfg.Instances {
		g.live++
		r.live++
		return nil, nil, nil, nil
	}
	return nil, r.oldestLocked(), r.changed, nil
}

// oldestLocked takes out the instance that has been idle longest.
func (r *Runner) oldestLocked() *instance {
	var from *instances
	for _, g := range r.functions {
		if len(g.idle) > 0 && (from == nil || g.idle[0].idle.Elapsed() > from.idle[0].idle.Elapsed()) {
			from = g
		}
	}
	if from == nil {
		return nil
	}
	i := from.idle[0]
	from.idle = from.idle[1:]
	delete(from.all, i)
	return i
}

// adopt counts a started instance among those of its function.
func (r *Runner) adopt(i *instance) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if g := r.functions[i.f.ID]; g != nil {
		g.all[i] = true
	}
	return true
}

// give gives an instance back: to be used again, if it is alive and wanted, else it is ended.
func (r *Runner) give(i *instance, alive bool) {
	r.mu.Lock()
	g := r.functions[i.f.ID]
	if alive = alive && !r.closed && g != nil && g.all[i]; alive {
		i.idle = clock.Start()
		i.rest() // under the lock: who takes it next wakes it
		g.idle = append(g.idle, i)
		r.changedLocked()
	} else if g != nil {
		delete(g.all, i)
		g.ending++
	}
	r.mu.Unlock()
	if alive {
		return
	}
	i.stop()
	r.ended.Go(func() {
		i.end()
		r.room(i.f.ID, true)
	})
}

// room gives back what an instance took of the room for instances: one that was ending, or one that never was.
func (r *Runner) room(id string, ending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live--
	if g := r.functions[id]; g != nil {
		if ending {
			g.ending--
		}
		if g.live--; g.live == 0 && len(g.all) == 0 {
			delete(r.functions, id)
		}
	}
	r.changedLocked()
}

func (r *Runner) changedLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// evict ends instances that nobody has used for long, until ctx ends.
func (r *Runner) evict(ctx context.Context) {
	for range clock.Tick(ctx, min(r.cfg.Idle/4+time.Millisecond, 10*time.Second)) {
		for _, i := range r.unused() {
			r.give(i, false)
		}
	}
}

func (r *Runner) unused() []*instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	var old []*instance
	for _, g := range r.functions {
		n := 0
		for n < len(g.idle) && g.idle[n].idle.Elapsed() > r.cfg.Idle {
			delete(g.all, g.idle[n])
			n++
		}
		old = append(old, g.idle[:n]...)
		g.idle = g.idle[n:]
	}
	return old
}

// Forget ends the instances of a function that are idle, and those that are at work when they have done it.
func (r *Runner) Forget(id string) {
	r.mu.Lock()
	var idle []*instance
	if g := r.functions[id]; g != nil {
		idle, g.idle = g.idle, nil
		clear(g.all)
	}
	r.mu.Unlock()
	for _, i := range idle {
		r.give(i, false)
	}
}

// Close ends all instances, whatever they do, and empties the directory. Invocations under way fail. It waits until no process is left, or until ctx ends.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	var idle, busy []*instance
	for _, g := range r.functions {
		idle = append(idle, g.idle...)
		g.idle = nil
		for i := range g.all {
			busy = append(busy, i)
		}
	}
	r.changedLocked()
	r.mu.Unlock()
	r.stop()
	for _, i := range busy {
		i.stop() // who has it gives it back
	}
	for _, i := range idle {
		r.give(i, false)
	}
	if err := r.empty(ctx); err != nil {
		return fmt.Errorf("waiting for functions to end: %w", err)
	}
	r.ended.Wait()
	r.mu.Lock()
	h := r.host
	r.host = nil
	r.mu.Unlock()
	if h == nil {
		return nil
	}
	h.close()
	return r.clear()
}

// empty waits until there are no instances.
func (r *Runner) empty(ctx context.Context) error {
	for {
		r.mu.Lock()
		live, changed := r.live, r.changed
		r.mu.Unlock()
		if live == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
