// Package pebblestore is the embedded store: one local directory, kept by the pebble LSM engine.
//
// A commit returns when it is in the log and the log is synced to disk; commits under way at the same
// time share a sync. README.md of package store says how the engine was chosen and what it measures.
package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"runtime"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/internal/occ"
)

// Options say where and how to keep the store. Only Dir is required.
type Options struct {
	// Dir is created, readable by its owner only, if it is not there. It belongs to one open store at a time.
	Dir string
	// CacheSize is the memory for blocks read from disk, in bytes; 0 means 32 MiB.
	CacheSize int64
	// MemTableSize is the memory for recent writes, in bytes, of which there are a few at times; 0 means 16 MiB.
	MemTableSize int64
	// MinFree is the free disk space, in bytes, below which commits get store.ErrFull, so that the engine can still finish
	// what it has begun. 0 means 64 MiB; negative means none.
	MinFree int64
	// Log gets the engine's troubles, and at debug level its doings; nil means nowhere.
	Log *slog.Logger

	fs vfs.FS // for tests; nil means the real one
}

// The sizes when none are given.
const (
	defaultCacheSize    = 32 << 20
	defaultMemTableSize = 16 << 20
	defaultMinFree      = 64 << 20
)

// Open opens the store in a directory. It returns store.ErrInUse if it is open already, here or in another process.
func Open(o Options) (store.Store, error) {
	if o.Dir == "" {
		return nil, errors.New("pebblestore: no directory given")
	}
	if o.CacheSize == 0 {
		o.CacheSize = defaultCacheSize
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = defaultMemTableSize
	}
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if err := makeDir(o.fs, o.Dir); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	e := &engine{minFree: uint64(max(o.MinFree, 0)), memTable: uint64(o.MemTableSize), dir: o.Dir, events: make(chan struct{})}
	e.free.Store(math.MaxUint64)
	e.disk = newDisk(o.fs, func(err error) {
		o.Log.Error("the store's disk failed; nothing more is read or written until it is opened again", "error", err)
		e.event()
	}, e.event)
	// Pebble takes the memory of memtables from the cache's: mostly there is one that is written to, and one that is flushed.
	cache := pebble.NewCache(o.CacheSize + 2*o.MemTableSize)
	defer cache.Unref() // pebble holds its own reference
	log := logger{o.Log, e.disk}
	po := &pebble.Options{
		FS:           e.disk,
		Cache:        cache,
		MemTableSize: uint64(o.MemTableSize),
		// Pebble must never hold a commit back by itself, as that would be under the store's lock and, on a
		// failed disk, forever. See engine.backpressure.
		MemTableStopWritesThreshold: 64,
		L0StopWritesThreshold:       1000,
		MaxOpenFiles:                256,
		// Fixed, so that only a deliberate change makes directories that an older binary cannot open.
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             log,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { o.Log.Error("background work of the store", "error", err) },
			DataCorruption:  func(info pebble.DataCorruptionInfo) { e.disk.fail(fmt.Errorf("data is corrupt: %s", info)) },
			FlushEnd:        func(pebble.FlushInfo) { e.event() },
			CompactionEnd:   func(pebble.CompactionInfo) { e.event() },
		},
	}
	for i := range po.Levels {
		// Most transactions look for something that should not be there. Ten bits a key make that cheap.
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		po.Levels[i].IndexBlockSize = 256 << 10 // one level of index a table, which saves a search
	}
	err := e.disk.run(func() error {
		db, err := pebble.Open(o.Dir, po)
		e.db = db
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", o.Dir, err), e.disk.unlock())
	}
	e.disk.setPatient(true)
	return occ.New(e), nil
}

// makeDir creates dir and its parents for their owner only, and makes their names durable: pebble syncs what is in dir, not dir's own name. An existing
// one keeps its mode: its owner chose it.
func makeDir(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := fsys.PathDir(dir)
	if parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, os.FileMode(0o700)); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := fsys.OpenDir(parent)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// logger is pebble's way to us.
type logger struct {
	log  *slog.Logger
	disk *disk
}

func (l logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

// Fatalf must not return. It is called when an invariant of pebble is broken, but not for failed
// writes, which the disk keeps from it. The disk is frozen in the state it has, and this goroutine ends.
func (l logger) Fatalf(format string, args ...any) {
	l.disk.fail(fmt.Errorf(format, args...))
	runtime.Goexit()
}
