package syncbuffer_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// Nothing is lost or torn, and readers meet whole writes.
func TestBuffer(t *testing.T) {
	var b syncbuffer.Buffer
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 500 {
				if n, err := b.Write([]byte("line\n")); n != 5 || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
				if s := b.String(); len(s)%5 != 0 || !strings.HasSuffix(s, "line\n") {
					t.Errorf("%d bytes are read, in the middle of a write", len(s))
				}
			}
		})
	}
	writers.Wait()
	if got := b.String(); got != strings.Repeat("line\n", 2000) {
		t.Errorf("%d bytes", len(got))
	}
}
