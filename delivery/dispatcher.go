package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// Workers is how many lanes are worked on at once, and Outside how many are waited for whose receivers are outside: those are slow, and must not keep others waiting. OutsideKind is
	// how many of those are of one kind, so that ten thousand passwords that are rotated do not keep a webhook waiting.
	Workers     = 32
	Outside     = 256
	OutsideKind = Outside * 3 / 4

	maxBatch     = 64      // parcels that are handed over in one go
	maxBatchSize = 1 << 20 // their payloads, in bytes
)

// Outcome is how far a batch of parcels came.
type Outcome struct {
	Delivered, GivenUp int // of its first parcels
	Failed             int // attempts
	// Waits is set if the lane waits for a timer, which wakes it.
	Waits bool
	// Outside is set, and nothing else, if the first parcel goes to a receiver outside: it brings it there, with no transaction open.
	Outside func(context.Context) (Outcome, error)
}

// ErrNobody is the error of a lane that nobody carries the parcels of, such as one of a service that this binary has not.
var ErrNobody = errors.New("nobody delivers this")

// Dispatcher hands parcels over: those of a lane in order, those of several lanes at the same time. With several nodes over one store, each runs one: Look lets only one of them
// deliver a parcel within the cloud, and both may try where the receiver is outside.
type Dispatcher struct {
	store store.Store
	carry func(ctx context.Context, batch []*Parcel) (Outcome, error)

	mu      sync.Mutex
	ctx     context.Context // of Start; nil before
	over    bool            // Wait was called
	failed  func(error)
	lanes   map[Lane]*lane // that may have parcels
	ready   []Lane         // to be worked on, first come first served
	workers int
	away    []errand      // that wait until fewer are on their way
	outside int           // that are on their way
	kinds   map[Kind]int  // of these
	holds   int           // of Hold: nobody works but Settle
	idle    chan struct{} // closed when no lane is ready or worked on, or nobody is to work on it; nil while nobody waits for that
	work    sync.WaitGroup
	stats   map[Kind]*Stats
}

// lane is what is known of a lane that may have parcels.
type lane struct {
	state  state
	again  bool            // something was written there while it was worked on
	from   string          // no parcel stands before this place
	woken  bool            // Wake came while it was worked on
	early  string          // the first place of what was written there meanwhile
	taken  map[string]bool // the places that are being worked on
	oldest time.Time       // when the parcel was put there that is the next; zero if that is not known
}

// errand is what is left to do for a parcel whose receiver is outside.
type errand struct {
	lane  Lane
	of    *lane
	batch []*Parcel // the one
	run   func(context.Context) (Outcome, error)
}

type state int

const (
	queued  state = iota // in Dispatcher.ready
	working              // a worker has it
	blocked              // until Wake
)

// Kind is what lanes have in common that are counted together.
type Kind struct{ Service, Kind string }

// Stats are counts since the start, and how lanes stand.
type Stats struct {
	Delivered, Failed, GivenUp uint64
	Waiting                    int       // lanes that wait before they are tried again
	Oldest                     time.Time // when the oldest parcel was put into its lane that is not delivered; zero if none waits
}

// NewDispatcher returns a dispatcher of the parcels in s. carry hands over parcels of one lane, which may be none that are still there: it delivers as many as it can in one
// transaction, each beginning with Look. Its error is that of the store or of ctx, or one that wraps ErrNobody.
func NewDispatcher(s store.Store, carry func(ctx context.Context, batch []*Parcel) (Outcome, error)) *Dispatcher {
	d := &Dispatcher{store: s, carry: carry, lanes: make(map[Lane]*lane), stats: make(map[Kind]*Stats), kinds: make(map[Kind]int)}
	parcels.Watch(s, func(account, region string, key []string) {
		if len(key) == 4 {
			d.note(Lane{key[0], account, region, key[1], key[2]}, key[3])
		}
	})
	return d
}

// Start begins to hand parcels over, until ctx ends. An error of the store is reported to failed, and the lane tried again.
func (d *Dispatcher) Start(ctx context.Context, failed func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctx, d.failed = ctx, failed
	d.workers++
	d.work.Go(func() {
		for err := d.load(ctx); err != nil && ctx.Err() == nil; err = d.load(ctx) {
			failed(err)
			_ = clock.Pause(ctx, time.Second)
		}
		d.worker()
	})
	for range d.ready {
		d.hire()
	}
}

