package kmsplugin_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/kmsplugin"
)

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := kmsplugin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A plugin that ends takes its own socket away, not that of the one which took its place meanwhile.
func TestASuccessorKeepsItsSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "kms") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	for name, leave := range map[string]func(l net.Listener){
		"StartedTogether": func(net.Listener) { os.Remove(path) }, // as if both had seen that nobody listens
		"ClosedTwice":     func(l net.Listener) { l.Close() },     // as http.Server does
	} {
		t.Run(name, func(t *testing.T) {
			first := listen(t, path)
			leave(first)
			second := listen(t, path)
			first.Close()
			if c, err := net.Dial("unix", path); err != nil {
				t.Errorf("the second's socket: %v", err)
			} else {
				c.Close()
			}
			second.Close()
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("the second left its socket: %v", err)
			}
		})
	}
}

func TestListenOnALongPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 110))
	if _, err := kmsplugin.Listen(path); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("Listen: %v, want that the path is too long", err)
	}
}
