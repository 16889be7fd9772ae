//go:build pkcs11 && cgo && linux

package hsm_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
)

// Whoever may decrypt may send what does not decrypt, as often as they like: it must cost no memory, on the side of C either.
func TestRefusalsCostNoMemory(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("one", pin)
	token := open(t, soft.URI("one"))
	k := generate(t, token, "k")
	damaged := seal(t, token, k, string(make([]byte, 64<<10)), "")
	damaged[20] ^= 1
	refuse := func(times int) {
		for range times {
			if _, err := token.Decrypt(t.Context(), k, damaged, nil); err == nil {
				t.Fatal("Decrypt took damaged bytes")
			}
		}
		debug.FreeOSMemory()
	}
	refuse(50)
	before := resident(t)
	refuse(500)
	if grown := resident(t) - before; grown > 8<<10 {
		t.Errorf("500 refusals of 64 KiB took %d KiB", grown)
	}
}

// resident is how much memory the process has, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 10
}
