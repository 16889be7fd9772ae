package xks

import (
	"errors"
	"slices"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	api "github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/wire"
)

// No error of KMS gets out that the API does not have for the operation.
func TestTranslated(t *testing.T) {
	for of, op := range map[*wire.Operation]*wire.Operation{kms.OpEncrypt: api.OpEncrypt, kms.OpDecrypt: api.OpDecrypt, kms.OpDescribeKey: api.OpGetKeyMetadata} {
		for _, e := range of.Errors {
			err := translated(e.Error.New().(wire.ModeledError))
			m, ok := errors.AsType[wire.ModeledError](err)
			if ok && !slices.Contains(op.Errors, m.Schema()) {
				t.Errorf("%s of KMS's %s becomes %v, which %s does not have", e.Name, of.Name, err, op.Name)
			}
			if fault := e.Error.Fault; !ok && !fault && e.Name != "DryRunOperationException" && e.Name != "InvalidGrantTokenException" && e.Name != "InvalidArnException" {
				t.Errorf("%s of KMS's %s becomes %v", e.Name, of.Name, err)
			}
		}
	}
}
