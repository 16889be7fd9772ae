package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "", "two"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if string(got) != text || err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("wrote %q and read %q, %v, mode %v", text, got, err, info.Mode())
		}
	}
	onlyFile(t, path)
	if err := WriteFile(filepath.Join(t.TempDir(), "no", "f"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile into no directory: %v", err)
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := CreateFile(path, []byte(strings.Repeat(string(rune('a'+i)), 5)))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("CreateFile: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 8 made the file, want 1", won.Load())
	}
	onlyFile(t, path)
}

func TestRenameNew(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for i, want := range []error{nil, fs.ErrExist} {
		if err := WriteFile(from, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := RenameNew(from, to); !errors.Is(err, want) {
			t.Errorf("RenameNew = %v, want %v", err, want)
		}
		if got, err := os.ReadFile(to); len(got) != 1 || got[0] != 0 || err != nil {
			t.Errorf("the file holds %v, %v", got, err)
		}
		if want == nil {
			onlyFile(t, to)
		}
	}
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the directory holds %v, %v, want only %s", entries, err, path)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := MkdirAll(filepath.Join(dir, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a: %v, %v", info, err)
	}
	if err := WriteFile(filepath.Join(dir, "f"), nil); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(dir, "f")); err == nil {
		t.Error("MkdirAll took a file for a directory")
	}
	if err := MkdirAll(filepath.Join(dir, "f", "g")); err == nil {
		t.Error("MkdirAll made a directory in a file")
	}
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := WriteFile(a, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := Rename(a, b); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, b)
	if err := Rename(a, b); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Rename of nothing: %v", err)
	}
}
