package s3_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	t.Run("KMS", TestKMS)
	t.Run("Ranges", TestGetRange)
	t.Run("SignedChunks", TestSignedChunks)
	t.Run("Presigned", TestPresigned)
}
