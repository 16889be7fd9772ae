package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/argon2"
)

// Passphrase is the [Provider] whose root key is derived from a passphrase by Argon2id. Salt and cost are stored with the
// wrapped keyring, before what every root wraps, and are authenticated with it:
//
//	1    format, 1
//	4    passes, big-endian
//	4    memory in KiB
//	1    lanes
//	16   salt
type Passphrase struct {
	phrase []byte
	cost   argonCost

	mu     sync.Mutex
	prefix []byte // what root was derived with; nil for not yet. Guarded by mu.
	root   *root
}

type argonCost struct {
	passes, memory uint32
	lanes          uint8
}

// cost64MiB is the second recommended option of RFC 9106, section 4: about a tenth of a second on a machine of today.
var cost64MiB = argonCost{passes: 3, memory: 64 << 10, lanes: 4}

const (
	saltSize   = 16
	prefixSize = 1 + 4 + 4 + 1 + saltSize
	minPhrase  = 8
)

// NewPassphrase returns the provider for phrase, which it copies. Phrases of fewer than 8 bytes are refused; choose a
// much longer one, for whoever has the stored keyring can try phrases at leisure.
func NewPassphrase(phrase []byte) (*Passphrase, error) {
	if len(phrase) < minPhrase {
		return nil, fmt.Errorf("seal: a passphrase has at least %d bytes", minPhrase)
	}
	return &Passphrase{phrase: bytes.Clone(phrase), cost: cost64MiB}, nil
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
		prefix := []byte{format1}
		prefix = binary.BigEndian.AppendUint32(prefix, p.cost.passes)
		prefix = binary.BigEndian.AppendUint32(prefix, p.cost.memory)
		prefix = append(prefix, p.cost.lanes)
		salt := make([]byte, saltSize)
		rand.Read(salt)
		p.deriveLocked(append(prefix, salt...), p.cost)
	}
	return p.root.wrap(bytes.Clone(p.prefix), keyring), nil
}

// Unwrap implements [Provider].
func (p *Passphrase) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if len(wrapped) < prefixSize || wrapped[0] != format1 {
		return nil, ErrDamaged
	}
	prefix, rest := wrapped[:prefixSize], wrapped[prefixSize:]
	cost := argonCost{binary.BigEndian.Uint32(prefix[1:]), binary.BigEndian.Uint32(prefix[5:]), prefix[9]}
	// The cost is not authenticated before it was paid, so it is bounded: 1 GiB, 32 passes.
	if cost.passes < 1 || cost.passes > 32 || cost.lanes < 1 || cost.memory < 8*uint32(cost.lanes) || cost.memory > 1<<20 {
		return nil, fmt.Errorf("%w: the passphrase's cost is out of range", ErrDamaged)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !bytes.Equal(p.prefix, prefix) {
		p.deriveLocked(bytes.Clone(prefix), cost)
	}
	plain, err := p.root.unwrap(prefix, rest)
	if errors.Is(err, ErrWrongRoot) {
		p.prefix, p.root = nil, nil // never wrap under what opened nothing
		return nil, fmt.Errorf("%w: the passphrase is not the one that sealed it", ErrWrongRoot)
	}
	return plain, err
}

func (p *Passphrase) deriveLocked(prefix []byte, c argonCost) {
	key := argon2.IDKey(p.phrase, prefix[prefixSize-saltSize:], c.passes, c.memory, c.lanes, keySize)
	defer clear(key)
	p.prefix, p.root = prefix, new(root(key))
}

// Format implements [fmt.Formatter], so that no log prints the phrase, whatever the verb.
func (*Passphrase) Format(f fmt.State, _ rune) { io.WriteString(f, "seal.Passphrase") }
