package events

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
)

// Following says which events somebody follows. Empty members are all.
type Following struct {
	Account, Region, Bus string
	Pattern              *eventpattern.Pattern
}

// Followed is an event that came to a bus.
type Followed struct {
	Bus    string // ARN
	Event  []byte
	Missed int // how many came before it that the follower was too slow for
}

// ErrOver is what ends following when the service does.
var ErrOver = errors.New("events are followed no more: the cloud closes, or was reset")

// maxBehind is how many events a follower may be behind; what comes then it misses.
const maxBehind = 1024

// tail tells followers what comes to buses, after it is durable. Nobody waits for them.
type tail struct {
	any       atomic.Bool // somebody follows
	mu        sync.Mutex  // guards followers, and what they missed
	followers map[*follower]bool
	over      bool
}

type follower struct {
	Following
	one    *eventpattern.Matcher[struct{}] // of Pattern
	events chan Followed
	missed int
}

// Follow calls fn with the events that come to the buses of this process from now on, in the order in which they came to each, until ctx ends, fn returns an error, or
// EndFollowing (ErrOver). started, unless it is nil, is called once events are followed.
func (s *Service) Follow(ctx context.Context, f Following, started func(), fn func(Followed) error) error {
	one := &follower{Following: f, events: make(chan Followed, maxBehind)}
	if f.Pattern != nil {
		set := eventpattern.NewSet[struct{}]()
		set.Add(struct{}{}, f.Pattern)
		one.one = set.Matcher()
	}
	if !s.tail.add(one) {
		return ErrOver
	}
	defer s.tail.remove(one)
	if started != nil {
		started()
	}
	for {
		select {
		case e, ok := <-one.events:
			if !ok {
				return ErrOver
			}
			if err := fn(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// EndFollowing ends all following, now and in the time to come.
func (s *Service) EndFollowing() {
	t := &s.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.followers {
		close(f.events)
	}
	t.followers, t.over = nil, true
	t.any.Store(false)
}

// add reports whether it is not over yet.
func (t *tail) add(f *follower) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	if t.followers == nil {
		t.followers = map[*follower]bool{}
	}
	t.followers[f] = true
	t.any.Store(true)
	return true
}

func (t *tail) remove(f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.followers, f)
	t.any.Store(len(t.followers) > 0)
}

// follow tells followers of an event when the transaction that puts it on its bus has committed.
func (s *Service) follow(c *call.Call, e *heard) {
	if !s.tail.any.Load() {
		return
	}
	c.Tx().OnCommitted(func() { s.tail.tell(e.Bus, Followed{Bus: e.Bus.arn(s.cfg.Partition), Event: e.JSON}) })
}

func (t *tail) tell(bus busKey, e Followed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.followers {
		if !f.wants(bus, e.Event) {
			continue
		}
		e.Missed = f.missed
		select {
		case f.events <- e:
			f.missed = 0
		default:
			f.missed++
		}
	}
}

func (f *follower) wants(bus busKey, event []byte) bool {
	return (f.Account == "" || f.Account == bus.Account) && (f.Region == "" || f.Region == bus.Region) && (f.Bus == "" || f.Bus == bus.Name) &&
		(f.one == nil || len(f.one.Match(event)) > 0)
}
