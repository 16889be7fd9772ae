package iam

import (
	"crypto/fips140"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/holdfast-cloud/holdfast/api/iam"
)

// Argon2id with the least that OWASP's password storage cheat sheet recommends: some tens of milliseconds and 19 MB for each guess. In FIPS mode, which
// does not have it, PBKDF2 with HMAC-SHA-256 and as many rounds as the sheet recommends, which takes as long and no memory.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	pbkdf2Rounds = 600_000
	hashSize     = 32
	saltSize     = 16
)

// hashPassword returns what is kept of a password: the function, its cost, salt and hash in the form that tools use.
func hashPassword(password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	if fips140.Enabled() {
		key, err := pbkdf2.Key(sha256.New, password, salt, pbkdf2Rounds, hashSize)
		return fmt.Sprintf("$pbkdf2-sha256$%d$%s$%s", pbkdf2Rounds, b64.EncodeToString(salt), b64.EncodeToString(key)), err
	}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, 1, hashSize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

var b64 = base64.RawStdEncoding

// verifiable reports whether isPassword can tell: in FIPS mode it cannot of a password that was set outside it.
func verifiable(hash string) bool {
	return !fips140.Enabled() || !strings.HasPrefix(hash, "$argon2id$")
}

// isPassword reports whether a hash is that of a password. It takes as long as it takes to hash.
func isPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) < 3 || !verifiable(hash) {
		return false // nobody has set a password
	}
	salt, errSalt := b64.DecodeString(parts[len(parts)-2])
	want, errHash := b64.DecodeString(parts[len(parts)-1])
	if errSalt != nil || errHash != nil {
		return false
	}
	var key []byte
	switch cost := strings.Join(parts[2:len(parts)-2], " "); parts[1] {
	case "argon2id":
		var version, memory, time int
		if _, err := fmt.Sscanf(cost, "v=%d m=%d,t=%d,p=1", &version, &memory, &time); err != nil || version != argon2.Version {
			return false
		}
		key = argon2.IDKey([]byte(password), salt, uint32(time), uint32(memory), 1, uint32(len(want)))
	case "pbkdf2-sha256":
		rounds, err := strconv.Atoi(cost)
		if err != nil {
			return false
		}
		if key, err = pbkdf2.Key(sha256.New, password, salt, rounds, len(want)); err != nil {
			return false
		}
	}
	return len(key) > 0 && subtle.ConstantTimeCompare(key, want) == 1
}

// symbols are those that count as such:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_passwords_account-policy.html
const symbols = "!@#$%^&*()_+-=[]{}|'"

// kinds tells which kinds of characters a password has.
func kindsOf(password string) (upper, lower, number, symbol bool) {
	for _, r := range password {
		switch {
		case r >= 'A' && r <= 'Z':
			upper = true
		case r >= 'a' && r <= 'z':
			lower = true
		case r >= '0' && r <= '9':
			number = true
		case strings.ContainsRune(symbols, r):
			symbol = true
		}
	}
	return upper, lower, number, symbol
}

func violation(format string, args ...any) error {
	return &iam.PasswordPolicyViolationException{Message: fmt.Sprintf(format, args...)}
}

// accepts refuses a password that is not what the policy, nil for the default one, wants.
func (p *passwordPolicy) accepts(password string) error {
	upper, lower, number, symbol := kindsOf(password)
	if p == nil {
		n := 0
		for _, has := range []bool{upper, lower, number, symbol} {
			if has {
				n++
			}
		}
		if len([]rune(password)) < defaultMinimum {
			return violation("Password should have a minimum length of %d", defaultMinimum)
		}
		if n < 3 {
			return violation("Password should have at least three of the following: uppercase letters, lowercase letters, numbers, symbols")
		}
		return nil
	}
	switch {
	case len([]rune(password)) < p.MinimumLength:
		return violation("Password should have a minimum length of %d", p.MinimumLength)
	case p.Uppercase && !upper:
		return violation("Password should have at least one uppercase letter")
	case p.Lowercase && !lower:
		return violation("Password should have at least one lowercase letter")
	case p.Numbers && !number:
		return violation("Password should have at least one number")
	case p.Symbols && !symbol:
		return violation("Password should have at least one of the following symbols: ! @ # $ %% ^ & * ( ) _ + - = [ ] { } | '")
	}
	return nil
}

// defaultMinimum is the length of passwords where the account has set no policy.
const defaultMinimum = 8
