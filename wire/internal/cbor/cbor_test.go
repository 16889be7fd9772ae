package cbor

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
)

func decode(t *testing.T, s string) Decoder {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return NewDecoder(b)
}

// TestFloats takes examples of RFC 8949, appendix A.
func TestFloats(t *testing.T) {
	for text, want := range map[string]float64{
		"f90000": 0, "f93c00": 1, "f93e00": 1.5, "f97bff": 65504, "fa47c35000": 100000, "fa7f7fffff": math.MaxFloat32,
		"fb7e37e43c8800759c": 1e300, "f90001": 5.960464477539063e-8, "f90400": 0.00006103515625, "f9c400": -4,
		"fbc010666666666666": -4.1, "f97c00": math.Inf(1), "f9fc00": math.Inf(-1), "fa7f800000": math.Inf(1),
	} {
		d := decode(t, text)
		h, err := d.Next()
		got, ok := h.Float()
		if err != nil || !ok || got != want {
			t.Errorf("%s: %v %v %v, want %v", text, got, ok, err, want)
		}
	}
	d := decode(t, "f97e00")
	h, err := d.Next()
	if got, ok := h.Float(); err != nil || !ok || !math.IsNaN(got) {
		t.Errorf("f97e00: %v, want NaN", got)
	}
}

func TestInts(t *testing.T) {
	for text, want := range map[string]int64{
		"00": 0, "17": 23, "1818": 24, "1903e8": 1000, "1a000f4240": 1000000, "1b000000e8d4a51000": 1000000000000,
		"20": -1, "3863": -100, "3903e7": -1000,
	} {
		d := decode(t, text)
		h, err := d.Next()
		got := int64(h.Arg)
		if h.Major == NegInt {
			got = -1 - got
		}
		if err != nil || got != want {
			t.Errorf("%s: %d %v, want %d", text, got, err, want)
		}
		if b := AppendInt(nil, want); hex.EncodeToString(b) != text {
			t.Errorf("AppendInt(%d): %x, want %s", want, b, text)
		}
	}
}

func TestWellFormed(t *testing.T) {
	for _, text := range []string{
		"80", "a0", "83010203", "8301820203820405", "a201020304", "9fff", "9f018202039f0405ffff", "bf61610161629f0203ffff",
		"5f42010243030405ff", "7f657374726561646d696e67ff", "c074323031332d30332d32315432303a30343a30305a", "c11a514b67b0", "f5f6f7f0f8ff"[:8], "f8ff",
	} {
		d := decode(t, text)
		for !d.Done() {
			if err := d.Skip(16); err != nil {
				t.Errorf("Skip(%s): %v", text, err)
				break
			}
		}
	}
	for _, text := range []string{
		"", "18", "19ff", "1c", "1d", "1e", "1f", "3f", "5f", "5f4101", "5f6161ff", "5f5f4101ffff", "ff", "83", "8301", "9bffffffffffffffff",
		"a1", "a101", "bbffffffffffffffff", "bf61", "bf6161ff", "61ff", "62c328", "7f61c361bfff", "5bffffffffffffffff", "df", "f800", "f818", "c1",
		"8181818181818181818181818181818181",
	} {
		d := decode(t, text)
		if err := d.Skip(16); err == nil {
			t.Errorf("Skip(%s): nil, want ErrMalformed", text)
		}
	}
}

func FuzzSkip(f *testing.F) {
	f.Add([]byte("\xbf\x61a\x9f\x01\xff\xff"))
	f.Add([]byte("\x7f\x61a\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		d := NewDecoder(b)
		for !d.Done() {
			if d.Skip(64) != nil {
				break
			}
		}
		if !bytes.Equal(before, b) {
			t.Error("the input was changed")
		}
	})
}
