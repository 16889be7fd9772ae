package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"sync"
)

// Verifier verifies signatures and remembers signing keys. The zero value works; it must not be copied, and may
// be used by many goroutines at once.
type Verifier struct {
	keys    keyCache
	scratch sync.Pool // of *scratch
}

// scratch is what one verification writes on.
type scratch struct {
	canonical []byte
	toSign    []byte
	signature []byte
}

var (
	errUnchecked = errors.New("sigv4: signature verified before it was checked")
	errStreaming = errors.New("sigv4: streaming body verified as a buffered one")
)

// Verify refuses r unless its signature, which Check has passed, was made with secret over r and body, the whole
// body of r. A streaming payload is the caller's error: it needs VerifyStream.
//
// An unsigned payload is accepted from any service: that the body is not covered is itself covered, so only a
// holder of the secret can have chosen it.
func (v *Verifier) Verify(r *http.Request, a *Authorization, secret string, body []byte) error {
	if a.Payload.Streaming() {
		return errStreaming
	}
	if a.Payload == PayloadUnsigned {
		return v.verify(r, a, secret, []byte(a.PayloadHash))
	}
	var hash [2 * sha256.Size]byte
	sum := sha256.Sum256(body)
	hex.Encode(hash[:], sum[:])
	if a.PayloadHash == "" || a.PayloadHash == string(hash[:]) {
		return v.verify(r, a, secret, hash[:])
	}
	// The signature first: with a wrong secret, the body is not what is wrong.
	if err := v.verify(r, a, secret, []byte(a.PayloadHash)); err != nil {
		return err
	}
	return a.refuse(PayloadMismatch, "", "")
}

// verify compares signatures, given the last line of the canonical request.
func (v *Verifier) verify(r *http.Request, a *Authorization, secret string, payloadHash []byte) error {
	if !a.checked {
		return errUnchecked
	}
	s, ok := v.scratch.Get().(*scratch)
	if !ok {
		s = new(scratch)
	}
	defer v.scratch.Put(s)
	key := v.key(a, secret)

	path, asSent := canonicalPaths(r, a.Service)
	if s.matches(key, r, a, path, payloadHash) || path != asSent && s.matches(key, r, a, asSent, payloadHash) {
		return nil
	}
	return a.refuse(Mismatch, "", "")
}

func (v *Verifier) key(a *Authorization, secret string) *signingKey {
	return v.keys.get(scopedSecret{secret, a.Date, a.Region, a.Service})
}

func (s *scratch) matches(key *signingKey, r *http.Request, a *Authorization, path string, payloadHash []byte) bool {
	s.canonical = appendCanonical(s.canonical[:0], r, path, a.SignedHeaders, a.Presigned, payloadHash)
	s.toSign = appendStringToSign(s.toSign[:0], s.canonical, a.timestamp, a.Date, a.Region, a.Service)
	s.signature = key.appendSignature(s.signature[:0], s.toSign)
	return sameSignature(s.signature, a.Signature)
}

// sameSignature takes the same time wherever the two differ. Were it to stop at the first difference, who can
// measure that could find the right signature for a request of their own, digit by digit, without the secret.
// The length is not secret.
func sameSignature(calculated []byte, given string) bool {
	var g [2 * sha256.Size]byte
	if len(given) != len(g) {
		return false
	}
	copy(g[:], given)
	return subtle.ConstantTimeCompare(calculated, g[:]) == 1
}

// appendStringToSign appends what is signed for a canonical request.
func appendStringToSign(b, canonical []byte, timestamp, date, region, service string) []byte {
	b = append(b, Algorithm+"\n"...)
	b = append(b, timestamp...)
	b = append(b, '\n')
	b = appendScope(b, date, region, service)
	b = append(b, '\n')
	sum := sha256.Sum256(canonical)
	return hex.AppendEncode(b, sum[:])
}
