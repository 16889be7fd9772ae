package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// newLog opens a log that every append of which waits for its fsync.
func newLog(t *testing.T, dir string) *segmentLog {
	t.Helper()
	l, err := openLog(context.Background(), dir, nil, 0, func(error) {})
	if err != nil {
		t.Fatalf("openLog: %v", err)
	}
	t.Cleanup(func() { _ = l.close() })
	return l
}

func mustAppend(t *testing.T, l *segmentLog, at time.Time, records ...string) {
	t.Helper()
	if err := l.append(entries(at, bytesOf(records)...)...); err != nil {
		t.Fatalf("append(%q): %v", records, err)
	}
}

// entries are records that no search finds.
func entries(at time.Time, records ...[]byte) (out []entry) {
	for _, r := range records {
		out = append(out, entry{at: at, frame: appendFrame(nil, r)})
	}
	return out
}

func bytesOf(records []string) (out [][]byte) {
	for _, r := range records {
		out = append(out, []byte(r))
	}
	return out
}

func readAll(l *segmentLog, from time.Time) (got []string, err error) {
	nanos := int64(math.MinInt64)
	if !from.IsZero() {
		nanos = from.UnixNano()
	}
	err = l.snapshot(context.Background()).each(nanos, math.MaxInt64, func(rec []byte) error {
		got = append(got, string(rec))
		return nil
	})
	return got, err
}

