package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killed copies a log's directory as it stands, which is what a killed process leaves.
func killed(t *testing.T, dir string) string {
	t.Helper()
	after := t.TempDir()
	if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return after
}

func lazyLog(t *testing.T, dir string) *segmentLog {
	t.Helper()
	l, err := openLog(context.Background(), dir, nil, time.Hour, func(err error) { t.Log(err) })
	if err != nil {
		t.Fatalf("openLog: %v", err)
	}
	t.Cleanup(func() { _ = l.close() })
	if l.spool == nil {
		t.Skip("files cannot be mapped here")
	}
	return l
}

func TestSpoolSurvivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	l := lazyLog(t, dir)
	mustAppend(t, l, epoch, "{one}")
	mustAppend(t, l, epoch, "{two}", "{three}")
	t.Run("BeforeTheFlush", func(t *testing.T) {
		after := killed(t, dir)
		for range 2 { // opening again finds nothing more to do
			l := newLog(t, after)
			wantRecords(t, l, time.Time{}, "{one}", "{two}", "{three}")
			if err := l.close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("InTheFlush", func(t *testing.T) {
		after := killed(t, dir)
		segment := filepath.Join(after, filepath.Base(l.file.Name()))
		frames := l.spool.frames()
		for n := 0; n <= len(frames); n++ {
			if err := os.WriteFile(segment, frames[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			again := killed(t, after)
			wantRecords(t, newLog(t, again), time.Time{}, "{one}", "{two}", "{three}")
		}
	})
	t.Run("BetweenTheFlushes", func(t *testing.T) {
		if err := l.file.Flush(); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, epoch, "{four}")
		wantRecords(t, newLog(t, killed(t, dir)), time.Time{}, "{one}", "{two}", "{three}", "{four}")
	})
	t.Run("OlderThanTheSegment", func(t *testing.T) {
		// A power cut kept an old page of the spool and the newer segment.
		after := killed(t, dir)
		stale, err := os.ReadFile(filepath.Join(after, spoolName))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.file.Flush(); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, epoch, "{five}")
		if err := l.file.Flush(); err != nil {
			t.Fatal(err)
		}
		now := killed(t, dir)
		copy(stale[spoolData+frameHeader:], "{FOUR}") // and not even what was there
		if err := os.WriteFile(filepath.Join(now, spoolName), stale, 0o600); err != nil {
			t.Fatal(err)
		}
		wantRecords(t, newLog(t, now), time.Time{}, "{one}", "{two}", "{three}", "{four}", "{five}")
	})
}

func TestSpoolThatIsFullIsWritten(t *testing.T) {
	dir := t.TempDir()
	l := lazyLog(t, dir)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("{%d%s}", i, strings.Repeat("x", 9000)))
		mustAppend(t, l, epoch, want[i])
	}
	large := "{" + strings.Repeat("y", spoolSize) + "}"
	mustAppend(t, l, epoch, large)
	mustAppend(t, l, epoch, "{last}")
	want = append(want, large, "{last}")
	wantRecords(t, newLog(t, killed(t, dir)), time.Time{}, want...)
	wantRecords(t, l, time.Time{}, want...)
}

func TestSpoolOnAFullDisk(t *testing.T) {
	d := &faultyDisk{space: 0}
	dir := t.TempDir()
	l := d.openSpooled(t, dir, 0)
	if l.spool == nil {
		t.Skip("files cannot be mapped here")
	}
	l.interval = time.Hour
	mustAppend(t, l, epoch, "{kept}")
	l.syncNow()
	if err := l.failure(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("failure = %v, want that the disk is full", err)
	}
	// What is in the spool stays there, and calls are refused only when it is full.
	record := "{" + strings.Repeat("x", 9000) + "}"
	n := 0
	for ; l.append(entries(epoch, []byte(record))...) == nil; n++ {
		if n > spoolSize/len(record) {
			t.Fatal("more was taken than there is a place for")
		}
	}
	want := []string{"{kept}"}
	for range n {
		want = append(want, record)
	}
	wantRecords(t, newLog(t, killed(t, dir)), time.Time{}, want...)
	d.set(func() { d.space = -1 })
	if err := l.failure(); err != nil {
		t.Errorf("failure when there is space again = %v", err)
	}
	wantRecords(t, l, time.Time{}, want...)
}

func FuzzSpool(f *testing.F) {
	dir := f.TempDir()
	l, err := openLog(context.Background(), dir, nil, time.Hour, func(error) {})
	if err != nil {
		f.Fatal(err)
	}
	if err := l.append(entries(epoch, []byte("{one}"), []byte("{two}"))...); err != nil {
		f.Fatal(err)
	}
	mem, err := os.ReadFile(filepath.Join(dir, spoolName))
	if err != nil {
		f.Skip("files cannot be mapped here")
	}
	name := filepath.Base(l.file.Name())
	f.Add(mem[:100], mem[spoolData:spoolData+40], []byte{})
	f.Add(mem[:100], mem[spoolData:spoolData+40], mem[spoolData:spoolData+20])
	f.Fuzz(func(t *testing.T, head, data, segment []byte) {
		dir := t.TempDir()
		b := make([]byte, spoolSize)
		copy(b, head)
		copy(b[spoolData:], data)
		if os.WriteFile(filepath.Join(dir, spoolName), b, 0o600) != nil || os.WriteFile(filepath.Join(dir, name), segment, 0o600) != nil {
			t.Skip()
		}
		before := 0
		for n := frameLength(segment); n > 0; n = frameLength(segment[before:]) {
			before += n
		}
		if err := recoverSpool(dir); err != nil {
			t.Fatalf("recoverSpool: %v", err)
		}
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(after) < before || string(after[:before]) != string(segment[:before]) {
			t.Errorf("whole frames of the segment were lost: %d bytes of %d are left, %v", len(after), before, err)
		}
	})
}
