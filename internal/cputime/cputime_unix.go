//go:build unix

// Package cputime tells how long the processors have worked for this process. Tests bound by it what must not take long: a machine that has other things to do does not make it longer.
package cputime

import (
	"fmt"
	"syscall"
	"time"
)

// Spent is how long the processors have worked so far, all of them together.
func Spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprintf("asking for the time of this process: %v", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
