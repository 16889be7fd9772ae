package secretsmanager

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Each value is encrypted under a data key of its own, and KMS is asked each time for what opens it: https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html

// defaultKey is the alias of the key of secrets that name none.
const defaultKey = "alias/aws/secretsmanager"

func encryptionContext(secretARN, versionID string) map[string]string {
	return map[string]string{"SecretARN": secretARN, "SecretVersionId": versionID}
}

// keyName is the secret's KMS key as KMS is asked for it: what names no account is of the secret's.
func (sec *secret) keyName(c *call.Call) (string, error) {
	name := sec.Key
	switch {
	case arn.Is(name):
		return name, nil
	case name == "":
		if err := sec.foreign(c); err != nil {
			return "", err
		}
		name = defaultKey
	}
	if c.Scope.Account == sec.Account {
		return name, nil
	}
	if !strings.HasPrefix(name, "alias/") {
		name = "key/" + name
	}
	return call.Scope{Partition: c.Scope.Partition, Account: sec.Account, Region: sec.Region}.ARN("kms", name), nil
}

// foreign refuses a caller of another account what is encrypted under aws/secretsmanager, which nobody but its own account can use.
func (sec *secret) foreign(c *call.Call) error {
	if c.Scope.Account != sec.Account && c.Caller.Kind != policy.Service {
		return invalidRequest("You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.")
	}
	return nil
}

// encrypted is the value of a version, encrypted under the secret's key. Errors of KMS are as they are: see ofKMS.
func (s *Service) encrypted(c *call.Call, sec *secret, versionID string, plain []byte) (*copied, error) {
	name, err := sec.keyName(c)
	if err != nil {
		return nil, err
	}
	out, err := s.cfg.KMS.GenerateDataKey(c, &kms.GenerateDataKeyRequest{
		KeyId: &name, KeySpec: kms.DataKeySpecAes256, EncryptionContext: encryptionContext(sec.arn, versionID),
	})
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(out.Plaintext)
	if err != nil {
		return nil, err
	}
	return &copied{
		Key: optional.Value(out.KeyId), Default: sec.Key == "", DataKey: out.CiphertextBlob,
		Value: aead.Seal(nil, nil, plain, []byte(sec.arn+"#"+versionID)),
	}, nil
}

// decrypt returns what a version says, for the caller to hear of it if that cannot be.
func (s *Service) decrypt(c *call.Call, sec *secret, v *versionRecord) ([]byte, error) {
	plain, err := s.decrypted(c, sec, v)
	return plain, ofKMS(c, err, &secretsmanager.DecryptionFailure{Message: cannot("decrypt")})
}

// decrypted is decrypt with the errors of KMS as they are. Of several copies, the newest that KMS opens for the caller is taken.
func (s *Service) decrypted(c *call.Call, sec *secret, v *versionRecord) (plain []byte, err error) {
	for i := range v.Copies {
		if plain, err = s.open(c, sec, v.ID, &v.Copies[i]); err == nil {
			return plain, nil
		}
		if !refused(err) {
			return nil, err
		}
	}
	if err == nil {
		return nil, errors.New("secretsmanager: a version without a value was to be decrypted")
	}
	return nil, err
}

// open asks KMS for the data key of a copy, and returns what it opens.
func (s *Service) open(c *call.Call, sec *secret, versionID string, copy *copied) ([]byte, error) {
	if copy.Default {
		if err := sec.foreign(c); err != nil {
			return nil, err
		}
	}
	out, err := s.cfg.KMS.Decrypt(c, &kms.DecryptRequest{KeyId: &copy.Key, CiphertextBlob: copy.DataKey, EncryptionContext: encryptionContext(sec.arn, versionID)})
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(out.Plaintext)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, copy.Value, []byte(sec.arn+"#"+versionID))
	if err != nil {
		return nil, fmt.Errorf("opening version %s of %s: %w", versionID, sec.arn, err)
	}
	return plain, nil
}

// newAEAD is AES-256-GCM with random nonces, which ciphertexts begin with: FIPS 140-3 wants them drawn by the module that encrypts. A data key encrypts one value, and is wiped.
func newAEAD(key []byte) (cipher.AEAD, error) {
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func cannot(do string) string {
	return "Secrets Manager can't " + do + " the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state. For more information, see " +
		"Key state: Effect on your KMS key."
}

// refused reports whether KMS has answered that it does not do something, as opposed to something having failed.
func refused(err error) bool {
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return true
	}
	e, ok := errors.AsType[wire.ModeledError](err)
	return ok && !e.Schema().Error.Fault
}

// ofKMS is what the caller is told of an error of KMS.
func ofKMS(c *call.Call, err, failure error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return c.Reject(&wire.Error{Code: "AccessDeniedException", Status: 400, Message: "Access to KMS is not allowed"})
	}
	if _, own := errors.AsType[*secretsmanager.InvalidRequestException](err); own || !refused(err) {
		return err
	}
	return failure
}
