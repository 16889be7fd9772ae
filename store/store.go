// Package store is Holdfast's state: an ordered key-value store with serializable transactions.
//
// The semantics are FoundationDB's in a small interface. A transaction reads from one consistent
// snapshot and sees its own buffered writes on top of it, in scans too. Commit succeeds only if
// nothing that the transaction read has changed since its snapshot: neither a key it got, nor a key it
// found missing, nor the contents of a range it scanned. So the committed transactions are equivalent
// to running them one at a time, in the order in which they committed, and that order agrees with real
// time: what was committed before Begin is seen.
//
// Engines live below this package (memstore, pebblestore) and pass one suite, storetest. Over any of
// them, [Table] keeps typed records with secondary indexes.
package store

import (
	"context"
	"errors"
	"iter"
)

// Limits hold for every engine; a transaction that breaks one fails its Commit with ErrTooLarge.
const (
	// MaxKeySize is in bytes. PostgreSQL's B-tree holds an index row of about 2,700 bytes, so longer keys could
	// not move there.
	MaxKeySize = 2048
	// MaxValueSize is in bytes. What is larger belongs into blob.
	MaxValueSize = 1 << 20
	// MaxTxSize is the sum of the keys and values that one transaction writes, in bytes.
	MaxTxSize = 16 << 20
)

// The errors of a store. Ask with errors.Is: most come wrapped in what was going on.
var (
	// ErrNotFound: there is no such key or record.
	ErrNotFound = errors.New("not found")
	// ErrExists: the record, or a record with the same unique index entry, is there already (tables only).
	ErrExists = errors.New("exists already")
	// ErrConflict: something that the transaction read has changed. Nothing was written; run it again from its beginning.
	ErrConflict = errors.New("transaction conflict")
	// ErrCommitUnknown: the commit was sent on its way and its outcome is not known. It may have taken
	// effect, now or a little later. Do not run it again unless doing it twice does no harm.
	ErrCommitUnknown = errors.New("commit outcome unknown")
	// ErrTooLarge: a key, a value or the transaction exceeds the limits above. Nothing was written.
	ErrTooLarge = errors.New("transaction exceeds the store's limits")
	// ErrFull: there is too little disk space left to write safely. Nothing was written; reads go on, and
	// writes succeed again when there is space.
	ErrFull = errors.New("store is full")
	// ErrFailed: the disk failed under the store, which refuses everything until it is opened again.
	ErrFailed = errors.New("store has failed")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
	// ErrTxDone: the transaction was committed or discarded before.
	ErrTxDone = errors.New("transaction is over")
	// ErrInUse: another process has the data directory open.
	ErrInUse = errors.New("data directory is in use")
)

// IgnoreNotFound is nil if err is ErrNotFound, and err otherwise.
func IgnoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Store is an ordered key-value store. Keys order by bytes. All methods may be called concurrently.
type Store interface {
	// Update runs fn in a transaction and commits it durably: when Update returns nil, what fn wrote survives a
	// crash. On ErrConflict fn is run again in a new transaction, so it must be a function of what it reads;
	// effects outside of the transaction belong into Tx.OnCommitted. An error of fn discards the transaction and is
	// returned as it is. ErrCommitUnknown is never retried: a caller that must know writes a
	// token of its own in the transaction and looks for it.
	Update(ctx context.Context, fn func(Tx) error) error

	// View runs fn on one consistent snapshot, which contains every commit that returned before View was called. What
	// fn has read is durable when View returns nil, not before.
	View(ctx context.Context, fn func(Reader) error) error

	// Begin starts a transaction for callers that drive commit and retry themselves. It costs next to
	// nothing: the snapshot is taken by the first read. Every transaction must end in Commit or Discard.
	Begin(ctx context.Context) (Tx, error)

	// OnCommit has fn called with the keys under prefix that a commit wrote or deleted, in order. It is called
	// before any reader can see the commit (so nobody who has seen it is served by a cache what was there before) and
	// before it is durable: the commit may still fail, with an unknown outcome. Calls come one at a time. Commits of
	// other processes, with engines that have them, are told of within a second. fn must be quick, must not keep the slice,
	// and must not use the store.
	//
	// A cache that is filled from a View can be overtaken by an invalidation. It must note a generation before the
	// View, have fn advance it, and keep what it read only if the generation still stands.
	OnCommit(prefix []byte, fn func(keys [][]byte))

	// Metrics returns counters since the store was opened.
	Metrics() Metrics

	// Close waits for commits that are under way and releases the engine. Transactions still open get ErrClosed.
	Close() error
}

