package seal

import (
	"os"
	"syscall"
	"testing"
)

// dup returns a handle of f's file that nobody else closes.
func dup(t *testing.T, f *os.File) int {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		t.Fatal(err)
	}
	var h syscall.Handle
	if err := syscall.DuplicateHandle(self, syscall.Handle(f.Fd()), self, &h, 0, false, syscall.DUPLICATE_SAME_ACCESS); err != nil {
		t.Fatal(err)
	}
	return int(h)
}