// Wait waits until the context of Start has ended, and what was being handed over.
func (d *Dispatcher) Wait() {
	<-d.ctx.Done()
	d.mu.Lock()
	d.over = true // nobody is hired from now on
	d.mu.Unlock()
	d.work.Wait()
}

// load finds the lanes that have parcels.
func (d *Dispatcher) load(ctx context.Context) error {
	return d.store.View(ctx, func(r store.Reader) error {
		for l, err := range lanes(r) {
			if err != nil {
				return fmt.Errorf("looking for what is to be delivered: %w", err)
			}
			d.note(l, "")
		}
		return nil
	})
}

// note has a lane worked on since something was written in it, at a place.
func (d *Dispatcher) note(l Lane, place string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.lanes[l]
	if s == nil {
		s = new(lane)
		d.lanes[l] = s
		d.enqueue(l, s)
		return
	}
	switch {
	case s.taken[place]: // written by who works on it
	case s.state == working:
		if !s.again || place < s.early {
			s.early = place
		}
		s.again = true
	default:
		s.from = min(s.from, place)
	}
}

// Wake has a lane worked on that waited.
func (d *Dispatcher) Wake(l Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.lanes[l]
	switch {
	case s == nil:
		s = new(lane)
		d.lanes[l] = s
		d.enqueue(l, s)
	case s.state == blocked:
		d.enqueue(l, s)
	default:
		s.woken = true
	}
}

// enqueue has somebody work on a lane. It is called with mu held.
func (d *Dispatcher) enqueue(l Lane, s *lane) {
	s.state = queued
	d.ready = append(d.ready, l)
	d.hire()
}

// hire sees to it that there are workers for a lane more. It is called with mu held.
func (d *Dispatcher) hire() {
	if d.ctx == nil || d.over || d.ctx.Err() != nil || d.workers == Workers || d.holds > 0 {
		return
	}
	d.workers++
	d.work.Go(d.worker)
}

func (d *Dispatcher) worker() {
	for {
		d.mu.Lock()
		if len(d.ready) == 0 || d.ctx.Err() != nil || d.holds > 0 {
			d.workers--
			d.rest()
			d.mu.Unlock()
			return
		}
		d.next()
	}
}

// next works on the lane that is ready first. It is called with mu held, and returns without.
func (d *Dispatcher) next() {
	l := d.ready[0]
	d.ready = d.ready[1:]
	s := d.lanes[l]
	s.state, s.again, s.woken = working, false, false
	from := s.from
	d.mu.Unlock()
	d.attend(l, s, from)
}

// rest tells who waits for it that nobody works any more. It is called with mu held.
func (d *Dispatcher) rest() {
	if d.workers == 0 && d.outside == 0 && d.idle != nil {
		close(d.idle)
		d.idle = nil
	}
}

// send has an errand run, while workers go on.
func (d *Dispatcher) send(e errand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outside == Outside || d.kinds[e.kind()] == OutsideKind {
		d.away = append(d.away, e)
		return
	}
	d.outside++
	d.kinds[e.kind()]++
	d.work.Go(func() { d.run(e) })
}

// run runs an errand, and then those that wait.
func (d *Dispatcher) run(e errand) {
	for {
		o, err := e.run(d.ctx)
		d.end(e.lane, e.of, e.batch, o, err)
		d.mu.Lock()
		if len(d.ready) > 0 {
			d.hire()
		}
		d.kinds[e.kind()]--
		next := slices.IndexFunc(d.away, func(e errand) bool { return d.kinds[e.kind()] < OutsideKind })
		if next < 0 || d.ctx.Err() != nil {
			d.outside--
			d.rest()
			d.mu.Unlock()
			return
		}
		e = d.away[next]
		copy(d.away[1:], d.away[:next]) // which are few: most often the first may go
		d.away = d.away[1:]
		d.kinds[e.kind()]++
		d.mu.Unlock()
	}
}

func (e *errand) kind() Kind { return Kind{e.lane.Service, e.lane.Kind} }

