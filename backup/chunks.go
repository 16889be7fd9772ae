package backup

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	chunkSize    = 64 << 10
	overhead     = 12 + 16 // nonce and tag
	sealedSize   = chunkSize + overhead
	associateLen = sha256.Size + 8 + 1
)

// chunks is what both directions have: the cipher, and what the next chunk is bound to.
type chunks struct {
	aead      cipher.AEAD // draws its nonces itself, and puts them before the ciphertext
	preamble  [sha256.Size]byte
	number    uint64
	associate [associateLen]byte
}

func newChunks(key, preamble []byte) (chunks, error) {
	if len(key) != KeySize {
		return chunks{}, fmt.Errorf("a backup's key has %d bytes", KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return chunks{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return chunks{}, err
	}
	return chunks{aead: aead, preamble: sha256.Sum256(preamble)}, nil
}

func (c *chunks) bound(last bool) []byte {
	b := append(c.associate[:0], c.preamble[:]...)
	b = binary.BigEndian.AppendUint64(b, c.number)
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// sealer encrypts what is written to it.
type sealer struct {
	chunks
	w    io.Writer
	buf  []byte // less than a chunk, or a whole one of which it is not known yet whether it is the last
	seal []byte
}

func (s *sealer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(s.buf) == chunkSize {
			if err := s.flush(false); err != nil {
				return n - len(b), err
			}
		}
		take := min(len(b), chunkSize-len(s.buf))
		s.buf = append(s.buf, b[:take]...)
		b = b[take:]
	}
	return n, nil
}

func (s *sealer) flush(last bool) error {
	s.seal = s.aead.Seal(s.seal[:0], nil, s.buf, s.bound(last))
	s.number++
	s.buf = s.buf[:0]
	_, err := s.w.Write(s.seal)
	return err
}

// Close writes the last chunk.
func (s *sealer) Close() error { return s.flush(true) }

// opener decrypts. What it has returned is authentic, but only io.EOF says that nothing is missing behind it.
type opener struct {
	chunks
	r     *bufio.Reader
	buf   []byte
	plain []byte // of the chunk that is being read, as much as was not
	space []byte
	err   error
}

func (o *opener) Read(b []byte) (int, error) {
	for len(o.plain) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		o.next()
	}
	n := copy(b, o.plain)
	o.plain = o.plain[n:]
	return n, nil
}

// next opens a chunk, or sets err.
func (o *opener) next() {
	n, err := io.ReadFull(o.r, o.buf[:sealedSize])
	last := err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !last {
		o.err = err
		return
	}
	if !last {
		if _, err := o.r.Peek(1); err == io.EOF {
			last = true
		} else if err != nil {
			o.err = err
			return
		}
	}
	if n == 0 {
		o.err = fmt.Errorf("%w: its end is missing", ErrDamaged)
		return
	}
	if o.plain, err = o.aead.Open(o.space[:0], nil, o.buf[:n], o.bound(last)); err != nil {
		o.err = o.diagnose(o.buf[:n], last)
		return
	}
	o.number++
	if last {
		o.err = io.EOF
	}
}

// diagnose tells why a chunk does not open, as far as that can be known.
func (o *opener) diagnose(sealed []byte, last bool) error {
	_, err := o.aead.Open(o.space[:0], nil, sealed, o.bound(!last))
	switch {
	case err == nil && last:
		return fmt.Errorf("%w: its end is missing", ErrDamaged)
	case err == nil:
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	case last && len(sealed) < sealedSize:
		return fmt.Errorf("%w: its end is missing or altered", ErrDamaged)
	}
	return fmt.Errorf("%w: it is altered at or after byte %d of its contents", ErrDamaged, o.number*sealedSize)
}

// failure is what stopped a reader above: what stopped this one, if anything did, and otherwise what that reader found.
func (o *opener) failure(found error) error {
	if o.err != nil && !errors.Is(o.err, io.EOF) {
		return o.err
	}
	return found
}
