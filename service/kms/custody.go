package kms

import (
	"context"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// A symmetric key encrypts in one of two ways. An ordinary key has its material here, unwrapped in the cache. A key in a custom key store is in somebody else's custody: an
// external key store proxy or a hardware security module encrypts for it, which the link of its store reaches. encryptUnder and decryptUnder are where the two ways
// part, and everything that encrypts or decrypts under a symmetric key goes through them.

// link reaches what one custom key store stands for. It is made from the store's record (see newLink), lives in the cache of stores as long as the record does not
// change, and is used by many calls at once. Making one touches no network and takes nothing that would have to be given back.
//
// Its methods may wait for the network: they are called under no lock, and give up when the context of the call ends. A call's handler may be run again when its transaction
// conflicts, so all of them can be repeated. Their errors are the model's, as the caller is to see them, or errors of ours; secrets and plaintexts are in none.
type link interface {
	// check looks whether there is such a thing, and whether it is what the record says, before a store is created or changed: kms.XksProxyUriUnreachableException and its like.
	check(c *call.Call) error

	// connect makes the store ready for use, and answers with the empty code when it is, or with the reason why it cannot be. c is a call of the service itself: a timer fires.
	connect(c *call.Call) kms.ConnectionErrorCodeType

	// create gives a new KMS key, whose record is not saved yet, what it stands for: it finds a key outside, or makes one there. What is to be remembered of it goes
	// into k.Outside. It may make material of ours, too, with s.addMaterial.
	create(c *call.Call, k *key, in *kms.CreateKeyRequest) error

	// destroy removes what create made, once the KMS key has been deleted for good. Nothing waits for it.
	destroy(ctx context.Context, k *key) error

	// encrypt encrypts under the key that k stands for. What it returns is the body of the ciphertext, see keys.OutsideBlob, whose header is h: it must authenticate header
	// and encryption context, with keys.AdditionalData or with material of ours.
	encrypt(c *call.Call, k *key, h keys.Header, context map[string]string, plaintext []byte) (body []byte, err error)

	// decrypt undoes encrypt. A ciphertext that is not one of the key, or of another header or context, is a kms.InvalidCiphertextException or what AWS says in its place.
	decrypt(c *call.Call, k *key, h keys.Header, context map[string]string, body []byte) (plaintext []byte, err error)

	// random returns n random bytes, or nil if the store gives none.
	random(c *call.Call, n int) ([]byte, error)
}

// encryptUnder encrypts under a symmetric key, wherever it is kept.
func (s *Service) encryptUnder(c *call.Call, k *key, context map[string]string, plaintext []byte) (blob []byte, err error) {
	m, id := k.current()
	h := blobHeader(k, id)
	if k.custody == nil {
		return m.EncryptBlob(nil, h, context, plaintext, c.Rand)
	}
	body, err := k.custody.link.encrypt(c, k, h, context, plaintext)
	if err != nil {
		return nil, err
	}
	return keys.OutsideBlob(h, body)
}

// decryptUnder decrypts a ciphertext of a symmetric key, wherever that is kept; h is its header.
func (s *Service) decryptUnder(c *call.Call, k *key, h keys.Header, context map[string]string, blob []byte) ([]byte, error) {
	if k.custody == nil {
		m := k.materials[h.Material]
		if m == nil {
			return nil, keys.ErrInvalidCiphertext
		}
		return m.DecryptBlob(nil, blob, context)
	}
	h, body, err := keys.ParseOutside(blob)
	if err != nil {
		return nil, err
	}
	return k.custody.link.decrypt(c, k, h, context, body)
}

// materialID is how operations name the material that they used. Of keys in custom key stores they name none: it is not here.
func (k *key) materialID(id string) *string {
	if id == "" || k.Store != "" {
		return nil
	}
	return &id
}
