//go:build !pkcs11 || !cgo

package hsm_test

import (
	"errors"
	"testing"

	token "github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/seal/hsm"
)

// A build without PKCS#11 says which one has it.
func TestNotBuilt(t *testing.T) {
	if _, err := hsm.Parse("pkcs11:token=a?module-path=/a.so&pin-source=env:NOWHERE"); !errors.Is(err, token.ErrNotBuilt) {
		t.Errorf("Parse: %v", err)
	}
}
