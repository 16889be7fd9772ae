//go:build pkcs11 && cgo

package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
)

const pin = "kms user's secret"

func open(t *testing.T, u hsm.URI) *hsm.Token {
	t.Helper()
	token, err := hsm.Open(t.Context(), u, []byte(pin))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(token.Close)
	return token
}

func generate(t *testing.T, token *hsm.Token, id string) hsm.Key {
	t.Helper()
	k := hsm.Key{Label: "key " + id, ID: id}
	if err := token.GenerateKey(t.Context(), k); err != nil {
		t.Fatalf("GenerateKey: %v", err)
	}
	return k
}

func seal(t *testing.T, token *hsm.Token, k hsm.Key, plaintext, aad string) []byte {
	t.Helper()
	sealed, err := token.Encrypt(t.Context(), k, []byte(plaintext), []byte(aad))
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	return sealed
}

func wantOpen(t *testing.T, token *hsm.Token, k hsm.Key, sealed []byte, aad, want string) {
	t.Helper()
	if got, err := token.Decrypt(t.Context(), k, sealed, []byte(aad)); err != nil || string(got) != want {
		t.Errorf("Decrypt = %q, %v, want %q", got, err, want)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantNoKey(t *testing.T, token *hsm.Token, k hsm.Key, want error) {
	t.Helper()
	_, err := token.FindKey(t.Context(), k)
	wantError(t, "FindKey", err, want)
}

func TestToken(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("one", pin)
	soft.Init("two", pin)
	token := open(t, soft.URI("one"))
	k := generate(t, token, "\x00\x01")
	ctx := t.Context()
	t.Run("RoundTrip", func(t *testing.T) {
		for _, plaintext := range []string{"", "x", string(bytes.Repeat([]byte("0123456789abcdef"), 512))} {
			for _, aad := range []string{"", "context"} {
				sealed := seal(t, token, k, plaintext, aad)
				if len(sealed) != len(plaintext)+hsm.Overhead {
					t.Errorf("Encrypt made %d bytes of %d", len(sealed), len(plaintext))
				}
				wantOpen(t, token, k, sealed, aad, plaintext)
				wantOpen(t, token, hsm.Key{ID: k.ID}, sealed, aad, plaintext)
				wantOpen(t, token, hsm.Key{Label: k.Label}, sealed, aad, plaintext)
			}
		}
		if bytes.Equal(seal(t, token, k, "same", ""), seal(t, token, k, "same", "")) {
			t.Error("encrypting twice gave the same")
		}
	})
	t.Run("Damaged", func(t *testing.T) {
		sealed := seal(t, token, k, "secret", "context")
		other := generate(t, token, "other")
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			_, err := token.Decrypt(ctx, k, changed, []byte("context"))
			wantError(t, fmt.Sprintf("byte %d changed", i), err, hsm.ErrDamaged)
		}
		for n := range len(sealed) {
			_, err := token.Decrypt(ctx, k, sealed[:n], []byte("context"))
			wantError(t, fmt.Sprintf("cut to %d bytes", n), err, hsm.ErrDamaged)
		}
		_, err := token.Decrypt(ctx, k, sealed, []byte("another context"))
		wantError(t, "another context", err, hsm.ErrDamaged)
		_, err = token.Decrypt(ctx, other, sealed, []byte("context"))
		wantError(t, "another key", err, hsm.ErrDamaged)
		wantOpen(t, token, k, sealed, "context", "secret")
	})
	t.Run("Kept", func(t *testing.T) {
		want := hsmtest.KeyState{Key: k, Sensitive: true}
		if keys := soft.Keys("one", pin); !slices.Contains(keys, want) {
			t.Errorf("the token has %+v, want %+v", keys, want)
		}
	})
	t.Run("KeyExists", func(t *testing.T) {
		wantError(t, "GenerateKey", token.GenerateKey(ctx, hsm.Key{Label: "another", ID: k.ID}), hsm.ErrKeyExists)
	})
	t.Run("ManyKeys", func(t *testing.T) {
		for _, id := range []string{"a", "b"} {
			if err := token.GenerateKey(ctx, hsm.Key{Label: "twins", ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		wantNoKey(t, token, hsm.Key{Label: "twins"}, hsm.ErrManyKeys)
	})
	t.Run("Destroyed", func(t *testing.T) {
		gone := generate(t, token, "gone")
		sealed := seal(t, token, gone, "secret", "")
		if err := token.DestroyKey(ctx, gone); err != nil {
			t.Fatal(err)
		}
		_, err := token.Decrypt(ctx, gone, sealed, nil)
		wantError(t, "Decrypt", err, hsm.ErrNoKey)
		wantNoKey(t, token, gone, hsm.ErrNoKey)
		wantError(t, "DestroyKey", token.DestroyKey(ctx, gone), hsm.ErrNoKey)
	})
	t.Run("OtherToken", func(t *testing.T) {
		two := open(t, soft.URI("two"))
		wantNoKey(t, two, k, hsm.ErrNoKey)
		if two.Info().Label != "two" || token.Info().Label != "one" {
			t.Errorf("Info = %v and %v", two.Info(), token.Info())
		}
	})
	t.Run("BySerial", func(t *testing.T) {
		again := open(t, hsm.URI{Serial: token.Info().Serial, ModulePath: soft.Module})
		if got, err := again.FindKey(ctx, hsm.Key{ID: k.ID}); err != nil || got != k {
			t.Errorf("FindKey = %q, %v, want %q", got, err, k)
		}
	})
	t.Run("Random", func(t *testing.T) {
		a, err := token.Random(ctx, 32)
		b, _ := token.Random(ctx, 32)
		if err != nil || len(a) != 32 || bytes.Equal(a, b) {
			t.Errorf("Random = %x and %x, %v", a, b, err)
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		var wg sync.WaitGroup
		for w := range 40 {
			wg.Go(func() {
				text := fmt.Sprint("secret ", w)
				wantOpen(t, token, k, seal(t, token, k, text, text), text, text)
			})
		}
		wg.Wait()
	})
	t.Run("ContextEnded", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err := token.Encrypt(ended, k, nil, nil)
		if err != nil { // it may have been faster
			wantError(t, "Encrypt", err, hsm.ErrUnavailable)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("one", pin)
	soft.Init("one", pin)
	soft.Init("two", pin)
	for name, c := range map[string]struct {
		uri  hsm.URI
		pin  string
		want error
	}{
		"NoToken":      {soft.URI("three"), pin, hsm.ErrNoToken},
		"ManyTokens":   {soft.URI("one"), pin, hsm.ErrManyTokens},
		"PINIncorrect": {soft.URI("two"), "1234", hsm.ErrPINIncorrect},
		"EmptyPIN":     {soft.URI("two"), "", hsm.ErrPINIncorrect},
		"NoModule":     {hsm.URI{Token: "two", ModulePath: "/nowhere.so"}, pin, hsm.ErrModule},
		"NoLibrary":    {hsm.URI{Token: "two", ModulePath: "/etc/passwd"}, pin, hsm.ErrModule},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hsm.Open(t.Context(), c.uri, []byte(c.pin))
			wantError(t, "Open", err, c.want)
			if _, err := hsm.Look(t.Context(), c.uri); c.want != hsm.ErrPINIncorrect {
				wantError(t, "Look", err, c.want)
			} else if err != nil {
				t.Errorf("Look: %v", err)
			}
		})
	}
	open(t, soft.URI("two"))
}

// A second login with a wrong PIN is not let in because the first is there.
func TestSharedLogin(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("one", pin)
	first, second := open(t, soft.URI("one")), open(t, soft.URI("one"))
	_, err := hsm.Open(t.Context(), soft.URI("one"), []byte("wrong"))
	wantError(t, "Open", err, hsm.ErrPINIncorrect)
	k := generate(t, first, "k")
	first.Close()
	first.Close()
	wantOpen(t, second, k, seal(t, second, k, "text", ""), "", "text")
	second.Close()
	_, err = second.Encrypt(t.Context(), k, nil, nil)
	if err == nil {
		t.Error("a closed token encrypts")
	}
}

func TestTokenVanishes(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("one", pin)
	token := open(t, soft.URI("one"))
	ctx := t.Context()
	k := generate(t, token, "k")
	sealed := seal(t, token, k, "text", "")
	for range 2 {
		soft.Vanish()
		_, err := token.Decrypt(ctx, k, sealed, nil)
		wantError(t, "Decrypt", err, hsm.ErrUnavailable)
		_, err = token.Encrypt(ctx, k, nil, nil)
		wantError(t, "Encrypt", err, hsm.ErrUnavailable)
		wantNoKey(t, token, k, hsm.ErrUnavailable)
		wantError(t, "GenerateKey", token.GenerateKey(ctx, hsm.Key{Label: "l", ID: "new"}), hsm.ErrUnavailable)
		wantError(t, "DestroyKey", token.DestroyKey(ctx, k), hsm.ErrUnavailable)
		wantError(t, "Check", token.Check(ctx), hsm.ErrUnavailable)
		_, err = hsm.Open(ctx, soft.URI("one"), []byte(pin))
		if !errors.Is(err, hsm.ErrNoToken) && !errors.Is(err, hsm.ErrUnavailable) { // SoftHSM does not start without its directory
			t.Errorf("Open: %v", err)
		}
		soft.Return()
		wantOpen(t, token, k, sealed, "", "text")
		if err := token.Check(ctx); err != nil {
			t.Errorf("Check: %v", err)
		}
		wantNoKey(t, token, hsm.Key{ID: "new"}, hsm.ErrNoKey)
	}
}

func TestTokenVanishesUnderLoad(t *testing.T) {
	soft := hsmtest.New(t)
	soft.Init("one", pin)
	token := open(t, soft.URI("one"))
	k := generate(t, token, "k")
	sealed := seal(t, token, k, "text", "")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := token.Decrypt(t.Context(), k, sealed, nil)
				if err == nil && string(got) != "text" {
					t.Errorf("Decrypt = %q", got)
				}
				if err != nil {
					wantError(t, "Decrypt", err, hsm.ErrUnavailable)
				}
			}
		})
	}
	for range 5 {
		soft.Vanish()
		_ = token.Check(t.Context())
		soft.Return()
		_ = token.Check(t.Context())
	}
	wg.Wait()
	wantOpen(t, token, k, sealed, "", "text")
}
