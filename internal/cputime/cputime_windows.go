// Package cputime tells how long the processors have worked for this process. Tests bound by it what must not take long: a machine that has other things to do does not make it longer.
package cputime

import (
	"fmt"
	"syscall"
	"time"
)

// Spent is how long the processors have worked so far, all of them together.
func Spent() time.Duration {
	var created, ended, kernel, user syscall.Filetime
	process, err := syscall.GetCurrentProcess()
	if err == nil {
		err = syscall.GetProcessTimes(process, &created, &ended, &kernel, &user)
	}
	if err != nil {
		panic(fmt.Sprintf("asking for the time of this process: %v", err))
	}
	return span(kernel) + span(user)
}

// span is a duration that Windows tells in steps of 100 nanoseconds.
func span(f syscall.Filetime) time.Duration {
	return time.Duration(int64(f.HighDateTime)<<32|int64(f.LowDateTime)) * 100
}
