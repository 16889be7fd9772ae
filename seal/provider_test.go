package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cheapPassphrase costs a thousandth of a real one.
func cheapPassphrase(t testing.TB, phrase string) *Passphrase {
	p, err := NewPassphrase([]byte(phrase))
	if err != nil {
		t.Fatal(err)
	}
	p.cost = argonCost{passes: 1, memory: 64, lanes: 1}
	return p
}

// tree returns every file under dir and its content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFile(t *testing.T) {
	place := At("test")
	setup := func(t *testing.T) (dir string, storage Storage, wrapped []byte) {
		dir = t.TempDir()
		storage = NewFileStorage(filepath.Join(dir, "keyring"))
		return dir, storage, mustWrap(t, mustOpen(t, NewFile(filepath.Join(dir, "root.key")), storage), place, "secret")
	}
	refuse := func(t *testing.T, dir string, storage Storage, want string) error {
		t.Helper()
		before := tree(t, dir)
		_, err := Open(t.Context(), Config{Provider: NewFile(filepath.Join(dir, "root.key")), Storage: storage})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v, want an error with %q", err, want)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Errorf("Open refused and changed files (-before +after):\n%s", diff)
		}
		return err
	}

	t.Run("OK", func(t *testing.T) {
		dir, storage, wrapped := setup(t)
		info, err := os.Stat(filepath.Join(dir, "root.key"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("root.key: %v, %v, want mode 0600", info.Mode(), err)
		}
		if files := tree(t, dir); len(files) != 2 || len(files["root.key"]) != 45 {
			t.Errorf("the directory holds %q", files)
		}
		checkUnwrap(t, mustOpen(t, NewFile(filepath.Join(dir, "root.key")), storage), place, wrapped, "secret")
	})
	t.Run("MovedIntoTheEnvironment", func(t *testing.T) {
		dir, storage, wrapped := setup(t)
		t.Setenv("TEST_ROOT", tree(t, dir)["root.key"])
		p, err := ParseKey([]byte(os.Getenv("TEST_ROOT")))
		if err != nil {
			t.Fatal(err)
		}
		checkUnwrap(t, mustOpen(t, p, storage), place, wrapped, "secret")
	})
	t.Run("PutThereBefore", func(t *testing.T) {
		dir := t.TempDir()
		text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
		if err := os.WriteFile(filepath.Join(dir, "root.key"), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
		var s Memory
		wrapped := mustWrap(t, mustOpen(t, NewFile(filepath.Join(dir, "root.key")), &s), place, "secret")
		checkUnwrap(t, mustOpen(t, testKey(t, 1), &s), place, wrapped, "secret")
	})
	t.Run("Missing", func(t *testing.T) {
		dir, storage, _ := setup(t)
		os.Remove(filepath.Join(dir, "root.key"))
		if err := refuse(t, dir, storage, "root.key does not exist"); !errors.Is(err, ErrNoRoot) {
			t.Errorf("Open: %v, want %v", err, ErrNoRoot)
		}
	})
	t.Run("Another", func(t *testing.T) {
		dir, storage, _ := setup(t)
		other, _, _ := setup(t)
		os.Rename(filepath.Join(other, "root.key"), filepath.Join(dir, "root.key"))
		if err := refuse(t, dir, storage, "the root key does not open this data directory"); !errors.Is(err, ErrWrongRoot) {
			t.Errorf("Open: %v, want %v", err, ErrWrongRoot)
		}
	})
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o610, 0o601, 0o666, 0o620} {
		t.Run(fmt.Sprintf("Mode%o", mode), func(t *testing.T) {
			dir, storage, _ := setup(t)
			os.Chmod(filepath.Join(dir, "root.key"), mode)
			refuse(t, dir, storage, "can be read or written by others")
		})
	}
	t.Run("Directory", func(t *testing.T) {
		dir, storage, _ := setup(t)
		os.Remove(filepath.Join(dir, "root.key"))
		os.Mkdir(filepath.Join(dir, "root.key"), 0o700)
		refuse(t, dir, storage, "not a regular file")
	})
	t.Run("SomethingElse", func(t *testing.T) {
		dir, storage, _ := setup(t)
		for _, text := range []string{"", "my secret dog", strings.Repeat("A", 200), "QUJD", strings.Repeat("A", 43) + "B", strings.Repeat("A", 42) + "B="} {
			os.WriteFile(filepath.Join(dir, "root.key"), []byte(text), 0o600)
			err := refuse(t, dir, storage, "32 bytes in base64")
			if text != "" && strings.Contains(err.Error(), text) {
				t.Errorf("the error quotes the file: %v", err)
			}
		}
	})
	t.Run("RewrapByAnotherName", func(t *testing.T) {
		dir, storage, _ := setup(t)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Skip("no symbolic links here")
		}
		k := mustOpen(t, NewFile(filepath.Join(dir, "root.key")), storage)
		before := tree(t, dir)["root.key"]
		if err := k.Rewrap(t.Context(), NewFile(filepath.Join(link, "root.key"))); err != nil {
			t.Fatal(err)
		}
		if after := tree(t, dir); after["root.key"] == before || after["root.key.old"] != before {
			t.Error("Rewrap to the file in use, by another name, made no new key")
		}
		mustOpen(t, NewFile(filepath.Join(dir, "root.key")), storage)
	})
	t.Run("FirstStartDirectoryMissing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "root.key")
		mustOpen(t, NewFile(path), new(Memory))
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the directory: %v, %v", info, err)
		}
	})
	t.Run("FirstStartCrashAfterCreated", func(t *testing.T) {
		dir := t.TempDir()
		f := NewFile(filepath.Join(dir, "root.key"))
		f.step = func(string) error { return errCrash }
		var s Memory
		if _, err := Open(t.Context(), Config{Provider: f, Storage: &s}); !errors.Is(err, errCrash) {
			t.Fatalf("Open: %v", err)
		}
		before := tree(t, dir)
		mustOpen(t, NewFile(filepath.Join(dir, "root.key")), &s)
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Errorf("the second start did not use the key that was there (-before +after):\n%s", diff)
		}
	})
}

