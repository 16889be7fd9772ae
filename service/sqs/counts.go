package sqs

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

// counts are how many messages a pile has, by what this process has committed since it counted them. They are what AWS calls approximate: while commits are under way, what is
// counted and what is committed cannot be told apart.
type counts struct {
	seen    atomic.Int64 // writes of messages that were committed
	loading sync.Mutex   // held while messages are counted

	mu      sync.Mutex // guards what follows
	loaded  bool
	applied int64 // writes of messages that are in the numbers, or came before they were loaded
	total   int
	flights buckets // messages in flight, by when they become visible
	delays  buckets // messages that are delayed, the same
}

// change is what a transaction did to one message of a pile.
type change struct {
	total   int   // +1, -1
	delayed bool  // it is added and delayed until then
	until   int64 // in nanoseconds
	landed  int64 // it was in flight until then, and is not any more
	flying  bool  // it is in flight until then
}

// buckets counts what ends by the second in which it does.
type buckets struct {
	at  map[int64]int
	sum int
}

func (b *buckets) add(ns int64, n int) {
	if b.at == nil {
		b.at = make(map[int64]int)
	}
	second := ns / int64(time.Second)
	if b.at[second] += n; b.at[second] <= 0 {
		b.sum -= b.at[second] - n
		delete(b.at, second)
		return
	}
	b.sum += n
}

// count is how many have not ended.
func (b *buckets) count(now time.Time) int {
	for second, n := range b.at {
		if second < now.Unix() {
			b.sum -= n
			delete(b.at, second)
		}
	}
	return b.sum
}

// count notes a change once it is committed.
func (s *Service) count(q *queue, p pile, ch change) {
	f := s.fronts.of(p)
	q.tx().OnCommitted(func() { f.counts.apply(ch) })
}

func (c *counts) apply(ch change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied++
	c.total += ch.total
	if ch.landed != 0 {
		c.flights.add(ch.landed, -1)
	}
	switch {
	case ch.delayed:
		c.delays.add(ch.until, 1)
	case ch.flying:
		c.flights.add(ch.until, 1)
	}
}

// flying is how many messages are in flight, as far as is known without counting.
func (f *front) flying(now time.Time) int {
	f.counts.mu.Lock()
	defer f.counts.mu.Unlock()
	return f.counts.flights.count(now)
}

// number is how many messages there are.
type number struct{ visible, flying, delayed int }

// number counts the messages of the pile, the first time by looking at each.
func (f *front) number(ctx context.Context, s store.Store, fifo bool, now time.Time) (number, error) {
	c := &f.counts
	c.loading.Lock()
	defer c.loading.Unlock()
	c.mu.Lock()
	loaded := c.loaded
	c.mu.Unlock()
	if !loaded {
		if err := f.load(ctx, s, fifo, now); err != nil {
			return number{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := number{flying: c.flights.count(now), delayed: c.delays.count(now)}
	n.visible = max(0, c.total-n.flying-n.delayed)
	return n, nil
}

// quiet is how often loading waits for a moment at which no commit is under way, a millisecond each.
const quiet = 20

// load counts the messages of one snapshot, and adds what is committed after it.
func (f *front) load(ctx context.Context, s store.Store, fifo bool, now time.Time) error {
	c := &f.counts
	for try := 0; ; try++ {
		var fresh counts
		busy := false
		c.mu.Lock()
		applied, seen := c.applied, c.seen.Load()
		c.mu.Unlock()
		err := s.View(ctx, func(r store.Reader) error {
			if _, err := r.Get(f.pile.key("message")); err != nil && err != store.ErrNotFound { // takes the snapshot
				return err
			}
			c.mu.Lock()
			if busy = applied != seen || c.seen.Load() != seen || c.applied != applied; !busy || try == quiet {
				// From here on, what is applied comes on top of what is counted.
				c.total, c.flights, c.delays = 0, buckets{}, buckets{}
			}
			c.mu.Unlock()
			if busy && try < quiet {
				return nil
			}
			return f.tally(r, &fresh, fifo, now)
		})
		if err != nil {
			return err
		}
		if busy && try < quiet {
			if err := clock.Pause(ctx, time.Millisecond); err != nil {
				return err
			}
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.total += fresh.total
		for second, n := range fresh.flights.at {
			c.flights.add(second*int64(time.Second), n)
		}
		for second, n := range fresh.delays.at {
			c.delays.add(second*int64(time.Second), n)
		}
		c.applied = c.seen.Load() // what was not told apart stays so
		c.loaded = true
		return nil
	}
}

// tally counts what a snapshot has. It reads keys, and of values only those of what is not visible.
func (f *front) tally(r store.Reader, c *counts, fifo bool, now time.Time) error {
	from := f.pile.key("message")
	for _, err := range r.Scan(from, store.PrefixEnd(from), store.ScanOptions{}) {
		if err != nil {
			return err
		}
		c.total++
	}
	prefix := f.pile.key("due")
	for kv, err := range r.Scan(f.pile.due(until(now)), store.PrefixEnd(prefix), store.ScanOptions{}) {
		if err != nil {
			return err
		}
		e := entry(kv.Key[len(prefix):])
		switch {
		case fifo:
			if err := f.tallyGroup(r, c, e.id(), now); err != nil {
				return err
			}
		case bytes.Equal(kv.Value, []byte(delayed)):
			c.delays.add(e.time().UnixNano(), 1)
		default:
			c.flights.add(e.time().UnixNano(), 1)
		}
	}
	return nil
}

// tallyGroup counts what of a group is in flight or delayed.
func (f *front) tallyGroup(r store.Reader, c *counts, name string, now time.Time) error {
	g, err := f.pile.loadGroup(r, name)
	if err != nil || g == nil {
		return err
	}
	for _, x := range g.Flight {
		if x.Until > now.UnixNano() {
			c.flights.add(x.Until, 1)
		}
	}
	for seq, err := range f.pile.inGroup(r, name, g.First) {
		if err != nil {
			return err
		}
		m, err := f.pile.load(r, seq)
		if err != nil {
			return err
		}
		if m.Received == 0 && m.Visible > now.UnixNano() {
			c.delays.add(m.Visible, 1)
		}
	}
	return nil
}

// countAttributes adds the numbers of messages to the attributes of a queue.
func (s *Service) countAttributes(q *queue, to map[sqs.QueueAttributeName]string) error {
	n, err := s.fronts.of(q.pile()).number(q.c.Context, s.cfg.Store, q.FIFO, q.c.Time)
	if err != nil {
		return err
	}
	to[sqs.QueueAttributeNameApproximateNumberOfMessages] = strconv.Itoa(n.visible)
	to[sqs.QueueAttributeNameApproximateNumberOfMessagesNotVisible] = strconv.Itoa(n.flying)
	to[sqs.QueueAttributeNameApproximateNumberOfMessagesDelayed] = strconv.Itoa(n.delayed)
	return nil
}
