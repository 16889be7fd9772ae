package blob_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/blob/blobtest"
	"github.com/holdfast-cloud/holdfast/internal/fipstest"
	"github.com/holdfast-cloud/holdfast/seal"
)

const (
	header      = 256
	sealedChunk = 64<<10 + 28
)

// sealed returns the stored form of content at key "a".
func sealed(t testing.TB, keys blob.Keys, content []byte) []byte {
	var inner blob.Memory
	if _, err := blob.Seal(&inner, keys).Put(t.Context(), "a", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return read(t, &inner, "a")
}

func read(t testing.TB, s blob.Store, key string) []byte {
	r, _, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open reads a range of an object with the given stored form.
func open(t testing.TB, keys blob.Keys, key string, stored []byte, off, n int64) ([]byte, error) {
	var inner blob.Memory
	if _, err := inner.Put(t.Context(), key, bytes.NewReader(stored)); err != nil {
		t.Fatal(err)
	}
	r, _, err := blob.Seal(&inner, keys).Get(t.Context(), key, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestSealedHoldsNoContent(t *testing.T) {
	content := bytes.Repeat([]byte("the launch code is 0000 "), 10000)
	stored := sealed(t, seal.Ephemeral().Box("blob"), content)
	if bytes.Contains(stored, []byte("launch")) {
		t.Error("the stored form holds the content in the clear")
	}
	if want := header + len(content) + 28*4; len(stored) != want {
		t.Errorf("the stored form has %d bytes, want %d", len(stored), want)
	}
}

func TestSealedDamage(t *testing.T) {
	keys := seal.Ephemeral().Box("blob")
	content := blobtest.Content(3*64<<10 + 100)
	stored := sealed(t, keys, content)
	other := sealed(t, keys, content)
	chunk := func(b []byte, i int) []byte { return b[header+i*sealedChunk : min(len(b), header+(i+1)*sealedChunk)] }
	flip := func(i int) []byte {
		b := bytes.Clone(stored)
		b[i] ^= 1
		return b
	}
	for name, bad := range map[string][]byte{
		"Empty":              {},
		"HeaderOnly":         stored[:header],
		"HeaderCut":          stored[:header-1],
		"Magic":              flip(0),
		"WrappedLength":      flip(7),
		"WrappedLengthHuge":  flip(6),
		"WrappedKeyVersion":  flip(8 + 4),
		"WrappedKey":         flip(60),
		"Padding":            flip(header - 1),
		"FirstNonce":         flip(header),
		"FirstChunk":         flip(header + 12),
		"FirstTag":           flip(header + sealedChunk - 1),
		"LastChunk":          flip(len(stored) - 50),
		"LastTag":            flip(len(stored) - 1),
		"CutAByte":           stored[:len(stored)-1],
		"CutTheLastChunk":    stored[:header+3*sealedChunk],
		"CutInNonce":         stored[:header+3*sealedChunk+10],
		"CutToNonceAndTag":   stored[:header+3*sealedChunk+28],
		"CutToOneChunk":      stored[:header+sealedChunk],
		"AddedAByte":         append(bytes.Clone(stored), 0),
		"LastChunkTwice":     append(bytes.Clone(stored), chunk(stored, 3)...),
		"ChunksSwapped":      slices.Concat(stored[:header], chunk(stored, 1), chunk(stored, 0), chunk(stored, 2), chunk(stored, 3)),
		"ChunkDropped":       slices.Concat(stored[:header], chunk(stored, 0), chunk(stored, 2), chunk(stored, 3)),
		"ChunkRepeated":      slices.Concat(stored[:header], chunk(stored, 0), chunk(stored, 0), chunk(stored, 1), chunk(stored, 2), chunk(stored, 3)),
		"ChunkOfAnother":     slices.Concat(stored[:header], chunk(stored, 0), chunk(other, 1), chunk(stored, 2), chunk(stored, 3)),
		"HeaderOfAnother":    slices.Concat(other[:header], stored[header:]),
		"WithoutFirstChunks": slices.Concat(stored[:header], chunk(stored, 3)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, keys, "a", bad, 0, -1)
			if !errors.Is(err, blob.ErrDamaged) {
				t.Errorf("Get: %v, want an error that says damaged", err)
			}
			if !bytes.HasPrefix(content, got) {
				t.Error("Get gave bytes that are not the content's beginning")
			}
		})
	}
	t.Run("ObjectOfAnotherKey", func(t *testing.T) {
		if got, err := open(t, keys, "b", stored, 0, -1); !errors.Is(err, blob.ErrDamaged) || len(got) > 0 {
			t.Errorf("Get = %d bytes, %v, want %v", len(got), err, blob.ErrDamaged)
		}
	})
	t.Run("AnotherPurpose", func(t *testing.T) {
		ring := seal.Ephemeral()
		stored := sealed(t, ring.Box("blob"), content)
		if _, err := open(t, ring.Box("other"), "a", stored, 0, -1); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("Get: %v, want %v", err, blob.ErrDamaged)
		}
	})
	t.Run("RangeInDamagedChunk", func(t *testing.T) {
		if got, err := open(t, keys, "a", flip(header+2*sealedChunk), 2*64<<10+10, 5); !errors.Is(err, blob.ErrDamaged) || len(got) > 0 {
			t.Errorf("Get = %d bytes, %v, want %v", len(got), err, blob.ErrDamaged)
		}
	})
	t.Run("ListAndStatOfCut", func(t *testing.T) {
		var inner blob.Memory
		inner.Put(t.Context(), "a", bytes.NewReader(stored[:header]))
		inner.Put(t.Context(), "b", bytes.NewReader(stored))
		s := blob.Seal(&inner, keys)
		if _, err := s.Stat(t.Context(), "a"); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("Stat: %v, want %v", err, blob.ErrDamaged)
		}
		var sizes []int64
		for info, err := range s.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, info.Size)
		}
		if !slices.Equal(sizes, []int64{-1, int64(len(content))}) {
			t.Errorf("List gave sizes %d", sizes)
		}
	})
}