func wantRecords(t *testing.T, l *segmentLog, from time.Time, want ...string) {
	t.Helper()
	got, err := readAll(l, from)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("read (-want +got):\n%s", d)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestLogKeepsRecordsOverRestarts(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	mustAppend(t, l, epoch, "one", "two")
	mustAppend(t, l, epoch, "three")
	wantRecords(t, l, time.Time{}, "one", "two", "three")
	if err := l.close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := l.append(entries(epoch, []byte("late"))...); !errors.Is(err, errLogClosed) {
		t.Errorf("append to a closed log: %v", err)
	}
	l = newLog(t, dir)
	mustAppend(t, l, epoch, "four")
	wantRecords(t, l, time.Time{}, "one", "two", "three", "four")
}

func TestLogOpensWhatACrashLeft(t *testing.T) {
	whole := func(t *testing.T) (dir, path string) {
		dir = t.TempDir()
		l := newLog(t, dir)
		mustAppend(t, l, epoch, "{one}", "{two}")
		path = filepath.Join(dir, files(t, dir)[0])
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
		return dir, path
	}
	change := func(t *testing.T, path string, fn func(b []byte) []byte) {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, fn(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	frame := 8 + len("{one}")
	for _, tt := range []struct {
		name   string
		change func(b []byte) []byte
		want   []string
		err    error
	}{
		{"Nothing", func(b []byte) []byte { return b }, []string{"{one}", "{two}"}, nil},
		{"Empty", func(b []byte) []byte { return nil }, nil, nil},
		{"TornHeader", func(b []byte) []byte { return b[:frame+5] }, []string{"{one}"}, nil},
		{"TornRecord", func(b []byte) []byte { return b[:len(b)-1] }, []string{"{one}"}, nil},
		{"TornFirst", func(b []byte) []byte { return b[:frame-1] }, nil, nil},
		{"Zeros", func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, []string{"{one}", "{two}"}, nil},
		{"ZerosInRecord", func(b []byte) []byte { return append(b[:len(b)-3], make([]byte, 100)...) }, []string{"{one}"}, nil},
		{"AlteredLast", func(b []byte) []byte { b[len(b)-2] ^= 1; return b }, []string{"{one}"}, ErrAltered},
		{"AlteredFirst", func(b []byte) []byte { b[10] ^= 1; return b }, nil, ErrAltered},
		{"AlteredLength", func(b []byte) []byte { b[0] = 0xff; return b }, nil, ErrAltered},
		{"LengthZero", func(b []byte) []byte { b[3] = 0; return b }, nil, ErrAltered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, path := whole(t)
			change(t, path, tt.change)
			l := newLog(t, dir)
			mustAppend(t, l, epoch.Add(time.Second), "{later}")
			got, err := readAll(l, time.Time{})
			if !errors.Is(err, tt.err) {
				t.Errorf("read: %v, want %v", err, tt.err)
			}
			if d := cmp.Diff(append(tt.want, "{later}"), got); d != "" {
				t.Errorf("read (-want +got):\n%s", d)
			}
		})
	}
}

// What is behind a record that was altered while the log is open is read, wherever blocks begin.
func TestAlteredWhileOpen(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	mustAppend(t, l, epoch, "{one}", "{two}", "{three}")
	wantRecords(t, l, time.Time{}, "{one}", "{two}", "{three}")
	l.syncNow() // to the file
	f, err := os.OpenFile(filepath.Join(dir, files(t, dir)[0]), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("X"), int64(len("{one}")+2*frameHeader+1))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, epoch.Add(time.Second), "{four}")
	got, err := readAll(l, time.Time{})
	if !errors.Is(err, ErrAltered) {
		t.Errorf("read: %v, want ErrAltered", err)
	}
	if d := cmp.Diff([]string{"{one}", "{three}", "{four}"}, got); d != "" {
		t.Errorf("read (-want +got):\n%s", d)
	}
}

func TestLogRollsAndCompresses(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	mustAppend(t, l, epoch, "{old}")
	l.mu.Lock()
	l.size = segmentSize // as if it were full
	l.mu.Unlock()
	mustAppend(t, l, epoch.Add(time.Hour), "{new}")
	mustAppend(t, l, epoch.Add(time.Hour), "{newer}") // its fsync begins when the full segment was given away
	l.others.Wait()
	names := files(t, dir)
	if len(names) != 2 || !strings.HasSuffix(names[0], zstdSuffix) || !strings.HasSuffix(names[1], rawSuffix) {
		t.Fatalf("segments: %v, want a compressed one and a raw one", names)
	}
	wantRecords(t, l, time.Time{}, "{old}", "{new}", "{newer}")
	wantRecords(t, l, epoch.Add(30*time.Minute), "{new}", "{newer}")

	t.Run("Damaged", func(t *testing.T) {
		path := filepath.Join(dir, names[0])
		b, _ := os.ReadFile(path)
		b[len(b)-3] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(l, time.Time{}); !errors.Is(err, ErrAltered) {
			t.Errorf("read: %v, want ErrAltered", err)
		}
	})
	t.Run("Pruned", func(t *testing.T) {
		if err := l.prune(t.Context(), epoch.Add(time.Hour)); err != nil || len(files(t, dir)) != 2 {
			t.Errorf("prune to the start of the new one: %v, left %v", err, files(t, dir))
		}
		if err := l.prune(t.Context(), epoch.Add(time.Hour+1)); err != nil || len(files(t, dir)) != 1 {
			t.Errorf("prune: %v, left %v", err, files(t, dir))
		}
		wantRecords(t, l, time.Time{}, "{new}", "{newer}")
	})
}

// A call that took long is recorded late; what was recorded before it must be found all the same.
func TestLogNamesSegmentsAfterTheLatestRecord(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	mustAppend(t, l, epoch.Add(time.Minute), "{quick}")
	l.mu.Lock()
	l.size = segmentSize
	l.mu.Unlock()
	mustAppend(t, l, epoch, "{slow}")
	wantRecords(t, l, epoch.Add(30*time.Second), "{quick}")
	if names := files(t, dir); !strings.HasPrefix(names[1], "seg-"+fmt.Sprintf("%020d", epoch.Add(time.Minute).UnixNano())) {
		t.Errorf("segments: %v", names)
	}
}

func TestLogCompressesWhatWasLeftRaw(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	mustAppend(t, l, epoch, "{one}")
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	l = newLog(t, dir)
	l.others.Wait()
	if names := files(t, dir); len(names) != 1 || !strings.HasSuffix(names[0], zstdSuffix) {
		t.Errorf("segments: %v", names)
	}
	wantRecords(t, l, time.Time{}, "{one}")
}

func TestLogReadsWhileItWrites(t *testing.T) {
	l := newLog(t, t.TempDir())
	l.limit = 500
	var wg sync.WaitGroup
	const writers, each = 4, 100
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := l.append(entries(epoch, fmt.Appendf(nil, "{%d-%d}", w, i))...); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	for reading := true; reading; {
		select {
		case <-ended:
			reading = false
		default:
		}
		if _, err := readAll(l, time.Time{}); err != nil {
			t.Errorf("read: %v", err)
		}
	}
	got, err := readAll(l, time.Time{})
	slices.Sort(got)
	if err != nil || len(slices.Compact(got)) != writers*each {
		t.Errorf("read %d records, %v, want %d", len(got), err, writers*each)
	}
}

// faultyFile is a segment on a disk with faults.
type faultyFile struct {
	plainFile
	d *faultyDisk
}

type faultyDisk struct {
	mu                 sync.Mutex
	space              int // bytes that fit yet; negative for no limit
	noTruncate, noSync bool
	reported           []error
	syncing, letSync   chan struct{} // if not nil: an fsync says that it began, and waits
	opened             int
}

// open opens a log whose records go straight to the disk, as where files cannot be mapped.
func (d *faultyDisk) open(t *testing.T, dir string, interval time.Duration) *segmentLog {
	t.Helper()
	l := d.openSpooled(t, dir, interval)
	if l.spool != nil {
		if err := l.spool.close(); err != nil {
			t.Fatal(err)
		}
		l.spool = nil
	}
	return l
}

func (d *faultyDisk) openSpooled(t *testing.T, dir string, interval time.Duration) *segmentLog {
	t.Helper()
	l := newLog(t, dir)
	l.interval = interval
	l.report = func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reported = append(d.reported, err)
	}
	l.create = func(path string) (segmentFile, error) {
		f, err := createSegment(path)
		if err != nil {
			return nil, err
		}
		d.opened++
		return &faultyFile{f.(plainFile), d}, nil
	}
	return l
}

