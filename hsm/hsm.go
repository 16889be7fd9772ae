// Package hsm keeps AES keys in PKCS#11 tokens: they are made there, used there, and never leave.
//
// A token is named by a [URI] and opened with a PIN. It is the user's business what the token is: a hardware security module, a smart card, or
// software that plays one.
//
//	uri, err := hsm.Parse("pkcs11:token=holdfast?module-path=/usr/lib/softhsm/libsofthsm2.so")
//	token, err := hsm.Open(ctx, uri, pin)
//	defer token.Close()
//	err = token.GenerateKey(ctx, hsm.Key{Label: "orders", ID: id})
//	sealed, err := token.Encrypt(ctx, hsm.Key{ID: id}, plaintext, aad)
//
// The library of a token's maker is C code in our process, so this needs cgo and is left out of the usual build: there, Open returns [ErrNotBuilt].
//
// A token may vanish at any time: a cable, a network, a power supply. What was under way then fails with [ErrUnavailable], and the next call
// looks for the token again and logs in again, with the PIN that was good before. A PIN that was refused is not tried again, unless by [OpenAnew]: a few wrong
// ones lock a token for good.
//
// A module may also hang. What is under way then fails when its context ends, and some threads, of which there is a limit, wait on. The token is used again when its module has
// returned.
package hsm

import "errors"

var (
	// ErrNotBuilt says that this program was built without PKCS#11.
	ErrNotBuilt = errors.New("hsm: this build of Holdfast has no PKCS#11; build it by: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/holdfast")

	// ErrModule says that the library of the token's maker is not there, or is none.
	ErrModule = errors.New("hsm: there is no such PKCS#11 module")

	// ErrNoToken says that the module has no such token at present.
	ErrNoToken = errors.New("hsm: there is no such token")

	// ErrManyTokens says that the URI names more than one token.
	ErrManyTokens = errors.New("hsm: several tokens are named so; tell them apart by serial=")

	// ErrPINIncorrect says that the token refused the PIN. It counts how often that happens.
	ErrPINIncorrect = errors.New("hsm: the PIN is wrong")

	// ErrPINLocked says that the token takes no PIN any more, or that one more wrong PIN would bring it there: then none is tried, and somebody who
	// knows the PIN has to log in by hand once.
	ErrPINLocked = errors.New("hsm: the user's PIN is locked")

	// ErrNoUser says that the token has no user, since nobody has set a PIN yet.
	ErrNoUser = errors.New("hsm: the token has no user PIN yet")

	// ErrUserLoggedIn says that something else in this process is logged in to the token, so that the PIN cannot be tried.
	ErrUserLoggedIn = errors.New("hsm: another part of this process is logged in to the token with another PIN")

	// ErrUnavailable says that the token vanished or failed, or that its module does not start. Whether a key was made or destroyed meanwhile is not known.
	ErrUnavailable = errors.New("hsm: the token does not answer")

	// ErrNoKey says that the token has no such key.
	ErrNoKey = errors.New("hsm: the token has no such key")

	// ErrManyKeys says that several keys of the token are named so.
	ErrManyKeys = errors.New("hsm: several keys in the token are named so")

	// ErrKeyExists says that a key that was to be made is there already.
	ErrKeyExists = errors.New("hsm: the token has such a key already")

	// ErrDamaged says that what was to be decrypted was altered, cut, made by another key or with other additional data.
	ErrDamaged = errors.New("hsm: the ciphertext is damaged or was made by another key")

	// ErrRefused says that the token answers, but will not do what was asked: it does not know AES-GCM, or the key must not be used so.
	ErrRefused = errors.New("hsm: the token refuses")
)

// Key names a secret key in a token. An empty part matches every key.
type Key struct {
	Label string // CKA_LABEL
	ID    string // CKA_ID, any bytes
}

// Info is what a token says of itself.
type Info struct {
	Label, Serial, Manufacturer, Model string
}

// What Encrypt returns looks like this:
//
//	12       nonce
//	n + 16   ciphertext and tag
//
// The nonce is random, or what a token that insists on its own put in its place. So one key is good for 2^32 encryptions, as NIST SP 800-38D, section
// 8.3 has it.
const (
	nonceSize = 12
	tagSize   = 16

	// Overhead is how much longer a ciphertext is than its plaintext.
	Overhead = nonceSize + tagSize
)