// Reader reads from one consistent snapshot. It is used by one goroutine at a time and not after its function returned.
type Reader interface {
	// Get returns the value of key, or ErrNotFound. The caller may keep the value but not change it.
	Get(key []byte) ([]byte, error)

	// Scan iterates over from <= key < to; a nil to means to the end. The pairs may be kept but not
	// changed. The iteration shows the transaction as it was when the loop began: writes made in the loop's body do not
	// appear in it. An error is yielded last, with a zero KV. Only what the loop has passed counts as read.
	Scan(from, to []byte, opts ScanOptions) iter.Seq2[KV, error]
}

// KV is one pair.
type KV struct{ Key, Value []byte }

// ScanOptions; the zero value is everything in ascending order.
type ScanOptions struct {
	// Reverse iterates in descending order, beginning below to.
	Reverse bool
	// Limit ends the scan after so many pairs; 0 means no limit.
	Limit int
}

// Tx is a transaction, used by one goroutine at a time.
type Tx interface {
	Reader

	// Set writes value under key. Both are copied. A breach of the limits is reported by Commit.
	Set(key, value []byte)

	// Delete removes key; that it is not there is no error.
	Delete(key []byte)

	// Mark remembers what was written so far, and Reset forgets what was written (and the OnCommitted
	// functions given) since: the means for a step of a transaction to fail without the whole. What was read in between still
	// counts as read.
	Mark() Mark
	Reset(Mark)

	// OnCommitted has fn called after the commit is durable, before Commit returns, in the order given. It is not
	// called when the commit fails or its outcome is unknown.
	OnCommitted(fn func())

	// Commit validates what was read, writes durably, and ends the transaction whatever it returns. A
	// transaction that wrote nothing commits without I/O and without conflict (though it waits for the
	// commits that it has seen to be durable).
	// ctx is looked at before the commit starts; once started it is carried through.
	Commit(ctx context.Context) error

	// Discard ends the transaction without writing; after Commit it does nothing. Like a commit without writes it waits for the
	// commits that the transaction has seen to be durable, so that an answer made from them stays true.
	Discard()
}

// Mark is a point in a transaction. It is valid in the transaction that made it, until that is over or was Reset to an earlier one.
type Mark struct {
	// Point is the engine's own.
	Point any
}

// Metrics are counters since the store was opened, except where they say otherwise.
type Metrics struct {
	Commits   uint64 // transactions with writes that became durable
	Reads     uint64 // transactions and views that ended without writing
	Conflicts uint64 // commits answered ErrConflict
	Retries   uint64 // times Update ran its function again
	Written   uint64 // bytes of keys and values committed
	SyncNanos uint64 // time that commits waited to become durable, summed over commits
	DiskBytes uint64 // size on disk now
	DiskFree  uint64 // free bytes where the data is; 0 if the engine has no disk
	DiskSpare uint64 // of those, how many the store leaves alone: below, commits get ErrFull
	Active    int    // transactions open now that have read
}

// maxAttempts bounds Update. A transaction that lost so often competes with a stream of faster ones; its caller should
// hear of it instead of burning a core.
const maxAttempts = 200

// RunUpdate is the retry loop, for engines to implement Store.Update with. retried is called before each further attempt.
func RunUpdate(ctx context.Context, begin func(context.Context) (Tx, error), fn func(Tx) error, retried func()) error {
	var err error
	for attempt := range maxAttempts {
		if attempt > 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			retried()
		}
		if err = runOnce(ctx, begin, fn); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

func runOnce(ctx context.Context, begin func(context.Context) (Tx, error), fn func(Tx) error) error {
	tx, err := begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Discard() // also when fn panics
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// PrefixEnd returns the first key after all keys that begin with prefix, or nil if there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := make([]byte, i+1)
			copy(end, prefix)
			end[i]++
			return end
		}
	}
	return nil
}