func (d *faultyDisk) set(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

func (f *faultyFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.space < 0 || len(b) <= f.d.space {
		return f.File.Write(b)
	}
	n, _ := f.File.Write(b[:f.d.space])
	f.d.space = 0
	return n, syscall.ENOSPC
}

func (f *faultyFile) Truncate(n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.noTruncate {
		return syscall.EIO
	}
	return f.File.Truncate(n)
}

func (f *faultyFile) Sync() error {
	f.d.mu.Lock()
	fail, syncing, let := f.d.noSync, f.d.syncing, f.d.letSync
	f.d.mu.Unlock()
	if syncing != nil {
		syncing <- struct{}{}
		<-let
	}
	if fail {
		return syscall.EIO
	}
	return f.File.Sync()
}

func TestLogOnAFullDisk(t *testing.T) {
	d := &faultyDisk{space: 30}
	l := d.open(t, t.TempDir(), 0)
	mustAppend(t, l, epoch, "{first}")
	for range 2 {
		if err := l.append(entries(epoch, []byte("{too much for the space}"))...); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("append to a full disk: %v", err)
		}
		wantRecords(t, l, time.Time{}, "{first}")
	}
	if err := l.failure(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("failure = %v", err)
	}
	d.set(func() { d.space = -1 })
	if err := l.failure(); err != nil {
		t.Errorf("failure when there is space again = %v", err)
	}
	mustAppend(t, l, epoch, "{second}")
	wantRecords(t, l, time.Time{}, "{first}", "{second}")
	if d.opened != 1 {
		t.Errorf("%d segments, want 1", d.opened)
	}
}

func TestLogThatCannotTakeBackAPartOfAFrame(t *testing.T) {
	d := &faultyDisk{space: 30, noTruncate: true}
	dir := t.TempDir()
	l := d.open(t, dir, 0)
	mustAppend(t, l, epoch, "{first}")
	if err := l.append(entries(epoch, []byte("{too much for the space}"))...); err == nil {
		t.Error("append to a full disk: no error")
	}
	d.set(func() { d.space = -1 })
	if err := l.append(entries(epoch, []byte("{x}"))...); !errors.Is(err, syscall.EIO) {
		t.Errorf("append behind a part of a frame: %v", err)
	}
	wantRecords(t, l, time.Time{}, "{first}")
	d.set(func() { d.noTruncate = false })
	mustAppend(t, l, epoch, "{second}")
	wantRecords(t, l, time.Time{}, "{first}", "{second}")
}

