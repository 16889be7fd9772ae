// Package pagetoken makes the opaque strings that tell a listing where to go on.
//
// A token is bound to the listing that it came from, which the caller describes in a string: what is
// listed, in which order, under which filters. It holds the position in that listing:
//
//	base64url( version 0x01 | first 8 bytes of SHA-256(listing, position) | position )
//
// The sum keeps mistakes out (a token of another listing, a cut-off or edited token), not attackers: who reads this
// file can make a token. That gives them nothing. A position is relative to the listing, which the caller was authorized
// for, and a listing yields only its own entries from whatever position it starts at.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrInvalid: the token was not made for this listing, or is no token.
var ErrInvalid = errors.New("invalid page token")

const (
	version = 1
	sumSize = 8
)

// encoding is strict, so that one position has one token. (It still skips newlines, which Decode refuses.)
func encoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Encode returns the token for a position in a listing.
func Encode(listing string, position []byte) string {
	b := append([]byte{version}, sum(listing, position)...)
	return encoding().EncodeToString(append(b, position...))
}

// Decode returns the position that a token holds, or ErrInvalid.
func Decode(listing, token string) (position []byte, err error) {
	b, err := encoding().DecodeString(token)
	if err != nil || len(b) < 1+sumSize || b[0] != version || encoding().EncodeToString(b) != token {
		return nil, ErrInvalid
	}
	position = b[1+sumSize:]
	if string(sum(listing, position)) != string(b[1:1+sumSize]) {
		return nil, ErrInvalid
	}
	return position, nil
}

func sum(listing string, position []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(len(listing))) // so that the border between the two counts
	b = append(b, listing...)
	h := sha256.Sum256(append(b, position...))
	return h[:sumSize]
}