// attend hands over what stands in a lane, a batch of it.
func (d *Dispatcher) attend(l Lane, s *lane, from string) {
	var batch []*Parcel
	err := d.store.View(d.ctx, func(r store.Reader) (err error) {
		batch, err = waiting(r, l, from, maxBatch)
		return err
	})
	var o Outcome
	if err == nil && len(batch) > 0 {
		d.begin(s, batch)
		o, err = d.carry(d.ctx, batch)
	}
	if err == nil && o.Outside != nil {
		d.send(errand{l, s, batch[:1:1], o.Outside})
		return
	}
	d.end(l, s, batch, o, err)
}

func (d *Dispatcher) begin(s *lane, batch []*Parcel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.taken = make(map[string]bool, len(batch))
	for _, p := range batch {
		s.taken[p.Place] = true
	}
	s.oldest = batch[0].Created
}

// end decides how a lane goes on.
func (d *Dispatcher) end(l Lane, s *lane, batch []*Parcel, o Outcome, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count(l, o)
	if done := o.Delivered + o.GivenUp; done > 0 {
		s.from = batch[done-1].Place + "+" // right behind it
	}
	if s.again {
		s.from = min(s.from, s.early)
	}
	s.taken, s.oldest = nil, time.Time{}
	switch {
	case d.ctx.Err() != nil:
	case err != nil:
		d.failed(fmt.Errorf("delivering %s of %s: %w", l.Kind, l.Service, err))
		s.state = blocked
		if !errors.Is(err, ErrNobody) {
			d.work.Go(func() {
				if clock.Pause(d.ctx, time.Second) == nil {
					d.Wake(l)
				}
			})
		}
	case o.Waits && !s.woken:
		s.state = blocked
		if done := o.Delivered + o.GivenUp; done < len(batch) {
			s.oldest = batch[done].Created
		}
	case len(batch) == 0 && !s.again:
		delete(d.lanes, l)
	default:
		s.state = queued
		d.ready = append(d.ready, l) // for this worker, or another one
	}
}

// count is called with mu held.
func (d *Dispatcher) count(l Lane, o Outcome) {
	k := Kind{l.Service, l.Kind}
	n := d.stats[k]
	if n == nil {
		n = new(Stats)
		d.stats[k] = n
	}
	n.Delivered += uint64(o.Delivered)
	n.GivenUp += uint64(o.GivenUp)
	n.Failed += uint64(o.Failed)
}

// Hold has nobody hand parcels over but Settle, until release is called: lane by lane, in the order in which they came to have some. So what happens at one time while the
// clock is moved happens in the same order each time. Who is at work ends it.
func (d *Dispatcher) Hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holds++
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.holds--
		for range d.ready {
			d.hire()
		}
	})
}

// Settle waits until no lane has anything that can be delivered at the time it is, and reports whether it had to.
func (d *Dispatcher) Settle(ctx context.Context) (worked bool, err error) {
	for {
		waited, err := d.quiet(ctx)
		worked = worked || waited
		if err != nil {
			return worked, err
		}
		d.mu.Lock()
		if d.ctx == nil || d.ctx.Err() != nil || d.holds == 0 || len(d.ready) == 0 {
			d.mu.Unlock()
			return worked, nil
		}
		for d.holds > 0 && len(d.ready) > 0 && d.ctx.Err() == nil && ctx.Err() == nil {
			d.next()
			d.mu.Lock()
		}
		worked = true
		d.mu.Unlock()
	}
}

// quiet waits until nobody works, and reports whether it had to.
func (d *Dispatcher) quiet(ctx context.Context) (waited bool, err error) {
	d.mu.Lock()
	if d.ctx == nil || d.ctx.Err() != nil || d.workers == 0 && d.outside == 0 {
		d.mu.Unlock()
		return false, ctx.Err()
	}
	if d.idle == nil {
		d.idle = make(chan struct{})
	}
	idle, running := d.idle, d.ctx.Done()
	d.mu.Unlock()
	select {
	case <-idle:
		return true, nil
	case <-running:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Stats returns the counts of all kinds that anything was delivered of, or is to be.
func (d *Dispatcher) Stats() map[Kind]Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[Kind]Stats, len(d.stats))
	for k, n := range d.stats {
		out[k] = *n
	}
	for l, s := range d.lanes {
		k := Kind{l.Service, l.Kind}
		n := out[k]
		if s.state == blocked {
			n.Waiting++
		}
		if !s.oldest.IsZero() && (n.Oldest.IsZero() || s.oldest.Before(n.Oldest)) {
			n.Oldest = s.oldest
		}
		out[k] = n
	}
	return out
}
