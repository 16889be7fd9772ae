package lastuse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

type use struct {
	Name string
	N    int
}

var table = store.NewTable("test", "use", func(u *use) store.Key { return store.Key{u.Name} })

func put(tx store.Tx, k string, n int) error { return table.In("", "").Put(tx, &use{k, n}) }

func stored(t *testing.T, s store.Store) map[string]int {
	t.Helper()
	found := make(map[string]int)
	err := s.View(t.Context(), func(r store.Reader) error {
		for u, err := range table.In("", "").Scan(r, store.Query{}) {
			if err != nil {
				return err
			}
			found[u.Name] = u.N
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRecorder(t *testing.T) {
	s := memstore.New()
	r := New(s, put)
	t.Run("WrittenAtTheEnd", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx, func(err error) { t.Error(err) }) })
		var noting sync.WaitGroup
		for range 2 {
			noting.Go(func() {
				for i := range 2 * batchSize * shardCount {
					r.Note(fmt.Sprint(i%(2*batchSize*shardCount)), 1)
				}
			})
		}
		noting.Wait()
		r.Note("0", 2)
		if n, ok := r.Last("0"); n != 2 || !ok {
			t.Errorf("the last use is %d, %v", n, ok)
		}
		stop()
		running.Wait()
		if all := stored(t, s); len(all) != 2*batchSize*shardCount || all["0"] != 2 || all["1"] != 1 {
			t.Errorf("%d uses are stored; those of 0 and 1 are %d and %d", len(all), all["0"], all["1"])
		}
		if _, ok := r.Last("0"); ok {
			t.Error("what is written is still kept")
		}
	})
	t.Run("Pending", func(t *testing.T) {
		r.Note("a", 3)
		r.Note("b", 4)
		if all := r.Pending(func(k string) bool { return k == "a" }); len(all) != 1 || all["a"] != 3 {
			t.Errorf("pending are %v", all)
		}
	})
	t.Run("KeptWhenWritingFails", func(t *testing.T) {
		broken := errors.New("no")
		fail := true
		r := New(s, func(tx store.Tx, k string, n int) error {
			if fail {
				return broken
			}
			return put(tx, k, n)
		})
		r.Note("kept", 1)
		if err := r.flush(t.Context()); !errors.Is(err, broken) {
			t.Errorf("flush: %v", err)
		}
		if n, ok := r.Last("kept"); n != 1 || !ok {
			t.Errorf("the last use is %d, %v", n, ok)
		}
		fail = false
		if err := r.flush(t.Context()); err != nil || stored(t, s)["kept"] != 1 {
			t.Errorf("flush: %v; stored is %d", err, stored(t, s)["kept"])
		}
	})
}

func BenchmarkNote(b *testing.B) {
	r := New(memstore.New(), put)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("AKIAIOSFODNN7EXAMPLE", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r.Note(keys[i%len(keys)], i)
		}
	})
}
