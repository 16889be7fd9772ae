package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha3"
	"encoding/hex"
	"testing"
)

// sealWith encrypts under a nonce that is given.
func sealWith(t *testing.T, x *xaes, nonce, plaintext, ad []byte) []byte {
	t.Helper()
	gcm, err := cipher.NewGCM(x.derive(nonce[:12]))
	if err != nil {
		t.Fatal(err)
	}
	return gcm.Seal(nil, nonce[12:], plaintext, ad)
}

// The figures are those of the specification, c2sp.org/XAES-256-GCM.
func TestXAESVectors(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, test := range []struct {
		key      byte
		ad, want string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x := newXAES(bytes.Repeat([]byte{test.key}, 32))
		if got := hex.EncodeToString(sealWith(t, x, nonce, []byte("XAES-256-GCM"), []byte(test.ad))); got != test.want {
			t.Errorf("key %x: got %s, want %s", test.key, got, test.want)
		}
	}
}

func TestXAESAccumulated(t *testing.T) {
	// Keys, nonces, plaintexts and associated data of all lengths from one stream; the hash of all ciphertexts.
	in, out := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	for range 10_000 {
		read := func(n int) []byte {
			b := make([]byte, n)
			in.Read(b)
			return b
		}
		key, nonce := read(32), read(24)
		plaintext := read(int(read(1)[0]))
		ad := read(int(read(1)[0]))
		sealed := sealWith(t, newXAES(key), nonce, plaintext, ad)
		opened, err := newXAES(key).open(append(nonce, sealed...), ad)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatalf("open(seal(%x)) = %x, %v", plaintext, opened, err)
		}
		out.Write(sealed)
	}
	got := make([]byte, 32)
	out.Read(got)
	if want := "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

func TestXAESNoncesDiffer(t *testing.T) {
	x := newXAES(make([]byte, 32))
	seen := map[string]bool{}
	for range 1000 {
		nonce := string(x.seal(nil, nil, nil)[:nonceSize])
		if seen[nonce] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce] = true
	}
}
