package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/holdfast-cloud/holdfast/durable"
)

// Mark is the log as it was at one moment, for a copy of it. What is appended later is not in it. Records of changes come into the log some time after their commit: those that are
// in the store stay there until the store was looked at, too, see Beheld. Its maker closes it.
type Mark struct {
	move     func()
	release  func()
	log      *segmentLog
	segments []*segment // in the directory, and complete
	current  *os.File   // the segment that was being written, of which size bytes count; nil if none was
	size     int64
}

// Mark returns the log as it is: the record of every call that was answered is in it.
func (t *Trail) Mark() (*Mark, error) {
	if t.log == nil {
		return nil, errors.New("an audit log in memory cannot be copied")
	}
	l := t.log
	l.shipping.RLock() // a segment is in the copy, or in the archive by now
	t.moving.RLock()
	m := &Mark{log: l, move: sync.OnceFunc(t.moving.RUnlock), release: sync.OnceFunc(func() {
		l.shipping.RUnlock()
		l.wakeShipping()
	})}
	if err := l.mark(m); err != nil {
		m.move()
		m.release()
		return nil, fmt.Errorf("looking at the audit log: %w", err)
	}
	return m, nil
}

// Beheld says that a snapshot of the store was taken: what moves into the log from now on is in that.
func (m *Mark) Beheld() { m.move() }

func (l *segmentLog) mark(m *Mark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if !s.archived && s != l.current {
			m.segments = append(m.segments, s)
		}
	}
	if l.file == nil {
		return nil
	}
	m.size = l.size
	if err := l.file.Flush(); err != nil {
		return err
	}
	var err error
	// Opened now: when it is full it is compressed, and then holds more than it does now.
	m.current, err = os.Open(l.file.Name())
	return err
}

// Close releases what the mark holds.
func (m *Mark) Close() error {
	m.move()
	m.release()
	if m.current == nil {
		return nil
	}
	return m.current.Close()
}

// Copy calls fn with the name and the bytes of each segment that is not in the archive, in order, as they lie in the files: what is damaged stays to be seen. Segments
// that were pruned since are left out. It can be called once.
func (m *Mark) Copy(fn func(name string, data io.Reader) error) error {
	for _, s := range m.segments {
		if err := m.copySegment(s, fn); err != nil {
			return fmt.Errorf("copying %s: %w", s.stem, err)
		}
	}
	if m.current == nil {
		return nil
	}
	name := filepath.Base(m.current.Name())
	if err := m.copyCurrent(name, fn); err != nil {
		return fmt.Errorf("copying %s: %w", name, err)
	}
	return nil
}

func (m *Mark) copySegment(s *segment, fn func(name string, data io.Reader) error) error {
	path := filepath.Join(m.log.dir, s.stem)
	f, err := os.Open(path + rawSuffix)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.Open(path + zstdSuffix)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(filepath.Base(f.Name()), f)
}

func (m *Mark) copyCurrent(name string, fn func(name string, data io.Reader) error) error {
	data := &io.LimitedReader{R: m.current, N: m.size}
	if err := fn(name, data); err != nil {
		return err
	}
	if data.N > 0 {
		return fmt.Errorf("%w: it is %d bytes shorter than what was written", ErrAltered, data.N)
	}
	return nil
}

// WriteCopy makes a segment of a log that is not open yet, from what Copy gave.
func WriteCopy(dir, name string, data io.Reader) error {
	if _, _, ok := parseName(name); !ok || name != filepath.Base(name) {
		return fmt.Errorf("%.100q is no name of an audit log segment", name)
	}
	if err := durable.MkdirAll(dir); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return durable.SyncDir(dir)
}
