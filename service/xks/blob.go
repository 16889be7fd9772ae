package xks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/store"
)

// A ciphertext of KMS is a header, which names the key and its material, a nonce of 24 bytes, the ciphertext proper and a tag of 16. The protocol has room
// for it all but the header:
//
//	initializationVector  the first 16 bytes of the nonce
//	ciphertextMetadata    1: a byte; the other 8 bytes of the nonce; the reference of the header: 11 bytes
//	ciphertext            the ciphertext proper
//	authenticationTag     the tag
//
// The header is kept here, once for each key material, under its reference: the first bytes of its SHA-256. So the metadata names the material, and ciphertexts
// of rotated keys decrypt. KMS authenticates header and nonce, so no byte of the metadata can be changed.
const (
	vectorSize     = 16
	metadataFormat = 1
	referenceSize  = 11
	metadataSize   = 1 + keys.NonceSize - vectorSize + referenceSize
)

// split brings the parts of a ciphertext of KMS into the form of the protocol.
func split(p keys.Parts) *xks.EncryptResponse {
	ref := reference(p.Header)
	m := make([]byte, 0, metadataSize)
	m = append(m, metadataFormat)
	m = append(m, p.Nonce[vectorSize:]...)
	m = append(m, ref[:]...)
	return &xks.EncryptResponse{Ciphertext: p.Ciphertext, CiphertextMetadata: m, InitializationVector: p.Nonce[:vectorSize], AuthenticationTag: p.Tag}
}

// join is the ciphertext of KMS that was split, or something that KMS takes for none.
func (s *Service) join(c *call.Call, in *xks.DecryptRequest) ([]byte, error) {
	none := []byte{0}
	m := in.CiphertextMetadata
	if len(m) != metadataSize || m[0] != metadataFormat || len(in.InitializationVector) != vectorSize {
		return none, nil
	}
	key := headerKey{account: c.Scope.Account, ref: [referenceSize]byte(m[metadataSize-referenceSize:])}
	header, err := s.headers.Get(c.Context, key)
	if errors.Is(err, store.ErrNotFound) {
		header = s.derived(c, in.ExternalKeyId)
		if reference(header) != key.ref {
			return none, nil
		}
	} else if err != nil {
		return nil, err
	}
	return slices.Concat(header, in.InitializationVector, m[1:metadataSize-referenceSize], in.Ciphertext, in.AuthenticationTag), nil
}

// derived is the header of what a key encrypts now, or nil. A cloud that was restored from a backup does not know the headers that it kept since; but those of keys that
// it has are of the material that they had at the backup.
func (s *Service) derived(c *call.Call, keyID *string) []byte {
	out, err := s.cfg.KMS.DescribeKey(c, &kms.DescribeKeyRequest{KeyId: keyID})
	if err != nil || out.KeyMetadata.CurrentKeyMaterialId == nil {
		return nil // what is wrong with the key, Decrypt tells
	}
	m := out.KeyMetadata
	header, err := keys.BlobHeader(keys.Header{Key: *m.AWSAccountId + "/" + *m.KeyId, Material: *m.CurrentKeyMaterialId})
	if err != nil {
		return nil
	}
	return header
}

// headerRecord is the header of the ciphertexts that KMS makes under one key material.
//
//	xks / ACCOUNT / / header / REFERENCE in hexadecimal  → headerRecord
type headerRecord struct {
	Reference string
	Header    []byte
}

var headers = store.NewTable("xks", "header", func(r *headerRecord) store.Key { return store.Key{r.Reference} })

// maxHeaders is how many headers are kept ready for calls; each is a hundred bytes or so.
const maxHeaders = 100_000

type headerKey struct {
	account string
	ref     [referenceSize]byte
}

func reference(header []byte) [referenceSize]byte {
	sum := sha256.Sum256(header)
	return [referenceSize]byte(sum[:])
}

func (s *Service) loadHeader(ctx context.Context, k headerKey) (header []byte, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		rec, err := headers.In(k.account, "").Get(r, hex.EncodeToString(k.ref[:]))
		if err == nil {
			header = rec.Header
		}
		return err
	})
	return header, err
}

// keepHeader makes sure that the header of a ciphertext is found again. Headers are never changed or removed.
func (s *Service) keepHeader(c *call.Call, header []byte) error {
	k := headerKey{account: c.Scope.Account, ref: reference(header)}
	_, err := s.headers.Get(c.Context, k)
	if errors.Is(err, store.ErrNotFound) {
		return headers.In(k.account, "").Put(c.Tx(), &headerRecord{Reference: hex.EncodeToString(k.ref[:]), Header: header})
	}
	return err
}
