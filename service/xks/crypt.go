package xks

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// How much the specification has every proxy take, in bytes. More is not asked of it here.
const (
	maxText = 4300
	maxAAD  = 8192
)

// contextKey is the pair of the encryption context that holds the hash of the additional authenticated data. There is always one, so that what the proxy encrypts
// is told from what others encrypt under the same key.
const contextKey = "kms-xks-proxy:aad"

// encryptionContext binds a ciphertext to additional data, which may be longer than an encryption context is. Whatever differs in the data differs in its hash.
func encryptionContext(aad []byte) map[string]string {
	sum := sha256.Sum256(aad)
	return map[string]string{contextKey: base64.StdEncoding.EncodeToString(sum[:])}
}

// fits refuses what is longer than a proxy must take.
func fits(text, aad []byte) error {
	if len(text) > maxText || len(aad) > maxAAD {
		return &xks.UnsupportedOperationException{Message: "Texts may be up to 4300 bytes long, and additional authenticated data up to 8192."}
	}
	return nil
}

// Encrypt encrypts under a key of KMS.
func (s *Service) Encrypt(c *call.Call, in *xks.EncryptRequest) (*xks.EncryptResponse, error) {
	if err := admit(c, in.ExternalKeyId, in.RequestMetadata); err != nil {
		return nil, err
	}
	if err := fits(in.Plaintext, in.AdditionalAuthenticatedData); err != nil {
		return nil, err
	}
	context := encryptionContext(in.AdditionalAuthenticatedData)
	made, err := s.cfg.KMS.Encrypt(c, &kms.EncryptRequest{KeyId: in.ExternalKeyId, Plaintext: in.Plaintext, EncryptionContext: context})
	if err != nil {
		return nil, translated(err)
	}
	parts, err := keys.SplitBlob(made.CiphertextBlob)
	if err != nil {
		return nil, &xks.UnsupportedOperationException{Message: "The key is in a custom key store, which cannot be an external key store's."}
	}
	if err := s.keepHeader(c, parts.Header); err != nil {
		return nil, err
	}
	out := split(parts)
	if in.CiphertextDataIntegrityValueAlgorithm == "" {
		return out, nil
	}
	// In this order, so that the value is not that of something which was changed in memory after it had been decrypted.
	out.CiphertextDataIntegrityValue = integrityValue(in.AdditionalAuthenticatedData, out)
	again, err := s.cfg.KMS.Decrypt(c, &kms.DecryptRequest{KeyId: in.ExternalKeyId, CiphertextBlob: made.CiphertextBlob, EncryptionContext: context})
	if err != nil {
		return nil, translated(err)
	}
	defer clear(again.Plaintext)
	if !bytes.Equal(again.Plaintext, in.Plaintext) {
		return nil, errors.New("what was encrypted decrypts to something else")
	}
	return out, nil
}

// integrityValue is the hash by which the caller sees that nothing was changed on the way.
func integrityValue(aad []byte, out *xks.EncryptResponse) []byte {
	h := sha256.New()
	for _, b := range [][]byte{aad, out.CiphertextMetadata, out.InitializationVector, out.Ciphertext, out.AuthenticationTag} {
		h.Write(b)
	}
	return h.Sum(nil)
}

// Decrypt undoes Encrypt. What cannot be put together goes to KMS all the same: it knows whether the key is there, and who may learn that.
func (s *Service) Decrypt(c *call.Call, in *xks.DecryptRequest) (*xks.DecryptResponse, error) {
	if err := admit(c, in.ExternalKeyId, in.RequestMetadata); err != nil {
		return nil, err
	}
	if err := fits(in.Ciphertext, in.AdditionalAuthenticatedData); err != nil {
		return nil, err
	}
	blob, err := s.join(c, in)
	if err != nil {
		return nil, err
	}
	out, err := s.cfg.KMS.Decrypt(c, &kms.DecryptRequest{
		KeyId: in.ExternalKeyId, CiphertextBlob: blob, EncryptionContext: encryptionContext(in.AdditionalAuthenticatedData),
	})
	if err != nil {
		return nil, translated(err)
	}
	return &xks.DecryptResponse{Plaintext: out.Plaintext}, nil
}
