package scheduler

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// What a schedule gives its target is sealed in the store. With a KMS key, it is encrypted under a data key of its own, which only KMS can open: for who makes and reads the schedule with their rights, and
// with those of its role when it is due: https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html

func encryptionContext(arn string) map[string]string {
	return map[string]string{"aws:scheduler:schedule:arn": arn}
}

// seal puts the target's input into a schedule, which has its version and its key.
func (s *Service) seal(c *call.Call, r *scheduleRecord, input string) (err error) {
	name := r.arn(c.Scope)
	var box interface {
		Wrap(name string, plaintext []byte) ([]byte, error)
	} = s.box
	if r.Key != "" {
		out, err := s.cfg.KMS.GenerateDataKey(c, &kms.GenerateDataKeyRequest{KeyId: &r.Key, KeySpec: kms.DataKeySpecAes256, EncryptionContext: encryptionContext(name)})
		if err != nil {
			return ofKMS(err)
		}
		defer clear(out.Plaintext)
		r.DataKey, box = out.CiphertextBlob, dataKey(out.Plaintext)
	}
	if input != "" {
		r.Target.Input, err = box.Wrap(name+"#"+r.Version, []byte(input))
	}
	return err
}

// sealed is an input where it was put, and what opens it.
type sealed struct {
	name    string // of the schedule: its ARN
	version string
	key     string
	dataKey []byte
	input   []byte
}

// open returns the target's input; "" is none. c is who asks KMS for it.
func (s *Service) open(c *call.Call, v sealed) (string, error) {
	if v.input == nil {
		return "", nil
	}
	place := v.name + "#" + v.version
	if v.key == "" {
		text, err := s.box.Unwrap(place, v.input)
		return string(text), err
	}
	out, err := s.cfg.KMS.Decrypt(c, &kms.DecryptRequest{KeyId: &v.key, CiphertextBlob: v.dataKey, EncryptionContext: encryptionContext(v.name)})
	if err != nil {
		return "", err
	}
	defer clear(out.Plaintext)
	text, err := dataKey(out.Plaintext).Unwrap(place, v.input)
	return string(text), err
}

// ofKMS is what the caller is told of an error of KMS. A refusal stays one.
func ofKMS(err error) error {
	if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		return invalid("The KMS key cannot be used: %s", wire.Message(e))
	}
	return err
}

// dataKey is the data key of a schedule.
type dataKey []byte

// aead draws its nonces at random, because FIPS 140-3 wants them drawn by the module that encrypts. A key encrypts one input.
func (k dataKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Wrap encrypts an input, bound to its place.
func (k dataKey) Wrap(place string, plaintext []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plaintext, []byte(place)), nil
}

// Unwrap decrypts what Wrap gave for the place.
func (k dataKey) Unwrap(place string, wrapped []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, wrapped, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("opening the input of %s: %w", place, err)
	}
	return plaintext, nil
}
