package blob_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/blob/blobtest"
	"github.com/holdfast-cloud/holdfast/seal"
)

func openFiles(t *testing.T) blob.Store {
	s, err := blob.OpenFiles(t.TempDir() + "/made/here")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return new(blob.Memory) })
}

func TestFiles(t *testing.T) { blobtest.Run(t, openFiles) }

func TestSealedMemory(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return blob.Seal(new(blob.Memory), seal.Ephemeral().Box("blob")) })
}

func TestHolder(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return blob.HoldDeletions(new(blob.Memory)) })
}

func TestSealedFiles(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return blob.Seal(openFiles(t), seal.Ephemeral().Box("blob")) })
}

func BenchmarkSealed(b *testing.B) {
	content := blobtest.Content(16 << 20)
	s := blob.Seal(new(blob.Memory), seal.Ephemeral().Box("blob"))
	b.Run("Put", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			s.Put(b.Context(), "a", bytes.NewReader(content))
			s.Delete(b.Context(), "a")
		}
	})
	if _, err := s.Put(b.Context(), "a", bytes.NewReader(content)); err != nil {
		b.Fatal(err)
	}
	for name, n := range map[string]int64{"Get": -1, "GetRangeOf100": 100} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r, _, err := s.Get(b.Context(), "a", 8<<20, n)
				if err != nil {
					b.Fatal(err)
				}
				got, _ := io.Copy(io.Discard, r)
				b.SetBytes(got)
				r.Close()
			}
		})
	}
}
