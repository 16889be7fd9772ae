package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/durable"
)

// segmentFile is what the log needs of the file that it writes: an *os.File opened for appending.
type segmentFile interface {
	Name() string
	Write([]byte) (int, error)
	Flush() error // hands to the operating system what Write still keeps
	Truncate(int64) error
	Sync() error
	Close() error
}

// plainFile keeps nothing.
type plainFile struct{ *os.File }

func (plainFile) Flush() error { return nil }

func createSegment(path string) (segmentFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return plainFile{f}, nil
}

// segmentLog appends frames to the newest segment. See segment.go for what lies in the files.
type segmentLog struct {
	dir      string
	interval time.Duration // that an append may wait for its fsync; 0: it is waited for
	limit    int64         // size at which a segment ends, in bytes
	report   func(error)   // is told when records that were answered for may not have reached the disk
	create   func(path string) (segmentFile, error)
	spool    *spool       // nil where files cannot be mapped
	full     func() error // why the disk has no room for the log any more, or nil

	mu      sync.Mutex // guards the fields below; held while writing, never while syncing
	file    segmentFile
	size    int64  // of the whole frames in file
	torn    bool   // there may be a part of a frame behind them
	written uint64 // how many appends there were
	synced  uint64 // of these, how many the last fsync covered
	number  int
	latest  time.Time     // of all records
	ended   []segmentFile // full, not synced yet
	batch   *batch        // the appends that the next fsync will cover
	write   error         // of the last write; cleared by the next that succeeds
	flush   error         // of the last flush before an fsync; what could not be flushed is still in the spool
	sync    error         // of the last fsync; cleared by the next that succeeds
	closed  bool
	scratch []byte
	index   *index            // of file
	indexes map[string]*index // of raw segments that were written by this process, by stem
	unsafe  []string          // segments of which an fsync failed

	syncing  sync.Mutex // held while syncNow runs; mu is taken under it
	building sync.Mutex // held while segments are compressed and their indexes made; mu is taken under it
	unzip    *zstd.Decoder

	kick   chan struct{}
	stop   context.CancelFunc
	syncer sync.WaitGroup
	others sync.WaitGroup // that compress
}

// batch is a group of appends that one fsync covers. Its error is there when done is closed.
type batch struct {
	done chan struct{}
	err  error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (b *batch) end(err error) {
	b.err = err
	close(b.done)
}

var errLogClosed = errors.New("the audit log is closed")

func openLog(dir string, interval time.Duration, report func(error)) (*segmentLog, error) {
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, err
	}
	l := &segmentLog{
		dir: dir, interval: interval, limit: segmentSize, report: report, create: createSegment, batch: newBatch(), indexes: make(map[string]*index), unzip: unzip,
		kick: make(chan struct{}, 1),
	}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return l, nil
}

