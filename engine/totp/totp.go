// Package totp makes and checks the one-time codes of virtual MFA devices: RFC 6238 with SHA-1, steps of 30 seconds and
// 6 digits, which is what authenticator apps do and all that some of them can.
//
// A device is a [Seed], which is secret and never changes, and a [State], which is neither. [Seed.Verify] takes a code
// and returns the state after it; who stores that state in the transaction that the code authorizes has made sure that
// no code counts twice, and that of two calls with one code only one wins. [Seed.Sync] does the same with two consecutive codes and
// also learns how far the device's clock is off.
package totp

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha1" // RFC 6238's default and what apps implement. HMAC does not need SHA-1 to resist collisions.
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

const (
	// Period is the length of a step.
	Period = 30 * time.Second
	// Digits is the length of a code.
	Digits = 6
	// Window is by how many steps a code may be early or late. RFC 6238, section 5.2 recommends one.
	Window = 1
	// SyncWindow is by how many steps a device's clock may be off for Sync to find it: an hour either way. A pair of codes is twelve digits,
	// so looking at more places is affordable where it would not be for one code.
	SyncWindow = 120
	// seedSize in bytes makes 64 characters of base32, the length of AWS's seeds.
	seedSize = 40
	// minSeedSize is what RFC 4226, section 4 (R6) demands.
	minSeedSize = 16
	modulus     = 1_000_000
)

// ErrSeed says that a text is not a seed. It does not quote the text.
var ErrSeed = errors.New("not a base32 seed of at least 128 bits")

// Approved reports whether this process may make and check codes: in FIPS mode it may not, since Go's FIPS 140-3 module has no SHA-1.
func Approved() bool { return !fips140.Enabled() }

// Seed is the secret that a device shares with who verifies its codes. It prints as nothing, so that it does not get into a log.
type Seed []byte

// State is what must be remembered of a device from code to code. The zero value is a device that has not been used.
type State struct {
	// Last is the step of the last code that was accepted. No code of this step or an earlier one is accepted again.
	Last int64 `json:"last,omitempty"`
	// Drift is by how many steps the device's clock is ahead.
	Drift int64 `json:"drift,omitempty"`
}

// NewSeed reads a seed from a source of randomness.
func NewSeed(random io.Reader) (Seed, error) {
	s := make(Seed, seedSize)
	if _, err := io.ReadFull(random, s); err != nil {
		return nil, fmt.Errorf("reading randomness for a seed: %w", err)
	}
	return s, nil
}

// ParseSeed reads what Base32 wrote, in either case, with or without padding.
func ParseSeed(text string) (Seed, error) {
	s, err := encoding().DecodeString(strings.ToUpper(strings.TrimRight(text, "=")))
	if err != nil || len(s) < minSeedSize {
		return nil, ErrSeed // err would quote a part of the seed
	}
	return s, nil
}

func encoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

// Base32 returns the seed as AWS's Base32StringSeed and authenticator apps have it: 64 characters for one of NewSeed.
func (s Seed) Base32() string { return encoding().EncodeToString(s) }

// Format implements [fmt.Formatter] and prints no seed, whatever the verb.
func (s Seed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "totp.Seed") }

// URI returns what an authenticator app reads from a QR code to become this device. Issuer and account are what it shows; neither may
// contain a colon, which the format has for itself, so colons become blanks.
func (s Seed) URI(issuer, account string) string {
	issuer, account = strings.ReplaceAll(issuer, ":", " "), strings.ReplaceAll(account, ":", " ")
	u := url.URL{
		Scheme:   "otpauth",
		Host:     "totp",
		Path:     "/" + issuer + ":" + account,
		RawQuery: "secret=" + s.Base32() + "&issuer=" + url.PathEscape(issuer), // apps do not all read + as a blank
	}
	return u.String()
}

// Step returns the number of the step that t is in.
func Step(t time.Time) int64 {
	// Division rounds towards zero; before 1970 there are no codes anyway.
	return t.Unix() / int64(Period/time.Second)
}

// Code returns the code that a device with a right clock shows at t.
func (s Seed) Code(t time.Time) string { return fmt.Sprintf("%0*d", Digits, s.value(Step(t))) }

// value is HOTP, RFC 4226, section 5.3.
func (s Seed) value(step int64) uint32 {
	var message [8]byte
	binary.BigEndian.PutUint64(message[:], uint64(step))
	mac := hmac.New(sha1.New, s)
	mac.Write(message[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff % modulus
}

// Verify tells whether code is one that the device shows about now and that has not been used, and what to remember if so. The device's
// clock may wander: the state follows it a step at a time.
func (s Seed) Verify(st State, code string, now time.Time) (State, bool) {
	want, ok := parse(code)
	if !ok || len(s) == 0 {
		return st, false
	}
	// Oldest first: two codes of the window are the same once in a million, and taking the older one leaves the newer for use.
	here := Step(now)
	for step := here + st.Drift - Window; step <= here+st.Drift+Window; step++ {
		if step > st.Last && s.is(step, want) {
			// Only as far as Sync would go: who holds the device must not be able to lead it away from now.
			drift := max(-SyncWindow, min(SyncWindow, step-here))
			return State{Last: step, Drift: drift}, true
		}
	}
	return st, false
}

// Sync finds the place where the device shows first and, in the step after it, second. It is how a device is enabled and how one whose clock
// has wandered is brought back. Neither code may have been used before.
func (s Seed) Sync(st State, first, second string, now time.Time) (State, bool) {
	a, okA := parse(first)
	b, okB := parse(second)
	if !okA || !okB || len(s) == 0 {
		return st, false
	}
	here := Step(now)
	// Nearest first, so that a device with a right clock is found where it is.
	for distance := range int64(SyncWindow + 1) {
		for _, step := range [2]int64{here - distance, here + distance} {
			// The device shows the second code at step now, and showed the first before.
			if step-1 > st.Last && s.is(step-1, a) && s.is(step, b) {
				return State{Last: step, Drift: step - here}, true
			}
		}
	}
	return st, false
}

// is compares in constant time, so that how long it takes does not tell how close a guess came.
func (s Seed) is(step int64, code uint32) bool {
	return step >= 0 && subtle.ConstantTimeEq(int32(s.value(step)), int32(code)) == 1
}

// parse reads exactly six ASCII digits.
func parse(code string) (uint32, bool) {
	if len(code) != Digits {
		return 0, false
	}
	var n uint32
	for i := range Digits {
		c := code[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, true
}
