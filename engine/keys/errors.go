package keys

import (
	"errors"
	"fmt"
)

var (
	// ErrInvalidCiphertext says that a ciphertext is malformed, was tampered with, was made under another key, or with another
	// encryption context. Which of these it was is never told: the difference is what a chosen-ciphertext attack feeds on.
	ErrInvalidCiphertext = errors.New("invalid ciphertext")
	// ErrInvalidSignature says that a signature is not one of the message under the key.
	ErrInvalidSignature = errors.New("invalid signature")
	// ErrInvalidMAC says that a MAC is not that of the message under the key.
	ErrInvalidMAC = errors.New("invalid MAC")
	// ErrInvalidKey says that key material is malformed or of another spec.
	ErrInvalidKey = errors.New("invalid key material")
	// ErrInvalidPublicKey says that a peer's public key is malformed, off its curve, or of another curve.
	ErrInvalidPublicKey = errors.New("invalid public key")
	// ErrUnsupportedAlgorithm says that the key's spec does not do the algorithm.
	ErrUnsupportedAlgorithm = errors.New("unsupported algorithm")
	// ErrUnsupportedSpec says that a key spec is unknown.
	ErrUnsupportedSpec = errors.New("unsupported key spec")
	// ErrNotApproved says that this process runs in FIPS mode, and that the key spec or the algorithm is outside the module: see [Spec.Approved].
	ErrNotApproved = errors.New("not available in FIPS mode")
	// ErrMessageType says that the signing algorithm does not take messages of the type.
	ErrMessageType = errors.New("message type does not fit the signing algorithm")
	// ErrEmptyPlaintext says that the algorithm cannot encrypt nothing (SM2PKE).
	ErrEmptyPlaintext = errors.New("nothing to encrypt")
	// ErrHeader says that a blob header's strings are longer than the format holds.
	ErrHeader = errors.New("ciphertext header too long")
)

// DigestLengthError says that a message of type DIGEST or EXTERNAL_MU is not as long as the algorithm's digest.
type DigestLengthError struct {
	Algorithm Algorithm
	Got, Want int // bytes
}

func (e *DigestLengthError) Error() string {
	return fmt.Sprintf("digest of %d bytes for %s, which takes %d", e.Got, e.Algorithm, e.Want)
}

// PlaintextSizeError says that a plaintext is longer than [MaxPlaintext].
type PlaintextSizeError struct {
	Spec      Spec
	Algorithm Algorithm
	Max       int // bytes
}

func (e *PlaintextSizeError) Error() string {
	return fmt.Sprintf("%s with key spec %s encrypts no more than %d bytes", e.Algorithm, e.Spec, e.Max)
}
