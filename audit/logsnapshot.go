package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// logSnapshot is the log as it was at one moment, for reading. Segments that are pruned meanwhile have no records any more.
type logSnapshot struct {
	l     *segmentLog
	names []string          // of the segments, the oldest first
	live  map[string]*index // of raw segments, by stem
	// The segment that was being written, of which size bytes count.
	current string
	size    int64

	remembered [][]byte // in place of all that, when the log is in memory and l is nil
}

// remembered is the snapshot of a log in memory.
func (t *Trail) remembered() *logSnapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &logSnapshot{remembered: slices.Clone(t.memory)}
}

func (s *logSnapshot) eachRemembered(fn func(stored []byte) error) error {
	for _, rec := range s.remembered {
		if err := fn(rec); err != nil {
			return err
		}
	}
	return nil
}

func (l *segmentLog) snapshot() (*logSnapshot, error) {
	s := &logSnapshot{l: l, live: make(map[string]*index)}
	l.mu.Lock()
	last := l.number
	for stem, x := range l.indexes {
		s.live[stem] = x.snapshot()
	}
	if l.file != nil {
		_ = l.file.Flush() // a disk that is full is told of elsewhere; what is on it can be read
		s.current, s.size = filepath.Base(l.file.Name()), l.size
	}
	l.mu.Unlock()
	names, err := segments(l.dir)
	if err != nil {
		return nil, err
	}
	s.names = slices.DeleteFunc(names, func(name string) bool { // those that began since
		_, n, _ := parseName(name)
		return n > last
	})
	return s, nil
}

// having returns the blocks of a segment in which a term is; ok is false where only reading all of it can tell. An index that is missing is made.
func (s *logSnapshot) having(name string, t term) (found []block, ok bool, err error) {
	if x := s.live[stem(name)]; x != nil {
		return x.having(t), true, nil
	}
	path := filepath.Join(s.l.dir, stem(name)+indexSuffix)
	for made := false; ; made = true {
		found, err := s.havingIn(name, path, t)
		if err == nil {
			return found, true, nil
		}
		if made || !errors.Is(err, errIndex) {
			return nil, false, notThere(err)
		}
		if err := s.l.complete(name); errors.Is(err, os.ErrNotExist) {
			return nil, true, nil // pruned
		} else if err != nil {
			return nil, false, nil // reading it tells what is wrong
		}
	}
}

func (s *logSnapshot) havingIn(name, path string, t term) ([]block, error) {
	if strings.HasSuffix(name, rawSuffix) {
		if _, err := os.Stat(filepath.Join(s.l.dir, name)); err == nil {
			return nil, errIndex // it is not complete, and what lies beside it may be of a try that failed
		}
	}
	x, err := openIndex(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errIndex
	}
	if err != nil {
		return nil, err
	}
	defer x.close()
	return x.having(t)
}

// notThere drops what only says that there is no index.
func notThere(err error) error {
	if errors.Is(err, errIndex) {
		return nil
	}
	return err
}

// read calls fn with the records of a block, or of the whole segment if it is nil. fn must not keep them.
func (s *logSnapshot) read(name string, b *block, fn func(stored []byte) error) error {
	if b == nil {
		limit := int64(-1)
		if name == s.current {
			limit = s.size
		}
		return readSegment(s.l.dir, name, limit, fn)
	}
	raw, err := s.l.readBlock(name, *b)
	if err != nil {
		return err
	}
	return eachFrame(raw, fn)
}

// eachHaving calls fn with the records of the blocks of a segment in which a term is. A block that is damaged does not keep it from the others.
func (s *logSnapshot) eachHaving(name string, t term, fn func(stored []byte) error) error {
	blocks, ok, err := s.having(name, t)
	if err != nil {
		return err
	}
	if !ok {
		return s.read(name, nil, fn)
	}
	var damage []error
	for _, b := range blocks {
		if err := s.read(name, &b, fn); errors.Is(err, ErrAltered) {
			damage = append(damage, err)
		} else if err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}

// each calls fn with each record of the segments that may hold records from the time given on, in the order in which they were written. fn must not keep them.
// Damage is passed over, and reported in the end by an error that wraps ErrAltered.
func (s *logSnapshot) each(from time.Time, fn func(stored []byte) error) error {
	var damage []error
	for i, name := range s.names {
		if i+1 < len(s.names) {
			// A segment is named after a time that no record before it exceeds.
			if next, _, _ := parseName(s.names[i+1]); next.Before(from) {
				continue
			}
		}
		switch err := s.read(name, nil, fn); {
		case errors.Is(err, ErrAltered):
			damage = append(damage, fmt.Errorf("reading %s: %w", name, err))
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return errors.Join(damage...)
}
