package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory is a [Store] that forgets with the process. The zero value is empty.
type Memory struct {
	mu      sync.RWMutex // guards objects; their bytes never change
	objects map[string][]byte
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	content, err := io.ReadAll(ctxReader{ctx, r})
	if err != nil {
		return Info{}, fmt.Errorf("reading what to put at %s: %w", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return Info{}, fmt.Errorf("%w: %s", ErrExists, key)
	}
	if m.objects == nil {
		m.objects = make(map[string][]byte)
	}
	m.objects[key] = content
	return Info{key, int64(len(content))}, nil
}

func (m *Memory) find(ctx context.Context, key string) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	content, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, key)
	}
	return content, nil
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	content, err := m.find(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	size := int64(len(content))
	if n, err = span(off, n, size); err != nil {
		return nil, Info{}, err
	}
	return io.NopCloser(ctxReader{ctx, bytes.NewReader(content[off : off+n])}), Info{key, size}, nil
}

// Stat implements [Store].
func (m *Memory) Stat(ctx context.Context, key string) (Info, error) {
	content, err := m.find(ctx, key)
	if err != nil {
		return Info{}, err
	}
	return Info{key, int64(len(content))}, nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		m.mu.RLock()
		var found []Info
		for key, content := range m.objects {
			if strings.HasPrefix(key, prefix) && key > after {
				found = append(found, Info{key, int64(len(content))})
			}
		}
		m.mu.RUnlock()
		slices.SortFunc(found, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
		for _, info := range found {
			if err := ctx.Err(); err != nil {
				yield(Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}
