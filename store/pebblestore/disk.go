package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/holdfast-cloud/holdfast/store"
)

// disk stands between pebble and the file system. Pebble ends the process when it cannot write its log or its
// manifest; a disk makes such an error look to the store like a crash, and to pebble like nothing at all:
//
//   - The first change that fails where pebble could not go on freezes the disk: from then on
//     nothing on it is changed, as if the power had gone. The error is kept for the store, which reports every
//     commit that ends after this moment as unknown, and refuses all others.
//   - Pebble is told that its log was written, so that a commit under way comes back to us. All else is
//     parked for good at its next change. Its memory is freed when the process ends; what is on the disk
//     is a state that pebble recovers from.
//   - A table that could not be written for lack of space is a lesser evil: pebble can write it again later. The
//     writer waits until there is space, and meanwhile the store is full. While it is closed, nothing waits: all that
//     the table would hold is in the log, or in other tables.
//
// Pebble may be parked while it is opened or closed, too, so that is done in a goroutine of its own, which
// run gives up when the disk freezes.
type disk struct {
	vfs.FS

	onFail func(error)
	onFull func()                // is told when tables begin to wait for space
	failed atomic.Pointer[error] // set once, before the failing operation returns
	frozen chan struct{}         // closed after failed is set

	mu      sync.Mutex // guards the fields below; nothing is waited for under it
	patient bool       // whether tables wait for space: while open
	closing bool       // whether they are given up
	full    *shortage  // not nil while they do
	lock    io.Closer  // the lock on the directory, while it is held
}

func newDisk(inner vfs.FS, onFail func(error), onFull func()) *disk {
	return &disk{FS: inner, onFail: onFail, onFull: onFull, frozen: make(chan struct{})}
}

// run runs what opens or closes pebble. It returns when the disk freezes, and leaves fn behind.
func (d *disk) run(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("pebble: %v", r)
			}
		}()
		done <- fn()
	}()
	select {
	case err := <-done:
		return errors.Join(err, d.err())
	case <-d.frozen:
		return d.err()
	}
}

// setPatient says whether tables may wait for space.
func (d *disk) setPatient(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.patient = on
	d.wakeLocked(false)
}

// giveUp has pebble be told of tables that lack space from now on, and of those that wait: it is being closed.
func (d *disk) giveUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing = true
	d.wakeLocked(true)
}

// isFull reports whether a table waits for space.
func (d *disk) isFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full != nil
}

// retry lets the tables that wait for space try again.
func (d *disk) retry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked(true)
}

// shortage is what tables wait for the end of.
type shortage struct {
	over  chan struct{} // closed at the end
	retry bool          // set before that
}

func (d *disk) wakeLocked(retry bool) {
	if d.full != nil {
		d.full.retry = retry
		close(d.full.over)
		d.full = nil
	}
}

