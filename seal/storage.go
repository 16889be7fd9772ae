package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/durable"
)

// Memory is a [Storage] that forgets with the process. The zero value is empty.
type Memory struct {
	mu    sync.Mutex // guards value
	value []byte
}

// Load implements [Storage].
func (m *Memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.value == nil {
		return nil, ErrEmpty
	}
	return bytes.Clone(m.value), nil
}

// Swap implements [Storage].
func (m *Memory) Swap(_ context.Context, old, new []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if (old == nil) != (m.value == nil) || !bytes.Equal(old, m.value) {
		return ErrChanged
	}
	m.value = bytes.Clone(new)
	return nil
}

// FileStorage is a [Storage] in a file of its own. Swap compares within one process only, so a file belongs to one.
type FileStorage struct {
	path string
	mu   sync.Mutex // makes Swap's comparison and write one
}

// NewFileStorage returns the storage at path, whose directory must exist by the first Swap.
func NewFileStorage(path string) *FileStorage { return &FileStorage{path: path} }

// Load implements [Storage].
func (s *FileStorage) Load(context.Context) ([]byte, error) {
	value, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrEmpty
	}
	return value, err
}

// Swap implements [Storage].
func (s *FileStorage) Swap(ctx context.Context, old, new []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := s.Load(ctx)
	if err != nil && !errors.Is(err, ErrEmpty) {
		return err
	}
	if (old == nil) != (err != nil) || !bytes.Equal(old, value) {
		return ErrChanged
	}
	if old == nil {
		err = durable.CreateFile(s.path, new)
		if errors.Is(err, fs.ErrExist) {
			return ErrChanged
		}
		return err
	}
	return durable.WriteFile(s.path, new)
}

// Ephemeral returns a keyring with a random root that dies with the process: for tests, and for clouds that keep
// nothing.
func Ephemeral() *Keyring {
	k := &Keyring{provider: &Key{newRoot()}, storage: new(Memory), clock: new(clock.Real)}
	if err := k.found(context.Background()); err != nil {
		panic(fmt.Sprintf("seal: memory refused a keyring: %v", err)) // cannot be
	}
	return k
}
