//go:build unix

package lakesql_test

import (
	"syscall"
	"testing"
	"time"
)

// busy is how long the processors have worked for this process. A machine that has other things to do does not make it longer.
func busy(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
