package occ

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/internal/ordered"
)

// tx implements store.Tx and, for View, store.Reader.
type tx struct {
	s        *Store
	readOnly bool
	over     atomic.Bool // atomic only so that a misuse fails cleanly

	// The snapshot, taken by the first read.
	snap    *sharedSnapshot
	version uint64
	track   bool // whether reads must be remembered
	points  []string
	ranges  []keyRange
	recent  [recent]reading // what was got last, by the place in points modulo their number

	writes ordered.Builder[Write]
	hooks  []func()
	err    error // the first breach of a limit

	prev, next *tx // in Store.open, guarded by Store.mu
}

// reading is what a key was found to have.
type reading struct {
	key     string
	value   []byte
	missing bool
}

// recent is how many readings a transaction remembers: what is done to many things in a row asks for the same few keys each time.
const recent = 16

// keyRange is from <= key < to; a nil to means to the end.
type keyRange struct{ from, to []byte }

// begin enters the store and makes sure that there is a snapshot. The caller must leave if it returns nil.
func (t *tx) begin() error {
	if t.over.Load() {
		return store.ErrTxDone
	}
	if err := t.s.enter(); err != nil {
		return err
	}
	if t.snap == nil {
		if err := t.s.begin(t); err != nil {
			t.s.leave()
			return err
		}
	}
	return nil
}

// Get implements store.Reader.
func (t *tx) Get(key []byte) ([]byte, error) {
	if w, ok := t.writes.Get(key); ok && !t.over.Load() {
		// Read from the transaction itself: nothing that others do can change it.
		if w.Delete {
			return nil, store.ErrNotFound
		}
		return w.Value, nil
	}
	if err := t.begin(); err != nil {
		return nil, err
	}
	defer t.s.leave()
	if !t.track {
		v, err := t.snap.Get(key)
		return v, t.s.readError(err)
	}
	for i := range min(len(t.points), recent) {
		if r := &t.recent[i]; r.key == string(key) {
			if r.missing {
				return nil, store.ErrNotFound
			}
			return r.value, nil
		}
	}
	v, err := t.snap.Get(key)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return nil, t.s.readError(err)
	}
	r := reading{string(key), v, missing}
	t.recent[len(t.points)%recent] = r
	t.points = append(t.points, r.key)
	return v, err
}

// readError makes errors of the engine recognizable.
func (s *Store) readError(err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: reading: %w", store.ErrFailed, err)
}

// Scan implements store.Reader.
func (t *tx) Scan(from, to []byte, opts store.ScanOptions) iter.Seq2[store.KV, error] {
	return func(yield func(store.KV, error) bool) {
		if to != nil && bytes.Compare(from, to) >= 0 {
			return
		}
		if err := t.begin(); err != nil {
			yield(store.KV{}, err)
			return
		}
		// Entered for the whole loop, so that Close does not take the engine away under the cursor.
		defer t.s.leave()
		cur, err := t.snap.Cursor(from, to, opts.Reverse)
		if err != nil {
			yield(store.KV{}, t.s.readError(err))
			return
		}
		defer cur.Close()
		m := merge{base: cur, over: t.writes.Map().Cursor(from, to, opts.Reverse), reverse: opts.Reverse}
		read := keyRange{bytes.Clone(from), bytes.Clone(to)}
		slot := -1 // of the range in t.ranges; the loop's body may read, too, and even commit
		if t.track {
			slot = len(t.ranges)
			t.ranges = append(t.ranges, read)
		}
		n := 0
		for m.next() {
			kv := store.KV{Key: m.key, Value: m.value}
			n++
			last := n == opts.Limit
			more := yield(kv, nil)
			if more && !last {
				continue
			}
			// What lies beyond was not looked at.
			if opts.Reverse {
				read.from = kv.Key
			} else {
				read.to = append(slices.Clip(kv.Key), 0)
			}
			if slot >= 0 {
				t.ranges[slot] = read
			}
			return
		}
		if err := m.err(); err != nil {
			yield(store.KV{}, t.s.readError(err))
		}
	}
}

// Set implements store.Tx.
func (t *tx) Set(key, value []byte) {
	switch {
	case len(key) > store.MaxKeySize:
		t.breach(fmt.Errorf("%w: a key of %d bytes", store.ErrTooLarge, len(key)))
	case len(value) > store.MaxValueSize:
		t.breach(fmt.Errorf("%w: a value of %d bytes", store.ErrTooLarge, len(value)))
	default:
		both := make([]byte, len(key)+len(value))
		copy(both, key)
		copy(both[len(key):], value)
		t.writes.Set(both[:len(key):len(key)], Write{Value: both[len(key):]})
	}
}

// Delete implements store.Tx.
func (t *tx) Delete(key []byte) {
	if len(key) > store.MaxKeySize {
		return // it cannot be there
	}
	t.writes.Set(bytes.Clone(key), Write{Delete: true})
}

func (t *tx) breach(err error) {
	if t.err == nil {
		t.err = err
	}
}

// point is what a store.Mark holds.
type point struct {
	t      *tx
	writes ordered.Map[Write]
	hooks  int
	err    error
}

// Mark implements store.Tx.
func (t *tx) Mark() store.Mark {
	return store.Mark{Point: point{t, t.writes.Map(), len(t.hooks), t.err}}
}

// Reset implements store.Tx.
func (t *tx) Reset(m store.Mark) {
	p, ok := m.Point.(point)
	if !ok || p.t != t {
		panic("store: Reset with a mark of another transaction")
	}
	t.writes.Reset(p.writes)
	t.hooks, t.err = t.hooks[:p.hooks:p.hooks], p.err
}

// OnCommitted implements store.Tx.
func (t *tx) OnCommitted(fn func()) { t.hooks = append(t.hooks, fn) }

// Commit implements store.Tx.
func (t *tx) Commit(ctx context.Context) error {
	if t.over.Load() {
		return store.ErrTxDone
	}
	if ctx.Err() != nil {
		t.Discard()
		return context.Cause(ctx)
	}
	var err error
	if t.writes.Map().Empty() && t.err == nil {
		err = t.end()
	} else {
		t.over.Store(true)
		if err = t.s.enter(); err == nil {
			err = t.s.commit(t)
			t.s.leave()
		}
		t.s.release(t)
	}
	if err == nil {
		for _, fn := range t.hooks {
			fn()
		}
	}
	return err
}

// Discard implements store.Tx.
func (t *tx) Discard() { _ = t.end() }

// end finishes a transaction without writing.
func (t *tx) end() error {
	if t.over.Swap(true) {
		return nil
	}
	err := t.s.settle(t)
	t.s.release(t)
	t.s.reads.Add(1)
	return err
}

// each yields the writes in order.
func (t *tx) each(yield func([]byte, Write) bool) {
	for cur := t.writes.Map().Cursor(nil, nil, false); cur.Next(); {
		if !yield(cur.Key(), cur.Value()) {
			return
		}
	}
}

// txList is the list of the transactions that hold a snapshot. It is in order of version
// because versions only grow. Store.mu guards it.
type txList struct {
	root tx // root.next is the oldest
	len  int
}

func (l *txList) init() { l.root.next, l.root.prev = &l.root, &l.root }

func (l *txList) push(t *tx) {
	t.prev, t.next = l.root.prev, &l.root
	t.prev.next, t.next.prev = t, t
	l.len++
}

// remove reports whether t was in the list.
func (l *txList) remove(t *tx) bool {
	if t.next == nil {
		return false
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
	l.len--
	return true
}

func (l *txList) first() *tx {
	if l.len == 0 {
		return nil
	}
	return l.root.next
}
