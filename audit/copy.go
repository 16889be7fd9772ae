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
	move    func()
	dir     string
	names   []string
	current *os.File // the segment that was being written, of which size bytes count; nil if none was
	size    int64
}

// Mark returns the log as it is: the record of every call that was answered is in it.
func (t *Trail) Mark() (*Mark, error) {
	if t.log == nil {
		return nil, errors.New("an audit log in memory cannot be copied")
	}
	t.moving.RLock()
	m, err := t.log.mark()
	if err != nil {
		t.moving.RUnlock()
		return nil, fmt.Errorf("looking at the audit log: %w", err)
	}
	m.move = sync.OnceFunc(t.moving.RUnlock)
	return m, nil
}

// Beheld says that a snapshot of the store was taken: what moves into the log from now on is in that.
func (m *Mark) Beheld() { m.move() }

func (l *segmentLog) mark() (*Mark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err := segments(l.dir) // no segment begins under the lock
	if err != nil {
		return nil, err
	}
	m := &Mark{move: func() {}, dir: l.dir, names: names, size: l.size}
	if l.file == nil {
		return m, nil
	}
	if err := l.file.Flush(); err != nil {
		return nil, err
	}
	// Opened now: when it is full it is compressed, and then holds more than it does now.
	m.current, err = os.Open(l.file.Name())
	return m, err
}

// Close releases what the mark holds.
func (m *Mark) Close() error {
	m.move()
	if m.current == nil {
		return nil
	}
	return m.current.Close()
}

// Copy calls fn with the name and the bytes of each segment, in order, as they lie in the files: what is damaged stays to be seen. Segments that were
// pruned since are left out. It can be called once.
func (m *Mark) Copy(fn func(name string, data io.Reader) error) error {
	for _, name := range m.names {
		copySegment := m.copySegment
		if m.current != nil && name == filepath.Base(m.current.Name()) {
			copySegment = m.copyCurrent
		}
		if err := copySegment(name, fn); err != nil {
			return fmt.Errorf("copying %s: %w", name, err)
		}
	}
	return nil
}

func (m *Mark) copySegment(name string, fn func(name string, data io.Reader) error) error {
	f, err := openSegment(m.dir, name)
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
