package sqs

import (
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// The service's timers, by the ID of the queue or the pile.
const (
	sweepTimer  = "sweep"  // of a queue: to remove what has expired
	removeTimer = "remove" // of a pile that is no queue's any more: to remove it in pieces
	moveTimer   = "move"   // of a queue: to go on with its redrive task
)

const (
	pieceKeys  = 1000 // keys that one transaction removes
	pieceBytes = 4 << 20

	// A queue is swept when its oldest message expires, but not more often than this: nobody is given an expired message anyway.
	minSweep, maxSweep = time.Second, time.Minute
)

// setSweep sets when a queue is swept. The timer is set again each time that it fires, for as long as there is the queue, so that sending need not look for it.
func (s *Service) setSweep(q *queue, due time.Time) error {
	return q.c.At(due, q.scope(), sweepTimer, q.ID, []byte(q.Name))
}

// sweep removes messages that have expired, and what a FIFO queue need not remember any more.
func (s *Service) sweep(c *call.Call, id string, name []byte) error {
	r, err := queueTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), string(name))
	if errors.Is(err, store.ErrNotFound) || err == nil && r.ID != id {
		return nil
	}
	if err != nil {
		return err
	}
	q := &queue{r, c}
	more, oldest, err := s.expire(q)
	if err != nil {
		return err
	}
	again, err := q.forget()
	if err != nil {
		return err
	}
	next := c.Time.Add(q.retention())
	if !oldest.IsZero() {
		pause := min(max(q.retention()/1000, minSweep), maxSweep)
		next = oldest.Add(q.retention())
		if least := c.Time.Add(pause); next.Before(least) {
			next = least
		}
	}
	if !again.IsZero() && again.Before(next) {
		next = again
	}
	if more {
		next = c.Time
	}
	return s.setSweep(q, next)
}

// expire removes a piece of what has expired. It reports whether there may be more, and otherwise when the oldest message was sent that stays.
func (s *Service) expire(q *queue) (more bool, oldest time.Time, err error) {
	p, tx := q.pile(), q.tx()
	from, found := s.fronts.of(p).seek()
	prefix := p.key("message")
	expired, bytes := 0, 0
	for kv, err := range tx.Scan(p.message(from), store.PrefixEnd(prefix), store.ScanOptions{}) {
		if err != nil {
			return false, time.Time{}, err
		}
		seq, err := lastNumber(kv.Key)
		if err != nil {
			return false, time.Time{}, err
		}
		m, err := p.load(tx, seq)
		if err != nil {
			return false, time.Time{}, err
		}
		if !q.expired(m) {
			tx.OnCommitted(func() { found(seq) })
			return false, time.UnixMilli(m.Sent), nil
		}
		if expired++; expired > pieceKeys/4 || bytes > pieceBytes {
			return true, time.Time{}, nil
		}
		bytes += m.Bytes
		if err := s.take(q, p, m); err != nil {
			return false, time.Time{}, err
		}
	}
	return false, time.Time{}, nil
}

// take removes a message of a pile, wherever it is in it.
func (s *Service) take(q *queue, p pile, m *message) error {
	s.erase(q, p, m)
	if !q.FIFO {
		q.tx().Delete(p.due(entryAt(m.Visible, m.seq)))
		return nil
	}
	return s.leaveGroup(q, p, m)
}

// leaveGroup has a message's group know that it is gone.
func (s *Service) leaveGroup(q *queue, p pile, m *message) error {
	g, err := p.loadGroup(q.tx(), m.Group)
	if err != nil || g == nil {
		return err
	}
	g.land(m.seq)
	return p.moveGroup(q.tx(), g, g.Visible, q.c.Time)
}

// forget removes a piece of what a FIFO queue has remembered long enough, and tells when to go on.
func (q *queue) forget() (again time.Time, err error) {
	if !q.FIFO {
		return time.Time{}, nil
	}
	rows := recentTable.In(q.Account, q.Region)
	n := 0
	for r, err := range rows.Scan(q.tx(), store.Query{Index: "expires", Prefix: store.Key{q.ID}}) {
		if err != nil {
			return time.Time{}, err
		}
		if q.c.Time.Before(r.Expires) {
			return q.c.Time.Add(rememberFor), nil
		}
		if n++; n > pieceKeys/2 {
			return q.c.Time, nil
		}
		if err := rows.Delete(q.tx(), r.Queue, r.Key); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// abandon leaves the queue's pile to be removed in pieces, and with the queue's ID what is remembered of it.
func (s *Service) abandon(q *queue, id string) error {
	p := q.pile()
	q.tx().OnCommitted(func() { s.fronts.forget(p.id) })
	return q.c.At(q.c.Time, q.scope(), removeTimer, q.Pile, []byte(id))
}

// remove takes away a piece of a pile, and of what was remembered of a queue that is gone, if payload is its ID.
func (s *Service) remove(c *call.Call, id string, payload []byte) error {
	p, tx := pile{c.Scope.Account, c.Scope.Region, id}, c.Tx()
	left, bytes := pieceKeys, 0
	for _, table := range []string{"due", "message", "body", "order", "group"} {
		from := p.key(table)
		for kv, err := range tx.Scan(from, store.PrefixEnd(from), store.ScanOptions{Limit: left}) {
			if err != nil {
				return err
			}
			tx.Delete(kv.Key)
			left--
			if bytes += len(kv.Value); bytes > pieceBytes {
				left = 0
			}
			if left == 0 {
				return c.At(c.Time, c.Scope, removeTimer, id, payload)
			}
		}
	}
	if len(payload) == 0 {
		return nil
	}
	rows := recentTable.In(p.account, p.region)
	for r, err := range rows.Scan(tx, store.Query{Prefix: store.Key{string(payload)}}) {
		if err != nil {
			return err
		}
		if left--; left < 0 {
			return c.At(c.Time, c.Scope, removeTimer, id, payload)
		}
		if err := rows.Delete(tx, r.Queue, r.Key); err != nil {
			return err
		}
	}
	return nil
}
