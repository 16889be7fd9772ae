package logs_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	t.Run("PutAndGet", TestPutAndGet)
	t.Run("KMS", TestKMS)
	t.Run("Metrics", TestMetrics)
}
