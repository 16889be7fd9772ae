package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/clock"
)

func testKey(t testing.TB, fill byte) *Key {
	k, err := NewKey(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustOpen(t testing.TB, p Provider, s Storage) *Keyring {
	t.Helper()
	k, err := Open(context.Background(), Config{Provider: p, Storage: s})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return k
}

func mustWrap(t testing.TB, k *Keyring, place Place, plaintext string) []byte {
	t.Helper()
	wrapped, err := k.Wrap(place, []byte(plaintext))
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	return wrapped
}

func checkUnwrap(t testing.TB, k *Keyring, place Place, wrapped []byte, want string) {
	t.Helper()
	if got, err := k.Unwrap(place, wrapped); err != nil || string(got) != want {
		t.Errorf("Unwrap = %q, %v, want %q", got, err, want)
	}
}

// faulty is a storage that fails on demand and counts.
type faulty struct {
	Storage
	before, after error // what the next Swap returns, having done nothing or its work
	loads         int
}

func (f *faulty) Load(ctx context.Context) ([]byte, error) {
	f.loads++
	return f.Storage.Load(ctx)
}

func (f *faulty) Swap(ctx context.Context, old, new []byte) error {
	if f.before != nil {
		return f.before
	}
	if err := f.Storage.Swap(ctx, old, new); err != nil {
		return err
	}
	return f.after
}

var errCrash = errors.New("crash")

func TestWrap(t *testing.T) {
	k := Ephemeral()
	place := At("test", "1")
	for _, plaintext := range []string{"", "x", "secret", string(make([]byte, 100_000))} {
		wrapped := mustWrap(t, k, place, plaintext)
		checkUnwrap(t, k, place, wrapped, plaintext)
		if len(wrapped) != len(plaintext)+Overhead {
			t.Errorf("%d bytes became %d, want %d more", len(plaintext), len(wrapped), Overhead)
		}
		if again := mustWrap(t, k, place, plaintext); bytes.Equal(again, wrapped) {
			t.Error("wrapping twice gave the same bytes")
		}
	}
	if _, err := k.Wrap(Place{}, nil); err == nil {
		t.Error("Wrap took the zero place")
	}
	if _, err := k.Unwrap(Place{}, mustWrap(t, k, place, "")); err == nil {
		t.Error("Unwrap took the zero place")
	}
}

func TestTamper(t *testing.T) {
	k := Ephemeral()
	place := At("test", "1")
	wrapped := mustWrap(t, k, place, "secret")
	refused := func(name string, place Place, wrapped []byte) {
		t.Helper()
		if got, err := k.Unwrap(place, wrapped); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%s: Unwrap = %q, %v, want %v", name, got, err, ErrDamaged)
		}
	}
	for i := range wrapped {
		for bit := range 8 {
			bad := bytes.Clone(wrapped)
			bad[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d", bit, i), place, bad)
		}
		refused(fmt.Sprintf("cut to %d", i), place, wrapped[:i])
	}
	refused("longer", place, append(bytes.Clone(wrapped), 0))
	if _, err := Ephemeral().Unwrap(place, wrapped); !errors.Is(err, ErrDamaged) {
		t.Errorf("another keyring: %v, want %v", err, ErrDamaged)
	}
}

func TestSwap(t *testing.T) {
	k := Ephemeral()
	places := []Place{
		At("a"), At("a", ""), At("a", "", ""), At("a", "b"), At("ab"), At("a", "b", "c"), At("a", "bc"), At("ab", "c"), At(""),
		At("a", "b\x00c"), At("a\x00\x00\x00\x01b"), At("a", "c", "b"),
	}
	for i, from := range places {
		wrapped := mustWrap(t, k, from, "secret")
		for j, to := range places {
			if _, err := k.Unwrap(to, wrapped); (err == nil) != (i == j) {
				t.Errorf("wrapped at %q, unwrapped at %q: %v", from.encoded, to.encoded, err)
			}
		}
	}
}

func TestReopen(t *testing.T) {
	var s Memory
	place := At("test")
	wrapped := mustWrap(t, mustOpen(t, testKey(t, 1), &s), place, "secret")
	checkUnwrap(t, mustOpen(t, testKey(t, 1), &s), place, wrapped, "secret")

	t.Run("WrongRoot", func(t *testing.T) {
		before := bytes.Clone(s.value)
		_, err := Open(t.Context(), Config{Provider: testKey(t, 2), Storage: &s})
		if !errors.Is(err, ErrWrongRoot) {
			t.Errorf("Open: %v, want %v", err, ErrWrongRoot)
		}
		if !bytes.Equal(before, s.value) {
			t.Error("Open with the wrong root changed the storage")
		}
	})
	t.Run("WrongKind", func(t *testing.T) {
		_, err := Open(t.Context(), Config{Provider: cheapPassphrase(t, "a long passphrase"), Storage: &s})
		if !errors.Is(err, ErrWrongRoot) {
			t.Errorf("Open: %v, want %v", err, ErrWrongRoot)
		}
	})
	t.Run("LostKeyring", func(t *testing.T) {
		lost := errors.New("there are records but no keyring")
		if _, err := Open(t.Context(), Config{Provider: testKey(t, 1), Storage: failingLoad{lost}}); !errors.Is(err, lost) {
			t.Errorf("Open: %v, want %v", err, lost)
		}
	})
	t.Run("NothingGiven", func(t *testing.T) {
		if _, err := Open(t.Context(), Config{}); err == nil {
			t.Error("Open took an empty configuration")
		}
	})
}

type failingLoad struct{ err error }

func (f failingLoad) Load(context.Context) ([]byte, error)       { return nil, f.err }
func (f failingLoad) Swap(context.Context, []byte, []byte) error { panic("stored something") }

func TestStoredKeyringTamper(t *testing.T) {
	var s Memory
	wrapped := mustWrap(t, mustOpen(t, testKey(t, 1), &s), At("test"), "secret")
	stored := bytes.Clone(s.value)
	for i := range stored {
		bad := bytes.Clone(stored)
		bad[i] ^= 1
		s.value = bad
		k, err := Open(t.Context(), Config{Provider: testKey(t, 1), Storage: &s})
		if err != nil {
			continue
		}
		// The last digit of base64 has bits without meaning. All others count.
		if i < len(stored)-len(`x=="}`) {
			t.Errorf("Open took a keyring with byte %d (%q) changed", i, stored[i])
		}
		checkUnwrap(t, k, At("test"), wrapped, "secret")
	}
}

func TestFirstStart(t *testing.T) {
	t.Run("CrashBeforeStored", func(t *testing.T) {
		s := &faulty{Storage: new(Memory), before: errCrash}
		if _, err := Open(t.Context(), Config{Provider: testKey(t, 1), Storage: s}); !errors.Is(err, errCrash) {
			t.Errorf("Open: %v", err)
		}
		s.before = nil
		mustOpen(t, testKey(t, 1), s)
	})
	t.Run("FailedButTookEffect", func(t *testing.T) {
		s := &faulty{Storage: new(Memory), after: errCrash}
		if _, err := Open(t.Context(), Config{Provider: testKey(t, 1), Storage: s}); !errors.Is(err, errCrash) {
			t.Errorf("Open: %v", err)
		}
		s.after = nil
		mustOpen(t, testKey(t, 1), s)
	})
	t.Run("ManyNodesAtOnce", func(t *testing.T) {
		var s Memory
		var wg sync.WaitGroup
		wrapped := make([][]byte, 8)
		for i := range wrapped {
			wg.Go(func() {
				k, err := Open(t.Context(), Config{Provider: testKey(t, 1), Storage: &s})
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				wrapped[i], _ = k.Wrap(At("test"), []byte("secret"))
			})
		}
		wg.Wait()
		k := mustOpen(t, testKey(t, 1), &s)
		for _, w := range wrapped {
			checkUnwrap(t, k, At("test"), w, "secret")
		}
	})
}

// absent is a provider whose root is out of reach at first.
type absent struct {
	*Key
	times int
}

func (a *absent) Create(context.Context) error { return a.reach() }

func (a *absent) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	if err := a.reach(); err != nil {
		return nil, err
	}
	return a.Key.Unwrap(ctx, wrapped)
}

func (a *absent) reach() error {
	if a.times == 0 {
		return nil
	}
	a.times--
	return fmt.Errorf("%w: nobody is there", ErrUnavailable)
}

func TestWait(t *testing.T) {
	var s Memory
	waited := 0
	wait := func(_ context.Context, cause error) error {
		if !errors.Is(cause, ErrUnavailable) {
			t.Errorf("waits because of %v", cause)
		}
		waited++
		return nil
	}
	for _, when := range []string{"FirstStart", "LaterStart"} {
		t.Run(when, func(t *testing.T) {
			waited = 0
			k, err := Open(t.Context(), Config{Provider: &absent{testKey(t, 1), 3}, Storage: &s, Wait: wait})
			if err != nil || waited != 3 || len(k.Versions()) != 1 {
				t.Errorf("Open: %v after waiting %d times", err, waited)
			}
		})
	}
	t.Run("NoWaiting", func(t *testing.T) {
		if _, err := Open(t.Context(), Config{Provider: &absent{testKey(t, 1), 1}, Storage: &s}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("GivenUp", func(t *testing.T) {
		giveUp := func(context.Context, error) error { return errCrash }
		if _, err := Open(t.Context(), Config{Provider: &absent{testKey(t, 1), 1}, Storage: &s, Wait: giveUp}); !errors.Is(err, errCrash) {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("WrongRoot", func(t *testing.T) {
		if _, err := Open(t.Context(), Config{Provider: &absent{testKey(t, 2), 1}, Storage: &s, Wait: wait}); !errors.Is(err, ErrWrongRoot) {
			t.Errorf("Open: %v", err)
		}
	})
}

func TestRotate(t *testing.T) {
	var s Memory
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	frozen := clock.NewFrozen(now)
	k, err := Open(t.Context(), Config{Provider: testKey(t, 1), Storage: &s, Clock: frozen})
	if err != nil {
		t.Fatal(err)
	}
	place := At("test")
	old := mustWrap(t, k, place, "old")
	later := frozen.Advance(365 * 24 * time.Hour)
	if v, err := k.Rotate(t.Context()); v != 2 || err != nil {
		t.Fatalf("Rotate = %d, %v, want version 2", v, err)
	}
	fresh := mustWrap(t, k, place, "new")
	for _, k := range []*Keyring{k, mustOpen(t, testKey(t, 1), &s)} {
		checkUnwrap(t, k, place, old, "old")
		checkUnwrap(t, k, place, fresh, "new")
		if diff := cmp.Diff([]KeyVersion{{1, now}, {2, later}}, k.Versions()); diff != "" {
			t.Errorf("Versions (-want +got):\n%s", diff)
		}
	}
	for wrapped, want := range map[*[]byte]uint32{&old: 1, &fresh: 2} {
		if v, err := Version(*wrapped); v != want || err != nil {
			t.Errorf("Version = %d, %v, want %d", v, err, want)
		}
	}
}

func TestRotateFaults(t *testing.T) {
	s := &faulty{Storage: new(Memory)}
	k := mustOpen(t, testKey(t, 1), s)
	place := At("test")
	check := func(name string) {
		t.Helper()
		if _, err := k.Rotate(t.Context()); !errors.Is(err, errCrash) {
			t.Fatalf("%s: Rotate: %v, want %v", name, err, errCrash)
		}
		// What is wrapped after the failure opens after a restart, whatever was stored.
		wrapped := mustWrap(t, k, place, name)
		checkUnwrap(t, mustOpen(t, testKey(t, 1), s), place, wrapped, name)
	}
	s.before = errCrash
	check("Before")
	s.before, s.after = nil, errCrash
	check("FailedButTookEffect")
	s.after = nil
	if v, err := k.Rotate(t.Context()); v != 3 || err != nil {
		t.Errorf("Rotate after failures = %d, %v, want version 3: one took effect", v, err)
	}
}

func TestNodesRotatingAtOnce(t *testing.T) {
	var s Memory
	nodes := make([]*Keyring, 4)
	for i := range nodes {
		nodes[i] = mustOpen(t, testKey(t, 1), &s)
	}
	var wg sync.WaitGroup
	wrapped := make([][]byte, len(nodes))
	for i, k := range nodes {
		wg.Go(func() {
			if _, err := k.Rotate(t.Context()); err != nil {
				t.Errorf("Rotate: %v", err)
			}
			wrapped[i], _ = k.Wrap(At("test"), []byte("secret"))
		})
	}
	wg.Wait()
	k := mustOpen(t, testKey(t, 1), &s)
	if n := len(k.Versions()); n != len(nodes)+1 {
		t.Errorf("%d nodes rotated once, and there are %d versions", len(nodes), n)
	}
	for _, w := range wrapped {
		checkUnwrap(t, k, At("test"), w, "secret")
	}
}

func TestUnwrapFollowsOtherNodes(t *testing.T) {
	s := &faulty{Storage: new(Memory)}
	place := At("test")
	a, b := mustOpen(t, testKey(t, 1), s), mustOpen(t, testKey(t, 1), s)
	if _, err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrapped := mustWrap(t, a, place, "secret")
	checkUnwrap(t, b, place, wrapped, "secret")

	// Made-up versions do not hammer the storage.
	before := s.loads
	bad := bytes.Clone(wrapped)
	for i := range 100 {
		bad[1] = byte(i + 1)
		if _, err := b.Unwrap(place, bad); !errors.Is(err, ErrDamaged) {
			t.Fatalf("Unwrap of a made-up version: %v, want %v", err, ErrDamaged)
		}
	}
	if s.loads-before > 3 {
		t.Errorf("100 made-up versions loaded the keyring %d times", s.loads-before)
	}
	if err := b.Reload(t.Context()); err != nil || len(b.Versions()) != 2 {
		t.Errorf("Reload: %v, %d versions, want 2", err, len(b.Versions()))
	}
}

func TestRewrapToAnotherProvider(t *testing.T) {
	place := At("test")
	for _, test := range []struct {
		name      string
		fault     faulty
		oldOpens  bool
		wantError error
	}{
		{"OK", faulty{}, false, nil},
		{"CrashBeforeStored", faulty{before: errCrash}, true, errCrash},
		{"FailedButTookEffect", faulty{after: errCrash}, false, errCrash},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := new(Memory)
			k := mustOpen(t, testKey(t, 1), s)
			wrapped := mustWrap(t, k, place, "secret")
			test.fault.Storage = s
			k.storage = &test.fault
			to := cheapPassphrase(t, "correct horse")
			if err := k.Rewrap(t.Context(), to); !errors.Is(err, test.wantError) {
				t.Fatalf("Rewrap: %v, want %v", err, test.wantError)
			}
			checkUnwrap(t, k, place, wrapped, "secret") // while running

			roots := []Provider{testKey(t, 1), cheapPassphrase(t, "correct horse")}
			if !test.oldOpens {
				slices.Reverse(roots)
			}
			checkUnwrap(t, mustOpen(t, roots[0], s), place, wrapped, "secret")
			if _, err := Open(t.Context(), Config{Provider: roots[1], Storage: s}); !errors.Is(err, ErrWrongRoot) {
				t.Errorf("Open by the other root: %v, want %v", err, ErrWrongRoot)
			}
		})
	}
	t.Run("BrokenProvider", func(t *testing.T) {
		s := new(Memory)
		k := mustOpen(t, testKey(t, 1), s)
		before := bytes.Clone(s.value)
		if err := k.Rewrap(t.Context(), wrapsOnly{testKey(t, 2)}); err == nil {
			t.Error("Rewrap trusted a provider that cannot unwrap")
		}
		if !bytes.Equal(before, s.value) {
			t.Error("Rewrap stored what nobody can open")
		}
	})
}

// Whoever starts a cloud, and everything in it, by a root key that does not open would lose it at the next start.
func TestFirstStartByAProviderThatDoesNotOpen(t *testing.T) {
	var s Memory
	if _, err := Open(t.Context(), Config{Provider: wrapsOnly{testKey(t, 2)}, Storage: &s}); !errors.Is(err, ErrWrongRoot) {
		t.Errorf("Open = %v, want %v", err, ErrWrongRoot)
	}
	if s.value != nil {
		t.Error("Open stored what nobody can open")
	}
}

type wrapsOnly struct{ *Key }

func (wrapsOnly) Unwrap(context.Context, []byte) ([]byte, error) { return nil, ErrWrongRoot }

func TestConcurrentUse(t *testing.T) {
	k := Ephemeral()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				place := At("test", fmt.Sprint(i, j))
				w, err := k.Wrap(place, []byte("secret"))
				if err != nil {
					t.Error(err)
				}
				checkUnwrap(t, k, place, w, "secret")
			}
		})
	}
	for range 5 {
		if _, err := k.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
		if err := k.Rewrap(t.Context(), testKey(t, 7)); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func FuzzUnwrap(f *testing.F) {
	k := Ephemeral()
	k.install([]version{{number: 1, key: [keySize]byte{1}}}) // the same in each of the fuzzer's processes
	place := At("test")
	good := mustWrap(f, k, place, "secret")
	f.Add(good)
	f.Add(good[:headerSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		got, err := k.Unwrap(place, wrapped)
		if err == nil && string(got) != "secret" {
			t.Errorf("Unwrap = %q, %v", got, err)
		}
	})
}

// FuzzStoredKeyring opens altered keyrings: nothing panics, and nothing is stored.
func FuzzStoredKeyring(f *testing.F) {
	var s Memory
	mustOpen(f, testKey(f, 1), &s)
	f.Add(s.value)
	f.Add(bytes.Replace(s.value, []byte(`"key"`), []byte(`"passphrase"`), 1))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"format":"holdfast-keyring-1","provider":"key","wrapped":"AAAA"}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		s := &Memory{value: append([]byte{}, stored...)}
		k, err := Open(context.Background(), Config{Provider: testKey(t, 1), Storage: s})
		if err == nil && len(k.Versions()) != 1 {
			t.Errorf("Open made up a keyring: %v", k.Versions())
		}
		if !bytes.Equal(s.value, stored) {
			t.Error("Open changed the storage")
		}
	})
}

func FuzzDecodeVersions(f *testing.F) {
	f.Add(encodeVersions([]version{{number: 1, created: 5}, {number: 2, created: -1}}))
	f.Add([]byte(ringMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if versions, err := decodeVersions(b); err == nil && !bytes.Equal(encodeVersions(versions), b) {
			t.Errorf("decoding %x and encoding gives something else", b)
		}
	})
}
