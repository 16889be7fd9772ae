package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// fickle is a store in which deletions can fail, before they take effect or after.
type fickle struct {
	store.Store
	refuse, forget atomic.Bool
}

func (s *fickle) Update(ctx context.Context, fn func(store.Tx) error) error {
	deletes := false
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d := &deletions{Tx: tx}
		if err := fn(d); err != nil {
			return err
		}
		if deletes = d.any; deletes && s.refuse.Load() {
			return store.ErrFull
		}
		return nil
	})
	if err == nil && deletes && s.forget.Load() {
		return store.ErrCommitUnknown
	}
	return err
}

type deletions struct {
	store.Tx
	any bool
}

func (d *deletions) Delete(key []byte) { d.any = true; d.Tx.Delete(key) }

// changes is a trail of changes, on a disk with faults.
type changes struct {
	t     *testing.T
	dir   string
	store *fickle
	disk  *faultyDisk
	trail *Trail
	want  []string
}

func newChanges(t *testing.T) *changes {
	c := &changes{t: t, dir: t.TempDir(), store: &fickle{Store: memstore.New()}, disk: &faultyDisk{space: -1}}
	c.open()
	t.Cleanup(func() { c.trail.Close() })
	return c
}

func (c *changes) open() {
	c.t.Helper()
	var err error
	if c.trail, err = Open(Config{Store: c.store, Dir: c.dir, Sync: time.Hour}); err != nil {
		c.t.Fatal(err)
	}
	l := c.trail.log
	if l.spool != nil {
		if err := l.spool.close(); err != nil {
			c.t.Fatal(err)
		}
		l.spool = nil
	}
	l.create = func(path string) (segmentFile, error) {
		f, err := createSegment(path)
		if err != nil {
			return nil, err
		}
		return &faultyFile{f.(plainFile), c.disk}, nil
	}
}

func (c *changes) reopen() {
	c.t.Helper()
	_ = c.trail.Close()
	c.open()
}

func (c *changes) record() *Record {
	n := len(c.want)
	c.want = append(c.want, fmt.Sprintf("event-%04d", n))
	return &Record{
		Time: epoch.Add(time.Duration(n) * 300 * time.Millisecond), Identity: []byte(`{"type":"Root"}`), Source: "kms.amazonaws.com", Name: "CreateKey", Region: "us-east-1",
		EventID: c.want[n], Type: APICall, Management: true, Recipient: "111122223333",
	}
}

func (c *changes) commit(n int) {
	c.t.Helper()
	for range n {
		r := c.record()
		if err := c.store.Update(c.t.Context(), func(tx store.Tx) error { c.trail.Commit(tx, r); return nil }); err != nil {
			c.t.Fatal(err)
		}
	}
}

