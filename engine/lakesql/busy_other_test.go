//go:build !unix

package lakesql_test

import (
	"runtime"
	"testing"
	"time"
)

// busy is how long this process has had processors to work for it, if the machine has nothing else to do.
func busy(*testing.T) time.Duration {
	return time.Since(begun) * time.Duration(runtime.GOMAXPROCS(0))
}

var begun = time.Now()
