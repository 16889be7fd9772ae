package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/holdfast-cloud/holdfast/store"
)

// openOn opens a store on a file system with small tables, so that little work makes much happen.
func openOn(fs vfs.FS) (store.Store, error) {
	return Open(Options{Dir: "data", MemTableSize: 64 << 10, fs: fs})
}

// ledger counts commits of one writer: row n is written by the n-th, in two halves, beside the count.
type ledger struct{ acked int }

const rowSize = 4000

func (l *ledger) commit(s store.Store) error {
	err := s.Update(context.Background(), func(tx store.Tx) error {
		n := l.acked + 1
		tx.Set(fmt.Appendf(nil, "a/%06d", n), make([]byte, rowSize))
		tx.Set([]byte("count"), fmt.Append(nil, n))
		tx.Set(fmt.Appendf(nil, "b/%06d", n), make([]byte, rowSize))
		return nil
	})
	if err == nil {
		l.acked++
	}
	return err
}

// check checks that s holds what was acknowledged, or one more, and all of it whole.
func (l *ledger) check(t *testing.T, s store.Store) {
	t.Helper()
	err := s.View(context.Background(), func(r store.Reader) error {
		n := 0
		v, err := r.Get([]byte("count"))
		if err == nil {
			_, err = fmt.Sscan(string(v), &n)
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return err
		}
		if n < l.acked || n > l.acked+1 {
			t.Errorf("%d commits are there, %d were acknowledged", n, l.acked)
		}
		for _, side := range []string{"a", "b"} {
			rows := 0
			for kv, err := range r.Scan([]byte(side+"/"), []byte(side+"0"), store.ScanOptions{}) {
				if err != nil {
					return err
				}
				if rows++; string(kv.Key) != fmt.Sprintf("%s/%06d", side, rows) {
					t.Errorf("found %s, want row %d", kv.Key, rows)
				}
			}
			if rows != n {
				t.Errorf("%d rows of %s are there, want %d", rows, side, n)
			}
		}
		l.acked = n
		return nil
	})
	if err != nil {
		t.Errorf("View() = %v", err)
	}
}

// isChange reports whether an operation changes the disk.
func isChange(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFilePreallocate, errorfs.OpRemove, errorfs.OpRemoveAll:
		return false // pebble does not depend on them
	}
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite
}

// TestFailedOperation has one operation on the disk after another fail, in a run each, once or from then on.
// Whatever fails, the process lives, the store says so, and what was acknowledged is there afterwards.
func TestFailedOperation(t *testing.T) {
	const commits = 24 // some rotations of the log and flushes
	run := func(t *testing.T, at int64, sticky bool) (ops int64) {
		inner := vfs.NewMem()
		var n atomic.Int64
		fs := errorfs.Wrap(inner, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !isChange(op) {
				return nil
			}
			if i := n.Add(1); i == at || sticky && i > at && at > 0 {
				return fmt.Errorf("injected at %d: %w", i, syscall.EIO)
			}
			return nil
		}))
		var l ledger
		s, err := openOn(fs)
		if err == nil {
			for range commits {
				if err = l.commit(s); err != nil {
					break
				}
			}
			if err != nil {
				if !errors.Is(err, store.ErrFailed) {
					t.Errorf("operation %d: Update() = %v, want %v", at, err, store.ErrFailed)
				}
				if again := l.commit(s); !errors.Is(again, store.ErrFailed) || errors.Is(again, store.ErrCommitUnknown) {
					t.Errorf("operation %d: Update() afterwards = %v, want %v only", at, again, store.ErrFailed)
				}
				if view := s.View(t.Context(), func(r store.Reader) error { _, err := r.Get([]byte("count")); return err }); !errors.Is(view, store.ErrFailed) {
					t.Errorf("operation %d: View() afterwards = %v, want %v", at, view, store.ErrFailed)
				}
			}
			closed := s.Close()
			if err != nil && !errors.Is(closed, store.ErrFailed) {
				t.Errorf("operation %d: Close() = %v, want %v", at, closed, store.ErrFailed)
			}
		} else if at == 0 {
			t.Fatal(err)
		}
		if err == nil && at > 0 && n.Load() < at {
			return n.Load()
		}
		if s, err = openOn(inner); err != nil {
			t.Fatalf("operation %d: opening again: %v", at, err)
		}
		l.check(t, s)
		if err := l.commit(s); err != nil {
			t.Errorf("operation %d: Update() in the store opened again = %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("operation %d: Close() of the store opened again = %v", at, err)
		}
		return n.Load()
	}
	total := run(t, 0, false)
	if total < 60 {
		t.Errorf("a run without faults has %d operations, too few to show anything", total)
	}
	// A different third each time; over some runs, all.
	first := 1 + rand.Int64N(3)
	t.Logf("%d operations, every third from %d", total, first)
	for at := first; at <= total && !t.Failed(); at += 3 {
		run(t, at, at%2 == 0)
	}
}

