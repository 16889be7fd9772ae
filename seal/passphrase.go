package seal

import (
	"bytes"
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Passphrase is the [Provider] whose root key is derived from a passphrase: by Argon2id, or in FIPS mode, which has no such thing, by
// PBKDF2. How is stored with the wrapped keyring, before what every root wraps, and authenticated with it: see stretch.go.
type Passphrase struct {
	phrase []byte
	cost   argonCost
	rounds uint32 // of PBKDF2

	mu     sync.Mutex
	prefix []byte // what root was derived with; nil for not yet. Guarded by mu.
	root   *root
}

const minPhrase = 8

// NewPassphrase returns the provider for phrase, which it copies. Phrases of fewer than 8 bytes are refused; choose a
// much longer one, for whoever has the stored keyring can try phrases at leisure.
func NewPassphrase(phrase []byte) (*Passphrase, error) {
	if len(phrase) < minPhrase {
		return nil, fmt.Errorf("seal: a passphrase has at least %d bytes", minPhrase)
	}
	return &Passphrase{phrase: bytes.Clone(phrase), cost: cost64MiB, rounds: rounds600k}, nil
}

// Kind implements [Provider].
func (*Passphrase) Kind() string { return "passphrase" }

// Create implements [Provider]. There is nothing to do.
func (*Passphrase) Create(context.Context) error { return nil }

// Wrap implements [Provider].
func (p *Passphrase) Wrap(_ context.Context, keyring []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.root == nil {
		fresh := p.cost.stretch(newSalt())
		if fips140.Enabled() {
			fresh = pbkdf2Stretch(p.rounds, newSalt())
		}
		if err := p.deriveLocked(fresh); err != nil {
			return nil, err
		}
	}
	return p.root.wrap(bytes.Clone(p.prefix), keyring), nil
}

// Unwrap implements [Provider].
func (p *Passphrase) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	how, rest, err := readStretch(wrapped)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !bytes.Equal(p.prefix, how.prefix) {
		if err := p.deriveLocked(how); err != nil {
			return nil, err
		}
	}
	plain, err := p.root.unwrap(how.prefix, rest)
	if errors.Is(err, ErrWrongRoot) {
		p.prefix, p.root = nil, nil // never wrap under what opened nothing
		return nil, fmt.Errorf("%w: the passphrase is not the one that sealed it", ErrWrongRoot)
	}
	return plain, err
}

func (p *Passphrase) deriveLocked(how stretch) error {
	key, err := how.key(p.phrase)
	if err != nil {
		return fmt.Errorf("seal: deriving the root key from the passphrase: %w", err)
	}
	defer clear(key)
	p.prefix, p.root = how.prefix, new(root(key))
	return nil
}

// Format implements [fmt.Formatter], so that no log prints the phrase, whatever the verb.
func (*Passphrase) Format(f fmt.State, _ rune) { io.WriteString(f, "seal.Passphrase") }
