package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// Owner knows the records of the objects below one prefix. It returns those of the keys that no record names.
type Owner func(ctx context.Context, keys []string) (unnamed []string, err error)

// Sweeper removes objects that no record names: what a crash leaves between an object and its record. Objects without an
// owner stay.
type Sweeper struct {
	Store  Store
	Owners map[string]Owner // by prefix; none is a prefix of another

	objects, bytes, removed atomic.Int64
}

// Usage is what the last look found, and what was removed since the start.
type Usage struct{ Objects, Bytes, Removed int64 }

// Usage returns the figures at hand.
func (s *Sweeper) Usage() Usage { return Usage{s.objects.Load(), s.bytes.Load(), s.removed.Load()} }

// A record comes after its object, and how long after is its owner's matter; grace is more than any takes. It is of the
// machine's time, as is what it waits for.
const grace = time.Hour

// Run sweeps at the start and each day until the context ends. It sets out the suspects and removes them later.
func (s *Sweeper) Run(ctx context.Context, failed func(error)) {
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
	for {
		suspects, err := s.Look(ctx)
		report(err)
		if clock.Pause(ctx, grace) != nil {
			return
		}
		report(s.Remove(ctx, suspects))
		if clock.Pause(ctx, 24*time.Hour-grace) != nil {
			return
		}
	}
}

// Look returns the objects that no record names at present. Some of them may be waiting for theirs. With an error come those that were found.
func (s *Sweeper) Look(ctx context.Context) (suspects []string, err error) {
	var objects, bytes int64
	var errs []error
	b := batch{s: s}
	for info, err := range s.Store.List(ctx, "", "") {
		if err != nil {
			errs = append(errs, fmt.Errorf("sweeping: %w", err))
			break
		}
		objects, bytes = objects+1, bytes+max(info.Size, 0)
		unnamed, err := b.add(ctx, info.Key)
		suspects, errs = append(suspects, unnamed...), append(errs, err)
	}
	unnamed, err := b.flush(ctx)
	suspects, errs = append(suspects, unnamed...), append(errs, err)
	s.objects.Store(objects)
	s.bytes.Store(bytes)
	return suspects, errors.Join(errs...)
}

// Remove deletes those of the suspects that still no record names. The caller has waited.
func (s *Sweeper) Remove(ctx context.Context, suspects []string) error {
	var errs []error
	b := batch{s: s}
	remove := func(unnamed []string, err error) {
		errs = append(errs, err)
		for _, key := range unnamed {
			if err := s.Store.Delete(ctx, key); err != nil {
				errs = append(errs, err)
				continue
			}
			s.removed.Add(1)
		}
	}
	for _, key := range slices.Sorted(slices.Values(suspects)) {
		remove(b.add(ctx, key))
	}
	remove(b.flush(ctx))
	return errors.Join(errs...)
}

// batch asks owners about many keys at a time. They come in order.
type batch struct {
	s      *Sweeper
	prefix string // of keys, if there are any
	keys   []string
}

const batchSize = 500

func (b *batch) add(ctx context.Context, key string) (unnamed []string, err error) {
	if len(b.keys) == batchSize || len(b.keys) > 0 && !strings.HasPrefix(key, b.prefix) {
		unnamed, err = b.flush(ctx)
	}
	if len(b.keys) == 0 {
		for prefix := range b.s.Owners {
			if strings.HasPrefix(key, prefix) {
				b.prefix, b.keys = prefix, append(b.keys, key)
			}
		}
		return unnamed, err
	}
	b.keys = append(b.keys, key)
	return unnamed, err
}

func (b *batch) flush(ctx context.Context) ([]string, error) {
	if len(b.keys) == 0 {
		return nil, nil
	}
	keys := b.keys
	b.keys = nil
	unnamed, err := b.s.Owners[b.prefix](ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("asking whose %d objects below %s are: %w", len(keys), b.prefix, err)
	}
	return unnamed, nil
}
