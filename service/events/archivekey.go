package events

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// An archive with a KMS key has a data key of its own, which KMS made and which only KMS can open. It encrypts what is archived, on top of what all bulk data is encrypted
// under. An archive that gets another KMS key gets another data key for what comes then, and keeps the former for what it has.

// archiveKey is a data key of an archive.
type archiveKey struct {
	KeyARN  string // of the KMS key
	DataKey []byte // encrypted by it
}

// forArchive is the call as EventBridge makes it for an archive, where the archive is.
func (a *archiveRecord) forArchive(c *call.Call) (own *call.Call, context map[string]string) {
	own = c.AsServiceFor(a.arn(c.Scope.Partition))
	own.Scope.Region = a.Region
	return own, busContext(busARN(a.scope(c), a.Bus))
}

// encryptUnder gives the archive a data key under a KMS key. Without one, what is archived from now on is encrypted under the cloud's own root key.
func (s *Service) encryptUnder(c *call.Call, a *archiveRecord, keyID string) error {
	a.KMSKey = keyID
	if keyID == "" {
		a.Key = 0
		return nil
	}
	name := keyID
	switch {
	case arn.Is(name):
	case strings.HasPrefix(name, "alias/"):
		name = c.Scope.ARN("kms", name)
	default:
		name = c.Scope.ARN("kms", "key/"+name)
	}
	own, context := a.forArchive(c)
	out, err := s.cfg.KMS.GenerateDataKey(own, &kms.GenerateDataKeyRequest{KeyId: &name, KeySpec: kms.DataKeySpecAes256, EncryptionContext: context})
	if err != nil {
		return refusedKey(err)
	}
	clear(out.Plaintext)
	a.Keys = append(a.Keys, archiveKey{*out.KeyId, out.CiphertextBlob})
	a.Key = len(a.Keys)
	return nil
}

// refusedKey is the error about a KMS key that cannot be used.
func refusedKey(err error) error {
	if denied, ok := errors.AsType[*call.Denied](err); ok {
		return badParameter("KmsKeyIdentifier", denied.Message)
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok && !m.Schema().Error.Fault {
		return badParameter("KmsKeyIdentifier", wire.Message(m))
	}
	return err
}

// keysOf gives what encrypts an archive's events: its data key of a number, or for 0 the cloud's own.
func (s *Service) keysOf(c *call.Call, a *archiveRecord, number int) (blob.Keys, error) {
	if number == 0 {
		return s.box, nil
	}
	if number > len(a.Keys) {
		return nil, fmt.Errorf("archive %s has no key %d", a.Name, number)
	}
	k := a.Keys[number-1]
	name := "archive " + a.ID + " " + string(k.DataKey)
	if key := s.keys.get(name, c.Time); key != nil {
		return archiveKeys{key}, nil
	}
	own, context := a.forArchive(c)
	out, err := s.cfg.KMS.Decrypt(own, &kms.DecryptRequest{KeyId: &k.KeyARN, CiphertextBlob: k.DataKey, EncryptionContext: context})
	if err != nil {
		return nil, err
	}
	defer clear(out.Plaintext)
	key, err := newDataKey(out.Plaintext, k.DataKey, c.Time)
	if err != nil {
		return nil, err
	}
	s.keys.put(name, key)
	return archiveKeys{key}, nil
}

// archiveKeys is a data key as what encrypts by it asks for it.
type archiveKeys struct{ *dataKey }

// Wrap encrypts a little, bound to its name.
func (k archiveKeys) Wrap(name string, plaintext []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, plaintext, []byte(name)), nil
}

// Unwrap decrypts what Wrap gave for the name.
func (k archiveKeys) Unwrap(name string, wrapped []byte) ([]byte, error) {
	plaintext, err := k.aead.Open(nil, nil, wrapped, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return plaintext, nil
}

// segments is where the segments under a key lie: the blob store encrypts all, and those of a data key are encrypted under it first.
func (s *Service) segments(number int, keys blob.Keys) blob.Store {
	if number == 0 {
		return s.cfg.Blob
	}
	return blob.Seal(s.cfg.Blob, keys)
}
