package blob_test

import (
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

func TestSealedFiles(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return blob.Seal(openFiles(t), seal.Ephemeral().Box("blob")) })
}
