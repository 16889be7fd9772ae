package keys_test

import (
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

// TestFIPS does all that FIPS mode allows where nothing else can be done, and asks for the rest.
func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	refused := []keys.Spec{keys.Secp256k1, keys.MLDSA44, keys.MLDSA65, keys.MLDSA87, keys.SM2}
	for _, spec := range keys.Specs() {
		t.Run(string(spec), func(t *testing.T) {
			if slices.Contains(refused, spec) {
				if _, err := keys.Generate(spec, nil); !errors.Is(err, keys.ErrNotApproved) {
					t.Errorf("Generate: %v, want ErrNotApproved", err)
				}
				if _, err := keys.Parse(spec, nil); !errors.Is(err, keys.ErrNotApproved) {
					t.Errorf("Parse: %v, want ErrNotApproved", err)
				}
				return
			}
			if spec != keys.RSA3072 && spec != keys.RSA4096 { // which take long and differ in nothing
				if _, err := keys.Generate(spec, nil); err != nil {
					t.Errorf("Generate: %v", err)
				}
			}
			testSpec(t, spec)
		})
	}
	t.Run("SHA1", func(t *testing.T) {
		key := keyOf(t, keys.RSA2048)
		if _, err := key.Encrypt(keys.OAEPSHA1, []byte("x")); !errors.Is(err, keys.ErrNotApproved) {
			t.Errorf("Encrypt: %v, want ErrNotApproved", err)
		}
		if _, err := key.Decrypt(keys.OAEPSHA1, make([]byte, 256)); !errors.Is(err, keys.ErrNotApproved) {
			t.Errorf("Decrypt: %v, want ErrNotApproved", err)
		}
		for _, alg := range []keys.WrappingAlgorithm{keys.WrapOAEPSHA1, keys.WrapAESSHA1} {
			if _, err := key.Unwrap(alg, make([]byte, 300)); !errors.Is(err, keys.ErrNotApproved) {
				t.Errorf("Unwrap(%s): %v, want ErrNotApproved", alg, err)
			}
		}
	})
	t.Run("SmallExponent", func(t *testing.T) { // 3
		text, err := os.ReadFile("testdata/rsa_2048_exponent_3.pem")
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if _, err := keys.Parse(keys.RSA2048, block.Bytes); !errors.Is(err, keys.ErrNotApproved) {
			t.Errorf("Parse: %v, want ErrNotApproved", err)
		}
	})
	t.Run("OldBlobs", TestBlobFormat)
}
