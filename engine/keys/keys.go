// Package keys is the cryptography of a key management service as a library: key material of every KMS key spec,
// and what can be done with it. It encrypts and decrypts, signs and verifies, authenticates messages, and agrees on
// shared secrets. It knows no API package, no store and no clock; names of specs, usages and algorithms are spelled
// as in the KMS API, so a generated enum converts with a plain conversion.
//
// [Generate] makes a key and [Parse] reads one back from [Key.Material]. A [Key] is parsed once, holds everything
// an operation needs, never changes, and may be used by any number of goroutines. RSA keys take up to a second of one
// core to make; a server makes them through a [Generator], which bounds how many are made at a time.
//
// [Key.EncryptBlob] and [Key.DecryptBlob] are symmetric encryption; the ciphertext names its key, which [ParseBlob]
// reads. [Key.Encrypt] and [Key.Decrypt] are asymmetric encryption, whose ciphertext is the bare one of the algorithm, so that
// data encrypted outside with the public key decrypts. Sign, Verify, MAC, VerifyMAC and Agree speak for themselves.
//
// What the caller did wrong is told by the errors in errors.go. None of them carries key material, plaintext or why
// a ciphertext was refused.
package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Key is one piece of key material, ready for use. It is immutable and safe for concurrent use.
type Key struct {
	spec     Spec
	material []byte
	public   []byte // SubjectPublicKeyInfo, nil for symmetric specs
	impl     any    // one of the families below; what it can do is told by the interfaces it has
}

// What a family of keys can do. Key checks the algorithm against the table of its spec before it calls.
type (
	crypter interface {
		encrypt(alg Algorithm, plaintext []byte) ([]byte, error)
		decrypt(alg Algorithm, ciphertext []byte) ([]byte, error)
	}
	signer interface {
		sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error)
		verify(alg Algorithm, mt MessageType, message, signature []byte) error
	}
	agreer interface {
		agree(peer []byte) ([]byte, error)
	}
)

// A family makes and reads keys. It returns the implementation with its two encodings.
type family struct {
	generate func(spec Spec, random io.Reader) (impl any, err error)
	parse    func(spec Spec, material []byte) (impl any, err error)
	encode   func(impl any) (material, public []byte, err error)
}

// Generate makes a new key. A nil random means crypto/rand. Symmetric keys, ML-DSA seeds, and keys on secp256k1 and SM2
// are drawn from random; for RSA, NIST curves and Ed25519 the standard library draws from its own secure source.
//
// RSA keys take up to a second of CPU: a server calls [Generator.Generate].
func Generate(spec Spec, random io.Reader) (*Key, error) {
	if random == nil {
		random = rand.Reader
	}
	f, err := familyOf(spec)
	if err != nil {
		return nil, err
	}
	impl, err := f.generate(spec, random)
	if err != nil {
		return nil, fmt.Errorf("generating %s key: %w", spec, err)
	}
	return newKey(spec, f, impl)
}

// Parse reads key material as [Key.Material] writes it, which is also the form in which KMS imports it: the bare bytes of a
// symmetric or HMAC key, and PKCS #8 for all others. Material that is malformed or not of the spec is [ErrInvalidKey]; in FIPS mode an RSA key
// whose public exponent is below 65537 is [ErrNotApproved].
// Parse keeps nothing of material.
func Parse(spec Spec, material []byte) (*Key, error) {
	f, err := familyOf(spec)
	if err != nil {
		return nil, err
	}
	impl, err := f.parse(spec, material)
	if errors.Is(err, ErrNotApproved) {
		return nil, fmt.Errorf("parsing %s key: %w", spec, ErrNotApproved)
	}
	if err != nil {
		// The cause is dropped: parsers quote what they read, and this is a secret.
		return nil, fmt.Errorf("parsing %s key: %w", spec, ErrInvalidKey)
	}
	return newKey(spec, f, impl)
}

func newKey(spec Spec, f family, impl any) (*Key, error) {
	material, public, err := f.encode(impl)
	if err != nil {
		return nil, fmt.Errorf("encoding %s key: %w", spec, ErrInvalidKey)
	}
	return &Key{spec: spec, material: material, public: public, impl: impl}, nil
}

// Spec returns the spec the key was made for.
func (k *Key) Spec() Spec { return k.spec }

