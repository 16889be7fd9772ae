package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// Config says where and how a Trail records.
type Config struct {
	Store store.Store

	// Dir is the directory of the log. Empty keeps the log in memory, for a cloud whose store is in memory too.
	Dir string

	// Archive takes the segments of the log that are complete; nil leaves them in Dir. See Run.
	Archive blob.Store

	// Sync is how long a record of the log may wait for its fsync; zero makes every call wait for it.
	Sync time.Duration

	// KeepOn has calls go on when their record cannot be written. Otherwise they are refused.
	KeepOn bool

	// Failed is told of a record that could not be written while KeepOn is set, and of an fsync that failed when the calls
	// that waited for it within Sync had been answered; nil tells nobody.
	Failed func(error)
}

// Trail takes the records of all calls.
type Trail struct {
	cfg   Config
	log   *segmentLog
	names names

	steps  sync.Mutex // held while a step moves records, and guards mover
	mover  mover
	fresh  fresh
	moving sync.RWMutex // held while records are in the store and in the log; for reading while somebody begins to look at both. It is taken under steps

	horizon atomic.Int64 // Unix nanoseconds; what is older was forgotten by Prune, though it may lie in a segment yet

	appended, missing, refused, moved atomic.Uint64

	mu        sync.Mutex // guards the fields below
	memory    [][]byte   // in place of the log when Config.Dir is empty; the newest memoryLimit records
	forgotten int64      // how many were before them
}

const memoryLimit = 100_000

// ErrUnrecorded: the record of a call could not be written, so the call must not be answered.
var ErrUnrecorded = errors.New("the call could not be recorded")

// Open opens the trail. The store stays its caller's.
func Open(cfg Config) (*Trail, error) {
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	t := &Trail{cfg: cfg, mover: mover{kick: make(chan struct{}, 1)}}
	t.horizon.Store(math.MinInt64)
	if cfg.Dir == "" {
		return t, nil
	}
	log, err := openLog(context.Background(), cfg.Dir, cfg.Archive, cfg.Sync, cfg.Failed)
	if err != nil {
		return nil, err
	}
	log.full = t.full
	t.log = log
	if err := t.findDoubles(context.Background()); err != nil {
		return nil, errors.Join(err, log.close())
	}
	return t, nil
}

// full is why the disk has no room for the log any more. The store, which stops committing first, must be able to end what it has begun: the log leaves
// it half of what it keeps in reserve.
func (t *Trail) full() error {
	if m := t.cfg.Store.Metrics(); m.DiskFree > 0 && m.DiskFree < m.DiskSpare/2 {
		return fmt.Errorf("%d MiB of disk space are left: %w", m.DiskFree>>20, store.ErrFull)
	}
	return nil
}

// Close writes out what is buffered.
func (t *Trail) Close() error {
	if t.log == nil {
		return nil
	}
	return t.log.close()
}

// Commit writes the records in the transaction of the change they tell of.
func (t *Trail) Commit(tx store.Tx, records ...*Record) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	known := make([]knownTerms, len(records))
	for i, r := range records {
		f := r.facts(&t.names)
		known[i].key = rowKey(r.Time, r.EventID, r.Recipient)
		_, known[i].terms = f.appendTerms(make([]term, 0, termsRoom))
		s.buf = r.appendStored(s.buf[:0])
		tx.Set(known[i].key, s.buf) // which copies it
	}
	tx.OnCommitted(func() {
		t.fresh.add(known)
		t.wake()
	})
}

// wake tells Run that there is something to move.
func (t *Trail) wake() {
	select {
	case t.mover.kick <- struct{}{}:
	default:
	}
}