// wantOnce sees that every way to read tells each record once. feed says whether all of them are in the log.
func (c *changes) wantOnce(feed bool) {
	c.t.Helper()
	ctx := c.t.Context()
	var listed, lookedUp, fed []string
	id := func(rec []byte) string {
		f, err := factsOf(rec)
		if err != nil {
			c.t.Fatal(err)
		}
		return f.event
	}
	for rec, err := range c.trail.Stream(ctx, Filter{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		listed = append(listed, id(rec))
	}
	page, err := c.trail.Lookup(ctx, Query{Account: "111122223333", Region: "us-east-1", Attribute: EventName, Value: "CreateKey", Limit: 10_000})
	if err != nil || page.Damage != nil {
		c.t.Fatal(err, page.Damage)
	}
	for _, e := range page.Events {
		lookedUp = append(lookedUp, e.ID)
	}
	slices.Reverse(lookedUp)
	if d := cmp.Diff(c.want, listed); d != "" {
		c.t.Errorf("Stream (-want +got):\n%s", d)
	}
	if d := cmp.Diff(c.want, lookedUp); d != "" {
		c.t.Errorf("Lookup (-want +got):\n%s", d)
	}
	if !feed {
		return
	}
	if _, err := c.trail.Read(ctx, Cursor{}, func(_ Cursor, e Entry) error { fed = append(fed, id(e.Record)); return nil }); err != nil {
		c.t.Error(err)
	}
	slices.Sort(fed)
	if d := cmp.Diff(c.want, fed); d != "" {
		c.t.Errorf("Read (-want +got):\n%s", d)
	}
}

func (c *changes) settle(want error) {
	c.t.Helper()
	if err := c.trail.Settle(c.t.Context()); !errors.Is(err, want) {
		c.t.Errorf("Settle = %v, want %v", err, want)
	}
}

func TestMove(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		c := newChanges(t)
		c.commit(10)
		c.wantOnce(false)
		c.settle(nil)
		c.wantOnce(true)
		c.reopen()
		c.commit(stepRecords + 10)
		c.settle(nil)
		c.wantOnce(true)
	})
	t.Run("LogIsFull", func(t *testing.T) {
		c := newChanges(t)
		c.commit(10)
		c.disk.set(func() { c.disk.space = 100 })
		c.settle(syscall.ENOSPC)
		c.wantOnce(false)
		c.commit(10)
		c.wantOnce(false)
		c.disk.set(func() { c.disk.space = -1 })
		c.settle(nil)
		c.wantOnce(true)
	})
	t.Run("NoFsync", func(t *testing.T) {
		c := newChanges(t)
		c.commit(10)
		c.disk.set(func() { c.disk.noSync = true })
		c.settle(syscall.EIO)
		c.wantOnce(false)
		c.commit(10)
		c.wantOnce(false)
		c.settle(syscall.EIO)
		c.wantOnce(false)
		c.disk.set(func() { c.disk.noSync = false })
		c.settle(nil)
		c.wantOnce(true)
	})
	for name, restart := range map[string]bool{"": false, "AndRestart": true} {
		t.Run("StoreIsFull"+name, func(t *testing.T) {
			c := newChanges(t)
			c.commit(10)
			c.store.refuse.Store(true)
			c.settle(store.ErrFull)
			c.wantOnce(true)
			if restart {
				c.reopen()
				c.wantOnce(true)
			}
			c.commit(10)
			c.wantOnce(false)
			c.settle(store.ErrFull)
			c.wantOnce(true)
			c.store.refuse.Store(false)
			c.settle(nil)
			c.wantOnce(true)
			if got, _, _ := c.trail.oldestRows(t.Context()); len(got) > 0 {
				t.Errorf("%d records are still in the store", len(got))
			}
		})
		t.Run("OutcomeUnknown"+name, func(t *testing.T) {
			c := newChanges(t)
			c.commit(10)
			c.store.forget.Store(true)
			c.settle(store.ErrCommitUnknown)
			c.wantOnce(true)
			c.store.forget.Store(false)
			if restart {
				c.reopen()
			}
			c.commit(10)
			c.wantOnce(false)
			c.settle(nil)
			c.wantOnce(true)
		})
	}
	t.Run("AsAnEarlierVersionKeptThem", func(t *testing.T) {
		c := newChanges(t)
		for range 5 {
			r := c.record()
			err := c.store.Store.Update(t.Context(), func(tx store.Tx) error {
				tx.Set(rowKey(r.Time, r.EventID, r.Recipient), r.AppendJSON(nil))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		c.store.refuse.Store(true)
		c.settle(store.ErrFull)
		c.wantOnce(true)
		c.store.refuse.Store(false)
		c.reopen()
		c.settle(nil)
		c.wantOnce(true)
	})
	t.Run("WhatIsNoRecord", func(t *testing.T) {
		c := newChanges(t)
		err := c.store.Store.Update(t.Context(), func(tx store.Tx) error {
			tx.Set(rowKey(epoch, "x", "y"), []byte("no JSON"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.settle(nil) // or nothing behind it would ever move
		if got, _, _ := c.trail.oldestRows(t.Context()); len(got) > 0 {
			t.Error("it is still in the store")
		}
		if _, err := c.trail.Read(t.Context(), Cursor{}, func(Cursor, Entry) error { return nil }); !errors.Is(err, ErrAltered) {
			t.Errorf("Read = %v", err)
		}
	})
	t.Run("ForABackup", func(t *testing.T) {
		c := newChanges(t)
		c.commit(1)
		m, err := c.trail.Mark()
		if err != nil {
			t.Fatal(err)
		}
		moved := make(chan error)
		go func() { moved <- c.trail.Settle(t.Context()) }()
		select {
		case <-moved:
			t.Error("a record moved before the store was looked at")
		case <-time.After(20 * time.Millisecond):
		}
		m.Beheld()
		if err := errors.Join(<-moved, m.Close()); err != nil {
			t.Error(err)
		}
		c.wantOnce(true)
	})
}

// The names of segments stay in order when the clock goes back, and what is looked up is found.
func TestClockThatGoesBack(t *testing.T) {
	for name, packed := range map[string]bool{"AcrossARestart": false, "AcrossTwo": true} {
		t.Run(name, func(t *testing.T) {
			s := newShelved(t)
			s.n = 1000
			s.add(3)
			s.close()
			s.open()
			if packed {
				s.trail.log.others.Wait()
				s.ship()
				s.close()
				s.open()
			}
			s.n = 100
			s.add(3)
			s.n = 50
			s.add(3) // within a run
			l := s.trail.log
			for i, seg := range l.segments[1:] {
				if young := epoch.Add(1002 * time.Second); seg.at.Before(young) {
					t.Errorf("segment %d is named after %v, and the one before holds a record of %v", i+1, seg.at, young)
				}
			}
			page, err := s.trail.Lookup(t.Context(), Query{Account: "111122223333", Region: "us-east-1", Limit: 100, From: epoch.Add(100 * time.Second)})
			if err != nil || len(page.Events) != 6 || page.Events[0].ID != shelvedID(1002) || page.Events[5].ID != shelvedID(100) {
				t.Errorf("Lookup: %d events, %v", len(page.Events), err)
			}
		})
	}
}

func TestSegmentThatIsMissing(t *testing.T) {
	s := newShelved(t)
	for range 3 {
		s.add(2)
	}
	s.trail.log.syncNow()
	s.trail.log.others.Wait()
	names := files(t, s.dir)
	remove := func() {
		for _, path := range []string{names[1], stem(names[1]) + indexSuffix} {
			if err := os.Remove(filepath.Join(s.dir, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove()
	for _, when := range []string{"while the log is open", "before it was opened"} {
		met, damage := s.has()
		for i := range met {
			if !slices.Equal(met[i], []int{0, 1, 4, 5}) || i < 2 && !errors.Is(damage[i], ErrAltered) {
				t.Errorf("%s, way %d: %v, %v", when, i, met[i], damage[i])
			}
		}
		s.close()
		s.open()
	}
}

// What can be read of a compressed segment without an index is read, and once only: then it has an index, and the rest is known to be damaged.
func TestCompressedSegmentThatCannotBeRead(t *testing.T) {
	s := newShelved(t)
	s.add(40)
	s.add(2)
	s.trail.log.syncNow()
	s.trail.log.others.Wait()
	name := files(t, s.dir)[0]
	path := filepath.Join(s.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)/2:], bytes.Repeat([]byte{0xff}, 100))
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.Remove(strings.TrimSuffix(path, zstdSuffix)+indexSuffix)); err != nil {
		t.Fatal(err)
	}
	s.close()
	s.open()
	for range 2 {
		met, damage := s.has()
		for i := range met {
			if n := len(met[i]); n < 12 || n >= 42 || !slices.Contains(met[i], 41) || !errors.Is(damage[i], ErrAltered) {
				t.Errorf("way %d: %v, %v", i, met[i], damage[i])
			}
		}
	}
	x, err := openIndex(strings.TrimSuffix(path, zstdSuffix) + indexSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	blocks, err := x.table()
	if n := len(blocks); err != nil || n < 2 || !blocks[n-1].unreadable() || int(blocks[n-1].rawLen) != len(b) {
		t.Errorf("blocks %+v, %v, want the damaged file as the last", blocks, err)
	}
}
