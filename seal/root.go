package seal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// A root is a root key that this process holds itself. What it wraps looks like this:
//
//	8        the root's ID, in the clear
//	24       nonce
//	n + 16   ciphertext and tag, bound to the ID
type root [keySize]byte

const rootIDSize = 8

// id tells roots apart without telling anything else of them, so that "the wrong key" and "damaged" are two messages.
func (r *root) id() []byte {
	mac := hmac.New(sha256.New, r[:])
	mac.Write([]byte("holdfast root id"))
	return mac.Sum(nil)[:rootIDSize]
}

// wrap appends plaintext, wrapped and bound to dst, to dst.
func (r *root) wrap(dst, plaintext []byte) []byte {
	dst = append(dst, r.id()...)
	return newXAES(r[:]).seal(dst, plaintext, append([]byte("holdfast root 1"), dst...))
}

// unwrap opens wrapped, which followed prefix.
func (r *root) unwrap(prefix, wrapped []byte) ([]byte, error) {
	if len(wrapped) < rootIDSize {
		return nil, ErrDamaged
	}
	id := wrapped[:rootIDSize]
	if !hmac.Equal(id, r.id()) {
		return nil, fmt.Errorf("%w: it was sealed by root %x, and this is root %x", ErrWrongRoot, id, r.id())
	}
	ad := append(append([]byte("holdfast root 1"), prefix...), id...)
	return newXAES(r[:]).open(wrapped[rootIDSize:], ad)
}

func newRoot() *root {
	r := new(root)
	rand.Read(r[:])
	return r
}

// parseRoot reads a root key as people store it: 32 bytes in base64 (openssl rand -base64 32), with or without a newline.
func parseRoot(text []byte) (*root, error) {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	var buf [64]byte
	defer clear(buf[:])
	if base64.StdEncoding.DecodedLen(len(text)) > len(buf) {
		return nil, errBadRoot
	}
	n, err := base64.StdEncoding.Strict().Decode(buf[:], text)
	if err != nil || n != keySize {
		return nil, errBadRoot // the decoder's error would quote the input
	}
	return new(root(buf[:keySize])), nil
}

var errBadRoot = errors.New("seal: a root key is 32 bytes in base64")

// Key is the [Provider] whose root key was handed to this process, in an environment variable for example. A key from
// a [File] may be moved into one without rewrapping: both are of kind "key".
type Key struct{ root *root }

// NewKey returns the provider for a root key of 32 bytes, which it copies.
func NewKey(key []byte) (*Key, error) {
	if len(key) != keySize {
		return nil, errors.New("seal: a root key is 32 bytes")
	}
	return &Key{new(root(key))}, nil
}

// ParseKey returns the provider for a root key as people store it: 32 bytes in base64, as openssl rand -base64 32 prints them.
func ParseKey(text []byte) (*Key, error) {
	r, err := parseRoot(text)
	if err != nil {
		return nil, err
	}
	return &Key{r}, nil
}

// WrapAfter wraps as [Key.Wrap] does, binds what it wraps to prefix, and returns it appended to prefix. It is for providers that get at their root in some way that
// prefix tells.
func (k *Key) WrapAfter(prefix, keyring []byte) []byte {
	return k.root.wrap(bytes.Clone(prefix), keyring)
}

// UnwrapAfter reverses WrapAfter, for what followed prefix.
func (k *Key) UnwrapAfter(prefix, wrapped []byte) ([]byte, error) {
	return k.root.unwrap(prefix, wrapped)
}

// Kind implements [Provider].
func (*Key) Kind() string { return "key" }

// Create implements [Provider]. There is nothing to do.
func (*Key) Create(context.Context) error { return nil }

// Wrap implements [Provider].
func (k *Key) Wrap(_ context.Context, keyring []byte) ([]byte, error) {
	return k.root.wrap(nil, keyring), nil
}

// Unwrap implements [Provider].
func (k *Key) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return k.root.unwrap(nil, wrapped)
}
