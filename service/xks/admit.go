package xks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// admit asks whether the user may have the proxy use a key. It is what the specification calls secondary authorization: policies can look at the request metadata.
// Whether the user may use the key at all KMS asks itself.
func admit(c *call.Call, keyID *string, m *xks.RequestMetadata) error {
	return c.Authorize(&call.Resource{ARN: c.Scope.ARN("kms", "key/"+*keyID), Type: "AWS::KMS::Key", Conditions: (*metadata)(m)})
}

// metadata is the policy.Context of request metadata: what the KMS that calls says about the call that it had itself.
type metadata xks.RequestMetadata

// Lookup implements policy.Context.
func (m *metadata) Lookup(name string) ([]string, bool) {
	var v *string
	switch name, _ := strings.CutPrefix(name, xks.Service.ActionPrefix+":"); name {
	case "awsprincipalarn":
		v = m.AwsPrincipalArn
	case "awssourcevpc":
		v = m.AwsSourceVpc
	case "awssourcevpce":
		v = m.AwsSourceVpce
	case "kmskeyarn":
		v = m.KmsKeyArn
	case "kmsoperation":
		v = m.KmsOperation
	case "kmsviaservice":
		v = m.KmsViaService
	}
	if v == nil {
		return nil, false
	}
	return []string{*v}, true
}

// translated is an error of KMS in the words of the proxy API. Refusals, and what is no error of KMS's, stay as they are.
func translated(err error) error {
	var m wire.ModeledError
	if !errors.As(err, &m) {
		if errors.Is(err, context.DeadlineExceeded) {
			return &xks.DependencyTimeoutException{Message: "KMS did not answer in time."}
		}
		return err
	}
	message := wire.Message(m)
	switch m.(type) {
	case *kms.NotFoundException:
		return &xks.KeyNotFoundException{Message: message}
	case *kms.DisabledException, *kms.KMSInvalidStateException:
		return &xks.InvalidStateException{Message: message}
	case *kms.InvalidKeyUsageException:
		return &xks.InvalidKeyUsageException{Message: message}
	case *kms.InvalidCiphertextException, *kms.IncorrectKeyException:
		return invalidCiphertext()
	case *kms.KeyUnavailableException, *kms.DependencyTimeoutException:
		return &xks.DependencyTimeoutException{Message: message}
	case *kms.LimitExceededException:
		return &xks.ThrottlingException{Message: message}
	case *kms.UnsupportedOperationException:
		return &xks.UnsupportedOperationException{Message: message}
	}
	return fmt.Errorf("calling KMS: %v", err) // not as an error that the API does not have
}

func invalidCiphertext() error {
	return &xks.InvalidCiphertextException{
		Message: "The ciphertext, its metadata, the initialization vector, the authentication tag or the additional authenticated data is not that of an encryption under this key.",
	}
}
