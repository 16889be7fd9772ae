package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A copy holds what the log held when it was marked, whatever happens to the log meanwhile.
func TestCopy(t *testing.T) {
	records := func(l *segmentLog) []string {
		t.Helper()
		got, err := readAll(l, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	fill := func(l *segmentLog, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			mustAppend(t, l, epoch.Add(time.Duration(i)*time.Second), fmt.Sprintf(`{"n":%d}`, i))
		}
	}
	// copyOf copies in two steps, with something between.
	copyOf := func(l *segmentLog, between func()) string {
		t.Helper()
		m, err := (&Trail{log: l}).Mark()
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		between()
		target := filepath.Join(t.TempDir(), "audit")
		if err := m.Copy(func(name string, data io.Reader) error { return WriteCopy(target, name, data) }); err != nil {
			t.Fatalf("Copy: %v", err)
		}
		return target
	}
	reopened := func(dir string) []string {
		t.Helper()
		l := newLog(t, dir)
		return records(l)
	}

	t.Run("WhatIsAppendedLaterIsNotInIt", func(t *testing.T) {
		l := newLog(t, t.TempDir())
		fill(l, 0, 10)
		want := records(l)
		dir := copyOf(l, func() { fill(l, 10, 20) })
		if d := cmp.Diff(want, reopened(dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("ASegmentThatWasCompressedMeanwhile", func(t *testing.T) {
		l := newLog(t, t.TempDir())
		l.limit = 50
		fill(l, 0, 10)
		want := records(l)
		dir := copyOf(l, func() {
			fill(l, 10, 20)
			l.syncNow()
			l.others.Wait()
		})
		if d := cmp.Diff(want, reopened(dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("SegmentsThatWerePrunedMeanwhile", func(t *testing.T) {
		l := newLog(t, t.TempDir())
		l.limit = 50
		fill(l, 0, 20)
		all := records(l)
		dir := copyOf(l, func() {
			if err := l.prune(t.Context(), epoch.Add(10*time.Second)); err != nil {
				t.Fatal(err)
			}
		})
		got := reopened(dir)
		if len(got) == len(all) || len(got) == 0 || !slices.Equal(got, all[len(all)-len(got):]) {
			t.Errorf("the copy holds %q", got)
		}
	})
	t.Run("DamageStaysToBeSeen", func(t *testing.T) {
		from := t.TempDir()
		l := newLog(t, from)
		l.limit = 50
		fill(l, 0, 20)
		l.others.Wait()
		names, err := segments(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(from, names[0])
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := copyOf(l, func() {})
		c := newLog(t, dir)
		if _, err := readAll(c, time.Time{}); !errors.Is(err, ErrAltered) {
			t.Errorf("reading the copy of an altered log: %v, want ErrAltered", err)
		}
	})
}

// A copy writes nowhere but into its directory, and over nothing.
func TestWriteCopyRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	name := segmentName(time.Unix(1, 0), 1)
	for _, bad := range []string{"", ".", "spool", "../" + name, "x/" + name, name + ".tmp", "/etc/passwd"} {
		if err := WriteCopy(dir, bad, bytes.NewReader(nil)); err == nil {
			t.Errorf("a segment %q was written", bad)
		}
	}
	if err := WriteCopy(dir, name, bytes.NewReader([]byte("a"))); err != nil {
		t.Fatal(err)
	}
	if err := WriteCopy(dir, name, bytes.NewReader([]byte("b"))); !errors.Is(err, os.ErrExist) {
		t.Errorf("a segment twice: %v, want ErrExist", err)
	}
}
