package actions

import (
	"bytes"
	"compress/gzip"
	"testing"
)

func TestUnpackRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"ActionBeforeService": "A Read - - Get\n",
		"UnknownLine":         "K String k\nX\n",
		"IndexOutOfRange":     "S s Name\nR arn\nC\nA Read 1 - Get\n",
		"NoNames":             "S s Name\nR arn\nC\nA Read - -\n",
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			w.Write([]byte(text))
			w.Close()
			if r, err := unpack(b.Bytes()); err == nil {
				t.Errorf("unpack(%q) = %+v", text, r)
			}
		})
	}
	t.Run("NotPacked", func(t *testing.T) {
		if r, err := unpack([]byte("K")); err == nil {
			t.Errorf("unpack = %+v", r)
		}
	})
}

func TestSize(t *testing.T) {
	if len(packed) > 300_000 {
		t.Errorf("the packed reference has grown to %d bytes", len(packed))
	}
}

func BenchmarkUnpack(b *testing.B) {
	for b.Loop() {
		if _, err := unpack(packed); err != nil {
			b.Fatal(err)
		}
	}
}
