package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// Query asks for management events of an account in a region.
type Query struct {
	Account, Region string

	Attribute Attribute // empty asks for all events
	Value     string

	From, To time.Time // both included; records tell whole seconds

	After *Position // of the event that the page before ended with; nil begins with the newest
	Limit int       // 1 or more
}

// Position is where an event stands in the order of events: the newest first. It stays the same wherever the record is moved to.
type Position struct {
	At int64 // Unix nanoseconds
	ID string
}

// Append appends the position in the form that ParsePosition reads.
func (p Position) Append(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(p.At)), p.ID...)
}

// ParsePosition reads what Append wrote.
func ParsePosition(b []byte) (p Position, ok bool) {
	if len(b) <= 8 {
		return p, false
	}
	return Position{int64(binary.BigEndian.Uint64(b)), string(b[8:])}, true
}

func (p Position) before(q Position) bool { return p.At > q.At || p.At == q.At && p.ID > q.ID }

// Event is an event that was looked up.
type Event struct {
	Position
	Time                  time.Time
	Name, Source          string
	Username, AccessKeyID string // empty where the caller has none
	ReadOnly              bool
	Resources             []Resource
	Record                json.RawMessage
}

// Page is a part of the events that a query asks for.
type Page struct {
	Events []Event
	More   bool // there are events after the last of these

	// Damage wraps ErrAltered when parts of the log could not be read. What could be is there.
	Damage error
}

// Lookup returns the newest events that a query asks for.
func (t *Trail) Lookup(ctx context.Context, q Query) (Page, error) {
	s := &search{ctx: ctx, q: q, want: q.Limit + 1}
	if q.Attribute == EventID {
		s.term, s.want = idTerm(q.Value), 1
	} else {
		s.term = valueTerm(q.Account, q.Region, q.Attribute, q.Value)
	}
	s.from, s.to = t.horizon.Load(), math.MaxInt64
	if !q.From.IsZero() {
		s.from = max(s.from, ceilSecond(q.From).UnixNano())
	}
	if !q.To.IsZero() {
		s.to = q.To.Truncate(time.Second).Add(time.Second).UnixNano() - 1
	}
	if q.After != nil {
		s.to = min(s.to, q.After.At)
	}
	err := t.look(ctx, s.from, s.to, true, func(rows iter.Seq2[[]byte, error], log *logSnapshot) error {
		for stored, err := range rows { // in the order of events
			if err == nil {
				err = s.match(stored)
			}
			if err != nil {
				return err
			}
			if len(s.found) >= s.want {
				break
			}
		}
		if log.l == nil {
			return log.eachRemembered(s.match)
		}
		s.log, s.next = log, len(log.segments)
		return s.run()
	})
	if err != nil {
		return Page{}, fmt.Errorf("looking up events: %w", err)
	}
	s.settle(math.MinInt64)
	page := Page{Events: s.done, Damage: errors.Join(s.damage...)}
	if len(page.Events) > q.Limit {
		page.Events, page.More = page.Events[:q.Limit], true
	}
	return page, nil
}

func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}

// search is one Lookup. Segments are opened from the newest on, their blocks read from the one with the youngest record on, and an event is done when nothing
// that was not read yet can be younger.
type search struct {
	ctx      context.Context
	q        Query
	term     term
	from, to int64 // times of records
	want     int

	log     *logSnapshot
	next    int       // how many segments, the oldest, have not been opened
	pending []pending // ordered by their youngest record, the last one first
	found   []Event   // matches
	done    []Event   // those of which the order is settled
	damage  []error
}

// pending is a block that was not read yet, or a segment that has no index.
type pending struct {
	seg   *segment
	block *block
	young int64
}

