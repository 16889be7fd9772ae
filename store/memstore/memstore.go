// Package memstore is a store in memory, for tests and for state that need not outlive the process.
package memstore

import (
	"iter"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/internal/occ"
	"github.com/holdfast-cloud/holdfast/store/internal/ordered"
)

// New returns an empty store. Its commits are durable only in the sense that later readers see them.
func New() store.Store { return occ.New(&engine{}) }

// engine keeps an immutable map and replaces it with each batch, so that a snapshot is a copy of the map's root.
// occ calls Snapshot and Apply one at a time.
type engine struct{ data ordered.Map[[]byte] }

func (e *engine) Snapshot() (occ.Snapshot, error) { return snapshot{e.data}, nil }

func (e *engine) Prepare(writes iter.Seq2[[]byte, occ.Write], size int) (occ.Batch, error) {
	return batch{e, writes}, nil
}

func (e *engine) Close() error           { return nil }
func (e *engine) Metrics(*store.Metrics) {}

type batch struct {
	e      *engine
	writes iter.Seq2[[]byte, occ.Write]
}

func (b batch) Apply() error {
	for k, w := range b.writes {
		if w.Delete {
			b.e.data = b.e.data.Delete(k)
		} else {
			b.e.data = b.e.data.Set(k, w.Value)
		}
	}
	return nil
}

func (b batch) Sync() error { return nil }
func (b batch) Close()      {}

type snapshot struct{ data ordered.Map[[]byte] }

func (s snapshot) Get(key []byte) ([]byte, error) {
	if v, ok := s.data.Get(key); ok {
		return v, nil
	}
	return nil, store.ErrNotFound
}

func (s snapshot) Cursor(from, to []byte, reverse bool) (occ.Cursor, error) {
	return cursor{s.data.Cursor(from, to, reverse)}, nil
}

func (s snapshot) Close() {}

type cursor struct{ *ordered.Cursor[[]byte] }

func (c cursor) Err() error { return nil }
func (c cursor) Close()     {}
