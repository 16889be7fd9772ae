package keys_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func TestSplitBlob(t *testing.T) {
	k, err := keys.Generate("SYMMETRIC_DEFAULT", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, plaintext := range []string{"", "x", "hello"} {
		blob, err := k.EncryptBlob(nil, keys.Header{Key: "k", Material: "m"}, nil, []byte(plaintext), nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := keys.SplitBlob(blob)
		if err != nil || len(p.Nonce) != keys.NonceSize || len(p.Tag) != keys.TagSize || len(p.Ciphertext) != len(plaintext) {
			t.Errorf("SplitBlob of %q = %+v, %v", plaintext, p, err)
		}
		if again := bytes.Join([][]byte{p.Header, p.Nonce, p.Ciphertext, p.Tag}, nil); !bytes.Equal(again, blob) {
			t.Errorf("the parts make up %x, want %x", again, blob)
		}
	}
	for _, b := range [][]byte{nil, []byte("x"), make([]byte, 100)} {
		if _, err := keys.SplitBlob(b); !errors.Is(err, keys.ErrInvalidCiphertext) {
			t.Errorf("SplitBlob(%x): %v, want ErrInvalidCiphertext", b, err)
		}
	}
}
