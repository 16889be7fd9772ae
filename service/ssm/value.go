package ssm

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Values are never in the clear in the store. A SecureString is encrypted by KMS, as the caller: a standard one under the key itself, an advanced one under a data key of its own. Other
// values are sealed: https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html

// defaultKey encrypts SecureStrings for which no key was named.
const defaultKey = "alias/aws/ssm"

func encryptionContext(arn string) map[string]string { return map[string]string{"PARAMETER_ARN": arn} }

// protect puts a value into a version, whose other members are there.
func (s *Service) protect(c *call.Call, arn string, v *version, value string) (err error) {
	switch {
	case v.Type != string(ssm.ParameterTypeSecureString):
		v.Value, err = s.box.Wrap(sealedAt(arn, v), []byte(value))
	case v.Tier == string(ssm.ParameterTierStandard):
		var out *kms.EncryptResponse
		if out, err = s.cfg.KMS.Encrypt(c, &kms.EncryptRequest{KeyId: &v.KeyID, Plaintext: []byte(value), EncryptionContext: encryptionContext(arn)}); err != nil {
			return ofKMS(err)
		}
		v.Value = out.CiphertextBlob
	default:
		v.Value, err = s.envelop(c, arn, v.KeyID, value)
	}
	return err
}

// envelop encrypts under a data key.
func (s *Service) envelop(c *call.Call, arn, key, value string) ([]byte, error) {
	context := encryptionContext(arn)
	out, err := s.cfg.KMS.GenerateDataKey(c, &kms.GenerateDataKeyRequest{KeyId: &key, KeySpec: kms.DataKeySpecAes256, EncryptionContext: context})
	if err != nil {
		return nil, ofKMS(err)
	}
	defer clear(out.Plaintext)
	id := make([]byte, messageIDSize)
	if _, err := io.ReadFull(c.Rand, id); err != nil {
		return nil, fmt.Errorf("drawing a message ID: %w", err)
	}
	return writeMessage(id, out.Plaintext, out.CiphertextBlob, *out.KeyId, context, []byte(value))
}

// decrypt is the value of a version of a SecureString.
func (s *Service) decrypt(c *call.Call, arn string, v *version) (string, error) {
	in := &kms.DecryptRequest{CiphertextBlob: v.Value, EncryptionContext: encryptionContext(arn)}
	var m message
	if v.Tier != string(ssm.ParameterTierStandard) {
		var err error
		if m, err = readMessage(v.Value); err != nil {
			return "", fmt.Errorf("reading the value of %s: %w", arn, err)
		}
		in.CiphertextBlob = m.dataKey
	}
	out, err := s.cfg.KMS.Decrypt(c, in)
	if err != nil {
		return "", ofKMS(err)
	}
	defer clear(out.Plaintext)
	if m.id == nil {
		return string(out.Plaintext), nil
	}
	value, err := m.open(out.Plaintext)
	if err != nil {
		return "", fmt.Errorf("opening the value of %s: %w", arn, err)
	}
	return string(value), nil
}

// unseal is the value of a version that is no SecureString.
func (s *Service) unseal(arn string, v *version) (string, error) {
	value, err := s.box.Unwrap(sealedAt(arn, v), v.Value)
	if err != nil {
		return "", fmt.Errorf("opening the value of %s: %w", arn, err)
	}
	return string(value), nil
}

func sealedAt(arn string, v *version) string { return arn + "#" + strconv.FormatInt(v.Version, 10) }

// ofKMS is what the caller is told of an error of KMS. A refusal stays one.
func ofKMS(err error) error {
	if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		return invalidKey(wire.Message(e), e.Schema().Error.Code)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok && !e.Fault {
		return invalidKey(e.Message, e.Code)
	}
	return err
}

func invalidKey(message, code string) error {
	return &ssm.InvalidKeyId{Message: fmt.Sprintf("%s (Service: AWSKMS; Status Code: 400; Error Code: %s)", message, code)}
}
