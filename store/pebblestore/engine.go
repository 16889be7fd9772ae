package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/internal/occ"
)

// How much may wait in memory or in level 0 before commits wait for the background. Checked each time
// that so many bytes were written, because asking pebble is not cheap.
const (
	checkEvery   = 1 << 20
	maxMemTables = 4 // full ones: the first ones after a start are smaller, and pebble does not flush them before they are half of one together
	maxSublevels = 20
)

// anchorAge is small enough that what the anchor keeps from being compacted does not matter.
const anchorAge = 500

// engine implements occ.Engine.
type engine struct {
	db      *pebble.DB
	disk    *disk
	dir     string
	minFree uint64
	// memTable is the size of a full memtable in bytes.
	memTable uint64

	commits atomic.Uint64 // prepared
	written atomic.Uint64 // bytes prepared
	free    atomic.Uint64 // bytes, when last looked

	// anchor is a snapshot that is older than most. Each time that pebble's oldest snapshot is closed, it looks for
	// compactions that this may have made possible; with the anchor that is once in a while, not with each transaction.
	// Snapshot and Close guard these.
	anchor *pebble.Snapshot
	age    int // snapshots taken since

	eventMu sync.Mutex // guards events
	events  chan struct{}
}

var _ occ.Engine = (*engine)(nil)

// Snapshot implements occ.Engine.
func (e *engine) Snapshot() (occ.Snapshot, error) {
	if e.age++; e.anchor == nil || e.age >= anchorAge {
		old := e.anchor
		e.anchor, e.age = e.db.NewSnapshot(), 0
		if old != nil {
			_ = old.Close()
		}
	}
	return snapshot{e.db.NewSnapshot()}, e.disk.err()
}

// Prepare implements occ.Engine.
func (e *engine) Prepare(writes iter.Seq2[[]byte, occ.Write], size int) (occ.Batch, error) {
	if err := e.disk.err(); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	if err := e.checkSpace(size); err != nil {
		return nil, err
	}
	if now := e.written.Add(uint64(size)); now/checkEvery != (now-uint64(size))/checkEvery {
		if err := e.backpressure(); err != nil {
			return nil, err
		}
	}
	b := e.db.NewBatchWithSize(size + size/4 + 64)
	for k, w := range writes {
		var err error
		if w.Delete {
			err = b.Delete(k, nil)
		} else {
			err = b.Set(k, w.Value, nil)
		}
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	return &batch{e: e, b: b}, nil
}

// checkSpace refuses a commit when the disk is nearly full. It looks now and then while there is much
// space, and each time when there is little.
func (e *engine) checkSpace(size int) error {
	full := e.disk.isFull()
	n := e.commits.Add(1)
	if !full && n%64 != 1 && size < 64<<10 && e.free.Load() > 4*e.minFree {
		return nil
	}
	free := e.lookFree()
	if free < e.minFree+uint64(size) {
		return fmt.Errorf("%w: %d MiB free on disk, %d MiB kept in reserve", store.ErrFull, free>>20, e.minFree>>20)
	}
	if full {
		// There is space again. Let the waiting tables try; this commit does not bet on it.
		e.disk.retry()
		return fmt.Errorf("%w: recovering", store.ErrFull)
	}
	return nil
}

// lookFree returns the free space on disk; if it cannot be known, as if there were enough.
func (e *engine) lookFree() uint64 {
	free := uint64(math.MaxUint64)
	if usage, err := e.disk.FS.GetDiskUsage(e.dir); err == nil {
		free = usage.AvailBytes
	}
	e.free.Store(free)
	return free
}

// backpressure waits while the background is too far behind.
func (e *engine) backpressure() error {
	for {
		e.eventMu.Lock()
		event := e.events
		e.eventMu.Unlock()
		if err := e.disk.err(); err != nil {
			return fmt.Errorf("%w: %w", store.ErrFailed, err)
		}
		if e.disk.isFull() {
			return store.ErrFull
		}
		m := e.db.Metrics()
		if m.MemTable.Size <= maxMemTables*e.memTable && m.Levels[0].Sublevels <= maxSublevels {
			return nil
		}
		<-event
	}
}

// event wakes those who wait in backpressure.
func (e *engine) event() {
	e.eventMu.Lock()
	defer e.eventMu.Unlock()
	close(e.events)
	e.events = make(chan struct{})
}

// Close implements occ.Engine.
func (e *engine) Close() error {
	e.disk.giveUp()
	err := e.disk.err()
	if err == nil {
		err = e.disk.run(func() error {
			if e.anchor != nil {
				_ = e.anchor.Close()
			}
			return e.db.Close()
		})
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	return errors.Join(err, e.disk.unlock())
}

// Metrics implements occ.Engine.
func (e *engine) Metrics(m *store.Metrics) {
	m.DiskBytes = e.db.Metrics().DiskSpaceUsage()
	if free := e.lookFree(); free != math.MaxUint64 {
		m.DiskFree, m.DiskSpare = free, e.minFree
	}
}

// batch implements occ.Batch.
type batch struct {
	e *engine
	b *pebble.Batch
}

func (b *batch) Apply() (err error) {
	defer func() {
		// Pebble panics when it is not sure of itself. The store reports it and stops; the process does not.
		if r := recover(); r != nil {
			err = fmt.Errorf("applying a batch: %v", r)
			b.e.disk.fail(err)
			b.b = nil // its state is not known
		}
	}()
	if err := b.e.db.ApplyNoSyncWait(b.b, pebble.Sync); err != nil {
		b.e.disk.fail(err)
		b.b = nil
		return err
	}
	return nil
}

func (b *batch) Sync() error {
	if err := b.b.SyncWait(); err != nil {
		b.e.disk.fail(err)
	}
	// Asked after the wait: what was written to a frozen disk was reported as written. See disk.
	return b.e.disk.err()
}

func (b *batch) Close() {
	if b.b != nil {
		_ = b.b.Close() // gives memory back; cannot fail in a way that matters
	}
}

// snapshot implements occ.Snapshot.
type snapshot struct{ s *pebble.Snapshot }

func (s snapshot) Get(key []byte) ([]byte, error) {
	v, closer, err := s.s.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	v = append(make([]byte, 0, len(v)), v...) // not nil, even if empty
	return v, closer.Close()
}

func (s snapshot) Cursor(from, to []byte, reverse bool) (occ.Cursor, error) {
	o := &pebble.IterOptions{UpperBound: bytes.Clone(to)}
	if len(from) > 0 { // pebble knows no empty bound
		o.LowerBound = bytes.Clone(from)
	}
	it, err := s.s.NewIter(o)
	if err != nil {
		return nil, err
	}
	return &cursor{it: it, reverse: reverse}, nil
}

func (s snapshot) Close() { _ = s.s.Close() }

// cursor implements occ.Cursor.
type cursor struct {
	it               *pebble.Iterator
	reverse, started bool
	err              error
}

func (c *cursor) Next() bool {
	switch {
	case !c.started && c.reverse:
		c.started = true
		return c.it.Last()
	case !c.started:
		c.started = true
		return c.it.First()
	case c.reverse:
		return c.it.Prev()
	default:
		return c.it.Next()
	}
}

func (c *cursor) Key() []byte { return c.it.Key() }

func (c *cursor) Value() []byte {
	v, err := c.it.ValueAndErr()
	if err != nil {
		c.err = err
	}
	return v
}

func (c *cursor) Err() error { return errors.Join(c.err, c.it.Error()) }
func (c *cursor) Close()     { _ = c.it.Close() } // its errors were Err's
