package xks

import (
	"bytes"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	api "github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// noKMS is a KMS without keys.
type noKMS struct{ KMS }

func (noKMS) DescribeKey(*call.Call, *kms.DescribeKeyRequest) (*kms.DescribeKeyResponse, error) {
	return nil, &kms.NotFoundException{}
}

// FuzzJoin hands in whatever a caller may send as the pieces of a ciphertext. They make up that of which they are the pieces, or something that KMS takes for none.
func FuzzJoin(f *testing.F) {
	s := &Service{cfg: Config{Store: memstore.New(), KMS: noKMS{}}}
	s.headers = cache.New(maxHeaders, s.loadHeader)
	k, err := keys.Generate("SYMMETRIC_DEFAULT", nil)
	if err != nil {
		f.Fatal(err)
	}
	blob, err := k.EncryptBlob(nil, keys.Header{Key: "111122223333/k", Material: "m"}, nil, []byte("hello"), nil)
	if err != nil {
		f.Fatal(err)
	}
	parts, err := keys.SplitBlob(blob)
	if err != nil {
		f.Fatal(err)
	}
	scope := call.Scope{Account: "111122223333"}
	if err := s.cfg.Store.Update(f.Context(), func(tx store.Tx) error {
		c := (&call.Call{Context: f.Context(), Scope: scope}).Bind("xks", nil, func() (store.Tx, error) { return tx, nil })
		return s.keepHeader(c, parts.Header)
	}); err != nil {
		f.Fatal(err)
	}
	made := split(parts)
	f.Add(made.CiphertextMetadata, made.InitializationVector, made.Ciphertext, made.AuthenticationTag)
	f.Add(made.CiphertextMetadata[:19], made.InitializationVector, made.Ciphertext, made.AuthenticationTag)
	f.Add(bytes.Repeat([]byte{metadataFormat}, metadataSize), made.InitializationVector, made.Ciphertext, made.AuthenticationTag)
	f.Add([]byte{}, made.InitializationVector[:12], []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, metadata, vector, ciphertext, tag []byte) {
		c := &call.Call{Context: t.Context(), Scope: scope}
		got, err := s.join(c, &api.DecryptRequest{CiphertextMetadata: metadata, InitializationVector: vector, Ciphertext: ciphertext, AuthenticationTag: tag})
		if err != nil {
			t.Fatal(err)
		}
		same := bytes.Equal(metadata, made.CiphertextMetadata) && bytes.Equal(vector, made.InitializationVector)
		if same != bytes.HasPrefix(got, blob[:len(parts.Header)+keys.NonceSize]) {
			t.Errorf("%x %x %x %x make up %x", metadata, vector, ciphertext, tag, got)
		}
		if _, err := k.DecryptBlob(nil, got, nil); err == nil && !bytes.Equal(got, blob) {
			t.Errorf("%x %x %x %x decrypt", metadata, vector, ciphertext, tag)
		}
	})
}
