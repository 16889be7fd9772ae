package occ

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxLog bounds the keys of recent commits that are remembered for transactions still open, in bytes. A
// transaction older than what is remembered gets ErrConflict if it writes.
const maxLog = 32 << 20

// Store implements store.Store over an engine.
type Store struct {
	engine Engine
	maxLog int

	// mu orders commits and snapshots. No I/O is waited for under it, other than the engine's own
	// backpressure in Apply.
	mu       sync.Mutex
	version  uint64            // of the newest applied commit
	log      []*commit         // recent commits in order of version, without gaps
	logBytes int               // of their keys
	newest   map[string]uint64 // key to the version that wrote it last, for all keys in log
	open     txList            // transactions with a snapshot, in order of version
	shared   *sharedSnapshot   // of version, if one was taken since; holds no reference of its own

	stopped atomic.Pointer[error] // ErrClosed or ErrFailed, when nothing more is to be started
	busy    atomic.Int64          // calls that use the engine
	idle    chan struct{}         // told by leave when stopped and not busy

	durable atomic.Uint64 // every commit up to this version is on disk

	closeMu  sync.Mutex // serializes Close
	watchMu  sync.Mutex // guards changes of watchers
	watchers atomic.Pointer[[]watcher]

	commits, reads, conflicts, retries, written, syncNanos atomic.Uint64
}

// commit is one committed transaction.
type commit struct {
	version uint64
	keys    [][]byte // sorted
	bytes   int
	done    chan struct{} // closed when durable, or when that failed
	err     error         // after done
}

type watcher struct {
	prefix []byte
	fn     func([][]byte)
}

var _ store.Store = (*Store)(nil)

// New returns a store over engine, which it owns from then on.
func New(engine Engine) *Store {
	s := &Store{engine: engine, maxLog: maxLog, newest: map[string]uint64{}, idle: make(chan struct{}, 1)}
	s.open.init()
	s.watchers.Store(new([]watcher))
	return s
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return store.RunUpdate(ctx, s.Begin, fn, func() { s.retries.Add(1) })
}

