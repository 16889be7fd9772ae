package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/cache"
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

	mu       sync.Mutex // guards the fields below; held while writing, never while syncing
	file     segmentFile
	current  *segment   // that file is
	size     int64      // of the whole frames in file
	torn     bool       // there may be a part of a frame behind them
	written  uint64     // how many appends there were
	synced   uint64     // of these, how many the last fsync covered
	segments []*segment // the oldest first; appended to, or replaced
	number   int        // of the last
	latest   time.Time  // of all records
	ended    []ended    // full, not synced yet
	batch    *batch     // the appends that the next fsync will cover
	write    error      // of the last write; cleared by the next that succeeds
	flush    error      // of the last flush before an fsync; what could not be flushed is still in the spool
	sync     error      // of the last fsync; cleared by the next that succeeds
	closed   bool
	scratch  []byte
	index    *index            // of file
	indexes  map[string]*index // of raw segments that were written by this process, by stem
	unsafe   []*segment        // of which an fsync failed

	syncing  sync.Mutex   // held while syncNow runs; mu is taken under it
	building sync.Mutex   // held while segments are compressed, indexed, moved or removed; mu is taken under it
	shipping sync.RWMutex // held while a segment is moved to the archive; for reading while somebody copies the log. building is taken under it
	unzip    *zstd.Decoder
	archive  blob.Store // nil if all segments stay in the directory
	pieces   *cache.Cache[piece, []byte]
	shipped  chan struct{} // tells that there may be something to ship

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

func openLog(ctx context.Context, dir string, archive blob.Store, interval time.Duration, report func(error)) (*segmentLog, error) {
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, err
	}
	l := &segmentLog{
		dir: dir, interval: interval, limit: segmentSize, report: report, create: createSegment, batch: newBatch(), indexes: make(map[string]*index), unzip: unzip,
		kick: make(chan struct{}, 1), shipped: make(chan struct{}, 1), archive: archive, pieces: newPieces(archive),
	}
	if err := l.recover(ctx); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return l, nil
}

// recover takes up what an earlier process left, and begins to sync.
func (l *segmentLog) recover(ctx context.Context) error {
	if err := durable.MkdirAll(l.dir); err != nil {
		return err
	}
	if err := recoverSpool(l.dir); err != nil {
		return err
	}
	if err := removeUnfinished(l.dir); err != nil {
		return err
	}
	var err error
	if l.segments, err = l.list(ctx); err != nil {
		return err
	}
	for i, s := range l.segments {
		l.number = max(l.number, s.number)
		l.latest = later(l.latest, s.at)
		if i == len(l.segments)-1 {
			if err := l.recoverLast(ctx, s); err != nil {
				return err
			}
		}
		if s.packed {
			continue
		}
		// A process that was killed left what it had not synced to the operating system. From now on it would seem older than the time that a
		// record may wait for its fsync.
		if err := syncFile(filepath.Join(l.dir, s.stem+rawSuffix)); err != nil {
			return err
		}
	}
	l.number = nextRun(l.number)
	// Only now is what the old spool held on the disk.
	if l.spool, err = openSpool(l.dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	ctx, l.stop = context.WithCancel(context.Background())
	left := l.segments
	l.syncer.Go(func() { l.syncLoop(ctx) })
	l.others.Go(func() {
		for _, s := range slices.Backward(left) {
			if ctx.Err() == nil && !l.state(s).archived {
				_ = l.complete(ctx, s) // it stays readable as it is
			}
		}
	})
	return nil
}

// recoverLast finds out what the youngest record is: the clock may have gone back since, and the names of segments must not.
func (l *segmentLog) recoverLast(ctx context.Context, s *segment) error {
	if !s.packed {
		young, err := cutTail(filepath.Join(l.dir, s.stem+rawSuffix))
		l.latest = later(l.latest, young)
		return err
	}
	x, err := l.snapshot(ctx).openIndex(s)
	if err != nil {
		return nil // it is told of when it is read
	}
	defer x.close()
	blocks, _ := x.table()
	for _, b := range blocks {
		if !b.unreadable() {
			l.latest = later(l.latest, time.Unix(0, b.young))
		}
	}
	return nil
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
	at    time.Time
	frame []byte // of the record
	terms terms
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
	var at time.Time
	for _, e := range entries {
		if n := len(e.frame) - frameHeader; n <= 0 || n > maxRecord {
			return fmt.Errorf("a record of %d bytes", n)
		}
		at = later(at, e.at)
	}
	b := l.oneWriteLocked(entries)
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
		l.index.add(len(e.frame), e.at.UnixNano(), e.terms)
	}
	return nil
}