// err returns why the disk is frozen, or nil.
func (d *disk) err() error {
	if p := d.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// fail freezes the disk.
func (d *disk) fail(err error) {
	if d.failed.CompareAndSwap(nil, &err) {
		close(d.frozen)
		d.setPatient(false)
		if d.onFail != nil {
			d.onFail(err)
		}
	}
}

// Lock implements vfs.FS. Pebble calls it once, for the directory.
func (d *disk) Lock(name string) (io.Closer, error) {
	lock, err := d.FS.Lock(name)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", store.ErrInUse, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lock = lock
	return unlocker{d}, nil
}

// unlock releases the directory, if pebble has not: it cannot always be closed.
func (d *disk) unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

type unlocker struct{ d *disk }

func (u unlocker) Close() error { return u.d.unlock() }

// kind is what a file means to pebble.
type kind int

const (
	other kind = iota // manifest, options, markers, directories' entries
	wal               // the log: written in the foreground
	table             // can be written again
)

func (d *disk) kind(name string) kind {
	switch base := d.PathBase(name); {
	case strings.HasSuffix(base, ".log"):
		return wal
	case strings.HasSuffix(base, ".sst"), strings.HasSuffix(base, ".blob"):
		return table
	}
	return other
}

// do carries out a change of the disk of the kind k.
func (d *disk) do(k kind, change func() error) error {
	if d.err() != nil {
		if k != wal {
			select {} // parked
		}
		return nil
	}
	err := change()
	if err == nil {
		return nil
	}
	if k == table && vfs.IsNoSpaceError(err) && d.waitForSpace() {
		return err
	}
	d.fail(err)
	return d.do(k, nil)
}

// waitForSpace reports whether pebble may be told that there is none: it will try again, or is being closed.
func (d *disk) waitForSpace() bool {
	d.mu.Lock()
	if d.closing || !d.patient {
		defer d.mu.Unlock()
		return d.closing
	}
	begins := d.full == nil
	if begins {
		d.full = &shortage{over: make(chan struct{})}
	}
	full := d.full
	d.mu.Unlock()
	if begins {
		d.onFull()
	}
	<-full.over
	return full.retry
}

// file opens a file for writing; when the disk is frozen, into the void.
func (d *disk) file(k kind, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = d.do(k, func() error {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = void{}
	}
	return &file{File: f, d: d, kind: k}, nil
}

// Create implements vfs.FS, as do the methods below.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(d.kind(name), func() (vfs.File, error) { return d.FS.Create(name, c) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(d.kind(name), func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(d.kind(name), func() (vfs.File, error) { return d.FS.ReuseForWrite(old, name, c) })
}

// OpenDir's file is used to sync the directory, which the log needs, too.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.file(wal, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

func (d *disk) Link(old, name string) error {
	return d.do(d.kind(name), func() error { return d.FS.Link(old, name) })
}

func (d *disk) Rename(old, name string) error {
	return d.do(d.kind(name), func() error { return d.FS.Rename(old, name) })
}

// Remove and RemoveAll are not vital: pebble copes with files that stay.
func (d *disk) Remove(name string) error {
	if d.err() != nil {
		return nil
	}
	return d.FS.Remove(name)
}

func (d *disk) RemoveAll(name string) error {
	if d.err() != nil {
		return nil
	}
	return d.FS.RemoveAll(name)
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.do(other, func() error { return d.FS.MkdirAll(dir, perm) })
}

func (d *disk) Unwrap() vfs.FS { return d.FS }

// file is a file opened for writing.
type file struct {
	vfs.File
	d    *disk
	kind kind
}

func (f *file) Write(p []byte) (int, error) {
	n := len(p)
	err := f.d.do(f.kind, func() error {
		w, err := f.File.Write(p)
		if err == nil && w < len(p) {
			err = io.ErrShortWrite
		}
		n = w
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	err := f.d.do(f.kind, func() (err error) { n, err = f.File.WriteAt(p, off); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

// Preallocate is an optimization, whose lack of space does not matter before that of a write.
func (f *file) Preallocate(off, length int64) error {
	if f.d.err() == nil {
		_ = f.File.Preallocate(off, length)
	}
	return nil
}

func (f *file) Sync() error     { return f.d.do(f.kind, f.File.Sync) }
func (f *file) SyncData() error { return f.d.do(f.kind, f.File.SyncData) }

func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.d.do(f.kind, func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Stat is asked for the size of a log file that is used again.
func (f *file) Stat() (info vfs.FileInfo, err error) {
	if f.kind != wal {
		return f.File.Stat()
	}
	err = f.d.do(wal, func() (err error) { info, err = f.File.Stat(); return err })
	if err == nil && info == nil {
		info = voidInfo{}
	}
	return info, err
}

// Close is let through on a frozen disk; it only gives the descriptor back.
func (f *file) Close() error {
	if f.d.err() != nil {
		_ = f.File.Close()
		return nil
	}
	return f.d.do(f.kind, f.File.Close)
}

// void takes what is written to a frozen disk.
type void struct{}

var errVoid = errors.New("the disk is frozen")

func (void) Close() error                            { return nil }
func (void) Read([]byte) (int, error)                { return 0, errVoid }
func (void) ReadAt([]byte, int64) (int, error)       { return 0, errVoid }
func (void) Write(p []byte) (int, error)             { return len(p), nil }
func (void) WriteAt(p []byte, _ int64) (int, error)  { return len(p), nil }
func (void) Preallocate(int64, int64) error          { return nil }
func (void) Stat() (vfs.FileInfo, error)             { return voidInfo{}, nil }
func (void) Sync() error                             { return nil }
func (void) SyncTo(int64) (fullSync bool, err error) { return true, nil }
func (void) SyncData() error                         { return nil }
func (void) Prefetch(int64, int64) error             { return nil }
func (void) Fd() uintptr                             { return vfs.InvalidFd }

// voidInfo is of a file of no size; pebble asks for nothing else.
type voidInfo struct{ vfs.FileInfo }

func (voidInfo) Size() int64 { return 0 }
