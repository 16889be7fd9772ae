package pebblestore_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

func open(tb testing.TB, dir string) store.Store {
	tb.Helper()
	s, err := pebblestore.Open(pebblestore.Options{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// BenchmarkCommit measures durable transactions that read one key and write it with 500 bytes. Set
// HOLDFAST_BENCH_DIR to measure another disk than that of temporary files.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("Writers%d", writers), func(b *testing.B) {
			dir := b.TempDir()
			if root := os.Getenv("HOLDFAST_BENCH_DIR"); root != "" {
				var err error
				if dir, err = os.MkdirTemp(root, "bench"); err != nil {
					b.Fatal(err)
				}
				defer os.RemoveAll(dir)
			}
			s := open(b, dir)
			defer s.Close()
			value := make([]byte, 500)
			for i := range value {
				value[i] = byte(i * 7919 >> 3)
			}
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						key := fmt.Appendf(nil, "bench\x00000000000000\x00us-east-1\x00key\x00%020d\x00", n*7919%100000)
						err := s.Update(context.Background(), func(tx store.Tx) error {
							if _, err := tx.Get(key); err != nil && err != store.ErrNotFound {
								return err
							}
							tx.Set(key, value)
							return nil
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			m := s.Metrics()
			b.ReportMetric(float64(m.Conflicts), "conflicts")
		})
	}
}

// BenchmarkGet measures a View of one key.
func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	key := []byte("key")
	if err := s.Update(b.Context(), func(tx store.Tx) error { tx.Set(key, make([]byte, 500)); return nil }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.View(b.Context(), func(r store.Reader) error { _, err := r.Get(key); return err }); err != nil {
			b.Fatal(err)
		}
	}
}
