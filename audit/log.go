package audit

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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

// The log is a row of segment files. A segment is named after the domain time of its first record and a
// number that orders segments of the same time:
//
//	seg-<unix nanoseconds, 20 digits>-<number, 8 digits>.log    being written, or not compressed yet
//	seg-<unix nanoseconds, 20 digits>-<number, 8 digits>.zst    complete, the same bytes compressed
//
// and consists of frames:
//
//	length of record, 4 bytes big-endian | CRC-32C of record, 4 bytes big-endian | record, JSON
//
// Only the end of the newest .log file can be torn, by a crash in the middle of a write, before its call was
// answered. Opening cuts such an end off. A frame that is broken anywhere else was altered, and reading
// reports it.
const (
	frameHeader = 8
	maxRecord   = 1 << 20
	segmentSize = 64 << 20
	rawSuffix   = ".log"
	zstdSuffix  = ".zst"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrAltered is reported by a reader that meets a frame that was not written so.
var ErrAltered = errors.New("audit log segment is damaged")

// segmentLog appends frames to the newest segment.
type segmentLog struct {
	dir  string
	sync time.Duration // 0: every append waits for its fsync

	mu      sync.Mutex // guards the fields below; held while writing, never while syncing
	file    *os.File
	size    int64
	number  int
	written uint64 // appends so far
	err     error  // of the last write or fsync; cleared by the next that succeeds
	scratch []byte

	// Syncing: waiters sleep on synced until durable has reached their append.
	durable uint64
	synced  *sync.Cond
	kick    chan struct{}

	stop context.CancelFunc
	done sync.WaitGroup
}

func openLog(dir string, interval time.Duration) (*segmentLog, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	names, err := segments(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	l := &segmentLog{dir: dir, sync: interval, kick: make(chan struct{}, 1)}
	l.synced = sync.NewCond(&l.mu)
	for i, name := range names {
		_, n := parseName(name)
		l.number = max(l.number, n)
		if i == len(names)-1 && strings.HasSuffix(name, rawSuffix) {
			if err := cutTail(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("opening the audit log: %w", err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	l.done.Go(func() { l.syncLoop(ctx) })
	return l, nil
}

// segments lists the segment files in order; of a segment that is there in both forms, because a crash came between
// compressing and removing, the raw one.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if t, _ := parseName(e.Name()); t != 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // ".log" before ".zst"
	return slices.CompactFunc(names, func(a, b string) bool { return stem(a) == stem(b) }), nil
}

func stem(name string) string { return name[:len(name)-len(filepath.Ext(name))] }

func parseName(name string) (unixNano int64, number int) {
	ext := filepath.Ext(name)
	if ext != rawSuffix && ext != zstdSuffix {
		return 0, 0
	}
	if n, err := fmt.Sscanf(stem(name), "seg-%020d-%08d", &unixNano, &number); n != 2 || err != nil {
		return 0, 0
	}
	return unixNano, number
}

// cutTail removes what a crash left behind the last whole frame.
func cutTail(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var good int64
	r := bufio.NewReader(f)
	for {
		rec, err := readFrame(r, nil)
		if err != nil {
			break
		}
		good += frameHeader + int64(len(rec))
	}
	if err := f.Truncate(good); err != nil {
		return err
	}
	return f.Sync()
}

func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n > maxRecord {
		return nil, ErrAltered
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	if crc32.Checksum(buf, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, ErrAltered
	}
	return buf, nil
}

// append writes the records as frames with one write, and waits for the fsync if each append has to.
func (l *segmentLog) append(at time.Time, records ...[]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writeLocked(at, records); err != nil {
		l.err = err
		return fmt.Errorf("writing the audit log: %w", err)
	}
	l.written++
	mine := l.written
	if l.sync > 0 {
		return nil
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
	for l.durable < mine && l.err == nil {
		l.synced.Wait()
	}
	if l.durable < mine {
		return fmt.Errorf("syncing the audit log: %w", l.err)
	}
	return nil
}

func (l *segmentLog) writeLocked(at time.Time, records [][]byte) error {
	if l.file != nil && l.size >= segmentSize {
		if err := l.rollLocked(); err != nil {
			return err
		}
	}
	if l.file == nil {
		l.number++
		name := fmt.Sprintf("seg-%020d-%08d%s", at.UnixNano(), l.number, rawSuffix)
		f, err := os.OpenFile(filepath.Join(l.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		l.file, l.size = f, 0
		if err := durable.SyncDir(l.dir); err != nil {
			return err
		}
	}
	b := l.scratch[:0]
	for _, rec := range records {
		b = binary.BigEndian.AppendUint32(b, uint32(len(rec)))
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(rec, castagnoli))
		b = append(b, rec...)
	}
	l.scratch = b
	n, err := l.file.Write(b)
	if err != nil {
		// A part of a frame in the middle of a segment would read as an alteration: take it back.
		if terr := l.file.Truncate(l.size); n > 0 && terr != nil {
			l.file.Close()
			l.file = nil // its end is cut when it is read as the last of its time; go on in a new one
		} else if _, serr := l.file.Seek(l.size, io.SeekStart); serr != nil {
			l.file.Close()
			l.file = nil
		}
		return err
	}
	l.size += int64(n)
	l.err = nil
	return nil
}

// rollLocked ends the segment at hand and has it compressed.
func (l *segmentLog) rollLocked() error {
	f := l.file
	if err := f.Sync(); err != nil {
		return err
	}
	l.file = nil
	l.done.Go(func() {
		f.Close()
		// Left as it is on an error: the raw segment stays readable.
		_ = compress(f.Name())
	})
	return nil
}

// compress replaces a complete raw segment by its compressed form; at any moment at least one of both is whole.
func compress(path string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	target := path[:len(path)-len(rawSuffix)] + zstdSuffix
	tmp, err := os.OpenFile(target+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	z, err := zstd.NewWriter(tmp, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, src); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), target); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return os.Remove(path)
}

// syncLoop fsyncs in groups: what was appended while one fsync ran is covered by the next.
func (l *segmentLog) syncLoop(ctx context.Context) {
	for {
		if l.sync > 0 {
			if clock.Pause(ctx, l.sync) != nil {
				return
			}
		} else {
			select {
			case <-ctx.Done():
				return
			case <-l.kick:
			}
		}
		l.syncNow()
	}
}

func (l *segmentLog) syncNow() {
	l.mu.Lock()
	f, upTo := l.file, l.written
	if f == nil || l.durable == upTo {
		l.durable = upTo // a rolled segment was synced when it ended
		l.synced.Broadcast()
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	err := f.Sync()
	l.mu.Lock()
	if errors.Is(err, os.ErrClosed) {
		err = nil // rolled meanwhile, and synced before that
	}
	if err != nil {
		l.err = err
	} else {
		l.durable = max(l.durable, upTo)
	}
	l.synced.Broadcast()
	l.mu.Unlock()
}

// failure is the error that stands since the last write or fsync went wrong, or nil.
func (l *segmentLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *segmentLog) close() error {
	l.stop()
	l.syncNow()
	l.mu.Lock()
	f := l.file
	l.file = nil
	l.mu.Unlock()
	l.done.Wait()
	if f == nil {
		return nil
	}
	return errors.Join(f.Sync(), f.Close())
}

// read calls fn with each record of the segments that may hold records from the time given on, in the order they
// were written. fn must not keep the record.
func readLog(dir string, from time.Time, fn func(rec []byte) error) error {
	names, err := segments(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for i, name := range names {
		if i+1 < len(names) {
			// The next segment began after everything in this one was written.
			if next, _ := parseName(names[i+1]); time.Unix(0, next).Before(from) {
				continue
			}
		}
		if err := readSegment(dir, name, i == len(names)-1, fn); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return nil
}

func readSegment(dir, name string, last bool, fn func(rec []byte) error) error {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(name, rawSuffix) {
		name = stem(name) + zstdSuffix // compressed since it was listed
		f, err = os.Open(filepath.Join(dir, name))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<16)
	if strings.HasSuffix(name, zstdSuffix) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	}
	var buf []byte
	for {
		rec, err := readFrame(r, buf)
		switch {
		case err == io.EOF:
			return nil
		case last && err == io.ErrUnexpectedEOF:
			return nil // being written at this moment
		case err != nil:
			return ErrAltered
		}
		buf = rec
		if err := fn(rec); err != nil {
			return err
		}
	}
}
