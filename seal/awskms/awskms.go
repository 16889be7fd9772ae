// Package awskms is the seal whose root key is a key of another KMS: AWS's, or another Holdfast's. The key never leaves it: a data key, new with each wrapping, wraps
// the keyring, and the KMS encrypts the data key.
//
// Whoever may call kms:Decrypt with that key and reads the data directory opens the cloud, and the trail of the KMS tells of each opening.
package awskms

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/wire"
)

// encryptionContext tells the ciphertexts from others under the same key; key policies can demand it.
func encryptionContext() map[string]string { return map[string]string{"holdfast:seal": "keyring"} }

// Seal is the [seal.Provider]. While the KMS does not answer it returns [seal.ErrUnavailable].
type Seal struct {
	key string
	kms *kmsclient.Client
}

// New returns the seal.
func New(ctx context.Context, cfg kmsclient.Config) (*Seal, error) {
	if cfg.Key == "" {
		return nil, errors.New("seal: the KMS key is missing: awskms:KEY-ARN")
	}
	client, err := kmsclient.New(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Seal{cfg.Key, client}, nil
}

// Kind implements [seal.Provider].
func (*Seal) Kind() string { return "awskms" }

// Create implements [seal.Provider]. The key is made by whoever has the KMS.
func (*Seal) Create(context.Context) error { return nil }

// What is stored, before what the data key wraps and authenticated with it:
//
//	1     format, 1
//	2, *  the ARN of the KMS key, after its length, big-endian: to say which one it was
//	2, *  the data key, encrypted by it
const format = 1

// Wrap implements [seal.Provider].
func (s *Seal) Wrap(ctx context.Context, keyring []byte) ([]byte, error) {
	client, err := s.kms.KMS(ctx)
	if err != nil {
		return nil, s.explain(err, "")
	}
	dataKey := make([]byte, 32)
	defer clear(dataKey)
	rand.Read(dataKey)
	out, err := client.Encrypt(&call.Call{Context: ctx}, &kms.EncryptRequest{KeyId: &s.key, Plaintext: dataKey, EncryptionContext: encryptionContext()})
	if err != nil {
		return nil, s.explain(err, "")
	}
	prefix := []byte{format}
	for _, part := range [][]byte{[]byte(aws.ToString(out.KeyId)), out.CiphertextBlob} {
		prefix = binary.BigEndian.AppendUint16(prefix, uint16(len(part)))
		prefix = append(prefix, part...)
	}
	root, err := seal.NewKey(dataKey)
	if err != nil {
		return nil, err
	}
	return root.WrapAfter(prefix, keyring), nil
}

// Unwrap implements [seal.Provider]. The KMS is asked to decrypt by the key that was configured, and not by the one that is stored: who can write to the store must not
// choose it.
func (s *Seal) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	arn, encrypted, prefix, err := decode(wrapped)
	if err != nil {
		return nil, err
	}
	client, err := s.kms.KMS(ctx)
	if err != nil {
		return nil, s.explain(err, arn)
	}
	out, err := client.Decrypt(&call.Call{Context: ctx}, &kms.DecryptRequest{KeyId: &s.key, CiphertextBlob: encrypted, EncryptionContext: encryptionContext()})
	if err != nil {
		return nil, s.explain(err, arn)
	}
	defer clear(out.Plaintext)
	root, err := seal.NewKey(out.Plaintext)
	if err != nil {
		return nil, seal.ErrDamaged
	}
	return root.UnwrapAfter(prefix, wrapped[len(prefix):])
}

func decode(wrapped []byte) (arn string, encrypted, prefix []byte, err error) {
	if len(wrapped) < 1 || wrapped[0] != format {
		return "", nil, nil, seal.ErrDamaged
	}
	rest := wrapped[1:]
	var parts [2][]byte
	for i := range parts {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return "", nil, nil, seal.ErrDamaged
		}
		n := int(binary.BigEndian.Uint16(rest))
		parts[i], rest = rest[2:2+n], rest[2+n:]
	}
	n := len(wrapped) - len(rest)
	return string(parts[0]), parts[1], wrapped[:n:n], nil
}

// explain tells whether the KMS will say something else later, and what is wrong if not. Which key sealed is empty while sealing.
func (s *Seal) explain(err error, sealedBy string) error {
	var known wire.ModeledError
	var plain *wire.Error
	switch {
	case errors.Is(err, kmsclient.ErrCredentials):
		return fmt.Errorf("%w: %w, for the KMS that holds it", seal.ErrUnavailable, err)
	case errors.As(err, &known):
	case !errors.As(err, &plain):
		return fmt.Errorf("%w: the KMS that holds it does not answer: %w", seal.ErrUnavailable, err)
	case plain.Status >= 500 || plain.Status == http.StatusTooManyRequests || strings.Contains(plain.Code, "Throttl") || strings.HasPrefix(plain.Code, "ExpiredToken"):
		return fmt.Errorf("%w: the KMS that holds it answers %w", seal.ErrUnavailable, err)
	case strings.HasPrefix(plain.Code, "AccessDenied"):
		return fmt.Errorf("%w: the KMS key %s may not be used: %w", seal.ErrNoRoot, s.key, err)
	default:
		return fmt.Errorf("%w: the KMS refuses: %w", seal.ErrNoRoot, err)
	}
	switch known.(type) {
	case *kms.KMSInternalException, *kms.DependencyTimeoutException, *kms.KeyUnavailableException:
		return fmt.Errorf("%w: the KMS that holds it answers %w", seal.ErrUnavailable, err)
	case *kms.IncorrectKeyException, *kms.InvalidCiphertextException:
		return fmt.Errorf("%w: it was sealed by the KMS key %.200q, and %s is another, or it was altered", seal.ErrWrongRoot, sealedBy, s.key)
	case *kms.NotFoundException:
		return fmt.Errorf("%w: the KMS has no key %s", seal.ErrNoRoot, s.key)
	}
	return fmt.Errorf("%w: the KMS key %s is disabled, about to be deleted, or of no use here: %w", seal.ErrNoRoot, s.key, err)
}