// Append writes the records of a call that changed nothing. Its error, which wraps ErrUnrecorded, means that
// the call must not be answered; with Config.KeepOn there is none.
func (t *Trail) Append(records ...*Record) error {
	if len(records) == 0 {
		return nil
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.put(&t.names, records)
	if t.log == nil {
		t.appended.Add(uint64(len(records)))
		t.remember(s.entries)
		return nil
	}
	err := t.log.append(s.entries...)
	if err == nil {
		t.appended.Add(uint64(len(records)))
		return nil
	}
	if t.cfg.KeepOn {
		t.missing.Add(uint64(len(records)))
		t.cfg.Failed(fmt.Errorf("%s %s goes on without its record: %w", records[0].Source, records[0].Name, err))
		return nil
	}
	t.refused.Add(1)
	return fmt.Errorf("%w: %w", ErrUnrecorded, err)
}

// scratch is the space in which records are put together.
type scratch struct {
	buf     []byte
	ends    []int
	terms   []term
	entries []entry
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) put(n *names, records []*Record) {
	s.buf, s.ends, s.terms, s.entries = s.buf[:0], s.ends[:0], s.terms[:0], s.entries[:0]
	for _, r := range records {
		start := len(s.buf)
		s.buf = r.appendStored(appendHeader(s.buf))
		setHeader(s.buf[start:])
		s.ends = append(s.ends, len(s.buf))
		f := r.facts(n)
		var t terms
		s.terms, t = f.appendTerms(s.terms)
		s.entries = append(s.entries, entry{at: r.Time, terms: t})
	}
	begin := 0
	for i, end := range s.ends {
		s.entries[i].frame = s.buf[begin:end]
		begin = end
	}
}

func (t *Trail) remember(entries []entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		t.memory = append(t.memory, slices.Clone(e.frame[frameHeader:]))
	}
	if over := len(t.memory) - memoryLimit; over > 0 {
		over = max(over, memoryLimit/10)
		t.memory = slices.Delete(t.memory, 0, over)
		t.forgotten += int64(over)
	}
}

// Failure is why records cannot be written at the moment, or nil. It tries whether they can again.
func (t *Trail) Failure() error {
	if t.log == nil {
		return nil
	}
	return t.log.failure()
}

// Stats are counters since the trail was opened, except where they say otherwise.
type Stats struct {
	Appended uint64 // records of calls that changed nothing
	Moved    uint64 // records of changes that moved into the log
	Missing  uint64 // records that calls went on without, with Config.KeepOn
	Refused  uint64 // calls that were refused since they could not be recorded

	Local, Archived int // segments of the log there are now, in the directory and in the archive
}

// Stats returns the counters.
func (t *Trail) Stats() Stats {
	s := Stats{Appended: t.appended.Load(), Moved: t.moved.Load(), Missing: t.missing.Load(), Refused: t.refused.Load()}
	if t.log != nil {
		t.log.mu.Lock()
		defer t.log.mu.Unlock()
		for _, seg := range t.log.segments {
			if seg.archived {
				s.Archived++
			} else {
				s.Local++
			}
		}
	}
	return s
}

// pruneBatch is how many records one transaction of Prune deletes.
const pruneBatch = 1000

// Prune forgets the records from before the time given. Those that lie in one segment with younger ones are shown to nobody but Read.
func (t *Trail) Prune(ctx context.Context, before time.Time) error {
	t.horizon.Store(max(t.horizon.Load(), before.UnixNano()))
	err := t.pruneStore(ctx, before)
	if err == nil && t.log != nil {
		err = t.log.prune(ctx, before)
	}
	if err != nil {
		return fmt.Errorf("forgetting old audit records: %w", err)
	}
	return nil
}

func (t *Trail) pruneStore(ctx context.Context, before time.Time) error {
	t.steps.Lock()
	defer t.steps.Unlock()
	prefix := tuple.Encode(space)
	for more := true; more; {
		err := t.cfg.Store.Update(ctx, func(tx store.Tx) error {
			more = false
			n := 0
			for kv, err := range tx.Scan(prefix, tuple.Encode(space, before), store.ScanOptions{Limit: pruneBatch}) {
				if err != nil {
					return err
				}
				tx.Delete(kv.Key)
				n++
			}
			more = n == pruneBatch
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// RunRetention forgets records older than keep, once an hour, until ctx ends.
func (t *Trail) RunRetention(ctx context.Context, c clock.Clock, keep time.Duration, failed func(error)) {
	for {
		if err := t.Prune(ctx, c.Now().Add(-keep)); err != nil && ctx.Err() == nil {
			failed(err)
		}
		if clock.Pause(ctx, time.Hour) != nil {
			return
		}
	}
}
