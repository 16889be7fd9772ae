package shamir

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

const (
	secretSize = 32
	setSize    = 8
	checkSize  = 4
	shareSize  = 1 + setSize + 1 + 1 + secretSize + checkSize
	markSize   = 16

	// Most is how many shares a set has at most: there are no more points in the field.
	Most = 255
)

// A share is one point of the polynomials, one polynomial for each byte of the root key, whose values at 0 are the root key. In bytes:
//
//	1    format, 1
//	8    the set's ID, random
//	1    threshold: how many shares of the set make the root key
//	1    x, from 1 on: the share's number
//	32   y, the values of the polynomials at x
//	4    the first bytes of SHA-256 of all that, for mistakes in copying
//
// The ID and the checksum tell nothing of other shares. Fewer shares than the threshold tell nothing of the root key.
type share struct {
	set       [setSize]byte
	threshold byte
	x         byte
	y         [secretSize]byte
}

const shareFormat = 1

// deal makes the shares of a new set.
func deal(secret *[secretSize]byte, threshold, n int) []share {
	var set [setSize]byte
	rand.Read(set[:])
	shares := make([]share, n)
	for i := range shares {
		shares[i] = share{set: set, threshold: byte(threshold), x: byte(i + 1)}
	}
	coefficients := make([]byte, threshold)
	defer clear(coefficients)
	for b := range secret {
		// Every coefficient is uniform, the highest included: one that may not be 0 would tell something.
		rand.Read(coefficients)
		coefficients[0] = secret[b]
		for i := range shares {
			shares[i].y[b] = evaluate(coefficients, shares[i].x)
		}
	}
	return shares
}

// combine returns the secret. The shares are of one set, as many as its threshold or more, and all differ in x.
func combine(shares []share) *[secretSize]byte {
	xs := make([]byte, len(shares))
	for i := range shares {
		xs[i] = shares[i].x
	}
	ws := weights(xs)
	secret := new([secretSize]byte)
	for i := range shares {
		for b := range secret {
			secret[b] ^= mul(shares[i].y[b], ws[i])
		}
	}
	return secret
}

// mark is what is stored of a share, so that a wrong one is known by itself: an HMAC under the share's value. The value is uniform among 2^256 for whoever has fewer
// shares than the threshold, this one not among them, so a mark can be searched no faster than the root key itself.
func (s *share) mark() (m [markSize]byte) {
	mac := hmac.New(sha256.New, s.y[:])
	mac.Write([]byte("holdfast share mark 1"))
	mac.Write(s.set[:])
	mac.Write([]byte{s.threshold, s.x})
	copy(m[:], mac.Sum(nil))
	return m
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// prefix begins a share as people see it, and group is how many letters stand between two dashes.
const (
	prefix = "hfs1"
	group  = 6
)

// text is a share as people keep it: hfs1-abcdef-ghijkl-...
func (s *share) text() string {
	raw := make([]byte, 0, shareSize)
	raw = append(raw, shareFormat)
	raw = append(raw, s.set[:]...)
	raw = append(raw, s.threshold, s.x)
	raw = append(raw, s.y[:]...)
	raw = append(raw, checksum(raw)...)
	defer clear(raw)
	var b strings.Builder
	b.WriteString(prefix)
	for i, letter := range strings.ToLower(encoding.EncodeToString(raw)) {
		if i%group == 0 {
			b.WriteByte('-')
		}
		b.WriteRune(letter)
	}
	return b.String()
}

func checksum(raw []byte) []byte {
	sum := sha256.Sum256(append([]byte("holdfast share 1"), raw...))
	return sum[:checkSize]
}

// ErrMistyped says that a text is no share, or one with a mistake in it.
var ErrMistyped = errors.New("this is not a share as it was printed: it begins with hfs1- and has a mistake in it, or a part is missing")

// parse reads a share as people type it: case, spaces and dashes do not count.
func parse(text string) (*share, error) {
	text = strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, text)
	if len(text) != len(prefix)+encoding.EncodedLen(shareSize) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return nil, ErrMistyped
	}
	letters := strings.ToUpper(text[len(prefix):])
	raw, err := encoding.DecodeString(letters)
	defer clear(raw)
	if err != nil || encoding.EncodeToString(raw) != letters {
		return nil, ErrMistyped // the decoder's error would tell where
	}
	body, check := raw[:shareSize-checkSize], raw[shareSize-checkSize:]
	if !bytes.Equal(check, checksum(body)) {
		return nil, ErrMistyped
	}
	if body[0] != shareFormat {
		return nil, fmt.Errorf("this is a share of format %d, and this version reads %d", body[0], shareFormat)
	}
	s := &share{set: [setSize]byte(body[1:]), threshold: body[1+setSize], x: body[2+setSize], y: [secretSize]byte(body[3+setSize:])}
	if s.x == 0 || s.threshold < 2 {
		return nil, ErrMistyped
	}
	return s, nil
}
