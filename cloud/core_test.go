package cloud

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// tight is a store on a disk with so many free bytes.
type tight struct {
	store.Store
	free uint64
}

func (s *tight) Metrics() store.Metrics { return store.Metrics{DiskFree: s.free, DiskSpare: 64 << 20} }

func TestFailureOfAFullDisk(t *testing.T) {
	s := &tight{Store: memstore.New(), free: 1 << 20}
	if err := s.Update(t.Context(), func(tx store.Tx) error { tx.Set(keyringKey, []byte("x")); return nil }); err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Open(audit.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	c := &core{store: s, trail: trail}
	if got := c.failure(t.Context(), false); got != "the disk is full: nothing can be changed" {
		t.Errorf("failure = %q", got)
	}
	s.free = 1 << 30
	if got := c.failure(t.Context(), false); got != "" {
		t.Errorf("failure with space = %q", got)
	}
}
