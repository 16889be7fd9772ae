package database

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/edwards25519"
	"golang.org/x/text/secure/precis"
)

// This file has what databases store in place of passwords.

const (
	scramIterations    = 4096    // PostgreSQL's own
	maxScramIterations = 1 << 20 // what a server may have us compute
)

// scramVerifier is what PostgreSQL stores for SCRAM-SHA-256: https://www.postgresql.org/docs/current/catalog-pg-authid.html and RFC 5803. The iterations are a server's setting, "" if it has none.
func scramVerifier(password, iterations string) (string, error) {
	n := scramIterations
	if set, err := strconv.Atoi(iterations); err == nil && set > 0 && set <= maxScramIterations {
		n = set
	}
	// As PostgreSQL does and the driver: what SASLprep does not take is used as it is.
	if prepared, err := precis.OpaqueString.String(password); err == nil {
		password = prepared
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it does not fail
	salted, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("SCRAM: %w", err)
	}
	sum := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(sum("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", n, b64(salt), b64(stored[:]), b64(sum("Server Key"))), nil
}

// md5Verifier is what PostgreSQL stores where it is configured to md5.
func md5Verifier(user, password string) string {
	sum := md5.Sum([]byte(password + user))
	return "md5" + hex.EncodeToString(sum[:])
}

// nativeVerifier is what MySQL and MariaDB store for mysql_native_password.
func nativeVerifier(password string) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// ed25519Verifier is what MariaDB stores for its plugin ed25519: a public key whose private one is the hash of the password.
func ed25519Verifier(password string) (string, error) {
	h := sha512.Sum512([]byte(password))
	s, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		return "", fmt.Errorf("ed25519: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString((&edwards25519.Point{}).ScalarBaseMult(s).Bytes()), nil
}

// redisVerifier is what Redis stores.
func redisVerifier(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}
