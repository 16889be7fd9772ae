// Package lastuse remembers when things were last used. Uses are many and their last is all that counts, so they are kept in memory and written
// together every Interval: a crash loses that much, while the audit trail has every use.
package lastuse

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

// Interval is how often uses are written.
const Interval = time.Second

// batchSize bounds the uses that one transaction writes.
const batchSize = 200

// Recorder takes the last use, a V, of each thing that is named by a K. All methods may be called concurrently.
type Recorder[K comparable, V any] struct {
	store  store.Store
	write  func(store.Tx, K, V) error
	seed   maphash.Seed
	shards [shardCount]shard[K, V]
}

const shardCount = 16

// shard holds a part of the uses that are not written yet.
type shard[K comparable, V any] struct {
	mu      sync.Mutex // guards the maps; nothing is written to the store under it
	fresh   map[K]V    // not written yet
	writing map[K]V    // being written; not changed any more
}

// New returns a recorder whose uses write puts into the store. It is called again when its transaction conflicts. What is there no more has no use: write
// leaves it out.
func New[K comparable, V any](s store.Store, write func(store.Tx, K, V) error) *Recorder[K, V] {
	r := &Recorder[K, V]{store: s, write: write, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].fresh = make(map[K]V)
	}
	return r
}

func (r *Recorder[K, V]) shard(k K) *shard[K, V] {
	return &r.shards[maphash.Comparable(r.seed, k)%shardCount]
}

// Note notes a use, in place of an earlier one.
func (r *Recorder[K, V]) Note(k K, v V) {
	s := r.shard(k)
	s.mu.Lock()
	s.fresh[k] = v
	s.mu.Unlock()
}

// Last returns the last use if it is not written yet.
func (r *Recorder[K, V]) Last(k K) (v V, ok bool) {
	s := r.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok = s.fresh[k]; !ok {
		v, ok = s.writing[k]
	}
	return v, ok
}

// Pending returns the uses that are not written yet, of the things that match says.
func (r *Recorder[K, V]) Pending(match func(K) bool) map[K]V {
	found := make(map[K]V)
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, m := range []map[K]V{s.writing, s.fresh} {
			for k, v := range m {
				if match(k) {
					found[k] = v
				}
			}
		}
		s.mu.Unlock()
	}
	return found
}

// Run writes the uses every Interval, and what is left when ctx ends. There is one Run of a recorder at a time.
func (r *Recorder[K, V]) Run(ctx context.Context, report func(error)) {
	for range clock.Tick(ctx, Interval) {
		if err := r.flush(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
	}
	if err := r.flush(context.WithoutCancel(ctx)); err != nil {
		report(err)
	}
}

func (r *Recorder[K, V]) flush(ctx context.Context) error {
	for i := range r.shards {
		if err := r.flushShard(ctx, &r.shards[i]); err != nil {
			return fmt.Errorf("writing last uses: %w", err)
		}
	}
	return nil
}

func (r *Recorder[K, V]) flushShard(ctx context.Context, s *shard[K, V]) error {
	for {
		batch := s.take()
		if len(batch) == 0 {
			return nil
		}
		err := r.store.Update(ctx, func(tx store.Tx) error {
			for k, v := range batch {
				if err := r.write(tx, k, v); err != nil {
					return err
				}
			}
			return nil
		})
		s.done(batch, err)
		if err != nil {
			return err
		}
	}
}

func (s *shard[K, V]) take() map[K]V {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := make(map[K]V)
	for k, v := range s.fresh {
		if len(batch) == batchSize {
			break
		}
		batch[k] = v
		delete(s.fresh, k)
	}
	s.writing = batch
	return batch
}

// done ends the writing of a batch, which is fresh again if it failed.
func (s *shard[K, V]) done(batch map[K]V, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = nil
	if err == nil {
		return
	}
	for k, v := range batch {
		if _, later := s.fresh[k]; !later {
			s.fresh[k] = v
		}
	}
}
