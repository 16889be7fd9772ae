package keys

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The vectors of https://c2sp.org/XAES-256-GCM.
func TestXAES(t *testing.T) {
	for _, c := range []struct {
		key          byte
		aad          string
		cipherAndTag string
	}{
		{key: 1, cipherAndTag: "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{key: 3, aad: "c2sp.org/XAES-256-GCM", cipherAndTag: "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		b, err := newBlobCipher(bytes.Repeat([]byte{c.key}, 32))
		if err != nil {
			t.Fatal(err)
		}
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		block, err := b.derive(new(scratch), nonce)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Skipf("NewGCM: %v", err) // GODEBUG=fips140=only
		}
		if got := aead.Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte(c.aad)); hex.EncodeToString(got) != c.cipherAndTag {
			t.Errorf("key %d: %x, want %s", c.key, got, c.cipherAndTag)
		}
	}
}

// The canonical form is injective: no two of these contexts share it, though their pieces do.
func TestContextForm(t *testing.T) {
	contexts := []map[string]string{
		nil,
		{"": ""},
		{"a": "b"}, {"A": "b"}, {"a": "B"}, {"b": "a"}, {"ab": ""}, {"": "ab"},
		{"a": "", "b": ""},
		{"a": "b", "c": "d"}, {"a": "d", "c": "b"}, {"a": "bc", "d": ""}, {"a": "b\x01c\x01d"},
		{"a": "b", "c": "d", "e": "f", "g": "h", "i": "j", "k": "l", "m": "n", "o": "p", "q": "r"},
		{"a": string(make([]byte, 127))}, {"a": string(make([]byte, 128))}, {"a": string(make([]byte, 300))},
		{"é": "x"}, {"e\u0301": "x"},
	}
	seen := make(map[string]int)
	for i, c := range contexts {
		form := string(appendContext(nil, c))
		if j, ok := seen[form]; ok {
			t.Errorf("contexts %v and %v have the same form", contexts[j], c)
		}
		seen[form] = i
		for range 20 {
			if again := string(appendContext(nil, c)); again != form {
				t.Fatalf("context %v has two forms: the order of the map shows", c)
			}
		}
	}
	if diff := cmp.Diff([]byte("\x01a\x02xy\x01b\x00"), appendContext(nil, map[string]string{"b": "", "a": "xy"})); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if form := appendContext(nil, map[string]string{}); len(form) != 0 {
		t.Errorf("an empty context has the form %x", form)
	}
}

// RFC 5649, section 6.
func TestUnwrapAES(t *testing.T) {
	kek := unhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for _, c := range []struct{ wrapped, want string }{
		{"138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", "c37b7e6492584340bed12207808941155068f738"},
		{"afbeb0f07dfbf5419200f2ccb50bb24f", "466f7250617369"},
	} {
		wrapped := unhex(c.wrapped)
		got, err := unwrapAES(kek, wrapped)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("unwrapAES(%s): %x, %v, want %s", c.wrapped, got, err, c.want)
		}
		for i := range wrapped {
			bad := bytes.Clone(wrapped)
			bad[i] ^= 1
			if _, err := unwrapAES(kek, bad); err != ErrInvalidCiphertext {
				t.Errorf("unwrapAES with byte %d changed: %v, want ErrInvalidCiphertext", i, err)
			}
		}
	}
	for _, n := range []int{0, 8, 15, 17, maxWrapped + 8} {
		if _, err := unwrapAES(kek, make([]byte, n)); err != ErrInvalidCiphertext {
			t.Errorf("unwrapAES of %d bytes: %v, want ErrInvalidCiphertext", n, err)
		}
	}
	if _, err := unwrapAES(kek[:5], make([]byte, 16)); err != ErrInvalidCiphertext {
		t.Errorf("unwrapAES with a short key: %v, want ErrInvalidCiphertext", err)
	}
}

func TestGenerator(t *testing.T) {
	if n := cap(NewGenerator(0).slots); n < 1 {
		t.Errorf("NewGenerator(0) makes %d keys at a time", n)
	}
	g := NewGenerator(1)
	g.slots <- struct{}{} // somebody is making an RSA key

	gone, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("client went away")
	cancel(cause)
	if _, err := g.Generate(gone, RSA2048, nil); !errors.Is(err, cause) {
		t.Errorf("Generate with a full house and a canceled context: %v, want its cause", err)
	}
	if _, err := g.Generate(gone, NISTP256, nil); err != nil {
		t.Errorf("Generate of a fast key with a full house: %v", err)
	}
	<-g.slots
	if _, err := g.Generate(gone, RSA2048, nil); !errors.Is(err, cause) {
		t.Errorf("Generate with a canceled context: %v, want its cause", err)
	}
	if n := len(g.slots); n != 0 {
		t.Errorf("%d slots are still taken", n)
	}
	if _, err := g.Generate(context.Background(), RSA2048, nil); err != nil {
		t.Errorf("Generate: %v", err)
	}
}
