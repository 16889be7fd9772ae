package cloudtrail

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	t.Run("Once", TestOnce)
	t.Run("DigestChain", TestDigestChain)
}
