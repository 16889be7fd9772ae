package audit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// made is an index of 3 blocks with many terms, some of which are in all of them.
func made() *index {
	x := new(index)
	for i := range term(5000) {
		x.add(200, int64(i), terms{[]term{i * 7919, 1, 1 << 31, 1<<32 - 1}, 1})
	}
	for i := range x.blocks {
		x.blocks[i].off, x.blocks[i].len = uint32(i*100), 100
	}
	return x
}

func TestIndexFile(t *testing.T) {
	x := made()
	path := filepath.Join(t.TempDir(), "x"+indexSuffix)
	if err := x.write(path); err != nil {
		t.Fatal(err)
	}
	f, err := openIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if len(x.blocks) < 3 || f.pages() < 3 {
		t.Fatalf("%d blocks, %d pages", len(x.blocks), f.pages())
	}
	for _, want := range []term{0, 1, 2, 7919, 7920, 4999 * 7919, 1 << 31, 1<<32 - 1} {
		got, err := f.having(want)
		if err != nil || !slices.Equal(got, x.having(want)) {
			t.Errorf("term %d: %v, %v, want %v", want, got, err, x.having(want))
		}
	}
	if all, err := f.table(); err != nil || !slices.Equal(all, x.blocks) {
		t.Errorf("blocks %v, %v", all, err)
	}
}

func FuzzIndexFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x"+indexSuffix)
	if err := made().write(path); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(b[:headSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x"+indexSuffix)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := openIndex(path)
		if err != nil {
			if !errors.Is(err, errIndex) {
				t.Fatal(err)
			}
			return
		}
		defer x.close()
		for _, some := range []term{0, 1, 1 << 31} {
			if _, err := x.having(some); err != nil && !errors.Is(err, errIndex) {
				t.Fatal(err)
			}
		}
	})
}