func TestSealedRewrappedKeysStillOpen(t *testing.T) {
	ring := seal.Ephemeral()
	stored := sealed(t, ring.Box("blob"), []byte("content"))
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, ring.Box("blob"), "a", stored, 0, -1); string(got) != "content" || err != nil {
		t.Errorf("Get after rotation = %q, %v", got, err)
	}
}

func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	blobtest.Run(t, func(*testing.T) blob.Store { return blob.Seal(new(blob.Memory), seal.Ephemeral().Box("blob")) })
}

// clearKeys wraps nothing, so that the fuzzer gets behind the header and a corpus stays valid.
type clearKeys struct{}

func (clearKeys) Wrap(_ string, key []byte) ([]byte, error)       { return bytes.Clone(key), nil }
func (clearKeys) Unwrap(_ string, wrapped []byte) ([]byte, error) { return bytes.Clone(wrapped), nil }

// FuzzSealed reads altered objects: cut off, with bytes replaced at a place, or altogether made up.
func FuzzSealed(f *testing.F) {
	content := blobtest.Content(2*64<<10 + 50)
	stored := sealed(f, clearKeys{}, content)
	f.Add([]byte("HFBL2\n\x00\x20"), 0, 0, int64(0), int64(-1))
	f.Add([]byte{}, header, 0, int64(0), int64(10))
	f.Add([]byte{}, header+sealedChunk, 0, int64(70000), int64(10))
	f.Add([]byte{0}, header+sealedChunk, 1, int64(65530), int64(10))
	f.Add(stored[header:header+sealedChunk], header+sealedChunk, sealedChunk, int64(0), int64(-1))
	f.Fuzz(func(t *testing.T, patch []byte, at, drop int, off, n int64) {
		at = max(0, min(at, len(stored)))
		drop = max(0, min(drop, len(stored)-at))
		altered := slices.Concat(stored[:at], patch, stored[at+drop:])
		got, err := open(t, clearKeys{}, "a", altered, off, n)
		if bytes.Equal(altered[:min(len(altered), header)], stored[:header]) && off >= 0 && off <= int64(len(content)) {
			if !bytes.HasPrefix(content[off:], got) {
				t.Errorf("Get gave bytes that were never put")
			}
			if bytes.Equal(altered, stored) && err != nil {
				t.Errorf("Get of an unaltered object: %v", err)
			}
		}
		if !bytes.Equal(altered, stored) && err == nil && n < 0 && off == 0 {
			t.Errorf("Get read an altered object to its end")
		}
	})
}
