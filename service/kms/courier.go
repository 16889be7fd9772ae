package kms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

// courier carries what keys have to tell to the process of one region, one after the other, again until it is taken. What waits lies in the store, so that a courier
// knows nothing which a crash could take away. It waits by the time of the world: moving the clock of a cloud brings no peer back.
type courier struct {
	to    string
	news  chan struct{} // something was written that is to be carried
	heard chan struct{} // the peer has called: it is there

	waiting      atomic.Int64
	taken, fails atomic.Uint64
}

// The time after which a courier tries again doubles from firstPause to lastPause.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second

	// How many failures one after the other are reported each; after them one of so many is.
	reportedEach, reportedOf = 6, 12

	pageSize = 1000 // of what is read at once
)

func newCouriers(p Peers) map[string]*courier {
	if p == nil {
		return nil
	}
	out := make(map[string]*courier)
	for _, region := range p.Regions() {
		out[region] = &courier{to: region, news: make(chan struct{}, 1), heard: make(chan struct{}, 1)}
	}
	return out
}

// ring wakes whoever waits at a channel; nobody need.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// news wakes the couriers.
func (s *Service) news() {
	for _, q := range s.couriers {
		ring(q.news)
	}
}

// heard tells the courier to a region that its peer is there.
func (s *Service) heard(region string) {
	if q := s.couriers[region]; q != nil {
		ring(q.heard)
	}
}

// runCouriers carries until ctx ends.
func (s *Service) runCouriers(ctx context.Context) {
	var all sync.WaitGroup
	for _, q := range s.couriers {
		all.Go(func() { s.runCourier(ctx, q) })
	}
	all.Wait()
}

func (s *Service) runCourier(ctx context.Context, q *courier) {
	failures := 0
	for ctx.Err() == nil {
		err := s.round(ctx, q)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			select {
			case <-q.news:
			case <-ctx.Done():
			}
			continue
		}
		if failures++; failures <= reportedEach || failures%reportedOf == 0 {
			s.cfg.Report(fmt.Errorf("carrying keys to region %s, attempt %d, %d waiting: %.1000s", q.to, failures, q.waiting.Load(), err)) // whoever answers there may be wordy
		}
		select {
		case <-clock.After(min(firstPause<<min(failures-1, 20), lastPause)):
		case <-q.heard:
		case <-ctx.Done():
		}
	}
}

// round carries all that waits, and returns the first error. Where a peer is out of reach it ends; a key that a peer refuses keeps no other waiting.
func (s *Service) round(ctx context.Context, q *courier) error {
	t := &trip{courier: q}
	if carryEach(ctx, s, t, carryTable.In("", ""), func(r *carryRecord) bool { return s.cfg.Peers.Serves(r.Region) }, s.deliver) {
		carryEach(ctx, s, t, goneTable.In("", ""), func(g *goneRecord) bool { return s.cfg.Peers.Serves(g.Region) }, s.deliverEnd)
	}
	q.waiting.Store(t.left)
	if t.first == nil && t.seen {
		ring(q.news) // there may be more, or a second message to one that was carried
	}
	return t.first
}

// trip is how it goes in one round.
type trip struct {
	*courier
	seen  bool  // there was something to carry
	left  int64 // of what was read and not carried
	first error
}

// carryEach carries the records of a table that wait for a region and are of one that is served here. It reports whether to go on with others.
func carryEach[R any](ctx context.Context, s *Service, t *trip, rows store.Rows[R], ours func(*R) bool, deliver func(context.Context, *R) error) bool {
	for next := ""; ; {
		var page []*R
		err := s.cfg.Store.View(ctx, func(r store.Reader) (err error) {
			page, next, err = rows.Page(r, store.Query{Index: "to", Prefix: store.Key{t.to}, Limit: pageSize}, next, "", ours)
			return err
		})
		if err != nil {
			t.first = cmp.Or(t.first, fmt.Errorf("reading what is to be carried: %w", err))
			return false
		}
		t.seen = t.seen || len(page) > 0
		t.left += int64(len(page))
		t.waiting.Store(t.left)
		for _, r := range page {
			if err := deliver(ctx, r); err != nil {
				t.fails.Add(1)
				t.first = cmp.Or(t.first, err)
				if _, away := errors.AsType[*url.Error](err); away {
					return false
				}
			} else {
				t.left--
				t.taken.Add(1)
			}
			t.waiting.Store(t.left)
			if ctx.Err() != nil {
				return false
			}
		}
		if next == "" {
			return true
		}
	}
}

// deliver sends one message of a primary key, and takes note of the answer.
func (s *Service) deliver(ctx context.Context, row *carryRecord) error {
	var m *message
	at := place{row.Account, row.Region, row.KeyID}
	err := s.cfg.Store.View(ctx, func(r store.Reader) error {
		k, err := s.read(r, at)
		if missing(err) || err == nil && k.kind() != "PRIMARY" {
			return nil
		}
		if err != nil {
			return err
		}
		m, err = s.tell(k, row)
		return err
	})
	if err != nil {
		return err
	}
	var r *reply
	if m != nil {
		if r, err = s.ask(ctx, opSynchronize, row.Region, at.elsewhere(row.To), m); err != nil {
			return fmt.Errorf("key %s: %w", row.KeyID, err)
		}
	}
	return s.cfg.Perform(ctx, row.Account, row.Region, func(c *call.Call) error { return s.told(c, row, m, r) })
}

// deliverEnd sends the news of a replica's end.
func (s *Service) deliverEnd(ctx context.Context, g *goneRecord) error {
	at := place{g.Account, g.To, g.KeyID}
	r, err := s.ask(ctx, opRelease, g.Region, at, &message{Revision: g.Revision})
	if err != nil {
		return fmt.Errorf("key %s: %w", g.KeyID, err)
	}
	return s.cfg.Perform(ctx, g.Account, g.Region, func(c *call.Call) error { return s.buried(c, g, r) })
}

// CourierStats tell how it goes between this process and that of one region: what was carried, how many attempts failed, and what waits.
type CourierStats struct {
	Taken, Failed uint64
	Waiting       int64
}

// CourierStats returns those of each region that a peer serves.
func (s *Service) CourierStats(region string) CourierStats {
	q := s.couriers[region]
	if q == nil {
		return CourierStats{}
	}
	return CourierStats{q.taken.Load(), q.fails.Load(), q.waiting.Load()}
}
