package seal

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

// TestFIPS seals where nothing but the FIPS 140-3 module can.
func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	place := At("test")
	phrase, err := NewPassphrase([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Provider{testKey(t, 1), NewFile(filepath.Join(t.TempDir(), "root.key")), phrase} {
		t.Run(p.Kind(), func(t *testing.T) {
			var s Memory
			k := mustOpen(t, p, &s)
			wrapped := mustWrap(t, k, place, "secret")
			if _, err := k.Rotate(t.Context()); err != nil {
				t.Errorf("Rotate: %v", err)
			}
			checkUnwrap(t, mustOpen(t, p, &s), place, wrapped, "secret")
		})
	}
	t.Run("Argon2id", func(t *testing.T) {
		stored := append(cost64MiB.stretch(newSalt()).prefix, make([]byte, 100)...)
		if _, err := phrase.Unwrap(t.Context(), stored); err == nil || !strings.Contains(err.Error(), "Argon2id") {
			t.Errorf("Unwrap: %v, want that it was made with Argon2id", err)
		}
	})
}

// What was sealed with a passphrase in FIPS mode opens outside it too.
func TestPBKDF2(t *testing.T) {
	const rounds = 1000
	p := cheapPassphrase(t, "correct horse")
	if err := p.deriveLocked(pbkdf2Stretch(rounds, newSalt())); err != nil {
		t.Fatal(err)
	}
	wrapped, err := p.Wrap(t.Context(), []byte("keyring"))
	if err != nil || wrapped[0] != format2 {
		t.Fatalf("Wrap: %x, %v", wrapped, err)
	}
	t.Run("OK", func(t *testing.T) {
		if got, err := cheapPassphrase(t, "correct horse").Unwrap(t.Context(), wrapped); string(got) != "keyring" || err != nil {
			t.Errorf("Unwrap = %q, %v", got, err)
		}
	})
	t.Run("Wrong", func(t *testing.T) {
		if _, err := cheapPassphrase(t, "correct house").Unwrap(t.Context(), wrapped); !errors.Is(err, ErrWrongRoot) {
			t.Errorf("Unwrap: %v, want ErrWrongRoot", err)
		}
	})
	t.Run("RoundsOutOfRange", func(t *testing.T) {
		for _, rounds := range []uint32{0, 999, 10_000_001, 1 << 31} {
			binary.BigEndian.PutUint32(wrapped[1:], rounds)
			if _, err := cheapPassphrase(t, "correct horse").Unwrap(t.Context(), wrapped); !errors.Is(err, ErrDamaged) {
				t.Errorf("%d rounds: %v, want ErrDamaged", rounds, err)
			}
		}
	})
}
