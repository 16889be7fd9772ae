package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// shelf is an archive that can be full, and of which objects can be altered.
type shelf struct {
	blob.Memory
	full atomic.Bool
	gets atomic.Int64
}

func (s *shelf) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	if s.full.Load() {
		return blob.Info{}, syscall.ENOSPC
	}
	return s.Memory.Put(ctx, key, r)
}

func (s *shelf) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, blob.Info, error) {
	s.gets.Add(1)
	return s.Memory.Get(ctx, key, off, n)
}

func (s *shelf) keys(t *testing.T) (keys []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// change replaces an object by what fn makes of it; nil removes it.
func (s *shelf) change(t *testing.T, key string, fn func([]byte) []byte) {
	t.Helper()
	r, _, err := s.Memory.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if b = fn(b); b == nil {
		return
	}
	if _, err := s.Memory.Put(t.Context(), key, strings.NewReader(string(b))); err != nil {
		t.Fatal(err)
	}
}

// shelved is a trail of which segments are in an archive.
type shelved struct {
	t     *testing.T
	dir   string
	shelf *shelf
	trail *Trail
	n     int
}

func newShelved(t *testing.T) *shelved {
	s := &shelved{t: t, dir: t.TempDir(), shelf: new(shelf)}
	s.open()
	t.Cleanup(func() { s.trail.Close() })
	return s
}

func (s *shelved) open() {
	s.t.Helper()
	var err error
	if s.trail, err = Open(Config{Store: memstore.New(), Dir: s.dir, Archive: s.shelf, Sync: time.Hour}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelved) close() {
	s.t.Helper()
	if err := s.trail.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelved) ship() {
	s.t.Helper()
	if err := s.trail.Ship(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func shelvedID(n int) string { return fmt.Sprintf("event-%05d", n) }

// add begins a segment, with so many records of 20 KB each.
func (s *shelved) add(n int) {
	s.t.Helper()
	limit := func(size int64) {
		l := s.trail.log
		l.mu.Lock()
		defer l.mu.Unlock()
		l.limit = size
	}
	limit(1) // what is there is full
	for range n {
		r := &Record{
			Time: epoch.Add(time.Duration(s.n) * time.Second), Identity: []byte(`{"type":"Root"}`), Source: "kms.amazonaws.com", Name: "Encrypt", Region: "us-east-1",
			EventID: shelvedID(s.n), Type: APICall, Management: true, Recipient: "111122223333", ReadOnly: true,
			RequestParameters: fmt.Appendf(nil, `{"x":%q}`, strings.Repeat("x", 20000)),
		}
		if err := s.trail.Append(r); err != nil {
			s.t.Fatal(err)
		}
		s.n++
		limit(segmentSize)
	}
}

// has reports which of the records are met by Events, by the feed, and by Lookup of their IDs.
func (s *shelved) has() (met [3][]int, damage [3]error) {
	s.t.Helper()
	ctx := s.t.Context()
	note := func(i int) func(rec []byte) error {
		return func(rec []byte) error {
			var n int
			f, err := factsOf(rec)
			if err == nil {
				_, err = fmt.Sscanf(f.event, "event-%d", &n)
			}
			if err != nil {
				s.t.Fatal(err)
			}
			met[i] = append(met[i], n)
			return nil
		}
	}
	damage[0] = s.trail.Each(ctx, Filter{}, func(r Traced) error { return note(0)(r.Record) })
	_, damage[1] = s.trail.Read(ctx, Cursor{}, func(_ Cursor, e Entry) error { return note(1)(e.Record) })
	page, err := s.trail.Lookup(ctx, Query{Account: "111122223333", Region: "us-east-1", Attribute: EventName, Value: "Encrypt", Limit: 10_000})
	if err != nil {
		s.t.Fatal(err)
	}
	damage[2] = page.Damage
	for _, e := range slices.Backward(page.Events) {
		_ = note(2)(e.Record)
	}
	for _, n := range met[2][max(0, len(met[2])-5):] {
		page, err := s.trail.Lookup(ctx, Query{Account: "111122223333", Region: "us-east-1", Attribute: EventID, Value: shelvedID(n), Limit: 1})
		if err != nil || len(page.Events) != 1 {
			s.t.Errorf("Lookup of record %d: %d, %v", n, len(page.Events), err)
		}
	}
	return met, damage
}

func count(from, to int) (all []int) {
	for n := range to - from {
		all = append(all, from+n)
	}
	return all
}

// wantAll sees that all records from the first on are met in every way.
func (s *shelved) wantAll(first int) {
	s.t.Helper()
	met, damage := s.has()
	for i := range met {
		if d := cmp.Diff(count(first, s.n), met[i]); d != "" || damage[i] != nil {
			s.t.Errorf("way %d (-want +got): %v\n%s", i, damage[i], d)
		}
	}
}

func TestArchive(t *testing.T) {
	s := newShelved(t)
	s.add(40)
	s.add(40)
	s.add(10)
	var at Cursor
	at, err := s.trail.Read(t.Context(), at, func(c Cursor, _ Entry) error {
		if c.Offset > 300_000 {
			return ErrEnough
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.wantAll(0)
	s.ship()
	names := files(t, s.dir)
	if keys := s.shelf.keys(t); len(keys) != 4 || len(names) != 1 {
		t.Errorf("the archive holds %v, the directory %v", keys, names)
	}
	s.wantAll(0)
	first := true
	if _, err := s.trail.Read(t.Context(), at, func(c Cursor, e Entry) error {
		if f, _ := factsOf(e.Record); first && c.Segment != at.Segment {
			t.Errorf("the cursor %v went on with %v, %v", at, c, f.event)
		}
		first = false
		return nil
	}); err != nil {
		t.Error(err)
	}
	t.Run("ReadFromTheMiddleIsCheap", func(t *testing.T) {
		before := s.shelf.gets.Load()
		if _, err := s.trail.Read(t.Context(), at, func(Cursor, Entry) error { return ErrEnough }); err != nil {
			t.Fatal(err)
		}
		if n := s.shelf.gets.Load() - before; n > 3 {
			t.Errorf("%d objects were read", n)
		}
	})
	t.Run("Restart", func(t *testing.T) {
		s.close()
		s.open()
		s.wantAll(0)
		s.add(5)
		s.wantAll(0)
	})
	t.Run("ShippingWasCutOff", func(t *testing.T) {
		// The objects are there, and so are the files.
		s.trail.log.others.Wait()
		name := stem(files(t, s.dir)[0])
		for _, suffix := range []string{zstdSuffix, indexSuffix} {
			b, err := os.ReadFile(filepath.Join(s.dir, name+suffix))
			if err != nil {
				t.Fatal(err)
			}
			if suffix == indexSuffix {
				b = b[:len(b)/2] // of another try
			}
			if _, err := s.shelf.Put(t.Context(), archiveKey(name, suffix), strings.NewReader(string(b))); err != nil {
				t.Fatal(err)
			}
		}
		s.close()
		s.open()
		s.wantAll(0)
		s.ship()
		if names := files(t, s.dir); len(names) != 0 {
			t.Errorf("the directory holds %v", names)
		}
		s.wantAll(0)
	})
	t.Run("Prune", func(t *testing.T) {
		if err := s.trail.Prune(t.Context(), epoch.Add(81*time.Second)); err != nil {
			t.Fatal(err)
		}
		if keys := s.shelf.keys(t); len(keys) != 4 {
			t.Errorf("the archive holds %v", keys)
		}
		s.trail.Close()
		s.open()
		met, damage := s.has()
		if !slices.Equal(met[0], count(80, s.n)) || !slices.Equal(met[1], met[0]) || errors.Join(damage[:]...) != nil {
			t.Errorf("after pruning: %v, %v", met[0], damage)
		}
	})
}

func TestArchiveThatTakesNothing(t *testing.T) {
	s := newShelved(t)
	s.add(5)
	s.add(5)
	s.shelf.full.Store(true)
	if err := s.trail.Ship(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Ship: %v", err)
	}
	s.wantAll(0)
	s.shelf.full.Store(false)
	s.ship()
	if keys := s.shelf.keys(t); len(keys) != 2 {
		t.Errorf("the archive holds %v", keys)
	}
	s.wantAll(0)
}

// What was altered is told, and everything else is found.
func TestArchiveThatWasAltered(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x10; return b }
	}
	gone := func([]byte) []byte { return nil }
	for _, tt := range []struct {
		name, suffix string
		change       func([]byte) []byte
		lost         int // how many of the 40 of the segment, at most
		whole        bool
	}{
		{"Block", zstdSuffix, flip(100), 14, false},
		{"Longer", zstdSuffix, func(b []byte) []byte { return append(b, 1) }, 0, false},
		{"Shorter", zstdSuffix, func(b []byte) []byte { return b[:len(b)-1] }, 14, false},
		{"Segment", zstdSuffix, gone, 40, false},
		{"IndexHead", indexSuffix, flip(20), 0, true},
		{"IndexPage", indexSuffix, flip(100), 0, true},
		{"IndexBlocks", indexSuffix, func(b []byte) []byte { b[len(b)-10] ^= 1; return b }, 0, true},
		{"Index", indexSuffix, gone, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			s := newShelved(t)
			s.add(40)
			s.add(40)
			s.add(5)
			s.ship()
			s.close() // nothing is cached
			s.open()
			keys := s.shelf.keys(t) // .idx and .zst of each
			key := keys[2]
			if tt.suffix == zstdSuffix {
				key = keys[3]
			}
			s.shelf.change(t, key, tt.change)
			for range 2 {
				met, damage := s.has()
				for i := range met {
					if !tt.whole && i != 2 && !errors.Is(damage[i], ErrAltered) || tt.whole && damage[i] != nil {
						t.Errorf("way %d tells %v", i, damage[i])
					}
					want := count(0, s.n)
					rest := slices.DeleteFunc(slices.Clone(want), func(n int) bool { return n >= 40 && n < 40+tt.lost })
					if !slices.Equal(slices.DeleteFunc(slices.Clone(met[i]), func(n int) bool { return n >= 40 && n < 40+tt.lost }), rest) && tt.name != "Shorter" ||
						len(met[i]) < s.n-tt.lost || tt.lost > 0 && len(met[i]) == s.n {
						t.Errorf("way %d met %d records", i, len(met[i]))
					}
				}
			}
			s.ship()
			s.close()
			s.open()
			if _, damage := s.has(); tt.whole && errors.Join(damage[:]...) != nil {
				t.Errorf("mended, shipped again, and opened: %v", damage)
			}
		})
	}
}

// A segment is in a copy of the log, or in the archive when that is copied after the log.
func TestArchiveWhileTheLogIsCopied(t *testing.T) {
	s := newShelved(t)
	s.add(2)
	s.add(2)
	s.ship() // the first
	s.add(2)
	m, err := s.trail.Mark()
	if err != nil {
		t.Fatal(err)
	}
	s.ship()
	s.add(2) // is in neither
	var at Cursor
	if at, err = s.trail.Read(t.Context(), at, func(Cursor, Entry) error { return nil }); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "audit")
	if err := m.Copy(func(name string, data io.Reader) error { return WriteCopy(dir, name, data) }); err != nil {
		t.Fatal(err)
	}
	restored := &shelved{t: t, dir: dir, shelf: new(shelf), n: 6}
	for _, key := range s.shelf.keys(t) {
		r, _, err := s.shelf.Get(t.Context(), key, 0, -1)
		if err == nil {
			_, err = restored.shelf.Put(t.Context(), key, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	restored.open()
	defer func() { restored.trail.Close() }()
	restored.wantAll(0)
	restored.n = 100
	restored.add(3)
	// A consumer whose cursor is from after the copy goes on with what comes after it.
	var got []string
	if _, err := restored.trail.Read(t.Context(), at, func(_ Cursor, e Entry) error {
		f, err := factsOf(e.Record)
		got = append(got, f.event)
		return err
	}); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{shelvedID(100), shelvedID(101), shelvedID(102)}, got); d != "" {
		t.Errorf("read from the old cursor (-want +got):\n%s", d)
	}
	s.ship()
	if keys := s.shelf.keys(t); len(keys) != 6 {
		t.Errorf("when the copy was made, the archive holds %v", keys)
	}
}
