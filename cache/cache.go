// Package cache keeps values that are made from records of the store and are asked for at every call: keys
// with their compiled policies, principals with theirs.
package cache

import (
	"context"
	"hash/maphash"
	"sync"
)

// Cache holds values by key until they are forgotten. Forgetting is its owner's duty: it registers with
// store.Store.OnCommit and calls Forget for what a commit touched. A value that was loaded before such a commit and
// arrives after it is returned to its caller, whose call overlapped with the commit, and not kept.
//
// All methods may be called concurrently. Get of a value that is there takes one uncontended read lock and does not
// allocate.
type Cache[K comparable, V any] struct {
	load   func(ctx context.Context, key K) (V, error)
	weigh  func(K, V) int // nil: every value weighs 1
	own    func(K) K      // nil: keys are kept as they are given
	limit  int            // weight, per shard
	seed   maphash.Seed
	shards [shardCount]shard[K, V]
}

const shardCount = 16

type shard[K comparable, V any] struct {
	mu         sync.RWMutex // guards the fields below; nothing is loaded under it
	generation uint64       // advanced by Forget
	values     map[K]V
	weight     int
	loads      uint64
}

// Stats tells how a cache does. Most of the calls that use it should not show in Loads.
type Stats struct {
	Values int    // kept now
	Loads  uint64 // since the cache was made, those that failed included
}

// New returns a cache of at most about limit values, made by load. An error of load is returned and not kept.
func New[K comparable, V any](limit int, load func(ctx context.Context, key K) (V, error)) *Cache[K, V] {
	return Weighed(limit, nil, load)
}

// Weighed is New for values of different sizes that callers choose: together they weigh about limit at most. weigh must always say the same of a value. One
// that is heavier than a sixteenth of the limit is kept alone.
func Weighed[K comparable, V any](limit int, weigh func(K, V) int, load func(ctx context.Context, key K) (V, error)) *Cache[K, V] {
	c := &Cache[K, V]{load: load, weigh: weigh, limit: max(1, limit/shardCount), seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].values = make(map[K]V)
	}
	return c
}

// Owning has the cache keep own(key) in place of each key that it keeps: where keys come as parts of something longer, or may change, own is to copy them. It is
// called before the cache is used.
func (c *Cache[K, V]) Owning(own func(K) K) *Cache[K, V] {
	c.own = own
	return c
}

func (c *Cache[K, V]) shard(key K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%shardCount]
}

// Get returns the value of key, loading it if need be.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (V, error) {
	s := c.shard(key)
	s.mu.RLock()
	v, ok := s.values[key]
	generation := s.generation
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := c.load(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if err != nil {
		return v, err
	}
	if s.generation != generation {
		return v, nil
	}
	c.drop(s, key) // another load may have been quicker
	if c.own != nil {
		key = c.own(key)
	}
	w := c.weightOf(key, v)
	for old := range s.values { // any one: the order of a map is random enough
		if s.weight+w <= c.limit {
			break
		}
		c.drop(s, old)
	}
	s.values[key] = v
	s.weight += w
	return v, nil
}

func (c *Cache[K, V]) weightOf(key K, v V) int {
	if c.weigh == nil {
		return 1
	}
	return c.weigh(key, v)
}

// drop takes a value out of a shard that is locked.
func (c *Cache[K, V]) drop(s *shard[K, V], key K) {
	if v, ok := s.values[key]; ok {
		delete(s.values, key)
		s.weight -= c.weightOf(key, v)
	}
}

// Forget drops the value of key.
func (c *Cache[K, V]) Forget(key K) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	c.drop(s, key)
}

// Clear drops all values.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.generation++
		clear(s.values)
		s.weight = 0
		s.mu.Unlock()
	}
}

// Stats returns the cache's figures.
func (c *Cache[K, V]) Stats() (st Stats) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		st.Values += len(s.values)
		st.Loads += s.loads
		s.mu.RUnlock()
	}
	return st
}