// Material returns a copy of the secret key: 32 bytes for SYMMETRIC_DEFAULT, as many as the hash is long for HMAC, PKCS #8 DER for all others. ML-DSA is stored as its seed (RFC 9881).
func (k *Key) Material() []byte { return bytes.Clone(k.material) }

// PublicKeyDER returns a copy of the public key as a DER SubjectPublicKeyInfo, or nil for symmetric specs.
func (k *Key) PublicKeyDER() []byte { return bytes.Clone(k.public) }

// Equal reports whether both hold the same material, in constant time for material of the same length.
func (k *Key) Equal(other *Key) bool {
	return other != nil && k.spec == other.spec && subtle.ConstantTimeCompare(k.material, other.material) == 1
}

// String names the spec only, so that a key may be printed.
func (k *Key) String() string { return string(k.spec) + " key" }

// GoString is String: %#v does not print the fields.
func (k *Key) GoString() string { return k.String() }

// Encrypt encrypts with an asymmetric algorithm. More than [MaxPlaintext] bytes is a [*PlaintextSizeError].
func (k *Key) Encrypt(alg Algorithm, plaintext []byte) ([]byte, error) {
	c, err := ability[crypter](k, EncryptDecrypt, alg)
	if err != nil {
		return nil, err
	}
	if limit := MaxPlaintext(k.spec, alg); len(plaintext) > limit {
		return nil, &PlaintextSizeError{Spec: k.spec, Algorithm: alg, Max: limit}
	}
	return c.encrypt(alg, plaintext)
}

// Decrypt decrypts what [Key.Encrypt], or anyone with the public key, encrypted. Whatever is wrong with the ciphertext
// is [ErrInvalidCiphertext].
func (k *Key) Decrypt(alg Algorithm, ciphertext []byte) ([]byte, error) {
	c, err := ability[crypter](k, EncryptDecrypt, alg)
	if err != nil {
		return nil, err
	}
	return c.decrypt(alg, ciphertext)
}

// Sign signs message, which mt says how to read. ECDSA and SM2 signatures are DER, the others are the bare bytes of
// their standards. A message of the wrong length for DIGEST or EXTERNAL_MU is a [*DigestLengthError]; a message type that the
// algorithm does not take is [ErrMessageType].
func (k *Key) Sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	s, err := ability[signer](k, SignVerify, alg)
	if err != nil {
		return nil, err
	}
	return s.sign(alg, mt, message)
}

// Verify returns nil if signature is one of message, [ErrInvalidSignature] if it is not, and Sign's errors.
func (k *Key) Verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	s, err := ability[signer](k, SignVerify, alg)
	if err != nil {
		return err
	}
	return s.verify(alg, mt, message, signature)
}

// MAC returns the HMAC of message.
func (k *Key) MAC(alg Algorithm, message []byte) ([]byte, error) {
	m, err := ability[*macKey](k, GenerateVerifyMAC, alg)
	if err != nil {
		return nil, err
	}
	return m.mac(alg, message), nil
}

// VerifyMAC returns nil if mac is the HMAC of message and [ErrInvalidMAC] if it is not.
func (k *Key) VerifyMAC(alg Algorithm, message, mac []byte) error {
	m, err := ability[*macKey](k, GenerateVerifyMAC, alg)
	if err != nil {
		return err
	}
	return m.verify(alg, message, mac)
}

// Agree returns the ECDH shared secret with the peer whose public key is given as a DER SubjectPublicKeyInfo:
// the x coordinate of the shared point, as long as the curve's field. A peer key that is malformed or of another curve is
// [ErrInvalidPublicKey].
func (k *Key) Agree(alg Algorithm, peer []byte) ([]byte, error) {
	a, err := ability[agreer](k, KeyAgreement, alg)
	if err != nil {
		return nil, err
	}
	return a.agree(peer)
}

// ability checks alg against the spec's table and returns the key as what the operation needs.
func ability[T any](k *Key, usage Usage, alg Algorithm) (T, error) {
	impl, ok := k.impl.(T)
	if !ok || !slices.Contains(k.spec.Algorithms(usage), alg) {
		return impl, fmt.Errorf("%s with key spec %s: %w", alg, k.spec, ErrUnsupportedAlgorithm)
	}
	if !alg.Approved() {
		return impl, fmt.Errorf("%s: %w", alg, ErrNotApproved)
	}
	return impl, nil
}