// View implements store.Store.
func (s *Store) View(ctx context.Context, fn func(store.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	t := &tx{s: s, readOnly: true}
	defer t.Discard() // when fn panics
	ferr := fn(t)
	if err := t.end(); err != nil {
		return err
	}
	return ferr
}

// Begin implements store.Store.
func (s *Store) Begin(ctx context.Context) (store.Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return &tx{s: s}, nil
}

// OnCommit implements store.Store.
func (s *Store) OnCommit(prefix []byte, fn func(keys [][]byte)) {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	old := *s.watchers.Load()
	s.watchers.Store(new(append(old[:len(old):len(old)], watcher{bytes.Clone(prefix), fn})))
}

// Metrics implements store.Store.
func (s *Store) Metrics() store.Metrics {
	m := store.Metrics{
		Commits:   s.commits.Load(),
		Reads:     s.reads.Load(),
		Conflicts: s.conflicts.Load(),
		Retries:   s.retries.Load(),
		Written:   s.written.Load(),
		SyncNanos: s.syncNanos.Load(),
	}
	s.mu.Lock()
	m.Active = s.open.len
	s.mu.Unlock()
	if s.enter() == nil {
		defer s.leave()
		s.engine.Metrics(&m)
	}
	return m
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	if p := s.stopped.Swap(new(store.ErrClosed)); p != nil && errors.Is(*p, store.ErrClosed) {
		return nil
	}
	for s.busy.Load() > 0 {
		<-s.idle
	}
	s.mu.Lock()
	for t := s.open.first(); t != nil; t = s.open.first() {
		s.releaseLocked(t)
	}
	s.mu.Unlock()
	return s.engine.Close()
}

// enter counts the caller as a user of the engine, which leave ends; Close waits for it. Not a
// lock, because calls nest: a loop over Scan calls Get.
func (s *Store) enter() error {
	s.busy.Add(1)
	if p := s.stopped.Load(); p != nil {
		s.leave()
		return *p
	}
	return nil
}

func (s *Store) leave() {
	if s.busy.Add(-1) == 0 && s.stopped.Load() != nil {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// fail stops the store after the engine broke.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("%w: %w", store.ErrFailed, err)
	s.stopped.CompareAndSwap(nil, &err)
	return err
}

// begin gives t its snapshot. The caller has entered.
func (s *Store) begin(t *tx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == nil {
		snap, err := s.engine.Snapshot()
		if err != nil {
			return s.fail(fmt.Errorf("taking a snapshot: %w", err))
		}
		s.shared = &sharedSnapshot{Snapshot: snap}
	}
	s.shared.refs++
	t.snap, t.version = s.shared, s.version
	t.track = !t.readOnly || s.durable.Load() < s.version
	s.open.push(t)
	return nil
}

// release gives t's snapshot back.
func (s *Store) release(t *tx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(t)
	s.pruneLocked()
}

func (s *Store) releaseLocked(t *tx) {
	if !s.open.remove(t) {
		return
	}
	t.snap.refs--
	if t.snap.refs == 0 {
		t.snap.Close()
		if s.shared == t.snap {
			s.shared = nil
		}
	}
}

// pruneLocked forgets the commits that nobody can conflict with or wait for any more.
func (s *Store) pruneLocked() {
	keep := s.durable.Load()
	if t := s.open.first(); t != nil {
		keep = min(keep, t.version)
	}
	n := 0
	for n < len(s.log) && (s.log[n].version <= keep || s.logBytes > s.maxLog && s.log[n].version <= s.durable.Load()) {
		c := s.log[n]
		for _, k := range c.keys {
			if s.newest[string(k)] == c.version {
				delete(s.newest, string(k))
			}
		}
		s.logBytes -= c.bytes
		s.log[n] = nil
		n++
	}
	if s.log = s.log[n:]; len(s.log) == 0 {
		s.log = nil
	}
}

// since returns the part of the log after version, and whether all of it is remembered.
func (s *Store) sinceLocked(version uint64) (commits []*commit, complete bool) {
	if version >= s.version {
		return nil, true
	}
	n := int(s.version - version)
	if n > len(s.log) {
		return s.log, false
	}
	return s.log[len(s.log)-n:], true
}

// conflictLocked reports whether a commit after t's snapshot wrote into what t read.
func (s *Store) conflictLocked(t *tx) bool {
	if t.snap == nil {
		return false // nothing was read
	}
	commits, complete := s.sinceLocked(t.version)
	if !complete {
		return true
	}
	if len(commits) == 0 {
		return false
	}
	for _, k := range t.points {
		if s.newest[k] > t.version {
			return true
		}
	}
	for _, c := range commits {
		if c.inRanges(t.ranges) {
			return true
		}
	}
	return false
}

// commit validates and applies t, and waits for the disk.
func (s *Store) commit(t *tx) error {
	if t.err != nil {
		return t.err
	}
	c := &commit{done: make(chan struct{})}
	size := 0
	for cur := t.writes.Map().Cursor(nil, nil, false); cur.Next(); {
		c.keys = append(c.keys, cur.Key())
		c.bytes += len(cur.Key()) + 64 // about what a key costs in log and newest
		size += len(cur.Key()) + len(cur.Value().Value)
	}
	if size > store.MaxTxSize {
		return fmt.Errorf("%w: %d bytes written", store.ErrTooLarge, size)
	}
	batch, err := s.engine.Prepare(t.each, size)
	if err != nil {
		return err
	}
	defer batch.Close()
	if err := s.apply(t, c, batch); err != nil {
		return err
	}
	watch := clock.Start()
	err = batch.Sync()
	s.syncNanos.Add(uint64(watch.Elapsed()))
	if err != nil {
		// The batch may or may not be found in the log when the store is opened again.
		c.err = s.fail(err)
	} else {
		s.advance(c.version)
	}
	close(c.done)
	if c.err != nil {
		return fmt.Errorf("%w: %w", store.ErrCommitUnknown, c.err)
	}
	s.commits.Add(1)
	s.written.Add(uint64(size))
	return nil
}

func (s *Store) apply(t *tx, c *commit, batch Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.stopped.Load(); p != nil {
		return *p
	}
	if s.conflictLocked(t) {
		s.conflicts.Add(1)
		return store.ErrConflict
	}
	err := batch.Apply()
	// Here, under the lock, nobody has read what the commit wrote. Later, a reader that was quicker than this goroutine (another commit's sync may
	// have covered this one) could answer from the new state while a cache still serves the old.
	s.notify(c.keys)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrCommitUnknown, s.fail(err))
	}
	s.version++
	c.version = s.version
	s.shared = nil
	s.log = append(s.log, c)
	s.logBytes += c.bytes
	for _, k := range c.keys {
		s.newest[string(k)] = c.version
	}
	s.releaseLocked(t)
	s.pruneLocked()
	return nil
}

// advance notes that every commit up to version is durable: the log is one sequence, so a sync of one is a sync of all before.
func (s *Store) advance(version uint64) {
	for {
		d := s.durable.Load()
		if d >= version || s.durable.CompareAndSwap(d, version) {
			return
		}
	}
}

// settle waits for the commits that t has seen the effects of.
func (s *Store) settle(t *tx) error {
	if t.snap == nil || !t.track || s.durable.Load() >= t.version {
		return nil
	}
	c := s.lastSeen(t)
	if c == nil {
		return nil
	}
	<-c.done
	return c.err
}

// lastSeen returns the newest of the commits not known to be durable that t has seen the effects of, or nil. That
// one is durable after all before it.
func (s *Store) lastSeen(t *tx) *commit {
	s.mu.Lock()
	defer s.mu.Unlock()
	commits, _ := s.sinceLocked(s.durable.Load())
	for _, c := range slices.Backward(commits) {
		if c.version <= t.version && (c.inPoints(t.points) || c.inRanges(t.ranges)) {
			return c
		}
	}
	return nil
}

// notify tells the watchers.
func (s *Store) notify(keys [][]byte) {
	for _, w := range *s.watchers.Load() {
		lo := search(keys, w.prefix)
		hi := lo
		for hi < len(keys) && bytes.HasPrefix(keys[hi], w.prefix) {
			hi++
		}
		if lo < hi {
			w.fn(keys[lo:hi:hi])
		}
	}
}

// sharedSnapshot is a snapshot used by all transactions that began at the same version. Store.mu guards refs.
type sharedSnapshot struct {
	Snapshot
	refs int
}