// TestRewrapFile replaces a root key file and crashes at every point on the way.
func TestRewrapFile(t *testing.T) {
	place := At("test")
	for _, point := range []string{"", "created", "before swap", "after swap", "stored", "old moved away", "new in place"} {
		name := map[bool]string{true: "OK", false: "Crash:" + point}[point == ""]
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "root.key")
			file := NewFileStorage(filepath.Join(dir, "keyring"))
			storage := &faulty{Storage: file}
			provider := NewFile(path)
			k := mustOpen(t, provider, storage)
			wrapped := mustWrap(t, k, place, "secret")
			oldKey := tree(t, dir)["root.key"]

			reached := point == ""
			provider.step = func(step string) error {
				if step == point {
					reached = true
					return errCrash
				}
				return nil
			}
			switch point {
			case "before swap":
				storage.before, reached = errCrash, true
			case "after swap":
				storage.after, reached = errCrash, true
			}
			err := k.Rewrap(t.Context(), NewFile(path))
			if point == "" && err != nil || point != "" && !errors.Is(err, errCrash) || !reached {
				t.Fatalf("Rewrap: %v; reached the point: %v", err, reached)
			}
			checkUnwrap(t, k, place, wrapped, "secret") // the process that lives on

			// The next start, twice: the second time there is nothing left to finish.
			for range 2 {
				checkUnwrap(t, mustOpen(t, NewFile(path), file), place, wrapped, "secret")
			}
			files := tree(t, dir)
			changed := point != "created" && point != "before swap"
			if (files["root.key"] != oldKey) != changed {
				t.Errorf("root.key changed: %v, want %v", !changed, changed)
			}
			if changed && files["root.key.old"] != oldKey {
				t.Error("root.key.old is not the old key")
			}
			if _, ok := files["root.key.next"]; ok == changed {
				t.Errorf("root.key.next is there: %v, want %v", ok, !changed)
			}

			// And it can be done again, to the end.
			k = mustOpen(t, NewFile(path), file)
			if err := k.Rewrap(t.Context(), NewFile(path)); err != nil {
				t.Fatalf("second Rewrap: %v", err)
			}
			again := tree(t, dir)
			if again["root.key"] == files["root.key"] || again["root.key"] == oldKey || len(again) != 3 {
				t.Errorf("after the second Rewrap the directory holds %d files, and the key changed: %v", len(again), again["root.key"] != files["root.key"])
			}
			checkUnwrap(t, mustOpen(t, NewFile(path), file), place, wrapped, "secret")
			if v, err := k.Rotate(t.Context()); v != 2 || err != nil {
				t.Errorf("Rotate after Rewrap = %d, %v", v, err)
			}
		})
	}
	t.Run("ToAnotherPath", func(t *testing.T) {
		dir := t.TempDir()
		storage := NewFileStorage(filepath.Join(dir, "keyring"))
		k := mustOpen(t, NewFile(filepath.Join(dir, "a")), storage)
		if err := k.Rewrap(t.Context(), NewFile(filepath.Join(dir, "b"))); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, NewFile(filepath.Join(dir, "b")), storage)
		if _, err := Open(t.Context(), Config{Provider: NewFile(filepath.Join(dir, "a")), Storage: storage}); !errors.Is(err, ErrWrongRoot) {
			t.Errorf("Open by the old file: %v, want %v", err, ErrWrongRoot)
		}
	})
}

