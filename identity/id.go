package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// IsAccount reports whether s has the form of an account: twelve digits.
func IsAccount(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) == 12
}

var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// newKeyID returns a prefix, AKIA or ASIA, and sixteen base32 digits that hold the account's number the way AWS's do, so that
// tools which read it there (and sts:GetAccessKeyInfo) find it: eighty bits, of which the first is set, the
// next forty are the account, and the rest is random.
func newKeyID(prefix string, account uint64) string {
	var b [10]byte
	rand.Read(b[:])
	head := 1<<47 | account<<7 | uint64(b[5]&0x7f)
	var top [8]byte
	binary.BigEndian.PutUint64(top[:], head)
	copy(b[:6], top[2:])
	return prefix + unpadded.EncodeToString(b[:])
}

// KeyAccount returns the account that an access key ID of either kind belongs to, by the ID alone.
func KeyAccount(accessKeyID string) (account string, ok bool) {
	if len(accessKeyID) != 20 || !strings.HasPrefix(accessKeyID, "AKIA") && !strings.HasPrefix(accessKeyID, "ASIA") {
		return "", false
	}
	b, err := unpadded.DecodeString(accessKeyID[4:])
	if err != nil || b[0]&0x80 == 0 {
		return "", false
	}
	var top [8]byte
	copy(top[2:], b[:6])
	number := binary.BigEndian.Uint64(top[:]) & (1<<47 - 1) >> 7
	return fmt.Sprintf("%012d", number), number < 1e12
}

// IsTemporary reports whether an access key ID is one of temporary credentials. They are nothing without their session token.
func IsTemporary(accessKeyID string) bool {
	_, ok := KeyAccount(accessKeyID)
	return ok && accessKeyID[1] == 'S'
}

func accountNumber(account string) (uint64, error) {
	number, err := strconv.ParseUint(account, 10, 64)
	if len(account) != 12 || err != nil {
		return 0, fmt.Errorf("account %q does not have twelve digits", account)
	}
	return number, nil
}

// NewID returns a unique ID as IAM gives it: a prefix for the kind of thing (AIDA, AGPA, AROA, ANPA, AIPA, ASCA, APKA), and 17 base32 digits.
func NewID(prefix string) string {
	var b [11]byte
	rand.Read(b[:])
	return prefix + unpadded.EncodeToString(b[:])[:17]
}
