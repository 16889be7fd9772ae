package keys_test

import (
	"bytes"
	"crypto/fips140"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func encryptBlob(t testing.TB, key *keys.Key, h keys.Header, context map[string]string, plaintext string) []byte {
	t.Helper()
	blob, err := key.EncryptBlob(nil, h, context, []byte(plaintext), nil)
	if err != nil {
		t.Fatalf("EncryptBlob: %v", err)
	}
	return blob
}

func TestBlob(t *testing.T) {
	key := keyOf(t, keys.SymmetricDefault)
	context := map[string]string{"Tenant": "Blue", "purpose": "orders", "empty": ""}

	t.Run("OK", func(t *testing.T) {
		for _, h := range []keys.Header{{}, benchHeader, {Key: strings.Repeat("k", 255), Material: strings.Repeat("m", 255)}, {Material: "m"}} {
			for _, plaintext := range []string{"", "x", strings.Repeat("long", 1024)} {
				for _, c := range []map[string]string{nil, {}, context} {
					blob := encryptBlob(t, key, h, c, plaintext)
					got, err := keys.ParseBlob(blob)
					if err != nil {
						t.Fatalf("ParseBlob: %v", err)
					}
					if diff := cmp.Diff(h, got); diff != "" {
						t.Errorf("ParseBlob (-want +got):\n%s", diff)
					}
					back, err := key.DecryptBlob([]byte("before "), blob, maps.Clone(c))
					if err != nil || string(back) != "before "+plaintext {
						t.Errorf("DecryptBlob: %q, %v", back, err)
					}
					if over := len(blob) - len(plaintext); over > keys.BlobOverhead {
						t.Errorf("the blob is %d bytes longer than its plaintext, more than BlobOverhead", over)
					}
				}
			}
		}
	})
	t.Run("Appends", func(t *testing.T) {
		blob, err := key.EncryptBlob([]byte("before "), benchHeader, nil, []byte("x"), nil)
		if err != nil || !bytes.HasPrefix(blob, []byte("before ")) {
			t.Fatalf("EncryptBlob: %q, %v", blob, err)
		}
		if got, err := key.DecryptBlob(nil, blob[len("before "):], nil); err != nil || string(got) != "x" {
			t.Errorf("DecryptBlob: %q, %v", got, err)
		}
	})
	t.Run("NeverTheSame", func(t *testing.T) {
		if bytes.Equal(encryptBlob(t, key, benchHeader, nil, "x"), encryptBlob(t, key, benchHeader, nil, "x")) {
			t.Error("two encryptions of one plaintext are equal")
		}
	})
	t.Run("ContextMismatch", func(t *testing.T) {
		blob := encryptBlob(t, key, benchHeader, context, "x")
		for name, other := range map[string]map[string]string{
			"none":            nil,
			"case of a key":   {"tenant": "Blue", "purpose": "orders", "empty": ""},
			"case of a value": {"Tenant": "blue", "purpose": "orders", "empty": ""},
			"one less":        {"Tenant": "Blue", "purpose": "orders"},
			"one more":        {"Tenant": "Blue", "purpose": "orders", "empty": "", "": ""},
			"swapped":         {"Tenant": "orders", "purpose": "Blue", "empty": ""},
		} {
			if _, err := key.DecryptBlob(nil, blob, other); err != keys.ErrInvalidCiphertext {
				t.Errorf("DecryptBlob with context %s: %v, want ErrInvalidCiphertext", name, err)
			}
		}
		if _, err := key.DecryptBlob(nil, encryptBlob(t, key, benchHeader, nil, "x"), context); err != keys.ErrInvalidCiphertext {
			t.Errorf("DecryptBlob with a context too many: %v, want ErrInvalidCiphertext", err)
		}
	})
	t.Run("Tampered", func(t *testing.T) {
		blob := encryptBlob(t, key, benchHeader, context, "attack at dawn")
		for i := range blob {
			for _, bit := range []byte{1, 0x80} {
				bad := slices.Clone(blob)
				bad[i] ^= bit
				if _, err := key.DecryptBlob(nil, bad, context); err != keys.ErrInvalidCiphertext {
					t.Errorf("DecryptBlob with byte %d changed: %v, want ErrInvalidCiphertext", i, err)
				}
			}
			if _, err := key.DecryptBlob(nil, blob[:i], context); err != keys.ErrInvalidCiphertext {
				t.Errorf("DecryptBlob of %d bytes: %v, want ErrInvalidCiphertext", i, err)
			}
		}
		if _, err := key.DecryptBlob(nil, append(blob, 0), context); err != keys.ErrInvalidCiphertext {
			t.Errorf("DecryptBlob with a byte more: %v, want ErrInvalidCiphertext", err)
		}
	})
	t.Run("OtherKey", func(t *testing.T) {
		other, err := keys.Generate(keys.SymmetricDefault, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.DecryptBlob(nil, encryptBlob(t, key, benchHeader, nil, "x"), nil); err != keys.ErrInvalidCiphertext {
			t.Errorf("DecryptBlob with another key: %v, want ErrInvalidCiphertext", err)
		}
	})
	t.Run("HeaderTooLong", func(t *testing.T) {
		for _, h := range []keys.Header{{Key: strings.Repeat("k", 256)}, {Material: strings.Repeat("m", 256)}} {
			if _, err := key.EncryptBlob(nil, h, nil, nil, nil); err != keys.ErrHeader {
				t.Errorf("EncryptBlob: %v, want ErrHeader", err)
			}
		}
	})
	t.Run("NoRandomness", func(t *testing.T) {
		// A nonce that is not wholly random is never used.
		for _, random := range []io.Reader{strings.NewReader("short"), iotest.ErrReader(errors.New("no entropy"))} {
			if blob, err := key.EncryptBlob(nil, benchHeader, nil, []byte("x"), random); err == nil {
				t.Errorf("EncryptBlob: %x, want an error", blob)
			}
		}
	})
}

// The format is a promise: blobs made by any version decrypt for ever.
func TestBlobFormat(t *testing.T) {
	key, err := keys.Parse(keys.SymmetricDefault, bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	nonce := strings.NewReader("ABCDEFGHIJKLMNOPQRSTUVWX")
	context := map[string]string{"a": "b"}
	blob, err := key.EncryptBlob(nil, keys.Header{Key: "key", Material: "m1"}, context, []byte("plaintext"), nonce)
	if err != nil {
		t.Fatal(err)
	}
	const want = "HF\x01\x03key\x02m1ABCDEFGHIJKLMNOPQRSTUVWX" +
		"\xe6\x79\x4a\xcc\x7f\xda\x96\x49\x3c" + "\x9a\x51\xa6\x9c\xdd\xc0\xab\x02\x38\x7a\x4a\xa2\x1a\x40\x9a\xb0"
	if string(blob) != want && !fips140.Enabled() { // where the module draws half of the nonce
		t.Errorf("EncryptBlob: %q, want %q", blob, want)
	}
	if got, err := key.DecryptBlob(nil, []byte(want), context); err != nil || string(got) != "plaintext" {
		t.Errorf("DecryptBlob: %q, %v", got, err)
	}
}

func FuzzParseBlob(f *testing.F) {
	key := keyOf(f, keys.SymmetricDefault)
	f.Add(encryptBlob(f, key, benchHeader, nil, "x"))
	f.Add(encryptBlob(f, key, keys.Header{}, nil, ""))
	f.Add([]byte("HF\x01\xff"))
	f.Add([]byte("HF\x02\x03key\x02m1body"))
	f.Add([]byte("HF\x02\x00\x00"))
	f.Add(append([]byte("HF\x01\x04keys\xff"), make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		h, err := keys.ParseBlob(blob)
		if err != nil {
			if err != keys.ErrInvalidCiphertext || h != (keys.Header{}) {
				t.Fatalf("ParseBlob: %v, %v", h, err)
			}
		} else if rest := string(byte1(h.Key)) + h.Key + string(byte1(h.Material)) + h.Material; !bytes.HasPrefix(blob, []byte("HF\x01"+rest)) && !bytes.HasPrefix(blob, []byte("HF\x02"+rest)) {
			t.Fatalf("ParseBlob(%q): %+v, which is not what is there", blob, h)
		}
		if _, err := key.DecryptBlob(nil, blob, nil); err != nil && err != keys.ErrInvalidCiphertext {
			t.Fatalf("DecryptBlob: %v", err)
		}
	})
}

func byte1(s string) []byte { return []byte{byte(len(s))} }