func TestPassphrase(t *testing.T) {
	place := At("test")
	var s Memory
	k := mustOpen(t, cheapPassphrase(t, "correct horse"), &s)
	wrapped := mustWrap(t, k, place, "secret")
	again := mustOpen(t, cheapPassphrase(t, "correct horse"), &s)
	checkUnwrap(t, again, place, wrapped, "secret")
	if _, err := again.Rotate(t.Context()); err != nil {
		t.Errorf("Rotate: %v", err)
	}
	checkUnwrap(t, mustOpen(t, cheapPassphrase(t, "correct horse"), &s), place, wrapped, "secret")

	t.Run("Wrong", func(t *testing.T) {
		_, err := Open(t.Context(), Config{Provider: cheapPassphrase(t, "correct house"), Storage: &s})
		if !errors.Is(err, ErrWrongRoot) || strings.Contains(err.Error(), "house") {
			t.Errorf("Open: %v, want %v", err, ErrWrongRoot)
		}
	})
	t.Run("Short", func(t *testing.T) {
		if _, err := NewPassphrase([]byte("1234567")); err == nil {
			t.Error("NewPassphrase took 7 bytes")
		}
	})
	t.Run("NotPrinted", func(t *testing.T) {
		p := cheapPassphrase(t, "correct horse")
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			if text := fmt.Sprintf(format, p); strings.Contains(text, "horse") || strings.Contains(text, "99 111") || strings.Contains(text, "636f7272") {
				t.Errorf("%s prints %s", format, text)
			}
		}
	})
	t.Run("RealCost", func(t *testing.T) {
		p, err := NewPassphrase([]byte("correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := p.Wrap(t.Context(), []byte("keyring"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Unwrap(t.Context(), w); string(got) != "keyring" || err != nil {
			t.Errorf("Unwrap = %q, %v", got, err)
		}
	})
	t.Run("SaltsDiffer", func(t *testing.T) {
		a, _ := cheapPassphrase(t, "correct horse").Wrap(t.Context(), nil)
		b, _ := cheapPassphrase(t, "correct horse").Wrap(t.Context(), nil)
		if bytes.Equal(a[:argonSize], b[:argonSize]) {
			t.Error("two providers drew the same salt")
		}
	})
	t.Run("Tampered", func(t *testing.T) {
		p := cheapPassphrase(t, "correct horse")
		w, _ := p.Wrap(t.Context(), []byte("keyring"))
		for i := range w {
			bad := bytes.Clone(w)
			bad[i] ^= 1
			if got, err := p.Unwrap(t.Context(), bad); err == nil {
				t.Errorf("byte %d changed: Unwrap = %q", i, got)
			}
		}
	})
	t.Run("CostOutOfRange", func(t *testing.T) {
		for _, c := range []argonCost{{0, 64, 1}, {33, 64, 1}, {1, 7, 1}, {1, 64, 9}, {1, 1<<20 + 1, 1}, {1, 64, 0}, {1 << 31, 1 << 31, 255}} {
			w := append([]byte{1}, make([]byte, argonSize+100)...)
			binary.BigEndian.PutUint32(w[1:], c.passes)
			binary.BigEndian.PutUint32(w[5:], c.memory)
			w[9] = c.lanes
			if _, err := cheapPassphrase(t, "correct horse").Unwrap(t.Context(), w); !errors.Is(err, ErrDamaged) {
				t.Errorf("cost %v: %v, want %v", c, err, ErrDamaged)
			}
		}
	})
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "phrase")
	os.WriteFile(file, []byte("correct horse\r\nnot this\n"), 0o600)
	shared := filepath.Join(dir, "shared")
	os.WriteFile(shared, []byte("correct horse\n"), 0o644)
	t.Setenv("TEST_PHRASE", "correct horse")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.WriteString("correct horse\n")
	w.Close()

	for _, source := range []string{"env:TEST_PHRASE", "file:" + file, fmt.Sprintf("fd:%d", dup(t, r))} {
		if got, err := ReadSecret(source); string(got) != "correct horse" || err != nil {
			t.Errorf("ReadSecret(%q) = %q, %v", source, got, err)
		}
	}
	if _, err := ReadSecret("file:" + filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "root key") {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, source := range []string{"", "env", "env:", "env:TEST_NOT_SET", "file:", "file:" + shared, "file:" + dir, "fd:", "fd:x", "fd:-1", "correct horse"} {
		if got, err := ReadSecret(source); err == nil || strings.Contains(err.Error(), "horse") {
			t.Errorf("ReadSecret(%q) = %q, %v", source, got, err)
		}
	}
}

