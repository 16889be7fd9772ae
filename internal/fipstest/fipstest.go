// Package fipstest runs tests where nothing but Go's FIPS 140-3 module may do cryptography.
package fipstest

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// limit is how long a test may take in the process made for it.
const limit = 5 * time.Minute

// Only reports whether this process runs with GODEBUG=fips140=only, in which what is outside the module fails or panics. The mode cannot be changed once a
// process runs, so where it does not, Only runs the calling test again in a process where it does, fails if that fails, and returns false.
//
//	func TestFIPS(t *testing.T) {
//		if !fipstest.Only(t) {
//			return
//		}
func Only(t *testing.T) bool {
	t.Helper()
	if fips140.Enforced() {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	test := exec.CommandContext(t.Context(), self, "-test.run=^"+name+"$", "-test.v", "-test.count=1", "-test.timeout="+limit.String())
	test.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := test.CombinedOutput()
	// That the process says nothing of the test means that it did not run.
	if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
		t.Errorf("with GODEBUG=fips140=only: %v\n%s", err, out)
	}
	return false
}
