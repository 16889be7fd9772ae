package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
)

const (
	keySize   = 32
	nonceSize = 24
	tagSize   = 16
)

// xaes is XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM under a key derived, by the counter-mode KDF of NIST SP
// 800-108r1 with CMAC, from the first half of a nonce of 24 bytes.
//
// Why not plain AES-256-GCM: keys here live for years and wrap without counting, on several nodes at once, so nonces can
// only be random. GCM's own nonces of 12 bytes would repeat with noticeable probability after 2^32 values, and one
// repetition gives away the authentication key. With 24 bytes drawn at random that is so after 2^80. Every building
// block is one that FIPS 140-3 modules have.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // the CMAC subkey for whole blocks
}

func newXAES(key []byte) *xaes {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: " + err.Error()) // keys are always 32 bytes here
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	// Doubling in GF(2^128), without a branch on the secret top bit.
	var carry byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		carry, x.k1[i] = x.k1[i]>>7, x.k1[i]<<1|carry
	}
	x.k1[len(x.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return x
}

// derive returns AES-256 under the key for the nonce's first half.
func (x *xaes) derive(half []byte) cipher.Block {
	var derived [keySize]byte
	defer clear(derived[:])
	for i := range 2 {
		m := derived[i*aes.BlockSize:][:aes.BlockSize]
		copy(m, []byte{0, byte(i + 1), 'X', 0})
		copy(m[4:], half)
		subtle.XORBytes(m, m, x.k1[:])
		x.block.Encrypt(m, m)
	}
	block, err := aes.NewCipher(derived[:])
	if err != nil {
		panic("seal: " + err.Error())
	}
	return block
}

// aead returns AES-256-GCM for the nonce's first half. It draws the second half itself, and writes it before the ciphertext, which is where
// it belongs: FIPS 140 approves GCM only with nonces that the module draws (SP 800-38D, section 8.2.2).
func (x *xaes) aead(half []byte) cipher.AEAD {
	gcm, err := cipher.NewGCMWithRandomNonce(x.derive(half))
	if err != nil {
		panic("seal: " + err.Error())
	}
	return gcm
}

// seal appends nonce, ciphertext and tag to dst. The nonce comes from the operating system and not from a source that
// is passed in: a replayed source would repeat nonces.
func (x *xaes) seal(dst, plaintext, ad []byte) []byte {
	var half [nonceSize / 2]byte
	rand.Read(half[:]) // never fails: it ends the process instead
	return x.aead(half[:]).Seal(append(dst, half[:]...), nil, plaintext, ad)
}

// open reverses seal.
func (x *xaes) open(sealed, ad []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, ErrDamaged
	}
	plaintext, err := x.aead(sealed[:nonceSize/2]).Open(nil, nil, sealed[nonceSize/2:], ad)
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}
