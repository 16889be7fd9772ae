package cloud_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud"
)

// TestResetInterrupted starts after a crash in the middle of a reset: with a part of the old store out of the way, and none yet, and with what belonged to it.
func TestResetInterrupted(t *testing.T) {
	dir := t.TempDir()
	cfg := cloud.Config{Dir: dir, Dev: true}
	c := open(t, cfg)
	createKey(t, client(t, c, "test", "test"))
	closeCloud(t, c)
	store, gone := filepath.Join(dir, "store"), filepath.Join(dir, "store.forgotten")
	if err := os.Rename(store, gone); err != nil {
		t.Fatal(err)
	}
	markers, err := filepath.Glob(filepath.Join(gone, "marker.*"))
	if err != nil || len(markers) == 0 {
		t.Fatalf("no markers: %v", err)
	}
	for _, m := range markers {
		if err := os.Remove(m); err != nil {
			t.Fatal(err)
		}
	}
	object := filepath.Join(dir, "blob", "object")
	if err := os.WriteFile(object, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = open(t, cfg)
	defer closeCloud(t, c)
	if _, err := os.Stat(object); !os.IsNotExist(err) {
		t.Errorf("an object of what was forgotten is still there: %v", err)
	}
	if events, err := c.Events(t.Context(), audit.Filter{}); err != nil || len(events) > 0 {
		t.Errorf("%d records of what was forgotten are still there: %v", len(events), err)
	}
	k := client(t, c, "test", "test")
	wantDecrypt(t, k, encrypt(t, k, createKey(t, k), "hello"), "hello")
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("what was forgotten is still there: %v", err)
	}
	wantPage(t, c, "POST", "/_holdfast/reset", "", 204)
	wantDecrypt(t, k, encrypt(t, k, createKey(t, k), "hello"), "hello")
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("after a reset, what was forgotten is still there: %v", err)
	}
}
