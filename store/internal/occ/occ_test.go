package occ

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/internal/ordered"
)

// slowEngine is an engine in memory whose batches become durable when the test says so.
type slowEngine struct {
	mu     sync.Mutex
	data   ordered.Map[[]byte]
	syncs  []chan error // of the applied batches, in order
	apply  error        // what Apply is to return
	opened int          // snapshots not closed
}

// finish makes the oldest batch durable, or fail.
func (e *slowEngine) finish(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.syncs[0] <- err
	e.syncs = e.syncs[1:]
}

func (e *slowEngine) Snapshot() (Snapshot, error) {
	e.opened++
	return memSnapshot{e, e.data}, nil
}

func (e *slowEngine) Prepare(writes iter.Seq2[[]byte, Write], _ int) (Batch, error) {
	return &slowBatch{e: e, writes: writes, sync: make(chan error, 1)}, nil
}

func (e *slowEngine) Close() error           { return nil }
func (e *slowEngine) Metrics(*store.Metrics) {}

type slowBatch struct {
	e      *slowEngine
	writes iter.Seq2[[]byte, Write]
	sync   chan error
}

func (b *slowBatch) Apply() error {
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	if b.e.apply != nil {
		return b.e.apply
	}
	for k, w := range b.writes {
		b.e.data = b.e.data.Set(k, w.Value)
	}
	b.e.syncs = append(b.e.syncs, b.sync)
	return nil
}

func (b *slowBatch) Sync() error { return <-b.sync }
func (b *slowBatch) Close()      {}

type memSnapshot struct {
	e    *slowEngine
	data ordered.Map[[]byte]
}

func (s memSnapshot) Get(key []byte) ([]byte, error) {
	if v, ok := s.data.Get(key); ok {
		return v, nil
	}
	return nil, store.ErrNotFound
}

func (s memSnapshot) Cursor(from, to []byte, reverse bool) (Cursor, error) {
	return memCursor{s.data.Cursor(from, to, reverse)}, nil
}

func (s memSnapshot) Close() { s.e.opened-- }

type memCursor struct{ *ordered.Cursor[[]byte] }

func (memCursor) Err() error { return nil }
func (memCursor) Close()     {}

// setter commits key in a goroutine of its own; the channel gets the result.
func setter(s *Store, key string, reads ...string) <-chan error {
	done := make(chan error, 1)
	go func() {
		done <- s.Update(context.Background(), func(tx store.Tx) error {
			for _, k := range reads {
				if _, err := tx.Get([]byte(k)); err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
			}
			tx.Set([]byte(key), []byte("v"))
			return nil
		})
	}()
	return done
}

// waiting reports whether nothing came yet, when all goroutines have come to rest.
func waiting(done <-chan error) bool {
	synctest.Wait()
	return len(done) == 0
}

// viewer reads in a view in a goroutine of its own.
func viewer(s *Store, read func(store.Reader)) <-chan error {
	done := make(chan error, 1)
	go func() {
		done <- s.View(context.Background(), func(r store.Reader) error { read(r); return nil })
	}()
	return done
}

func TestUnsyncedCommits(t *testing.T) {
	getter := func(key string) func(store.Reader) { return func(r store.Reader) { _, _ = r.Get([]byte(key)) } }
	scanner := func(from, to string) func(store.Reader) {
		return func(r store.Reader) {
			for range r.Scan([]byte(from), []byte(to), store.ScanOptions{}) {
			}
		}
	}
	for _, tt := range []struct {
		name  string
		read  func(store.Reader)
		waits bool
	}{
		{"GetOfWritten", getter("b"), true},
		{"ScanOverWritten", scanner("a", "c"), true},
		{"GetOfOther", getter("a"), false},
		{"ScanOfOther", scanner("ba", "c"), false},
		{"NoRead", func(store.Reader) {}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &slowEngine{}
				s := New(e)
				committed := setter(s, "b")
				if !waiting(committed) {
					t.Fatal("a commit returned before it was durable")
				}
				view := viewer(s, tt.read)
				if got := waiting(view); got != tt.waits {
					t.Errorf("the view waits: %t, want %t", got, tt.waits)
				}
				// A transaction ended without commit lets its caller answer from what it read, so it waits, too.
				discarded := make(chan error, 1)
				go func() {
					tx, _ := s.Begin(context.Background())
					tt.read(tx)
					tx.Discard()
					discarded <- nil
				}()
				if got := waiting(discarded); got != tt.waits {
					t.Errorf("Discard waits: %t, want %t", got, tt.waits)
				}
				e.finish(nil)
				for _, done := range []<-chan error{committed, view, discarded} {
					if err := <-done; err != nil {
						t.Errorf("got %v", err)
					}
				}
				s.pruneLocked() // the next transaction would
				if m := s.Metrics(); m.Active != 0 || e.opened != 0 || len(s.log) != 0 || len(s.newest) != 0 {
					t.Errorf("left: %d transactions, %d snapshots, %d commits, %d keys", m.Active, e.opened, len(s.log), len(s.newest))
				}
			})
		})
	}
}

