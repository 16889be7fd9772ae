package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// segment is one of the log's, wherever it lies. The fields below at are guarded by segmentLog.mu.
type segment struct {
	stem   string
	number int
	at     time.Time // that no record before it exceeds

	packed   bool  // compressed
	archived bool  // in the archive, and nowhere else
	copies   int   // how often it came back from the archive
	removed  bool  // pruned
	lost     error // why nothing of it can be read, once that is known
}

func newSegment(name string) (*segment, bool) {
	at, n, ok := parseName(name)
	if !ok {
		return nil, false
	}
	return &segment{stem: stem(name), number: n, at: at, packed: filepath.Ext(name) == zstdSuffix}, true
}

// runStride is what divides the number of the first segment that a process writes. So a log that was restored from a backup takes up no number that the log which was
// backed up gave away in the moments after: a cursor of those moments leads to a segment that is not there, and reading goes on with the next.
const runStride = 64

// nextRun is what the numbers of a new process are greater than.
func nextRun(last int) int { return (last/runStride+1)*runStride - 1 }

// gap tells of segments that were removed between two that follow each other.
func gap(before, after *segment) error {
	if after.number == before.number+1 || after.number%runStride == 0 {
		return nil
	}
	return fmt.Errorf("%w: segments %d to %d are gone", ErrAltered, before.number+1, after.number-1)
}

// segments lists the segment files of a directory in order; of a segment that is there in both forms, because a crash came between compressing and removing, the raw
// one.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, _, ok := parseName(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // ".log" before ".zst"
	return slices.CompactFunc(names, func(a, b string) bool { return stem(a) == stem(b) }), nil
}

// list finds the segments, in the directory and in the archive. What is in both is taken from the directory: shipping was cut off.
func (l *segmentLog) list(ctx context.Context) ([]*segment, error) {
	names, err := segments(l.dir)
	if err != nil {
		return nil, err
	}
	known := make(map[string]*segment)
	for _, name := range names {
		s, _ := newSegment(name)
		known[s.stem] = s
	}
	if l.archive != nil {
		for info, err := range l.archive.List(ctx, archivePrefix, "") {
			if err != nil {
				return nil, fmt.Errorf("listing the archive: %w", err)
			}
			// An index alone counts, too: its segment was there.
			name := stem(strings.TrimPrefix(info.Key, archivePrefix)) + zstdSuffix
			if s, ok := newSegment(name); ok && known[s.stem] == nil {
				s.archived = true
				known[s.stem] = s
			}
		}
	}
	all := make([]*segment, 0, len(known))
	for _, s := range known {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *segment) int { return strings.Compare(a.stem, b.stem) })
	return all, nil
}

// state is a copy of what is known of a segment now.
func (l *segmentLog) state(s *segment) segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *s
}

func (l *segmentLog) change(s *segment, fn func(*segment)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(s)
}

// prune removes the segments in which all records are from before the time given.
func (l *segmentLog) prune(ctx context.Context, before time.Time) error {
	for {
		l.mu.Lock()
		if len(l.segments) < 2 || !l.segments[1].at.Before(before) {
			l.mu.Unlock()
			return nil
		}
		s := l.segments[0]
		s.removed = true // so nobody takes for damage what comes now
		l.mu.Unlock()
		if err := l.remove(ctx, s); err != nil {
			return err
		}
		l.mu.Lock()
		l.segments = without(l.segments, s)
		delete(l.indexes, s.stem)
		l.mu.Unlock()
	}
}

// remove removes a segment wherever it lies. Its index goes first: an index alone would tell of a segment that somebody removed.
func (l *segmentLog) remove(ctx context.Context, s *segment) error {
	l.building.Lock() // or it would come again
	defer l.building.Unlock()
	if err := l.removeFiles(s); err != nil {
		return err
	}
	if l.archive == nil {
		return nil
	}
	for _, suffix := range []string{indexSuffix, zstdSuffix} {
		if err := l.archive.Delete(ctx, archiveKey(s.stem, suffix)); err != nil {
			return err
		}
	}
	return nil
}

func (l *segmentLog) removeFiles(s *segment) error {
	for _, suffix := range []string{indexSuffix, rawSuffix, zstdSuffix} {
		if err := os.Remove(filepath.Join(l.dir, s.stem+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