func TestLogOnADiskThatDoesNotSync(t *testing.T) {
	t.Run("Waiting", func(t *testing.T) {
		d := &faultyDisk{space: -1}
		l := d.open(t, t.TempDir(), 0)
		mustAppend(t, l, epoch, "{first}")
		d.set(func() { d.noSync = true })
		if err := l.append(entries(epoch, []byte("{lost}"))...); !errors.Is(err, syscall.EIO) {
			t.Errorf("append: %v", err)
		}
		if err := l.failure(); !errors.Is(err, syscall.EIO) {
			t.Errorf("failure = %v", err)
		}
		d.set(func() { d.noSync = false })
		mustAppend(t, l, epoch, "{second}")
		if err := l.failure(); err != nil {
			t.Errorf("failure = %v", err)
		}
		if len(d.reported) == 0 || d.opened < 2 {
			t.Errorf("reported %v, opened %d segments: what follows a failed fsync belongs into another file", d.reported, d.opened)
		}
	})
	t.Run("Answered", func(t *testing.T) {
		// The calls have been answered when the fsync fails: that is said, and the next calls wait.
		d := &faultyDisk{space: -1, noSync: true}
		l := d.open(t, t.TempDir(), time.Microsecond)
		for l.append(entries(epoch, []byte("{one}"))...) == nil { // until the first fsync has failed
		}
		d.set(func() { d.noSync = false })
		mustAppend(t, l, epoch, "{safe}")
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.reported) == 0 {
			t.Error("nothing was reported")
		}
	})
	t.Run("AppendedMeanwhile", func(t *testing.T) {
		d := &faultyDisk{space: -1, noSync: true, syncing: make(chan struct{}), letSync: make(chan struct{})}
		l := d.open(t, t.TempDir(), 0)
		errs := make(chan error, 2)
		go func() { errs <- l.append(entries(epoch, []byte("{first}"))...) }()
		<-d.syncing
		go func() { errs <- l.append(entries(epoch, []byte("{meanwhile}"))...) }()
		for {
			if l.snapshot(t.Context()).size > 20 {
				break
			}
		}
		d.set(func() { d.syncing = nil })
		d.letSync <- struct{}{}
		for range 2 {
			if err := <-errs; !errors.Is(err, syscall.EIO) {
				t.Errorf("append: %v", err)
			}
		}
		d.set(func() { d.noSync = false })
	})
}

func TestLogRefusesWhatItCouldNotRead(t *testing.T) {
	l := newLog(t, t.TempDir())
	for _, rec := range []string{"", strings.Repeat("x", maxRecord+1)} {
		if err := l.append(entries(epoch, []byte(rec))...); err == nil {
			t.Errorf("append of %d bytes: no error", len(rec))
		}
	}
	mustAppend(t, l, epoch, strings.Repeat("x", maxRecord))
}

func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	l, err := openLog(context.Background(), dir, nil, 0, func(error) {})
	if err != nil {
		f.Fatal(err)
	}
	if err := l.append(entries(epoch, []byte("{one}"), []byte("{two}"))...); err != nil {
		f.Fatal(err)
	}
	if err := l.close(); err != nil {
		f.Fatal(err)
	}
	b, _ := os.ReadFile(filepath.Join(dir, segmentName(epoch, runStride)))
	f.Add(b)
	f.Add(b[:len(b)-2])
	f.Add(append(b, make([]byte, 20)...))
	_ = compress(filepath.Join(dir, segmentName(epoch, runStride)), nil)
	z, _ := os.ReadFile(filepath.Join(dir, stem(segmentName(epoch, runStride))+zstdSuffix))
	f.Add(z)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, segmentName(epoch, 1))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		count := func() (n int, err error) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			err = readFrames(f, func([]byte) error { n++; return nil })
			return n, err
		}
		before, err := count()
		if err != nil && !errors.Is(err, ErrAltered) {
			t.Fatalf("read: %v", err)
		}
		if _, err := cutTail(path); err != nil {
			t.Fatalf("cutTail: %v", err)
		}
		if after, _ := count(); after != before {
			t.Errorf("cutTail left %d of %d records", after, before)
		}
		if err := readCompressed(bytes.NewReader(b), func([]byte) error { return nil }); err != nil && !errors.Is(err, ErrAltered) {
			t.Fatalf("read as compressed: %v", err)
		}
	})
}