// recover takes up what an earlier process left, and begins to sync.
func (l *segmentLog) recover() error {
	if err := durable.MkdirAll(l.dir); err != nil {
		return err
	}
	if err := recoverSpool(l.dir); err != nil {
		return err
	}
	names, err := segments(l.dir)
	if err != nil {
		return err
	}
	for i, name := range names {
		at, n, _ := parseName(name)
		l.number = max(l.number, n)
		l.latest = later(l.latest, at)
		if !strings.HasSuffix(name, rawSuffix) {
			continue
		}
		path := filepath.Join(l.dir, name)
		if i == len(names)-1 {
			if err := cutTail(path); err != nil {
				return err
			}
		}
		// A process that was killed left what it had not synced to the operating system. From now on it would seem older than the time that a
		// record may wait for its fsync.
		if err := syncFile(path); err != nil {
			return err
		}
	}
	// Only now is what the old spool held on the disk.
	if l.spool, err = openSpool(l.dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	l.syncer.Go(func() { l.syncLoop(ctx) })
	l.others.Go(func() {
		for _, name := range slices.Backward(names) {
			if ctx.Err() == nil {
				_ = l.complete(name) // it stays readable as it is
			}
		}
	})
	return nil
}

// complete sees to it that a segment that is not being written is compressed and has an index.
func (l *segmentLog) complete(name string) error {
	l.building.Lock()
	defer l.building.Unlock()
	path := filepath.Join(l.dir, name)
	if strings.HasSuffix(name, rawSuffix) {
		l.mu.Lock()
		x := l.indexes[stem(name)]
		if x != nil {
			x = x.snapshot()
		}
		l.mu.Unlock()
		err := compress(path, x)
		if errors.Is(err, io.EOF) && x != nil { // it is shorter than what was written
			err = compress(path, nil)
		}
		if err == nil {
			l.mu.Lock()
			delete(l.indexes, stem(name))
			l.mu.Unlock()
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		path = stem(path) + zstdSuffix // somebody was here before
	}
	if !lacksIndex(l.dir, name) {
		return nil
	}
	return reindex(path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) // not every system syncs what is open for reading only
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// entry is a record on its way into the log.
type entry struct {
	at     time.Time
	stored []byte
	terms  terms
}

// append writes the records as frames with one write, and waits for the fsync if it has to.
func (l *segmentLog) append(entries ...entry) error {
	l.mu.Lock()
	l.write = l.writeLocked(entries)
	if l.write != nil {
		defer l.mu.Unlock()
		return fmt.Errorf("writing the audit log: %w", l.write)
	}
	b := l.batch
	// A disk that failed has to show that it works before a record is taken for safe without its fsync.
	wait := l.interval == 0 || l.sync != nil
	l.mu.Unlock()
	l.wake()
	if !wait {
		return nil
	}
	return b.wait()
}

// appendSynced is append, and an fsync that waits for nobody.
func (l *segmentLog) appendSynced(entries ...entry) error {
	l.mu.Lock()
	l.write = l.writeLocked(entries)
	if l.write != nil {
		defer l.mu.Unlock()
		return fmt.Errorf("writing the audit log: %w", l.write)
	}
	b := l.batch
	l.mu.Unlock()
	l.syncNow()
	return b.wait()
}

func (b *batch) wait() error {
	<-b.done
	if b.err != nil {
		return fmt.Errorf("syncing the audit log: %w", b.err)
	}
	return nil
}

func (l *segmentLog) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *segmentLog) writeLocked(entries []entry) error {
	b := l.scratch[:0]
	var at time.Time
	for _, e := range entries {
		if len(e.stored) == 0 || len(e.stored) > maxRecord {
			return fmt.Errorf("a record of %d bytes", len(e.stored))
		}
		b = appendFrame(b, e.stored)
		at = later(at, e.at)
	}
	l.scratch = b
	if err := l.readyLocked(at); err != nil {
		return err
	}
	if _, err := l.file.Write(b); err != nil {
		l.torn = true
		_ = l.mendLocked() // or before the next write
		return err
	}
	l.size += int64(len(b))
	l.written++
	for _, e := range entries {
		l.index.add(frameHeader+len(e.stored), e.at.UnixNano(), e.terms)
	}
	return nil
}

// readyLocked sees to it that there is a file to append whole frames to.
func (l *segmentLog) readyLocked(at time.Time) error {
	if l.closed {
		return errLogClosed
	}
	if err := l.mendLocked(); err != nil {
		return err
	}
	if l.file != nil && l.size >= l.limit {
		if err := l.file.Flush(); err != nil {
			return err
		}
		l.ended = append(l.ended, l.file)
		l.file = nil
	}
	l.latest = later(l.latest, at)
	if l.file != nil {
		return nil
	}
	l.number++
	f, err := l.create(filepath.Join(l.dir, segmentName(l.latest, l.number)))
	if err != nil {
		return err
	}
	if err := durable.SyncDir(l.dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if l.spool != nil {
		f = newSpooled(f, l.spool, l.full)
	}
	l.file, l.size, l.index = f, 0, new(index)
	l.indexes[stem(filepath.Base(f.Name()))] = l.index
	return nil
}

// mendLocked removes what a failed write left of a frame: in the middle of a segment it would read as an alteration.
func (l *segmentLog) mendLocked() error {
	if !l.torn {
		return nil
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// syncLoop fsyncs in groups: what is appended while one fsync runs is covered by the next.
func (l *segmentLog) syncLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
		}
		if l.interval > 0 && clock.Pause(ctx, l.interval) != nil {
			return
		}
		l.syncNow()
	}
}

// syncNow makes durable what was appended until now.
func (l *segmentLog) syncNow() {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	b := l.batch
	l.batch = newBatch()
	ended, current := l.ended, l.file
	l.ended = nil
	if current != nil {
		l.flush = current.Flush()
	}
	flush, covered := l.flush, l.written
	l.mu.Unlock()

	var errs []error
	for _, f := range ended {
		errs = append(errs, f.Sync())
	}
	if current != nil && flush == nil {
		errs = append(errs, current.Sync())
	}
	err := errors.Join(errs...)

	l.mu.Lock()
	batches := []*batch{b}
	if len(errs) > 0 {
		l.sync = err
	}
	if flush == nil {
		l.synced = covered
	}
	if err != nil && current != nil && flush == nil {
		// After a failed fsync the kernel may have dropped what it could not write, and will not fail again for it. So what comes next goes into
		// another file, and whatever was written into this one counts as lost.
		if l.file == current {
			_ = l.mendLocked()
			l.file, l.torn = nil, false
		} else { // it was full meanwhile
			l.ended = without(l.ended, current)
		}
		current.Close()
		l.unsafe = append(l.unsafe, filepath.Base(current.Name()))
		batches = append(batches, l.batch)
		l.batch = newBatch()
	}
	l.mu.Unlock()
	for _, b := range batches {
		b.end(errors.Join(err, flush))
	}
	if flush != nil {
		l.report(fmt.Errorf("writing the audit log: records wait for it in the spool: %w", flush))
	}
	if err != nil {
		l.report(fmt.Errorf("syncing the audit log: records of the last moments may be lost if the machine fails: %w", err))
	}
	for _, f := range ended {
		f.Close()
		l.others.Go(func() { _ = l.complete(filepath.Base(f.Name())) }) // or it stays readable as it is
	}
}

func without[T comparable](all []T, one T) (out []T) {
	for _, other := range all {
		if other != one {
			out = append(out, other)
		}
	}
	return out
}

// failure is the error that stands since the last write or fsync went wrong, or nil. It tries whether that is over: nobody may be left to call.
func (l *segmentLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.write != nil || l.flush != nil {
		l.write = l.probeLocked()
		l.flush = nil
	}
	if l.sync != nil {
		if l.write = l.readyLocked(l.latest); l.write == nil {
			l.wake()
		}
	}
	return errors.Join(l.write, l.sync)
}

// mend makes durable what can be read of segments of which an fsync failed: compressed, they are new files.
func (l *segmentLog) mend() error {
	for {
		l.mu.Lock()
		if len(l.unsafe) == 0 {
			l.mu.Unlock()
			return nil
		}
		name := l.unsafe[0]
		l.mu.Unlock()
		if err := l.complete(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		l.mu.Lock()
		l.unsafe = without(l.unsafe, name)
		l.mu.Unlock()
	}
}

// probeLocked finds out whether there is space for a frame.
func (l *segmentLog) probeLocked() error {
	if err := l.readyLocked(l.latest); err != nil {
		return err
	}
	if err := l.file.Flush(); err != nil {
		return err
	}
	l.torn = true
	_, err := l.file.Write(make([]byte, 4096))
	return errors.Join(err, l.file.Flush(), l.mendLocked())
}

func (l *segmentLog) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.syncer.Wait()
	l.syncNow()
	l.others.Wait() // they take mu
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.sync
	if f := l.file; f != nil {
		l.file = nil
		err = errors.Join(err, f.Close())
	}
	if s := l.spool; s != nil {
		l.spool = nil
		err = errors.Join(err, s.close())
	}
	return err
}

// prune removes the segments in which all records are from before the time given.
func (l *segmentLog) prune(before time.Time) error {
	names, err := segments(l.dir)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(names); i++ {
		if next, _, _ := parseName(names[i+1]); !next.Before(before) {
			break
		}
		for _, suffix := range []string{rawSuffix, zstdSuffix, indexSuffix} {
			if err := os.Remove(filepath.Join(l.dir, stem(names[i])+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