// TestPowerLoss takes copies of the disk as it would be after a loss of power, while writers are at work.
func TestPowerLoss(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	s, err := openOn(fs)
	if err != nil {
		t.Fatal(err)
	}
	var acked atomic.Int64
	progress, stop := make(chan struct{}, 4), make(chan struct{}) // the writer is a few commits ahead
	var wg sync.WaitGroup
	wg.Go(func() {
		var l ledger
		for {
			if err := l.commit(s); err != nil {
				t.Errorf("Update() = %v", err)
				close(progress)
				return
			}
			acked.Store(int64(l.acked))
			select {
			case progress <- struct{}{}:
			case <-stop:
				return
			}
		}
	})
	for i := range 6 {
		for range 5 {
			<-progress
		}
		l := ledger{acked: int(acked.Load())}
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[i%3], RNG: rng})
		after := int(acked.Load())
		c, err := openOn(clone)
		if err != nil {
			t.Errorf("opening after the loss: %v", err)
			break
		}
		// The copy may be as new as any commit until it was finished.
		for n := l.acked; n <= after; n++ {
			if v, err := count(c); err == nil && v > l.acked {
				l.acked = min(v, after)
			}
		}
		l.check(t, c)
		if err := c.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	close(stop)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

// TestPowerLossAfterOpen looks for what the very first commits leave: the directory's own name must be on the disk, too.
func TestPowerLossAfterOpen(t *testing.T) {
	fs := vfs.NewCrashableMem()
	open := func(fs vfs.FS) store.Store {
		s, err := Open(Options{Dir: fs.PathJoin("new", "data"), fs: fs})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(fs)
	var l ledger
	if err := l.commit(s); err != nil {
		t.Fatal(err)
	}
	c := open(fs.CrashClone(vfs.CrashCloneCfg{}))
	l.check(t, c)
	for _, s := range []store.Store{s, c} {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
}

func count(s store.Store) (n int, err error) {
	err = s.View(context.Background(), func(r store.Reader) error {
		v, err := r.Get([]byte("count"))
		if err != nil {
			return err
		}
		_, err = fmt.Sscan(string(v), &n)
		return err
	})
	return n, err
}

func TestFull(t *testing.T) {
	t.Run("BelowTheReserve", func(t *testing.T) {
		fs := vfs.NewMem()
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20})
		s, err := openOn(fs)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var l ledger
		if err := l.commit(s); err != nil {
			t.Fatal(err)
		}
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20})
		if err := l.commit(s); !errors.Is(err, store.ErrFull) {
			t.Errorf("Update() = %v, want %v", err, store.ErrFull)
		}
		l.check(t, s) // reads go on
		if m := s.Metrics(); m.DiskFree != 10<<20 {
			t.Errorf("Metrics().DiskFree = %d, want %d", m.DiskFree, 10<<20)
		}
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20})
		if err := l.commit(s); err != nil {
			t.Errorf("Update() = %v when there is space again", err)
		}
		l.check(t, s)
	})
	t.Run("NoSpaceForATable", func(t *testing.T) {
		inner := vfs.NewMem()
		var full atomic.Bool
		s, err := openOn(errorfs.Wrap(inner, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && isChange(op) && strings.HasSuffix(op.Path, ".sst") {
				return syscall.ENOSPC
			}
			return nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		var l ledger
		full.Store(true)
		for err == nil {
			err = l.commit(s)
		}
		if !errors.Is(err, store.ErrFull) {
			t.Errorf("Update() = %v, want %v", err, store.ErrFull)
		}
		l.check(t, s)
		full.Store(false)
		for err = store.ErrFull; errors.Is(err, store.ErrFull); err = l.commit(s) {
			// Each attempt lets the tables try again.
		}
		if err != nil {
			t.Errorf("Update() = %v when there is space again", err)
		}
		l.check(t, s)
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	t.Run("ClosedWithoutSpaceForATable", func(t *testing.T) {
		inner := vfs.NewMem()
		s, err := openOn(errorfs.Wrap(inner, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if isChange(op) && strings.HasSuffix(op.Path, ".sst") {
				return syscall.ENOSPC
			}
			return nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		var l ledger
		for err == nil {
			err = l.commit(s)
		}
		if !errors.Is(err, store.ErrFull) {
			t.Errorf("Update() = %v, want %v", err, store.ErrFull)
		}
		if err := s.Close(); err != nil { // as nothing is lost
			t.Errorf("Close() = %v", err)
		}
		if s, err = openOn(inner); err != nil {
			t.Fatal(err)
		}
		l.check(t, s)
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	t.Run("GivenUp", func(t *testing.T) {
		d := newDisk(vfs.NewMem(), func(err error) { t.Errorf("the disk failed: %v", err) }, func() {})
		d.setPatient(true)
		told := make(chan error)
		lack := func() { told <- d.do(table, func() error { return syscall.ENOSPC }) }
		go lack()
		for !d.isFull() {
			runtime.Gosched()
		}
		d.giveUp()
		for _, when := range []string{"waits", "comes later"} {
			if err := <-told; !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("a table that %s: %v", when, err)
			}
			if when == "waits" {
				go lack()
			}
		}
	})
	t.Run("NoSpaceWhileCommitsWait", func(t *testing.T) {
		found := make(chan struct{}) // out that there is no space
		var full atomic.Bool
		full.Store(true)
		s, err := openOn(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !full.Load() || !isChange(op) || !strings.HasSuffix(op.Path, ".sst") {
				return nil
			}
			<-found
			return syscall.ENOSPC
		})))
		if err != nil {
			t.Fatal(err)
		}
		var l ledger
		ended := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = l.commit(s)
			}
			ended <- err
		}()
		stacks := make([]byte, 1<<20)
		for !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*engine).backpressure") {
			runtime.Gosched()
		}
		close(found)
		select {
		case err = <-ended:
			if !errors.Is(err, store.ErrFull) {
				t.Errorf("Update() = %v, want %v", err, store.ErrFull)
			}
		case <-time.After(time.Minute):
			t.Fatal("a commit that waits for the background is not told that the disk is full")
		}
		full.Store(false)
		for err = store.ErrFull; errors.Is(err, store.ErrFull); err = l.commit(s) {
		}
		if err != nil {
			t.Errorf("Update() = %v when there is space again", err)
		}
		l.check(t, s)
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	t.Run("NoSpaceForTheLog", func(t *testing.T) {
		inner := vfs.NewMem()
		var full atomic.Bool
		s, err := openOn(errorfs.Wrap(inner, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && isChange(op) {
				return syscall.ENOSPC
			}
			return nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		var l ledger
		if err := l.commit(s); err != nil {
			t.Fatal(err)
		}
		full.Store(true)
		if err := l.commit(s); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Update() = %v, want %v because of %v", err, store.ErrCommitUnknown, syscall.ENOSPC)
		}
		if err := s.Close(); !errors.Is(err, store.ErrFailed) {
			t.Errorf("Close() = %v, want %v", err, store.ErrFailed)
		}
		if s, err = openOn(inner); err != nil {
			t.Fatal(err)
		}
		l.check(t, s)
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("OwnerOnly", func(t *testing.T) {
		fi, err := os.Stat(dir)
		if err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("Stat(%s) = %v, %v, want mode 0700", dir, fi.Mode(), err)
		}
	})
	t.Run("InUse", func(t *testing.T) {
		if _, err := Open(Options{Dir: dir}); !errors.Is(err, store.ErrInUse) {
			t.Errorf("Open() = %v, want %v", err, store.ErrInUse)
		}
	})
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	t.Run("Again", func(t *testing.T) {
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("Open() = %v", err)
		}
		s.Close()
	})
	t.Run("NotADirectory", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: file}); err == nil || errors.Is(err, store.ErrInUse) {
			t.Errorf("Open(a file) = %v", err)
		}
	})
	t.Run("NoDirectory", func(t *testing.T) {
		if _, err := Open(Options{}); err == nil {
			t.Error("Open() without a directory succeeded")
		}
	})
	t.Run("Damaged", func(t *testing.T) {
		names, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no manifest: %v", err)
		}
		for _, name := range names {
			if err := os.WriteFile(name, []byte("no manifest at all, but some text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(Options{Dir: dir}); err == nil {
			t.Error("Open() of a damaged directory succeeded")
		}
	})
}
