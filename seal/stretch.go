package seal

import (
	"bytes"
	"crypto/fips140"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// stretch is how a root key follows from a passphrase. Its prefix says so, in the clear:
//
//	1    1: Argon2id               1    2: PBKDF2 with HMAC-SHA-256
//	4    passes, big-endian        4    rounds, big-endian
//	4    memory in KiB             16   salt
//	1    lanes
//	16   salt
type stretch struct {
	prefix []byte
	key    func(phrase []byte) ([]byte, error)
}

type argonCost struct {
	passes, memory uint32
	lanes          uint8
}

// cost64MiB is the second recommended option of RFC 9106, section 4: about a tenth of a second on a machine of today.
var cost64MiB = argonCost{passes: 3, memory: 64 << 10, lanes: 4}

// rounds600k is what OWASP's password storage cheat sheet recommends for PBKDF2 with HMAC-SHA-256; NIST SP 800-132 wants 1,000 or more.
const rounds600k = 600_000

const (
	format2    = 2
	saltSize   = 16
	argonSize  = 1 + 4 + 4 + 1 + saltSize
	pbkdf2Size = 1 + 4 + saltSize
)

func newSalt() []byte {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return salt
}

func (c argonCost) stretch(salt []byte) stretch {
	prefix := []byte{format1}
	prefix = binary.BigEndian.AppendUint32(prefix, c.passes)
	prefix = binary.BigEndian.AppendUint32(prefix, c.memory)
	prefix = append(append(prefix, c.lanes), salt...)
	return stretch{prefix, func(phrase []byte) ([]byte, error) {
		if fips140.Enabled() {
			return nil, errArgon
		}
		return argon2.IDKey(phrase, salt, c.passes, c.memory, c.lanes, keySize), nil
	}}
}

// errArgon is what the holder of a passphrase is told who goes over to FIPS mode.
var errArgon = errors.New("it was made with Argon2id, which FIPS mode does not have; outside FIPS mode, rewrap to another root key first")

func pbkdf2Stretch(rounds uint32, salt []byte) stretch {
	prefix := binary.BigEndian.AppendUint32([]byte{format2}, rounds)
	return stretch{append(prefix, salt...), func(phrase []byte) ([]byte, error) {
		return pbkdf2.Key(sha256.New, string(phrase), salt, int(rounds), keySize)
	}}
}

// readStretch reads the prefix of what a [Passphrase] wrapped, and returns what follows it. Costs are not authenticated before they were paid, so they
// are bounded: to 1 GiB and 32 passes, and to ten million rounds.
func readStretch(wrapped []byte) (how stretch, rest []byte, err error) {
	switch {
	case len(wrapped) >= argonSize && wrapped[0] == format1:
		c := argonCost{binary.BigEndian.Uint32(wrapped[1:]), binary.BigEndian.Uint32(wrapped[5:]), wrapped[9]}
		if c.passes < 1 || c.passes > 32 || c.lanes < 1 || c.memory < 8*uint32(c.lanes) || c.memory > 1<<20 {
			break
		}
		return c.stretch(bytes.Clone(wrapped[argonSize-saltSize : argonSize])), wrapped[argonSize:], nil
	case len(wrapped) >= pbkdf2Size && wrapped[0] == format2:
		rounds := binary.BigEndian.Uint32(wrapped[1:])
		if rounds < 1000 || rounds > 10_000_000 {
			break
		}
		return pbkdf2Stretch(rounds, bytes.Clone(wrapped[pbkdf2Size-saltSize:pbkdf2Size])), wrapped[pbkdf2Size:], nil
	default:
		return stretch{}, nil, ErrDamaged
	}
	return stretch{}, nil, fmt.Errorf("%w: the passphrase's cost is out of range", ErrDamaged)
}
