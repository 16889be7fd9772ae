//go:build !pkcs11 || !cgo

package hsm

import "context"

// Built says whether this program has PKCS#11.
const Built = false

// Look returns [ErrNotBuilt].
func Look(context.Context, URI) (Info, error) { return Info{}, ErrNotBuilt }

// Token is a token that this process is logged in to.
type Token struct{ _ int }

// Open returns [ErrNotBuilt].
func Open(context.Context, URI, []byte) (*Token, error) { return nil, ErrNotBuilt }

// OpenAnew returns [ErrNotBuilt].
func OpenAnew(context.Context, URI, []byte) (*Token, error) { return nil, ErrNotBuilt }

// Close does nothing: there is no Token in this build, as with all methods below.
func (*Token) Close() {}

// Info is empty.
func (*Token) Info() Info { return Info{} }

// Check returns [ErrNotBuilt].
func (*Token) Check(context.Context) error { return ErrNotBuilt }

// GenerateKey returns [ErrNotBuilt].
func (*Token) GenerateKey(context.Context, Key) error { return ErrNotBuilt }

// FindKey returns [ErrNotBuilt].
func (*Token) FindKey(context.Context, Key) (Key, error) { return Key{}, ErrNotBuilt }

// DestroyKey returns [ErrNotBuilt].
func (*Token) DestroyKey(context.Context, Key) error { return ErrNotBuilt }

// Encrypt returns [ErrNotBuilt].
func (*Token) Encrypt(context.Context, Key, []byte, []byte) ([]byte, error) { return nil, ErrNotBuilt }

// Decrypt returns [ErrNotBuilt].
func (*Token) Decrypt(context.Context, Key, []byte, []byte) ([]byte, error) { return nil, ErrNotBuilt }

// Random returns [ErrNotBuilt].
func (*Token) Random(context.Context, int) ([]byte, error) { return nil, ErrNotBuilt }