func FuzzParseRoot(f *testing.F) {
	f.Add([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"))
	f.Add([]byte("\r\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRoot(text)
		if err != nil {
			return
		}
		// Base64 may be broken into lines anywhere.
		line := strings.NewReplacer("\n", "", "\r", "").Replace(string(text))
		if want := base64.StdEncoding.EncodeToString(r[:]); line != want {
			t.Errorf("parseRoot(%q) = %x", text, *r)
		}
	})
}

// FuzzProviders unwraps altered bytes. A passphrase's cost is capped first, lest the fuzzer burns memory.
func FuzzProviders(f *testing.F) {
	key, phrase := testKey(f, 1), cheapPassphrase(f, "correct horse")
	a, _ := key.Wrap(context.Background(), []byte("keyring"))
	b, _ := phrase.Wrap(context.Background(), []byte("keyring"))
	f.Add(a)
	f.Add(b)
	f.Add(b[:argonSize])
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		// Seeds come from another process, which wrapped the same under another nonce and salt.
		if got, err := key.Unwrap(context.Background(), wrapped); err == nil && string(got) != "keyring" {
			t.Errorf("Key.Unwrap = %q, %v", got, err)
		}
		if len(wrapped) >= argonSize && (binary.BigEndian.Uint32(wrapped[1:]) > 2 || binary.BigEndian.Uint32(wrapped[5:]) > 64) {
			return
		}
		if got, err := phrase.Unwrap(context.Background(), wrapped); err == nil && string(got) != "keyring" {
			t.Errorf("Passphrase.Unwrap = %q, %v", got, err)
		}
	})
}
