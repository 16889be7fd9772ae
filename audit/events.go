package audit

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// Filter chooses events; its zero value chooses all.
type Filter struct {
	From, To time.Time // From is included, To is not; zero means unbounded
	Account  string    // recipient
	Limit    int       // the newest so many; 0 means no limit
}

// times are those of the records that a filter may choose, which tell whole seconds.
func (t *Trail) times(f Filter) (from, to int64) {
	from, to = t.horizon.Load(), math.MaxInt64
	if !f.From.IsZero() {
		from = max(from, f.From.Truncate(time.Second).UnixNano())
	}
	if !f.To.IsZero() {
		to = ceilSecond(f.To).UnixNano() - 1
	}
	return from, to
}

// chooses tells the time of a stored record, in nanoseconds, and whether the filter asks for it. The times are those of the trail for the filter.
func (f *Filter) chooses(stored []byte, from, to int64) (at int64, ok bool, err error) {
	if f.Account != "" && !mayHold(stored, f.Account) {
		return 0, false, nil
	}
	rec, _, nanos := splitStored(stored)
	var e struct {
		Time      time.Time `json:"eventTime"`
		Recipient string    `json:"recipientAccountId"`
	}
	if err := json.Unmarshal(rec, &e); err != nil {
		return 0, false, fmt.Errorf("reading an audit record: %w", err)
	}
	at = e.Time.UnixNano() + int64(nanos)
	return at, at >= from && at <= to && (f.Account == "" || f.Account == e.Recipient), nil
}

// Events returns the records that match, as JSON, oldest first: all of them at once, where Stream is not better. With an error that wraps ErrAltered come all that could
// be read.
func (t *Trail) Events(ctx context.Context, f Filter) (found []json.RawMessage, err error) {
	for rec, err := range t.Stream(ctx, f) {
		if err != nil && !errors.Is(err, ErrAltered) {
			return nil, err
		}
		if err != nil {
			return found, err
		}
		found = append(found, rec)
	}
	return found, nil
}

// Stream yields the records that match, as JSON, oldest first. It holds few of them at a time, or as many as the filter's limit. An error comes last; one that wraps
// ErrAltered when all that could be read was yielded. The store's snapshot is held meanwhile.
func (t *Trail) Stream(ctx context.Context, f Filter) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		s := &stream{ctx: ctx, f: f, sign: 1}
		var newest []json.RawMessage
		tell := func(rec json.RawMessage) bool { return yield(rec, nil) }
		if f.Limit > 0 {
			s.sign = -1
			tell = func(rec json.RawMessage) bool {
				newest = append(newest, rec)
				return len(newest) < f.Limit
			}
		}
		s.from, s.to = t.times(f)
		err := t.look(ctx, s.from, s.to, s.sign < 0, func(rows iter.Seq2[[]byte, error], log *logSnapshot) error { return s.run(rows, log, tell) })
		if errors.Is(err, errEnough) {
			if f.Limit == 0 {
				return // yield must not be called again
			}
			err = nil
		}
		for _, rec := range slices.Backward(newest) {
			if err != nil || !yield(rec, nil) {
				break
			}
		}
		if err = errors.Join(append(s.damage, err)...); err != nil {
			yield(nil, err)
		}
	}
}

// stream brings records into the order of their times, or with sign -1 into the opposite one. It opens what may hold the first ones first: segments, then their
// blocks, and tells a record when nothing that is closed can hold one before it.
type stream struct {
	ctx    context.Context
	f      Filter
	from   int64 // times of records
	to     int64
	sign   int64
	log    *logSnapshot
	closed []closed // the first at the end
	ready  ready
	met    int64
	damage []error
}

// closed is a segment, or a block of one, that was not read yet.
type closed struct {
	seg   *segment
	index int
	block *block
	key   int64 // that none of its records is before
}

