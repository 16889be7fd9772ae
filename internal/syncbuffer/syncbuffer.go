// Package syncbuffer has a buffer that is read while it is written to: the output of a process, or a log, that a test waits for.
package syncbuffer

import (
	"bytes"
	"sync"
)

// Buffer is what was written to it so far. Its methods may be called concurrently; the zero value is empty.
type Buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
