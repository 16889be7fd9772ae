//go:build unix

package seal

import (
	"os"
	"syscall"
	"testing"
)

// dup returns a descriptor of f's file that nobody else closes.
func dup(t *testing.T, f *os.File) int {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
