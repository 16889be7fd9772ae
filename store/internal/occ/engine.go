// Package occ makes a transactional store out of an engine that has snapshots and atomic batches,
// by optimistic concurrency control.
//
// A transaction remembers the keys and ranges it read. The store keeps the keys of recent commits, each with a
// version. To commit, a transaction takes the next version under one lock, if no commit after its snapshot wrote into
// what it read; the engine applies the batch under the same lock, so engine order is commit order. Waiting
// for the disk happens outside, where the engine groups the waits of many.
//
// A snapshot may thus contain commits that are not on disk yet. Two rules keep that from being noticed. A
// transaction that writes is behind those commits in the same log, so it is never durable without them. A
// transaction that only reads waits, before it ends, for those of them that wrote into what it read; if
// none did, its reads are the same as at the last durable version, and it waits for nothing.
package occ

import (
	"iter"

	"github.com/holdfast-cloud/holdfast/store"
)

// Engine is what occ needs below it.
type Engine interface {
	// Snapshot returns the state with every applied batch in it. It is never called at the same time as Apply.
	Snapshot() (Snapshot, error)
	// Prepare encodes a batch; size is the sum of the bytes of keys and values. It may refuse with ErrFull.
	Prepare(writes iter.Seq2[[]byte, Write], size int) (Batch, error)
	// Close is called once, when no call is under way. Snapshots have been closed.
	Close() error
	// Metrics fills in what the engine knows.
	Metrics(*store.Metrics)
}

// Snapshot is one consistent state. It may be read by several goroutines at once.
type Snapshot interface {
	// Get returns a value that stays valid, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Cursor walks over from <= key < to, descending if reverse; a nil to means to the end.
	Cursor(from, to []byte, reverse bool) (Cursor, error)
	Close()
}

// Cursor starts before its first pair. Key and Value are valid until the next call of Next.
type Cursor interface {
	Next() bool
	Key() []byte
	Value() []byte
	// Err says why Next returned false, if not at the end.
	Err() error
	Close()
}

// Batch is applied once, or closed without.
type Batch interface {
	// Apply makes the batch visible in snapshots. Calls come one at a time. An error means that the engine is broken.
	Apply() error
	// Sync waits until the batch and all applied before it are durable. An error means that the engine is broken.
	Sync() error
	Close()
}

// Write is the new value of a key, or its deletion.
type Write struct {
	Value  []byte
	Delete bool
}
