package audit

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// Damage that is told beside an error must not hide it: whoever has had enough is not asked again.
func TestDamageHidesNoError(t *testing.T) {
	s := newShelved(t)
	for range 4 {
		s.add(2)
	}
	s.trail.log.syncNow()
	s.trail.log.others.Wait()
	name := files(t, s.dir)[1]
	if err := errors.Join(os.Remove(filepath.Join(s.dir, name)), os.Remove(filepath.Join(s.dir, stem(name)+indexSuffix))); err != nil {
		t.Fatal(err)
	}
	s.close()
	s.open()
	t.Run("Enough", func(t *testing.T) {
		n := 0
		at, err := s.trail.Read(t.Context(), Cursor{}, func(Cursor, Entry) error {
			if n++; n == 3 {
				return ErrEnough
			}
			return nil
		})
		if n != 3 || !errors.Is(err, ErrAltered) {
			t.Errorf("Read gave %d records, want 3, and %v", n, err)
		}
		rest := 0
		if _, err := s.trail.Read(t.Context(), at, func(Cursor, Entry) error { rest++; return nil }); rest != 3 || err != nil {
			t.Errorf("Read went on with %d records, %v, want the other 3", rest, err)
		}
	})
	t.Run("Error", func(t *testing.T) {
		failed := errors.New("failed")
		n := 0
		if _, err := s.trail.Read(t.Context(), Cursor{}, func(Cursor, Entry) error {
			if n++; n == 3 {
				return failed
			}
			return nil
		}); n != 3 || !errors.Is(err, failed) {
			t.Errorf("Read gave %d records, %v", n, err)
		}
		n = 0
		if err := s.trail.Each(t.Context(), Filter{}, func(Traced) error {
			if n++; n == 3 {
				return failed
			}
			return nil
		}); n != 3 || !errors.Is(err, failed) {
			t.Errorf("Each gave %d records, %v", n, err)
		}
	})
	t.Run("Context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.trail.Find(ctx, shelvedID(4)); !errors.Is(err, context.Canceled) {
			t.Errorf("Find = %v, want that its context ended", err)
		}
	})
}

// A full segment of which the fsync failed is not taken for durable, neither by a step nor by a consumer.
func TestFullSegmentThatDoesNotSync(t *testing.T) {
	d := &faultyDisk{space: -1}
	l := d.open(t, t.TempDir(), time.Hour)
	l.limit = 1
	mustAppend(t, l, epoch, "{one}")
	mustAppend(t, l, epoch, "{two}")
	d.set(func() { d.noSync = true })
	l.syncNow()
	d.set(func() { d.noSync = false })
	if len(l.unsafe) != 2 {
		t.Errorf("%d segments are known to be unsafe, want 2", len(l.unsafe))
	}
	if err := l.appendSynced(entries(epoch, []byte("{three}"))...); err != nil { // in a new segment, which shows that the disk works
		t.Fatal(err)
	}
	f := &feed{ctx: t.Context(), stored: func([]byte) {}}
	if err := l.feed(f); err != nil {
		t.Error(err)
	}
	if len(l.unsafe) > 0 {
		t.Errorf("%d segments that were read are not on the disk", len(l.unsafe))
	}
	wantRecords(t, l, time.Time{}, "{one}", "{two}", "{three}")
}

// What could not be written from the spool when the log was closed is there at the next start.
func TestCloseOnAFullDisk(t *testing.T) {
	d := &faultyDisk{space: 0}
	dir := t.TempDir()
	l := d.openSpooled(t, dir, time.Hour)
	if l.spool == nil {
		t.Skip("files cannot be mapped here")
	}
	mustAppend(t, l, epoch, "{kept}")
	if err := l.close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close = %v, want that the disk is full", err)
	}
	wantRecords(t, newLog(t, dir), time.Time{}, "{kept}")
}

func TestOpenRemovesWhatWasNotFinished(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"seg-00000000000000000001-00000001.zst.tmp", "seg-00000000000000000001-00000001.idx.tmp-123"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newLog(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == spoolName }); len(names) > 0 {
		t.Errorf("%v are left", names)
	}
}

// hanging is an archive of which the first Put says that it has begun, and waits.
type hanging struct {
	blob.Memory
	begun, end chan struct{}
	first      sync.Once
}

func (h *hanging) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	h.first.Do(func() {
		close(h.begun)
		<-h.end
	})
	return h.Memory.Put(ctx, key, r)
}

// Whoever waits for an archive that hangs holds up nobody else.
func TestArchiveThatHangs(t *testing.T) {
	shelf := &hanging{begun: make(chan struct{}), end: make(chan struct{})}
	trail, err := Open(Config{Store: memstore.New(), Dir: t.TempDir(), Archive: shelf, Sync: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s := &shelved{t: t, trail: trail}
	s.add(2)
	s.add(2)
	waiting := make(chan struct{}, 3)
	wait := func(fn func()) {
		go func() {
			fn()
			waiting <- struct{}{}
		}()
		for range 100 {
			runtime.Gosched()
		}
	}
	wait(func() {
		if err := trail.Ship(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-shelf.begun
	wait(func() {
		m, err := trail.Mark()
		if err != nil {
			t.Error(err)
			return
		}
		m.Close()
	})
	wait(func() {
		if err := trail.Prune(t.Context(), epoch.Add(time.Hour)); err != nil {
			t.Error(err)
		}
	})
	settled := make(chan error)
	go func() {
		r := &Record{Time: epoch, Identity: []byte(`{}`), EventID: "change", Recipient: "111122223333"}
		err := trail.cfg.Store.Update(t.Context(), func(tx store.Tx) error { trail.Commit(tx, r); return nil })
		if err == nil {
			err = trail.Settle(t.Context())
		}
		if err == nil {
			_, err = trail.Lookup(t.Context(), Query{Account: "111122223333", Limit: 1})
		}
		settled <- err
	}()
	select {
	case err := <-settled:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("a step or a lookup waits for the archive")
	}
	close(shelf.end)
	for range 3 {
		<-waiting
	}
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
}

// No call can make a record that does not move.
func TestRecordOfManyResourcesMoves(t *testing.T) {
	c := newChanges(t)
	r := c.record()
	for range 3000 {
		r.Resources = append(r.Resources, Resource{Account: "111122223333", Type: "AWS::S3::Object", ARN: "arn:aws:s3:::bucket/" + strings.Repeat("k", 1000)})
	}
	r.ServiceDetails = []byte(`"` + strings.Repeat("d", 2<<20) + `"`)
	r.Trace = []byte(`"` + strings.Repeat("t", 500<<10) + `"`)
	if err := c.store.Update(t.Context(), func(tx store.Tx) error { c.trail.Commit(tx, r); return nil }); err != nil {
		t.Fatal(err)
	}
	c.settle(nil)
	c.wantOnce(true)
}

// A step whose caller goes away in the middle leaves nothing twice, in memory either.
func TestMoveInMemoryThatFails(t *testing.T) {
	db := &fickle{Store: memstore.New()}
	trail, err := Open(Config{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	c := &changes{t: t, store: db, trail: trail}
	c.commit(3)
	db.refuse.Store(true)
	c.settle(store.ErrFull)
	c.wantOnce(false)
	db.refuse.Store(false)
	c.settle(nil)
	c.wantOnce(true)
}