func (s *search) run() error {
	for {
		bound := s.bound()
		if s.settle(bound); len(s.done) >= s.want || bound < s.from {
			return nil
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if n := len(s.pending); n > 0 && s.pending[n-1].young >= s.unopened() {
			p := s.pending[n-1]
			s.pending = s.pending[:n-1]
			if err := s.read(p); err != nil {
				return err
			}
			continue
		}
		if s.next == 0 {
			return nil
		}
		s.next--
		if err := s.open(s.log.segments[s.next]); err != nil {
			return err
		}
	}
}

// bound is what no record that was not read yet exceeds.
func (s *search) bound() int64 {
	bound := s.unopened()
	if n := len(s.pending); n > 0 {
		bound = max(bound, s.pending[n-1].young)
	}
	return bound
}

// unopened is what no record in the segments that were not opened exceeds: each is named after such a time for those before it.
func (s *search) unopened() int64 {
	switch s.next {
	case 0:
		return math.MinInt64
	case len(s.log.segments):
		return math.MaxInt64
	}
	return s.log.segments[s.next].at.UnixNano()
}

// read looks for matches in a block, or in a segment of which nobody knows the blocks.
func (s *search) read(p pending) error {
	match := func(_ int64, stored []byte) error { return s.match(stored) }
	if p.block == nil {
		return tolerate(&s.damage, p.seg, s.log.walk(p.seg, func(block) bool { return true }, match))
	}
	return tolerate(&s.damage, p.seg, s.log.walkBlocks(p.seg, []block{*p.block}, match))
}

func (s *search) open(seg *segment) error {
	blocks, ok, err := s.log.having(seg, s.term)
	if errors.Is(err, errPruned) {
		return nil
	}
	if err := tolerate(&s.damage, seg, s.log.gapBefore(s.next), err); err != nil {
		return err
	}
	if !ok && err == nil {
		s.pending = append(s.pending, pending{seg: seg, young: s.beforeOpen()})
	}
	for _, b := range blocks {
		if b.oldest <= s.to && b.young >= s.from {
			s.pending = append(s.pending, pending{seg: seg, block: &b, young: b.young})
		}
	}
	slices.SortFunc(s.pending, func(a, b pending) int {
		switch {
		case a.young < b.young:
			return -1
		case a.young > b.young:
			return 1
		}
		return 0
	})
	return nil
}

// beforeOpen is what no record of the segment that was opened last exceeds.
func (s *search) beforeOpen() int64 {
	if s.next+1 >= len(s.log.segments) {
		return math.MaxInt64
	}
	return s.log.segments[s.next+1].at.UnixNano()
}

// match takes up a stored record if it is asked for.
func (s *search) match(stored []byte) error {
	if !mayHold(stored, s.q.Account) || !mayHold(stored, s.q.Value) {
		return nil
	}
	f, err := factsOf(stored)
	if err != nil {
		return err
	}
	at := Position{f.at, f.event}
	if f.at < s.from || f.at > s.to || f.account != s.q.Account || f.region != s.q.Region || !f.management || !f.has(s.q.Attribute, s.q.Value) ||
		s.q.After != nil && !s.q.After.before(at) {
		return nil
	}
	rec, _, _ := splitStored(stored)
	s.found = append(s.found, Event{
		Position: at, Time: time.Unix(0, f.shown()).UTC(), Name: f.name, Source: f.source, Username: f.user, AccessKeyID: f.accessKey, ReadOnly: f.readOnly,
		Resources: f.resources, Record: slices.Clone(rec),
	})
	if len(s.found) >= 2*s.want+1000 { // a segment without an index, or a store that could not be emptied
		s.found = s.found[:s.sortFound()]
	}
	return nil
}

// mayHold is false for JSON in which a value cannot be. It is quicker than reading it.
func mayHold(stored []byte, value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return true // it may be written otherwise
		}
	}
	return value == "root" || bytes.Contains(stored, []byte(value))
}

// sortFound brings the matches into order and returns how many of them are of use.
func (s *search) sortFound() int {
	slices.SortFunc(s.found, func(a, b Event) int {
		switch {
		case a.before(b.Position):
			return -1
		case b.before(a.Position):
			return 1
		}
		return 0
	})
	return min(len(s.found), s.want)
}

// settle moves the matches that are younger than anything that was not read to those that are done.
func (s *search) settle(bound int64) {
	n := s.sortFound()
	i := 0
	for i < n && len(s.done) < s.want && (s.found[i].At > bound || bound == math.MinInt64) {
		s.done = append(s.done, s.found[i])
		i++
	}
	s.found = s.found[i:]
}

// errEnough ends the reading of records.
var errEnough = errors.New("enough")

// look calls fn with the records that are still in the store, of those times, the youngest first if reverse is set, and with the log as it is: no record is missing, and
// none is in both. It may range over the rows once.
func (t *Trail) look(ctx context.Context, from, to int64, reverse bool, fn func(rows iter.Seq2[[]byte, error], log *logSnapshot) error) error {
	first, last := storeRange(from, to)
	t.moving.RLock()
	begin := sync.OnceFunc(t.moving.RUnlock)
	defer begin()
	return t.cfg.Store.View(ctx, func(r store.Reader) error {
		// The first read fixes what the view shows. From then on records may move.
		if _, err := r.Get(first); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("reading the audit records of changes: %w", err)
		}
		doubles := t.mover.doubles
		var log *logSnapshot
		if t.log == nil {
			log = t.remembered()
		} else {
			log = t.log.snapshot(ctx)
		}
		begin()
		return fn(func(yield func([]byte, error) bool) {
			for kv, err := range r.Scan(first, last, store.ScanOptions{Reverse: reverse}) {
				if err != nil {
					yield(nil, fmt.Errorf("reading the audit records of changes: %w", err))
					return
				}
				if _, ok := doubles[string(kv.Key)]; !ok && !yield(kv.Value, nil) {
					return
				}
			}
		}, log)
	})
}

func storeRange(from, to int64) (first, last []byte) {
	prefix := tuple.Encode(space)
	first, last = prefix, store.PrefixEnd(prefix)
	if from > math.MinInt64 {
		first = tuple.Encode(space, time.Unix(0, from))
	}
	if to < math.MaxInt64 {
		last = tuple.Encode(space, time.Unix(0, to+1))
	}
	return first, last
}