// TestPipeline shows that a commit does not wait for the one before, may read its writes, and is not done before it.
func TestPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowEngine{}
		s := New(e)
		a := setter(s, "a")
		synctest.Wait()
		b := setter(s, "b", "a")
		if !waiting(b) || len(e.syncs) != 2 {
			t.Fatalf("%d batches under way, want 2", len(e.syncs))
		}
		e.finish(nil)
		if err := <-a; err != nil {
			t.Errorf("a: %v", err)
		}
		if !waiting(b) {
			t.Error("b is done too early")
		}
		e.finish(nil)
		if err := <-b; err != nil {
			t.Errorf("b: %v", err)
		}
	})
}

// TestToldBeforeSeen shows that no reader sees a commit that the watchers were not told of, whichever commit's sync comes back first.
func TestToldBeforeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowEngine{}
		s := New(e)
		var told []string
		s.OnCommit(nil, func(keys [][]byte) { told = append(told, string(keys[0])) })
		a := setter(s, "a")
		synctest.Wait()
		b := setter(s, "b")
		synctest.Wait()
		view := viewer(s, func(r store.Reader) { _, _ = r.Get([]byte("a")) })
		synctest.Wait()
		e.syncs[1] <- nil // b is on the disk, and so is a, whose goroutine does not know it yet
		if err := <-b; err != nil {
			t.Errorf("b: %v", err)
		}
		late := viewer(s, func(r store.Reader) { _, _ = r.Get([]byte("a")) })
		if err := <-late; err != nil {
			t.Errorf("View() = %v", err)
		}
		if !slices.Equal(told, []string{"a", "b"}) {
			t.Errorf("the watchers were told of %q when a and b had been seen", told)
		}
		e.syncs[0] <- nil
		if err := errors.Join(<-a, <-view); err != nil {
			t.Errorf("a: %v", err)
		}
	})
}

func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowEngine{}
		s := New(e)
		told := 0
		s.OnCommit(nil, func([][]byte) { told++ })
		broken := errors.New("broken disk")
		a := setter(s, "a")
		synctest.Wait()
		view := viewer(s, func(r store.Reader) { _, _ = r.Get([]byte("a")) })
		synctest.Wait()
		e.finish(broken)
		if err := <-a; !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, broken) {
			t.Errorf("Update() = %v, want %v because of %v", err, store.ErrCommitUnknown, broken)
		}
		if err := <-view; !errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrCommitUnknown) {
			t.Errorf("View() = %v, want %v", err, store.ErrFailed)
		}
		if told != 1 {
			t.Errorf("watchers were told %d times, want 1: it may have taken effect", told)
		}
		if err := <-setter(s, "b"); !errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrCommitUnknown) {
			t.Errorf("Update() afterwards = %v, want %v", err, store.ErrFailed)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
}

func TestApplyFails(t *testing.T) {
	e := &slowEngine{apply: errors.New("broken engine")}
	s := New(e)
	if err := <-setter(s, "a"); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, e.apply) {
		t.Errorf("Update() = %v, want %v because of %v", err, store.ErrCommitUnknown, e.apply)
	}
	if err := <-setter(s, "a"); !errors.Is(err, store.ErrFailed) {
		t.Errorf("Update() afterwards = %v, want %v", err, store.ErrFailed)
	}
}

// TestOldTransaction holds a transaction open for longer than commits are remembered.
func TestOldTransaction(t *testing.T) {
	e := &slowEngine{}
	s := New(e)
	s.maxLog = 1000
	commit := func(key string) {
		t.Helper()
		done := setter(s, key)
		for {
			e.mu.Lock()
			n := len(e.syncs)
			e.mu.Unlock()
			if n > 0 {
				break
			}
		}
		e.finish(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	old, _ := s.Begin(t.Context())
	if _, err := old.Get([]byte("mine")); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	reader, _ := s.Begin(t.Context())
	_, _ = reader.Get([]byte("mine"))
	for i := range 100 {
		commit(fmt.Sprint(i))
	}
	if s.logBytes > s.maxLog+1000 {
		t.Errorf("%d bytes of keys are remembered, want about %d", s.logBytes, s.maxLog)
	}
	old.Set([]byte("mine"), nil)
	if err := old.Commit(t.Context()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit() = %v, want %v: what it read can no longer be checked", err, store.ErrConflict)
	}
	if err := reader.Commit(t.Context()); err != nil {
		t.Errorf("Commit() of a reader = %v", err)
	}
	s.pruneLocked() // the next transaction would
	if len(s.log) != 0 || len(s.newest) != 0 || s.logBytes != 0 || e.opened != 0 {
		t.Errorf("left: %d commits, %d keys, %d bytes, %d snapshots", len(s.log), len(s.newest), s.logBytes, e.opened)
	}
}
