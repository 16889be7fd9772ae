package cloud_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// TestResetInterrupted starts after a crash in the middle of a reset: with a part of the old store out of the way, and none yet.
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
	c = open(t, cfg)
	defer closeCloud(t, c)
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
