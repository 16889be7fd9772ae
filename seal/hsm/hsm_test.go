//go:build pkcs11 && cgo

package hsm_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	token "github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/hsm"
)

const pin = "the root's PIN"

var place = seal.At("test")

func provider(t *testing.T, soft *hsmtest.SoftHSM, label string, more ...string) *hsm.Provider {
	t.Helper()
	uri, err := token.Parse(soft.Text(label, more...))
	if err != nil {
		t.Fatal(err)
	}
	p, err := hsm.New(uri, []byte(pin))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, p seal.Provider, s seal.Storage) *seal.Keyring {
	t.Helper()
	k, err := seal.Open(t.Context(), seal.Config{Provider: p, Storage: s})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return k
}

func wrap(t *testing.T, k *seal.Keyring) []byte {
	t.Helper()
	b, err := k.Wrap(place, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantSecret(t *testing.T, k *seal.Keyring, wrapped []byte) {
	t.Helper()
	if got, err := k.Unwrap(place, wrapped); err != nil || string(got) != "secret" {
		t.Errorf("Unwrap = %q, %v", got, err)
	}
}

func wantRefusal(t *testing.T, p seal.Provider, s seal.Storage, want error, words string) {
	t.Helper()
	_, err := seal.Open(t.Context(), seal.Config{Provider: p, Storage: s})
	if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		t.Errorf("Open: %v, want %v with %q", err, want, words)
	}
	if err != nil && strings.Contains(err.Error(), pin) {
		t.Errorf("the error shows the PIN: %v", err)
	}
}

func TestSeal(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("roots", pin)
	var s seal.Memory
	k := open(t, provider(t, soft, "roots"), &s)
	wrapped := wrap(t, k)
	t.Run("Restart", func(t *testing.T) { wantSecret(t, open(t, provider(t, soft, "roots"), &s), wrapped) })
	t.Run("ManyVersions", func(t *testing.T) {
		for range 50 {
			if _, err := k.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		wantSecret(t, open(t, provider(t, soft, "roots"), &s), wrapped)
	})
	t.Run("TokenAway", func(t *testing.T) {
		soft.Vanish()
		wantRefusal(t, provider(t, soft, "roots"), &s, seal.ErrUnavailable, `"roots"`)
		wantSecret(t, k, wrapped) // what runs, runs
		soft.Return()
		wantSecret(t, open(t, provider(t, soft, "roots"), &s), wrapped)
	})
	t.Run("OtherToken", func(t *testing.T) {
		wantRefusal(t, provider(t, soft, "nowhere"), &s, seal.ErrUnavailable, `"nowhere"`)
		soft.Init("empty", pin)
		wantRefusal(t, provider(t, soft, "empty"), &s, seal.ErrNoRoot, `token "empty" has no key of ID`)
	})
	t.Run("OtherKey", func(t *testing.T) {
		soft.Init("others", pin)
		open(t, provider(t, soft, "others"), new(seal.Memory))
		wantRefusal(t, provider(t, soft, "others"), &s, seal.ErrWrongRoot, "it was sealed by the key of ID")
	})
	t.Run("OtherKind", func(t *testing.T) {
		file := seal.NewFile(filepath.Join(t.TempDir(), "root.key"))
		wantRefusal(t, file, &s, seal.ErrWrongRoot, `a root key of kind "pkcs11"`)
	})
	t.Run("WrongPIN", func(t *testing.T) {
		p, err := hsm.New(soft.URI("roots"), []byte("wrong"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time the token is not asked
			wantRefusal(t, p, &s, token.ErrPINIncorrect, `token "roots"`)
		}
	})
}

// Damaged bytes open nothing, and are told from another root.
func TestDamaged(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("roots", pin)
	p := provider(t, soft, "roots", "id=%01")
	if err := p.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Create(t.Context()); err != nil {
		t.Fatalf("the second time: %v", err)
	}
	wrapped, err := p.Wrap(t.Context(), []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(wrapped) {
		if _, err := p.Unwrap(t.Context(), wrapped[:n]); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
		changed := bytes.Clone(wrapped)
		changed[n] ^= 1
		_, err := p.Unwrap(t.Context(), changed)
		if want := seal.ErrDamaged; (n < 1 || n > 2) && !errors.Is(err, want) { // these two name the root
			t.Errorf("byte %d changed: %v, want %v", n, err, want)
		}
	}
	changed := bytes.Clone(wrapped)
	changed[2]++
	if _, err := p.Unwrap(t.Context(), changed); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("another ID: %v", err)
	}
}

func TestRewrap(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("roots", pin)
	dir := t.TempDir()
	storage := seal.NewFileStorage(filepath.Join(dir, "keyring"))
	file := func() seal.Provider { return seal.NewFile(filepath.Join(dir, "root.key")) }
	k := open(t, file(), storage)
	wrapped := wrap(t, k)
	if err := k.Rewrap(t.Context(), provider(t, soft, "roots")); err != nil {
		t.Fatalf("Rewrap to the token: %v", err)
	}
	wantSecret(t, k, wrapped)
	wantRefusal(t, file(), storage, seal.ErrWrongRoot, "pkcs11")
	wantSecret(t, open(t, provider(t, soft, "roots"), storage), wrapped)
	if err := k.Rewrap(t.Context(), file()); err != nil {
		t.Fatalf("Rewrap to the file: %v", err)
	}
	wantSecret(t, open(t, file(), storage), wrapped)
	// A token that is not there changes nothing.
	if err := k.Rewrap(t.Context(), provider(t, soft, "nowhere")); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("Rewrap to no token: %v", err)
	}
	wantSecret(t, open(t, file(), storage), wrapped)
}

func TestParse(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("roots", pin)
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_PIN", pin)
	var s seal.Memory
	for _, source := range []string{"file:" + path, "env:TEST_PIN"} {
		p, err := hsm.Parse(soft.Text("roots", "object=mine") + "&pin-source=" + source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		open(t, p, &s)
	}
	for text, words := range map[string]string{
		soft.Text("roots"): "pin-source=file:PATH",
		soft.Text("roots") + "&pin-source=file:/nowhere":    "/nowhere",
		soft.Text("roots") + "&pin-source=env:TEST_NOWHERE": "TEST_NOWHERE",
		soft.Text("roots") + "&pin-value=" + "1234":         "does not belong into a URI",
	} {
		if _, err := hsm.Parse(text); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("Parse(%q): %v, want an error with %q", text, err, words)
		}
	}
}
