package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-cloud/holdfast/cache"
)

func TestGet(t *testing.T) {
	ctx := context.Background()
	t.Run("LoadsOnce", func(t *testing.T) {
		var loads int
		c := cache.New(10, func(_ context.Context, k string) (string, error) { loads++; return "value of " + k, nil })
		for range 3 {
			if v, err := c.Get(ctx, "a"); v != "value of a" || err != nil {
				t.Fatalf("Get = %q, %v", v, err)
			}
		}
		if loads != 1 {
			t.Errorf("loaded %d times, want once", loads)
		}
		c.Forget("a")
		c.Get(ctx, "a")
		if loads != 2 {
			t.Errorf("loaded %d times after Forget, want twice", loads)
		}
		if got, want := c.Stats(), (cache.Stats{Values: 1, Loads: 2}); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
	})
	t.Run("KeepsNoError", func(t *testing.T) {
		fail := errors.New("down")
		c := cache.New(10, func(context.Context, string) (int, error) { return 1, fail })
		if _, err := c.Get(ctx, "a"); !errors.Is(err, fail) {
			t.Errorf("Get = %v, want the loader's error", err)
		}
		fail = nil
		if v, err := c.Get(ctx, "a"); v != 1 || err != nil {
			t.Errorf("Get = %d, %v after the loader recovered", v, err)
		}
	})
	t.Run("ForgetOvertakesLoad", func(t *testing.T) {
		var c *cache.Cache[string, int]
		value := 1
		c = cache.New(10, func(_ context.Context, k string) (int, error) {
			v := value
			if v == 1 { // a commit lands between the read and its return
				value = 2
				c.Forget(k)
			}
			return v, nil
		})
		if v, _ := c.Get(ctx, "a"); v != 1 {
			t.Fatalf("first Get = %d, want what was there when it began", v)
		}
		if v, _ := c.Get(ctx, "a"); v != 2 {
			t.Errorf("second Get = %d: the stale value was kept", v)
		}
	})
	t.Run("Bounded", func(t *testing.T) {
		var loads atomic.Int64
		c := cache.New(64, func(_ context.Context, k int) (int, error) { loads.Add(1); return k, nil })
		for i := range 10_000 {
			c.Get(ctx, i)
		}
		before := loads.Load()
		for i := range 10_000 {
			c.Get(ctx, i)
		}
		if again := loads.Load() - before; again < 9_000 {
			t.Errorf("only %d of 10,000 were loaded again: the limit of 64 does not hold", again)
		}
	})
}

func TestWeighed(t *testing.T) {
	ctx := context.Background()
	const limit = 16 * 100
	c := cache.Weighed(limit, func(_ int, v string) int { return len(v) }, func(_ context.Context, k int) (string, error) {
		return strings.Repeat("x", k%70+1), nil
	})
	kept := func(n int) (weight int) {
		loads := c.Stats().Loads
		for k := range n {
			before := c.Stats().Values
			c.Get(ctx, k)
			if now := c.Stats(); now.Loads == loads {
				weight += k%70 + 1
			} else if loads = now.Loads; now.Values > before+1 {
				t.Fatalf("%d values after %d", now.Values, before)
			}
		}
		return weight
	}
	kept(5000)
	// What is left of them all, and of a few.
	if got := c.Stats().Values; got < limit/70 || got > limit/10 {
		t.Errorf("%d values are kept, of 35 each and %d together", got, limit)
	}
	c.Clear()
	for k := range 10 {
		c.Get(ctx, k)
	}
	for k := range 5 {
		c.Forget(k)
	}
	if got := kept(10); got != 6+7+8+9+10 {
		t.Errorf("of a few, those that are kept weigh %d", got)
	}
	heavy := cache.Weighed(10, func(int, int) int { return 1000 }, func(_ context.Context, k int) (int, error) { return k, nil })
	for k := range 100 {
		heavy.Get(ctx, k)
	}
	if got := heavy.Stats().Values; got < 1 || got > 16 {
		t.Errorf("%d values are kept that are too heavy", got)
	}
}

func TestOwning(t *testing.T) {
	copied := 0
	c := cache.New(16, func(context.Context, string) (int, error) { return 1, nil }).Owning(func(k string) string { copied++; return strings.Clone(k) })
	for range 3 {
		c.Get(context.Background(), "a")
	}
	if got := c.Stats(); copied != 1 || got.Loads != 1 {
		t.Errorf("copied %d times for %d loads", copied, got.Loads)
	}
}

// Whatever interleaving: after a change was committed and forgotten, no Get that begins later sees the old value.
func TestNoStaleValueUnderLoad(t *testing.T) {
	ctx := context.Background()
	var truth atomic.Int64
	c := cache.New(10, func(context.Context, string) (int64, error) { return truth.Load(), nil })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Get(ctx, "k")
				}
			}
		})
	}
	for i := int64(1); i <= 20_000; i++ {
		truth.Store(i)
		c.Forget("k")
		if v, _ := c.Get(ctx, "k"); v != i {
			t.Error(fmt.Errorf("Get = %d after %d was committed", v, i))
			break
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkGet(b *testing.B) {
	c := cache.New(10_000, func(_ context.Context, k string) (*int, error) { return new(int), nil })
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Get(ctx, "1234abcd-12ab-34cd-56ef-1234567890ab")
		}
	})
}
