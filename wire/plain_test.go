package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/wire"
)

// TestEveryByteOfAStringIsWritten writes each byte at each place of strings of several words' length.
func TestEveryByteOfAStringIsWritten(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				s := strings.Repeat("a", at) + string([]byte{byte(c)}) + strings.Repeat("\x7f", size-at-1)
				b := wire.AppendJSONString([]byte("before"), s)
				var got string
				if err := json.Unmarshal(b[len("before"):], &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") {
					t.Fatalf("%q is written as %s, which is %q, %v", s, b, got, err)
				}
			}
		}
	}
}
