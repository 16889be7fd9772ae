package iam

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/holdfast-cloud/holdfast/api/iam"
)

// Argon2id with the least that OWASP's password storage cheat sheet recommends: some tens of milliseconds and 19 MB for each guess.
const (
	argonTime   = 2
	argonMemory = 19 << 10 // KiB
	argonKey    = 32
	argonSalt   = 16
)

// hashPassword returns what is kept of a password: parameters, salt and hash in the form that argon2 tools use.
func hashPassword(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, 1, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime, b64.EncodeToString(salt), b64.EncodeToString(key))
}

var b64 = base64.RawStdEncoding

// isPassword reports whether a hash is that of a password. It takes as long as it takes to hash.
func isPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		return false // nobody has set a password
	}
	var version, memory, time int
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=1", &version, &memory, &time); err != nil || version != argon2.Version {
		return false
	}
	salt, err := b64.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := b64.DecodeString(parts[5])
	if err != nil {
		return false
	}
	key := argon2.IDKey([]byte(password), salt, uint32(time), uint32(memory), 1, uint32(len(want)))
	return subtle.ConstantTimeCompare(key, want) == 1
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
