package agent

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// cache keeps the answers that were asked for last, each until its time is over, and fetches each only once at a time.
type cache struct {
	size  int
	ttl   time.Duration // 0: nothing is kept
	clock clock.Clock

	mu      sync.Mutex // guards the fields below; nothing is fetched under it
	entries map[key]*list.Element
	used    list.List // of *entry; the last used first
	flights map[key]*flight
	begun   uint64 // flights so far
}

type entry struct {
	key    key
	answer []byte
	until  time.Time
	begun  uint64 // which flight brought it
}

// flight is a fetch that is under way.
type flight struct {
	begun   uint64
	refresh bool
	done    chan struct{} // closed when the rest is set
	answer  []byte
	err     error
}

// retry is how long a value that is too old does before the cloud is asked again.
const retry = 5 * time.Second

func newCache(size int, ttl time.Duration, c clock.Clock) *cache {
	return &cache{size: size, ttl: ttl, clock: c, entries: make(map[key]*list.Element), flights: make(map[key]*flight)}
}

// get returns the answer under k: a kept one, unless it is too old or refresh asks for a new one, or else what fetch gets. When fetch fails in a way that passes
// tells to be no more than a disturbance, the kept answer does nevertheless, and stale is that error; whoever asks for a refresh gets the error. Any other error is the
// cloud's word, and the kept answer is dropped.
func (c *cache) get(ctx context.Context, k key, refresh bool, fetch func() ([]byte, error), passes func(error) bool) (answer []byte, stale, err error) {
	if c.ttl == 0 {
		answer, err = fetch()
		return answer, nil, err
	}
	c.mu.Lock()
	if !refresh {
		if e := c.entries[k]; e != nil && c.clock.Now().Before(e.Value.(*entry).until) {
			c.used.MoveToFront(e)
			answer := e.Value.(*entry).answer
			c.mu.Unlock()
			return answer, nil, nil
		}
		// A refresh joins none: one that is under way may have read before the caller knew of a change.
		if f := c.flights[k]; f != nil {
			c.mu.Unlock()
			select {
			case <-f.done:
				if f.refresh && f.err != nil && passes(f.err) {
					return c.get(ctx, k, false, fetch, passes) // what is kept does for this one
				}
				return f.answer, nil, f.err
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		}
	}
	c.begun++
	f := &flight{begun: c.begun, refresh: refresh, done: make(chan struct{})}
	c.flights[k] = f
	c.mu.Unlock()

	f.answer, f.err = fetch()
	passing := f.err != nil && passes(f.err)

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	if c.flights[k] == f {
		delete(c.flights, k)
	}
	held := c.entries[k]
	switch {
	case f.err == nil:
		c.keep(k, f)
	case held != nil && passing && !refresh:
		e := held.Value.(*entry)
		e.until = c.clock.Now().Add(min(retry, c.ttl))
		stale, f.answer, f.err = f.err, e.answer, nil
	case held != nil && !passing:
		c.drop(held)
	}
	return f.answer, stale, f.err
}

// keep is called with the lock held. What a later flight brought is not replaced by an earlier one that took longer.
func (c *cache) keep(k key, f *flight) {
	fresh := entry{k, f.answer, c.clock.Now().Add(c.ttl), f.begun}
	if e := c.entries[k]; e != nil {
		if e.Value.(*entry).begun < f.begun {
			*e.Value.(*entry) = fresh
		}
		c.used.MoveToFront(e)
		return
	}
	c.entries[k] = c.used.PushFront(&fresh)
	for c.used.Len() > c.size {
		c.drop(c.used.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	c.used.Remove(e)
	delete(c.entries, e.Value.(*entry).key)
}