func (s *stream) run(rows iter.Seq2[[]byte, error], log *logSnapshot, tell func(json.RawMessage) bool) error {
	s.log = log
	if err := s.begin(); err != nil {
		return err
	}
	next, stop := iter.Pull2(rows)
	defer stop()
	row, err, more := next()
	for {
		if err = errors.Join(err, s.ctx.Err()); err != nil {
			return err
		}
		inLog, inStore := int64(math.MaxInt64), int64(math.MaxInt64) // that nothing which was not read is before
		if n := len(s.closed); n > 0 {
			inLog = s.closed[n-1].key
		}
		if more {
			inStore = s.rowKey(row)
		}
		switch {
		case len(s.ready) > 0 && s.ready[0].key < min(inLog, inStore):
			if !tell(heap.Pop(&s.ready).(told).rec) {
				return errEnough
			}
		case more && inStore <= inLog:
			if err := s.meet(row); err != nil {
				return err
			}
			row, err, more = next()
		case len(s.closed) > 0:
			if err := s.open(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// begin closes all segments that may hold a record to tell.
func (s *stream) begin() error {
	if s.log.l == nil {
		return s.log.eachRemembered(s.meet)
	}
	segments := s.log.segments
	for i, seg := range segments {
		if i+1 < len(segments) && segments[i+1].at.UnixNano() < s.from {
			continue
		}
		oldest, young, err := s.log.bounds(seg)
		if errors.Is(err, errPruned) {
			continue
		}
		if err := tolerate(&s.damage, seg, err); err != nil {
			return err
		}
		if err == nil && oldest <= s.to && young >= s.from {
			s.closed = append(s.closed, closed{seg: seg, index: i, key: s.key(oldest, young)})
		}
	}
	s.sortClosed()
	return nil
}

// key is that of what lies between two times.
func (s *stream) key(oldest, young int64) int64 {
	if s.sign > 0 {
		return oldest
	}
	return -max(young, -math.MaxInt64)
}

func (s *stream) rowKey(stored []byte) int64 {
	at, err := timeOf(stored)
	if err != nil {
		return math.MinInt64
	}
	return s.sign * at.UnixNano()
}

func (s *stream) sortClosed() {
	slices.SortStableFunc(s.closed, func(a, b closed) int { return cmp.Compare(b.key, a.key) })
}

// open reads the first of what is closed.
func (s *stream) open() error {
	n := len(s.closed) - 1
	c := s.closed[n]
	s.closed = s.closed[:n]
	meet := func(_ int64, stored []byte) error { return s.meet(stored) }
	if c.block != nil {
		return tolerate(&s.damage, c.seg, s.log.walkBlocks(c.seg, []block{*c.block}, meet))
	}
	if err := tolerate(&s.damage, c.seg, s.log.gapBefore(c.index)); err != nil {
		return err
	}
	blocks, ok, err := s.log.blocks(c.seg)
	switch {
	case errors.Is(err, errPruned):
		return nil
	case err != nil:
		return tolerate(&s.damage, c.seg, err)
	case !ok:
		return tolerate(&s.damage, c.seg, s.log.walk(c.seg, func(block) bool { return true }, meet))
	}
	for _, b := range blocks {
		if b.oldest <= s.to && b.young >= s.from {
			s.closed = append(s.closed, closed{seg: c.seg, block: &b, key: s.key(b.oldest, b.young)})
		}
	}
	s.sortClosed()
	return tolerate(&s.damage, c.seg, s.log.checkEnd(c.seg, blocks))
}

// meet keeps a record, if it is asked for, until its turn.
func (s *stream) meet(stored []byte) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	at, ok, err := s.f.chooses(stored, s.from, s.to)
	if err != nil || !ok {
		return err
	}
	rec, _, _ := splitStored(stored)
	s.met++
	heap.Push(&s.ready, told{s.sign * at, s.sign * s.met, slices.Clone(rec)})
	return nil
}

// told is a record that waits for its turn.
type told struct {
	key int64
	met int64 // in what order it was, among those of one time
	rec json.RawMessage
}

// ready is a heap of them, the first on top.
type ready []told

func (r ready) Len() int { return len(r) }

func (r ready) Less(i, j int) bool {
	return r[i].key < r[j].key || r[i].key == r[j].key && r[i].met < r[j].met
}

func (r ready) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

func (r *ready) Push(x any) { *r = append(*r, x.(told)) }

func (r *ready) Pop() any {
	n := len(*r) - 1
	x := (*r)[n]
	(*r)[n] = told{}
	*r = (*r)[:n]
	return x
}
