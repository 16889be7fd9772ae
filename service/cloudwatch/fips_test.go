package cloudwatch_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	t.Run("Alarm", TestAlarm)
	t.Run("MathAlarm", TestMathAlarm)
}
