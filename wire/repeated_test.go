package wire_test

import (
	"net/http"
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/ferry"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Signatures cover the lines of a header joined by commas, so that is how they are read.
func TestHeaderInSeveralLines(t *testing.T) {
	for want, lines := range map[bool][]string{true: {"7"}, false: {"7", "8"}} {
		_, err := wire.For(wire.RESTJSON).DecodeRequest(ferry.OpBookPassage, &wire.Request{
			Method: "PUT", Path: "/2021-03-04/lines/a/berths/b", RawQuery: "book", Header: http.Header{"X-Ferry-Weight": lines},
		})
		if got := err == nil; got != want {
			t.Errorf("DecodeRequest with weights %v: %v", lines, err)
		}
	}
}
