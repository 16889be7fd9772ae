package pebblestore_test

import (
	"context"
	"errors"
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

// BenchmarkCommit measures durable transactions that write one of 20,000 keys with 500 bytes, and read it before or not. Set
// HOLDFAST_BENCH_DIR to measure another disk than that of temporary files.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		writers int
		read    bool
	}{{1, true}, {64, true}, {1, false}, {64, false}} {
		b.Run(fmt.Sprintf("Writers%d/Read=%t", c.writers, c.read), func(b *testing.B) {
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
			for range c.writers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						key := fmt.Appendf(nil, "bench\x00000000000000\x00us-east-1\x00key\x00%020d\x00", n*7919%20000)
						err := s.Update(context.Background(), func(tx store.Tx) error {
							if c.read {
								if _, err := tx.Get(key); err != nil && !errors.Is(err, store.ErrNotFound) {
									return err
								}
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

// BenchmarkOpen measures opening a directory with 10,000 keys of 500 bytes, after a crash: all of it is in the log.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	for i := range 100 {
		err := s.Update(b.Context(), func(tx store.Tx) error {
			for j := range 100 {
				tx.Set(fmt.Appendf(nil, "key/%d/%d", i, j), make([]byte, 500))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // does not flush either
		b.Fatal(err)
	}
	for b.Loop() {
		if err := open(b, dir).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
