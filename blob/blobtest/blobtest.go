// Package blobtest is the suite that every blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/blob"
)

// Run tests the stores that open returns, a new and empty one each time.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"PutAndGet", putAndGet},
		{"Ranges", ranges},
		{"Immutable", immutable},
		{"FailedPutLeavesNothing", failedPut},
		{"Delete", deletes},
		{"ReadWhileDeleted", readWhileDeleted},
		{"List", list},
		{"Keys", keys},
		{"NotFound", notFound},
		{"Cancelled", cancelled},
		{"RacingPuts", racingPuts},
		{"InvisibleUntilDone", invisible},
		{"AgainstModel", againstModel},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Content returns n bytes that are the same at every call, and at no two offsets.
func Content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func put(t *testing.T, s blob.Store, key string, content []byte) {
	t.Helper()
	info, err := s.Put(t.Context(), key, bytes.NewReader(content))
	if want := (blob.Info{Key: key, Size: int64(len(content))}); err != nil || info != want {
		t.Fatalf("Put(%q, %d bytes) = %v, %v, want %v", key, len(content), info, err, want)
	}
}

func get(s blob.Store, key string, off, n int64) ([]byte, blob.Info, error) {
	r, info, err := s.Get(context.Background(), key, off, n)
	if err != nil {
		return nil, info, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return b, info, err
}

func names(t *testing.T, s blob.Store, prefix, after string) []string {
	t.Helper()
	names := []string{}
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("List(%q, %q): %v", prefix, after, err)
		}
		names = append(names, info.Key)
	}
	return names
}

const chunk = 64 << 10

func putAndGet(t *testing.T, s blob.Store) {
	for _, n := range []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 7} {
		key := fmt.Sprintf("a/%d", n)
		content := Content(n)
		put(t, s, key, content)
		b, info, err := get(s, key, 0, -1)
		if err != nil || !bytes.Equal(b, content) {
			t.Errorf("Get(%q) = %d bytes, %v, want the %d that were put", key, len(b), err, n)
		}
		want := blob.Info{Key: key, Size: int64(n)}
		if info != want {
			t.Errorf("Get(%q) says %v, want %v", key, info, want)
		}
		if info, err := s.Stat(t.Context(), key); err != nil || info != want {
			t.Errorf("Stat(%q) = %v, %v, want %v", key, info, err, want)
		}
	}
}

func ranges(t *testing.T, s blob.Store) {
	for _, size := range []int64{0, 10, chunk, 2*chunk + 100, 3 * chunk} {
		key := fmt.Sprintf("size/%d", size)
		content := Content(int(size))
		put(t, s, key, content)
		points := []int64{0, 1, 10, chunk - 1, chunk, chunk + 1, 2 * chunk, size - 1, size, size + 1, 1 << 62, -1}
		for _, off := range points {
			for _, n := range append(points, 1<<63-1) {
				b, info, err := get(s, key, off, n)
				if off < 0 || off > size {
					if !errors.Is(err, blob.ErrRange) {
						t.Errorf("Get(%q, %d, %d) = %v, want %v", key, off, n, err, blob.ErrRange)
					}
					continue
				}
				want := content[off:]
				if n >= 0 && n < int64(len(want)) {
					want = want[:n]
				}
				if err != nil || !bytes.Equal(b, want) || info.Size != size {
					t.Errorf("Get(%q, %d, %d) = %d bytes of %d, %v, want %d bytes of %d", key, off, n, len(b), info.Size, err, len(want), size)
				}
			}
		}
	}
}

func immutable(t *testing.T, s blob.Store) {
	put(t, s, "a/b", []byte("first"))
	if _, err := s.Put(t.Context(), "a/b", strings.NewReader("second")); !errors.Is(err, blob.ErrExists) {
		t.Errorf("second Put: %v, want %v", err, blob.ErrExists)
	}
	if b, _, err := get(s, "a/b", 0, -1); string(b) != "first" || err != nil {
		t.Errorf("Get = %q, %v, want the first", b, err)
	}
}