// oneWriteLocked is what the frames of all entries are together. Most are alone, and are not copied.
func (l *segmentLog) oneWriteLocked(entries []entry) []byte {
	if len(entries) == 1 {
		return entries[0].frame
	}
	l.scratch = l.scratch[:0]
	for _, e := range entries {
		l.scratch = append(l.scratch, e.frame...)
	}
	return l.scratch
}

// readyLocked sees to it that there is a file to append whole frames to.
func (l *segmentLog) readyLocked(at time.Time) error {
	if l.closed {
		return errLogClosed
	}
	if err := l.mendLocked(); err != nil {
		return err
	}
	if l.file != nil && (l.size >= l.limit || at.Sub(l.current.at) >= segmentAge) {
		if err := l.file.Flush(); err != nil {
			return err
		}
		l.ended = append(l.ended, ended{l.file, l.current})
		l.file, l.current = nil, nil
	}
	l.latest = later(l.latest, at)
	if l.file != nil {
		return nil
	}
	s, _ := newSegment(segmentName(l.latest, l.number+1))
	f, err := l.create(filepath.Join(l.dir, s.stem+rawSuffix))
	if err != nil {
		return err
	}
	if err := durable.SyncDir(l.dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	l.number++
	if l.spool != nil {
		f = newSpooled(f, l.spool, l.full)
	}
	l.file, l.current, l.size, l.index = f, s, 0, new(index)
	l.indexes[s.stem] = l.index
	l.segments = append(l.segments, s)
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
	full, current, its := l.ended, l.file, l.current
	l.ended = nil
	if current != nil {
		l.flush = current.Flush()
	}
	flush, covered := l.flush, l.written
	l.mu.Unlock()

	var errs []error
	var unsafe []*segment
	for _, e := range full {
		err := e.file.Sync()
		if errs = append(errs, err); err != nil {
			unsafe = append(unsafe, e.segment)
		}
	}
	if current != nil && flush == nil {
		errs = append(errs, current.Sync())
	}
	err := errors.Join(errs...)

	l.mu.Lock()
	l.unsafe = append(l.unsafe, unsafe...)
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
			l.file, l.current, l.torn = nil, nil, false
		} else { // it was full meanwhile
			l.ended = without(l.ended, ended{current, its})
		}
		current.Close()
		l.unsafe = append(l.unsafe, its)
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
	for _, e := range full {
		e.file.Close()
		l.others.Go(func() {
			_ = l.complete(context.Background(), e.segment) // or it stays readable as it is
			l.wakeShipping()
		})
	}
}

// ended is a segment that is full.
type ended struct {
	file    segmentFile
	segment *segment
}

func (l *segmentLog) wakeShipping() {
	select {
	case l.shipped <- struct{}{}:
	default:
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
		s := l.unsafe[0]
		l.mu.Unlock()
		if err := l.complete(context.Background(), s); err != nil && !errors.Is(err, errPruned) && !errors.Is(err, ErrAltered) {
			return err
		}
		l.mu.Lock()
		l.unsafe = without(l.unsafe, s)
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
		flush := f.Flush()
		if s, ok := f.(*spooled); ok && flush != nil {
			f = s.segmentFile // what is in the spool stays there for the next start
		}
		err = errors.Join(err, flush, f.Close())
	}
	if s := l.spool; s != nil {
		l.spool = nil
		err = errors.Join(err, s.close())
	}
	return err
}
