package keys_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func TestOutsideBlob(t *testing.T) {
	long := keys.Header{Key: strings.Repeat("k", 255), Material: strings.Repeat("m", 255)}
	t.Run("OK", func(t *testing.T) {
		for _, h := range []keys.Header{{}, {Key: "k"}, {Material: "m"}, long} {
			blob, err := keys.OutsideBlob(h, []byte("body"))
			if err != nil {
				t.Fatal(err)
			}
			got, body, err := keys.ParseOutside(blob)
			if diff := cmp.Diff(h, got); diff != "" || string(body) != "body" || err != nil {
				t.Errorf("ParseOutside: %q, %v, header (-want +got):\n%s", body, err, diff)
			}
			if got, err = keys.ParseBlob(blob); got != h || err != nil {
				t.Errorf("ParseBlob: %v, %v", got, err)
			}
			for i := range len(blob) - len("body") + 1 {
				if _, _, err := keys.ParseOutside(blob[:i]); err != keys.ErrInvalidCiphertext {
					t.Errorf("ParseOutside of %d bytes: %v, want ErrInvalidCiphertext", i, err)
				}
			}
		}
	})
	t.Run("NotOneForTheOther", func(t *testing.T) {
		key := keyOf(t, keys.SymmetricDefault)
		if _, _, err := keys.ParseOutside(encryptBlob(t, key, benchHeader, nil, "x")); err != keys.ErrInvalidCiphertext {
			t.Errorf("ParseOutside of a key's own: %v", err)
		}
		blob, err := keys.OutsideBlob(benchHeader, make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.DecryptBlob(nil, blob, nil); err != keys.ErrInvalidCiphertext {
			t.Errorf("DecryptBlob of one made outside: %v", err)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		if _, err := keys.OutsideBlob(keys.Header{Key: long.Key + "k"}, []byte("body")); err != keys.ErrHeader {
			t.Errorf("OutsideBlob with a long name: %v", err)
		}
		if _, err := keys.AdditionalData(keys.Header{Material: long.Key + "k"}, nil); err != keys.ErrHeader {
			t.Errorf("AdditionalData with a long name: %v", err)
		}
		if _, err := keys.OutsideBlob(keys.Header{}, nil); err != keys.ErrInvalidCiphertext {
			t.Errorf("OutsideBlob of nothing: %v", err)
		}
	})
}

func TestAdditionalData(t *testing.T) {
	data := func(h keys.Header, context map[string]string) []byte {
		t.Helper()
		d, err := keys.AdditionalData(h, context)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	base := data(keys.Header{Key: "key", Material: "m"}, map[string]string{"a": "b", "c": "d"})
	if !bytes.Equal(base, data(keys.Header{Key: "key", Material: "m"}, map[string]string{"c": "d", "a": "b"})) {
		t.Error("the order of a map counts")
	}
	for name, other := range map[string][]byte{
		"key":      data(keys.Header{Key: "kez", Material: "m"}, map[string]string{"a": "b", "c": "d"}),
		"material": data(keys.Header{Key: "key", Material: "n"}, map[string]string{"a": "b", "c": "d"}),
		"border":   data(keys.Header{Key: "keym"}, map[string]string{"a": "b", "c": "d"}),
		"context":  data(keys.Header{Key: "key", Material: "m"}, map[string]string{"a": "b", "c": "D"}),
		"none":     data(keys.Header{Key: "key", Material: "m"}, nil),
	} {
		if bytes.Equal(base, other) {
			t.Errorf("another %s makes the same additional data", name)
		}
	}
}
