package door

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
)

func TestUnpack(t *testing.T) {
	packed := func(s string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(s))
		z.Close()
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		encoding string
		body     []byte
		want     string // "" is an error
	}{
		"OK":       {"gzip", packed("metric data"), "metric data"},
		"Plain":    {"", []byte("metric data"), "metric data"},
		"NotGzip":  {"gzip", []byte("metric data"), ""},
		"CutOff":   {"gzip", packed("metric data")[:15], ""},
		"TooLarge": {"gzip", packed(strings.Repeat("x", defaultBodyLimit+1)), ""},
	} {
		x := &exchange{request: &http.Request{Header: http.Header{"Content-Encoding": {c.encoding}}}, body: c.body}
		err := x.unpack()
		if (err != nil) != (c.want == "") || err == nil && string(x.plain()) != c.want {
			t.Errorf("%s: %v, %d bytes", name, err, len(x.plain()))
		}
	}
}
