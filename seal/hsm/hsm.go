// Package hsm is the seal whose root is an AES key in a PKCS#11 token, which it never leaves.
//
// The token encrypts a data key, and the data key the keyring, which may be longer than what a token takes. What is stored looks like this, and the token
// authenticates the first two lines:
//
//	1    format, 1
//	1+n  ID of the root (CKA_ID), after its length
//	60   data key, encrypted by the token
//	...  keyring, wrapped under the data key as seal.Key does
package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	token "github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/seal"
)

// DefaultLabel is how the root is called in its token if the URI does not say.
const DefaultLabel = "holdfast root"

const (
	format1     = 1
	keySize     = 32
	dataKeySize = keySize + token.Overhead
)

// Provider is the [seal.Provider] whose root is in a token. It logs in for each thing it does, so that whoever takes the token away once the process runs does no harm.
type Provider struct {
	uri     token.URI
	pin     []byte
	refused error // the token's word on the PIN, which is not tried again: a few wrong ones lock the token
}

// New returns the provider for the token that uri names and the key that its object and id name, which Create makes if there is none. It keeps the PIN.
func New(uri token.URI, pin []byte) (*Provider, error) {
	if !token.Built {
		return nil, token.ErrNotBuilt
	}
	if uri.Key == (token.Key{}) {
		uri.Key.Label = DefaultLabel
	}
	return &Provider{uri: uri, pin: pin}, nil
}

// Parse returns the provider for a URI whose pin-source says where the PIN is: env:NAME, file:PATH or fd:N.
func Parse(text string) (*Provider, error) {
	uri, err := token.Parse(text)
	if err != nil {
		return nil, err
	}
	if !token.Built {
		return nil, token.ErrNotBuilt
	}
	if uri.PINSource == "" {
		return nil, errors.New("seal: the URI of the token says where the PIN is by &pin-source=file:PATH or &pin-source=env:NAME")
	}
	pin, err := seal.ReadSecret(uri.PINSource)
	if err != nil {
		return nil, fmt.Errorf("reading the token's PIN: %w", err)
	}
	return New(uri, pin)
}

// Kind implements [seal.Provider].
func (*Provider) Kind() string { return "pkcs11" }

// Create implements [seal.Provider].
func (p *Provider) Create(ctx context.Context) error {
	return p.with(ctx, func(t *token.Token) error {
		_, err := t.FindKey(ctx, p.uri.Key)
		if !errors.Is(err, token.ErrNoKey) {
			return err
		}
		k := p.uri.Key
		if k.Label == "" {
			k.Label = DefaultLabel
		}
		if k.ID == "" {
			id := make([]byte, 16)
			rand.Read(id)
			k.ID = string(id)
		}
		return t.GenerateKey(ctx, k)
	})
}

// Wrap implements [seal.Provider].
func (p *Provider) Wrap(ctx context.Context, keyring []byte) (wrapped []byte, err error) {
	err = p.with(ctx, func(t *token.Token) error {
		k, err := t.FindKey(ctx, p.uri.Key)
		if err != nil {
			return err
		}
		if len(k.ID) > 255 {
			return errors.New("seal: the ID of the key in the token is longer than 255 bytes")
		}
		wrapped = append([]byte{format1, byte(len(k.ID))}, k.ID...)
		data := make([]byte, keySize)
		defer clear(data)
		rand.Read(data)
		sealed, err := t.Encrypt(ctx, k, data, associate(wrapped))
		if err != nil {
			return err
		}
		inner, err := seal.NewKey(data)
		if err != nil {
			return err
		}
		rest, err := inner.Wrap(ctx, keyring)
		wrapped = append(append(wrapped, sealed...), rest...)
		return err
	})
	return wrapped, err
}

// Unwrap implements [seal.Provider].
func (p *Provider) Unwrap(ctx context.Context, wrapped []byte) (keyring []byte, err error) {
	if len(wrapped) < 2 || wrapped[0] != format1 || len(wrapped) < 2+int(wrapped[1])+dataKeySize {
		return nil, seal.ErrDamaged
	}
	header := wrapped[:2+int(wrapped[1])]
	sealed, rest := wrapped[len(header):][:dataKeySize], wrapped[len(header)+dataKeySize:]
	err = p.with(ctx, func(t *token.Token) error {
		k, err := p.root(ctx, t, string(header[2:]))
		if err != nil {
			return err
		}
		data, err := t.Decrypt(ctx, k, sealed, associate(header))
		if errors.Is(err, token.ErrDamaged) || err == nil && len(data) != keySize {
			return seal.ErrDamaged
		}
		if err != nil {
			return err
		}
		defer clear(data)
		inner, err := seal.NewKey(data)
		if err != nil {
			return err
		}
		keyring, err = inner.Unwrap(ctx, rest)
		if errors.Is(err, seal.ErrWrongRoot) {
			return seal.ErrDamaged // the data key is the one beside it
		}
		return err
	})
	return keyring, err
}

// root finds the key of an ID. It may have got another label since.
func (p *Provider) root(ctx context.Context, t *token.Token, id string) (token.Key, error) {
	if id != "" {
		k, err := t.FindKey(ctx, token.Key{ID: id})
		if !errors.Is(err, token.ErrNoKey) {
			return k, err
		}
	}
	k, err := t.FindKey(ctx, p.uri.Key)
	switch {
	case errors.Is(err, token.ErrNoKey):
		return k, fmt.Errorf("%w: token %q has no key of ID %x", seal.ErrNoRoot, t.Info().Label, id)
	case err == nil && k.ID != id:
		return k, fmt.Errorf("%w: it was sealed by the key of ID %x, and token %q has the key %q of ID %x", seal.ErrWrongRoot, id, t.Info().Label, k.Label, k.ID)
	}
	return k, err
}

// with calls f while logged in to the token.
func (p *Provider) with(ctx context.Context, f func(*token.Token) error) error {
	if p.refused != nil {
		return p.refused
	}
	t, err := token.OpenAnew(ctx, p.uri, bytes.Clone(p.pin))
	switch {
	case errors.Is(err, token.ErrNoToken), errors.Is(err, token.ErrUnavailable):
		return fmt.Errorf("%w: token %s: %w", seal.ErrUnavailable, p.uri.Name(), err) // it may be put in yet
	case errors.Is(err, token.ErrPINIncorrect), errors.Is(err, token.ErrPINLocked):
		p.refused = fmt.Errorf("token %s: %w", p.uri.Name(), err)
		return p.refused
	case err != nil:
		return fmt.Errorf("token %s: %w", p.uri.Name(), err)
	}
	defer t.Close()
	if err = f(t); errors.Is(err, token.ErrUnavailable) {
		return fmt.Errorf("%w: token %s: %w", seal.ErrUnavailable, p.uri.Name(), err)
	}
	return err
}

func associate(header []byte) []byte { return append([]byte("holdfast root 1"), header...) }

// Format implements [fmt.Formatter], so that no log prints the PIN, whatever the verb.
func (*Provider) Format(f fmt.State, _ rune) { io.WriteString(f, "seal/hsm.Provider") }
