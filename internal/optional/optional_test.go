package optional_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/optional"
)

func TestOptional(t *testing.T) {
	if v := optional.Value[int32](nil); v != 0 {
		t.Errorf("the value of nothing is %d", v)
	}
	if v := optional.Value(new("x")); v != "x" {
		t.Errorf("the value is %q", v)
	}
	if p := optional.NonZero(""); p != nil {
		t.Errorf("an empty string is %q", *p)
	}
	if p := optional.NonZero(7); p == nil || *p != 7 {
		t.Errorf("7 is %v", p)
	}
}