func failedPut(t *testing.T, s blob.Store) {
	broken := errors.New("the line is cut")
	for _, n := range []int{0, 10, chunk, 3 * chunk} {
		r := io.MultiReader(bytes.NewReader(Content(n)), errReader{broken})
		if _, err := s.Put(t.Context(), "a", r); !errors.Is(err, broken) {
			t.Errorf("Put from a reader that breaks after %d bytes: %v, want its error", n, err)
		}
		if got := names(t, s, "", ""); len(got) > 0 {
			t.Errorf("a failed Put left %q", got)
		}
	}
	put(t, s, "a", Content(10))
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func deletes(t *testing.T, s blob.Store) {
	put(t, s, "a/b", Content(10))
	put(t, s, "a/c", Content(10))
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, err := s.Stat(t.Context(), "a/b"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat of what was deleted: %v, want %v", err, blob.ErrNotFound)
	}
	if diff := cmp.Diff([]string{"a/c"}, names(t, s, "", "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	put(t, s, "a/b", Content(20))
}

func readWhileDeleted(t *testing.T, s blob.Store) {
	content := Content(10 * chunk)
	put(t, s, "a", content)
	r, _, err := s.Get(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", []byte("another"))
	if b, err := io.ReadAll(r); !bytes.HasPrefix(content, b) || err == nil && len(b) != len(content) {
		t.Errorf("read %d bytes, %v, want the old object's %d or an error", len(b), err, len(content))
	}
}

func list(t *testing.T, s blob.Store) {
	all := []string{
		"a", "a-b", "a.b", "a.b/c", "a/0", "a/b", "a/b/c", "a/b0", "a0", "b/a", "b/a/1", "b/a/2", "b/aa/1", "c",
	}
	for _, i := range rand.Perm(len(all)) {
		put(t, s, all[i], Content(i))
	}
	for _, prefix := range append(all, "", "a/", "b", "b/", "b/a/", "zz", "a/b/c/d", "a//", "../", "/", "b/a/3") {
		for _, after := range append(all, "", "a/", "b/a/", "a/b/", "zz", "a/zz") {
			want := []string{}
			for _, key := range all {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			if diff := cmp.Diff(want, names(t, s, prefix, after)); diff != "" {
				t.Errorf("List(%q, %q) (-want +got):\n%s", prefix, after, diff)
			}
		}
	}
	for info := range s.List(t.Context(), "", "") {
		if want := int64(slices.Index(all, info.Key)); info.Size != want {
			t.Errorf("List says %v, want size %d", info, want)
		}
		if info.Key == "a/b" {
			break // and nothing more is yielded
		}
	}
}

func keys(t *testing.T, s blob.Store) {
	seg := strings.Repeat("s", 128)
	for _, key := range []string{"a", "0", "_", "-", "a..b", "a.", seg, seg + "/" + seg + "/" + seg + "/" + seg[:125]} {
		put(t, s, key, []byte(key))
		if b, _, err := get(s, key, 0, -1); string(b) != key || err != nil {
			t.Errorf("Get(%q) = %q, %v", key, b, err)
		}
	}
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", ".tmp", ".tmp/a", "a/.b", "A", "a b", "a\\b", "a\x00", "é", "=ab", "a/=ab/b",
		"a:b", seg + "s", seg + "/" + seg + "/" + seg + "/" + seg + "/a",
	} {
		_, putErr := s.Put(t.Context(), key, strings.NewReader("x"))
		_, _, getErr := s.Get(t.Context(), key, 0, -1)
		_, statErr := s.Stat(t.Context(), key)
		for i, err := range []error{putErr, getErr, statErr, s.Delete(t.Context(), key)} {
			if !errors.Is(err, blob.ErrKey) {
				t.Errorf("%s of key %q: %v, want %v", []string{"Put", "Get", "Stat", "Delete"}[i], key, err, blob.ErrKey)
			}
		}
	}
}

func notFound(t *testing.T, s blob.Store) {
	put(t, s, "a/b", Content(1))
	for _, key := range []string{"b", "a", "a/b/c", "a/c"} {
		if _, _, err := s.Get(t.Context(), key, 0, -1); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Get(%q): %v, want %v", key, err, blob.ErrNotFound)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Stat(%q): %v, want %v", key, err, blob.ErrNotFound)
		}
	}
}

func cancelled(t *testing.T, s blob.Store) {
	put(t, s, "a", Content(10*chunk))
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := s.Get(ctx, "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("reading on after cancel: %v", err)
	}
	if _, err := s.Put(ctx, "b", bytes.NewReader(Content(10))); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if err := s.Delete(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v", err)
	}
	for _, err := range s.List(ctx, "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("List: %v", err)
		}
	}
	if diff := cmp.Diff([]string{"a"}, names(t, s, "", "")); diff != "" {
		t.Errorf("after all that (-want +got):\n%s", diff)
	}
}

func racingPuts(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	won := make([]bool, 8)
	for i := range won {
		wg.Go(func() {
			_, err := s.Put(t.Context(), "dir/a", bytes.NewReader(bytes.Repeat([]byte{byte(i)}, chunk+1)))
			won[i] = err == nil
			if err != nil && !errors.Is(err, blob.ErrExists) {
				t.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	b, _, err := get(s, "dir/a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, won := range won {
		if won != bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, chunk+1)) {
			t.Errorf("Put %d: won is %v, and the object says otherwise", i, won)
		}
	}
}

// invisible looks at the store from within the reader that Put reads.
func invisible(t *testing.T, s blob.Store) {
	seen := 0
	look := readerFunc(func(p []byte) (int, error) {
		if seen++; seen > 5 {
			return 0, io.EOF
		}
		if _, err := s.Stat(context.Background(), "a"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Stat during Put: %v, want %v", err, blob.ErrNotFound)
		}
		if got := names(t, s, "", ""); len(got) > 0 {
			t.Errorf("List during Put: %q", got)
		}
		return copy(p, Content(len(p))), nil
	})
	if _, err := s.Put(t.Context(), "a", look); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, names(t, s, "", "")); diff != "" {
		t.Errorf("after Put (-want +got):\n%s", diff)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// againstModel does random things to s and to a map.
func againstModel(t *testing.T, s blob.Store) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	model := map[string][]byte{}
	segments := []string{"a", "b", "a.b", "a-", "0"}
	for i := range 300 {
		key := segments[r.IntN(len(segments))]
		for r.IntN(2) == 0 {
			key += "/" + segments[r.IntN(len(segments))]
		}
		switch r.IntN(4) {
		case 0, 1:
			content := Content(r.IntN(100))
			_, err := s.Put(t.Context(), key, bytes.NewReader(content))
			if _, ok := model[key]; ok != errors.Is(err, blob.ErrExists) || !ok && err != nil {
				t.Fatalf("seed %d, step %d: Put(%q): %v", seed, i, key, err)
			} else if !ok {
				model[key] = content
			}
		case 2:
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatalf("seed %d, step %d: Delete(%q): %v", seed, i, key, err)
			}
			delete(model, key)
		case 3:
			prefix := key[:r.IntN(len(key)+1)]
			want := []string{}
			for key := range model {
				if strings.HasPrefix(key, prefix) {
					want = append(want, key)
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, names(t, s, prefix, "")); diff != "" {
				t.Fatalf("seed %d, step %d: List(%q) (-want +got):\n%s", seed, i, prefix, diff)
			}
		}
	}
	for key, want := range model {
		if b, _, err := get(s, key, 0, -1); err != nil || !bytes.Equal(b, want) {
			t.Fatalf("seed %d: Get(%q) = %d bytes, %v", seed, key, len(b), err)
		}
	}
}
