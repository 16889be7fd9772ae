package sqs

import (
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// rememberFor is how long a FIFO queue knows what it was sent and asked for:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html
const rememberFor = 5 * time.Minute

// recall returns what the queue remembers under a key, or nil.
func (q *queue) recall(key string) (*recentRecord, error) {
	r, err := recentTable.In(q.Account, q.Region).Get(q.tx(), q.ID, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !q.c.Time.Before(r.Expires) {
		return nil, nil
	}
	return r, nil
}

// remember keeps something under a key for a while.
func (q *queue) remember(r *recentRecord) error {
	r.Queue, r.Expires = q.ID, q.c.Time.Add(rememberFor)
	return recentTable.In(q.Account, q.Region).Put(q.tx(), r)
}

// deduplicate gives a message that is sent its place in its group, unless the queue was sent it before: then it returns what was noted of that.
func (s *Service) deduplicate(q *queue, m *message) (*recentRecord, error) {
	key := "send " + m.Dedup
	if q.Settings.DeduplicationScope == scopeGroup {
		key = "send " + m.Group + " " + m.Dedup // neither of them can hold a space
	}
	first, err := q.recall(key)
	if err != nil || first != nil {
		return first, err
	}
	if err := s.join(q, q.queueRecord, m); err != nil {
		return nil, err
	}
	return nil, q.remember(&recentRecord{Key: key, ID: m.ID, Sequence: m.seq})
}

// join gives a message the next sequence of its group. Senders to one group go one after the other, as its record makes them conflict.
func (s *Service) join(q *queue, to *queueRecord, m *message) error {
	p, tx := to.pile(), q.tx()
	g, err := p.loadGroup(tx, m.Group)
	if err != nil {
		return err
	}
	last := uint64(0)
	if g != nil {
		last = g.Last
	}
	if m.seq, err = p.free(tx, max(s.ticket.next(q.c.Time), last+1)); err != nil {
		return err
	}
	if g == nil {
		g = &group{name: m.Group, First: m.seq, Visible: m.Visible}
		tx.Set(p.due(entryAt(g.Visible, g.name)), nil)
	}
	g.Last = m.seq
	return set(tx, p.group(g.name), g)
}

// inGroup are the sequences of a group's messages, from one on.
func (p pile) inGroup(r store.Reader, name string, from uint64) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		for kv, err := range r.Scan(p.order(name, from), store.PrefixEnd(p.key("order", name)), store.ScanOptions{}) {
			var seq uint64
			if err == nil {
				seq, err = lastNumber(kv.Key)
			}
			if !yield(seq, err) || err != nil {
				return
			}
		}
	}
}

// lastNumber is the last part of a key.
func lastNumber(key []byte) (uint64, error) {
	parts, err := tuple.Split(key)
	if err != nil || len(parts) == 0 {
		return 0, errors.New("sqs: a key does not decode")
	}
	return strconv.ParseUint(parts[len(parts)-1], 10, 64)
}

// moveGroup writes a group whose flight has changed, with its due key in the right place: when the last of its messages in flight is back, or else when its first message can be
// received. A group without messages goes. was is where the due key is.
func (p pile) moveGroup(tx store.Tx, g *group, was int64, now time.Time) error {
	tx.Delete(p.due(entryAt(was, g.name)))
	g.Visible = 0
	for _, x := range g.Flight {
		g.Visible = max(g.Visible, x.Until)
	}
	there := false
	for seq, err := range p.inGroup(tx, g.name, g.First) {
		if err != nil {
			return err
		}
		there, g.First = true, seq
		m, err := p.load(tx, seq)
		if err != nil {
			return err
		}
		if m.Received == 0 {
			g.Visible = max(g.Visible, m.Visible)
		}
		break
	}
	if !there {
		tx.Delete(p.group(g.name))
		return nil
	}
	g.Visible = max(g.Visible, now.UnixNano())
	tx.Set(p.due(entryAt(g.Visible, g.name)), nil)
	return set(tx, p.group(g.name), g)
}

// land takes a message out of its group's flight, if it is in it.
func (g *group) land(seq uint64) {
	kept := g.Flight[:0]
	for _, x := range g.Flight {
		if x.Sequence != seq {
			kept = append(kept, x)
		}
	}
	g.Flight = kept
}
