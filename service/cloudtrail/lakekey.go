package cloudtrail

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"strings"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
)

// An event data store with a KMS key has a data key of its own, which KMS made and which only KMS can open. Its events are encrypted under it, on top of what all
// bulk data is encrypted under. KMS is asked once for each batch that is written and for each query, so that disabling the key, or taking it away from CloudTrail,
// ends both at once.

// as is the call as CloudTrail makes it on behalf of an event data store, in its region.
func (s *Service) as(c *call.Call, d *eventStoreRecord) *call.Call {
	own := c.AsServiceFor(d.arn(c.Scope.Partition))
	own.Scope.Region = d.Region
	return own
}

func encryptionContext(partition string, d *eventStoreRecord) map[string]string {
	return map[string]string{"aws:cloudtrail:arn": d.arn(partition)}
}

// encryptUnder gives an event data store a KMS key, and with it a data key.
func (s *Service) encryptUnder(c *call.Call, d *eventStoreRecord, keyID string) error {
	name := keyID
	switch {
	case arn.Is(name):
		if a, err := arn.Parse(name); err != nil || a.Service != "kms" || a.Region != d.Region {
			return badKey(keyID)
		}
	case strings.HasPrefix(name, "alias/"):
		name = c.Scope.ARN("kms", name)
	default:
		name = c.Scope.ARN("kms", "key/"+name)
	}
	out, err := s.cfg.KMS.GenerateDataKey(s.as(c, d), &kmsapi.GenerateDataKeyRequest{
		KeyId: &name, KeySpec: kmsapi.DataKeySpecAes256, EncryptionContext: encryptionContext(c.Scope.Partition, d),
	})
	if err != nil {
		return ofKMS(err, keyID)
	}
	clear(out.Plaintext)
	d.Key, d.DataKey = *out.KeyId, out.CiphertextBlob
	return nil
}

// dataKey opens the event data store's data key; it is nil if the store has none.
func (s *Service) dataKey(c *call.Call, d *eventStoreRecord) (storeKey, error) {
	if d.DataKey == nil {
		return nil, nil
	}
	out, err := s.cfg.KMS.Decrypt(s.as(c, d), &kmsapi.DecryptRequest{KeyId: &d.Key, CiphertextBlob: d.DataKey, EncryptionContext: encryptionContext(c.Scope.Partition, d)})
	if err != nil {
		return nil, err
	}
	return storeKey(out.Plaintext), nil
}

// storeKey is the data key of an event data store, or nil. It implements blob.Keys.
type storeKey []byte

// objects is where the event data store has its segments.
func (k storeKey) objects(all blob.Store) blob.Store {
	if k == nil {
		return all
	}
	return blob.Seal(all, k)
}

// aead draws its nonces at random, because FIPS 140-3 wants them drawn by the module that encrypts. The key encrypts an object's key or an event at a time: two of
// 2^32 with one nonce are less likely than 1 in 2^32 (NIST SP 800-38D, section 8.3).
func (k storeKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Wrap encrypts a little, bound to its name.
func (k storeKey) Wrap(name string, plaintext []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plaintext, []byte(name)), nil
}

// Unwrap decrypts what Wrap gave for the name.
func (k storeKey) Unwrap(name string, wrapped []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, wrapped, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return plaintext, nil
}
