package s3

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Every object lies encrypted in the blob store, under the cloud's own root key: this is SSE-S3. An object with SSE-KMS is encrypted once more before it comes there. Its bytes
// are under an object key of its own, drawn for the upload; that is wrapped with a data key that KMS makes when the object is recorded, and the data key
// is kept as KMS encrypted it. Who may not use the key of KMS, or has deleted it, does not get at the bytes.

// managedKey is the key that encrypts where SSE-KMS is asked for and no key is named.
const managedKey = "alias/aws/s3"

// encryption is how the object of a request is to be encrypted with a key of KMS, or nil if it is not. KeyARN is still what the caller named.
func (b *bucket) encryption(in *s3.PutObjectRequest) (*kmsEncryption, error) {
	switch in.ServerSideEncryption {
	case "", s3.ServerSideEncryptionAes256:
		if given(in.SSEKMSKeyId, in.SSEKMSEncryptionContext) {
			return nil, badArgument("x-amz-server-side-encryption", string(in.ServerSideEncryption),
				"Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
		}
		return nil, nil
	case s3.ServerSideEncryptionAwsKms:
	case s3.ServerSideEncryptionAwsKmsDsse:
		return nil, notImplemented("x-amz-server-side-encryption")
	default:
		return nil, badArgument("x-amz-server-side-encryption", string(in.ServerSideEncryption), "The encryption method specified is not supported")
	}
	e := &kmsEncryption{KeyARN: b.keyName(in), BucketKey: optional.Value(in.BucketKeyEnabled), Given: optional.Value(in.SSEKMSEncryptionContext)}
	if e.Given != "" {
		text, err := base64.StdEncoding.DecodeString(e.Given)
		if err != nil || json.Unmarshal(text, &e.Context) != nil {
			return nil, badArgument("x-amz-server-side-encryption-context", e.Given, "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON with the encryption context key-value pairs")
		}
	}
	if e.Context == nil {
		e.Context = make(map[string]string, 1)
	}
	// What the caller says of it does not matter: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
	e.Context["aws:s3:arn"] = b.objectARN(optional.Value(in.Key))
	if e.BucketKey {
		e.Context["aws:s3:arn"] = b.arn()
	}
	return e, nil
}

// keyName is the key of KMS that a request names, as an ARN where it is a key's ID or an alias of the bucket's region and of the caller's account.
func (b *bucket) keyName(in *s3.PutObjectRequest) string {
	if in.ServerSideEncryption != s3.ServerSideEncryptionAwsKms {
		return optional.Value(in.SSEKMSKeyId)
	}
	name := optional.Value(in.SSEKMSKeyId)
	switch {
	case name == "":
		name = managedKey
	case arn.Is(name):
		return name
	}
	if len(name) > len("alias/") && name[:len("alias/")] == "alias/" {
		return b.c.Scope.ARN("kms", name)
	}
	return b.c.Scope.ARN("kms", "key/"+name)
}

// seal wraps the object key of an upload with a data key that KMS makes for the caller.
func (s *Service) seal(c *call.Call, b *bucket, e *kmsEncryption, up *upload) error {
	out, err := s.cfg.KMS.GenerateDataKey(c, &kmsapi.GenerateDataKeyRequest{KeyId: &e.KeyARN, KeySpec: kmsapi.DataKeySpecAes256, EncryptionContext: e.Context})
	if err != nil {
		return ofKMS(err)
	}
	defer clear(out.Plaintext)
	e.KeyARN, e.DataKey = optional.Value(out.KeyId), out.CiphertextBlob
	e.ObjectKey, err = wrap(out.Plaintext, up.blob, up.key)
	return err
}

// open gives the object key of an object, with a data key that KMS decrypts for the caller.
func (s *Service) open(c *call.Call, o *objectRecord) (objectKey, error) {
	out, err := s.cfg.KMS.Decrypt(c, &kmsapi.DecryptRequest{KeyId: &o.KMS.KeyARN, CiphertextBlob: o.KMS.DataKey, EncryptionContext: o.KMS.Context})
	if err != nil {
		return nil, ofKMS(err)
	}
	defer clear(out.Plaintext)
	key, err := unwrap(out.Plaintext, o.Blob, o.KMS.ObjectKey)
	if err != nil {
		return nil, fmt.Errorf("opening the key of an object: %w", err)
	}
	return key, nil
}

// ofKMS is what S3 answers for an error of KMS: its code with KMS before it. A refusal stays one.
func ofKMS(err error) error {
	m, ok := errors.AsType[wire.ModeledError](err)
	if !ok {
		return err
	}
	t := m.Schema().Error
	if t.Fault {
		return fault("ServiceUnavailable", 503, "Please reduce your request rate.")
	}
	return fault("KMS."+m.Schema().Name, 400, wire.Message(m))
}

// objectKey encrypts the bytes of one object: it wraps the keys of package blob, as a seal.Box does.
type objectKey []byte

func newObjectKey() objectKey {
	k := make(objectKey, 32)
	rand.Read(k)
	return k
}

// Wrap implements blob.Keys.
func (k objectKey) Wrap(name string, dataKey []byte) ([]byte, error) { return wrap(k, name, dataKey) }

// Unwrap implements blob.Keys.
func (k objectKey) Unwrap(name string, wrapped []byte) ([]byte, error) {
	return unwrap(k, name, wrapped)
}

// wrap encrypts a key with another one, bound to a name: AES-256-GCM, with a random nonce, which is safe as no key here wraps more than a few.
func wrap(with []byte, name string, key []byte) ([]byte, error) {
	aead, err := newAEAD(with)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, key, []byte(name)), nil
}

func unwrap(with []byte, name string, wrapped []byte) ([]byte, error) {
	aead, err := newAEAD(with)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, wrapped, []byte(name))
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
