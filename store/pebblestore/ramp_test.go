package pebblestore

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/holdfast-cloud/holdfast/store"
)

// TestFirstTables writes more than a store's first memtables take, which are small and are not flushed before they are half of a full one together: nobody waits for that.
func TestFirstTables(t *testing.T) {
	s, err := Open(Options{Dir: "data", MemTableSize: 16 << 20, MinFree: -1, fs: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 200 {
		if err := s.Update(t.Context(), func(tx store.Tx) error {
			tx.Set(fmt.Appendf(nil, "%d", i), make([]byte, 64<<10))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
