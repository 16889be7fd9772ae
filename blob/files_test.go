package blob_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/blob/blobtest"
)

// TestMain lets the test's own binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BLOB_TEST_PUT_INTO"); dir != "" {
		putForever(dir)
	}
	os.Exit(m.Run())
}

// putForever puts one object, says so, and then writes another that does not end.
func putForever(dir string) {
	s, err := blob.OpenFiles(dir)
	if err != nil {
		panic(err)
	}
	panicIf := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	_, err = s.Put(context.Background(), "dir/whole", bytes.NewReader(blobtest.Content(100000)))
	panicIf(err)
	started := false
	_, err = s.Put(context.Background(), "dir/partial", readerFunc(func(p []byte) (int, error) {
		if started {
			// The first part has been written to the file by now.
			os.Stdout.WriteString("writing\n")
			select {}
		}
		started = true
		return copy(p, blobtest.Content(len(p))), nil
	}))
	panicIf(err)
}

func TestFilesKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BLOB_TEST_PUT_INTO="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("writing\n"))
	_, readErr := io.ReadFull(out, line)
	cmd.Process.Kill()
	cmd.Wait()
	if readErr != nil {
		t.Fatalf("the process said %q: %v", line, readErr)
	}

	if left, _ := os.ReadDir(filepath.Join(dir, ".tmp")); len(left) != 1 {
		t.Fatalf("the killed process left %v in .tmp, want one file: the test tests nothing", left)
	}
	s, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, ".tmp")); len(left) != 0 {
		t.Errorf("after opening, .tmp still holds %v", left)
	}
	var keys []string
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if len(keys) != 1 || keys[0] != "dir/whole" {
		t.Errorf("after the crash there are %q, want what was acknowledged", keys)
	}
	if !bytes.Equal(read(t, s, "dir/whole"), blobtest.Content(100000)) {
		t.Error("what was acknowledged has other content")
	}
	if _, err := s.Put(t.Context(), "dir/partial", bytes.NewReader(nil)); err != nil {
		t.Errorf("putting again what was interrupted: %v", err)
	}
}

func TestFilesModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	s, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a/b/c", bytes.NewReader([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
}

func TestFilesReopened(t *testing.T) {
	dir := t.TempDir()
	for i, key := range []string{"a", "b/c"} {
		s, err := blob.OpenFiles(dir + "/")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), key, bytes.NewReader(blobtest.Content(i))); err != nil {
			t.Fatal(err)
		}
	}
	s, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "b/c"); !bytes.Equal(got, blobtest.Content(1)) {
		t.Errorf("after reopening, b/c holds %q", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
