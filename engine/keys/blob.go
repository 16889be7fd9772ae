package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// A ciphertext blob is
//
//	offset  bytes  what
//	0       2      0x48 0x46, so that a blob is told from other people's ciphertext
//	2       1      format: 1
//	3       1      k, length of the key name
//	4       k      key name
//	4+k     1      m, length of the material name
//	5+k     m      material name
//	5+k+m   24     nonce
//	29+k+m  n+16   XAES-256-GCM ciphertext and tag of the n bytes of plaintext
//
// Everything before the nonce is the header. The additional data that the tag covers is the header followed by the encryption
// context (see appendContext). The header tells its own length, so no two pairs of header and context make the same additional data.
const (
	blobMagic0, blobMagic1 = 0x48, 0x46
	blobFormat             = 1
	nonceSize              = 24
	deriveSize             = 12 // bytes of the nonce that derive the message key; GCM takes the others
	tagSize                = 16
	maxName                = 255
	minBlob                = 5 + nonceSize + tagSize
)

// BlobOverhead is how much longer than its plaintext a blob is at most.
const BlobOverhead = minBlob + 2*maxName

// Header is the part of a ciphertext that is in the clear. It is authenticated: a blob whose header was changed does not decrypt.
// Until then it is only a claim, good for finding the key to try.
type Header struct {
	// Key names the KMS key. It is opaque here; for a multi-Region key it must not name the region.
	Key string
	// Material names the key material, since a rotated key has several.
	Material string
}

// ParseBlob reads the header of a ciphertext. Anything that neither [Key.EncryptBlob] nor [OutsideBlob] could have made is [ErrInvalidCiphertext].
func ParseBlob(blob []byte) (Header, error) {
	key, material, _, ok := splitBlob(blob)
	if !ok {
		h, _, err := ParseOutside(blob)
		return h, err
	}
	return Header{Key: string(key), Material: string(material)}, nil
}

// splitBlob finds the parts of a blob; header is the length of the header.
func splitBlob(blob []byte) (key, material []byte, header int, ok bool) {
	return splitHeader(blob, blobFormat, nonceSize+tagSize)
}

// splitHeader finds the parts of the header of a blob whose other parts are at least rest bytes long.
func splitHeader(blob []byte, format byte, rest int) (key, material []byte, header int, ok bool) {
	if len(blob) < 5+rest || blob[0] != blobMagic0 || blob[1] != blobMagic1 || blob[2] != format {
		return nil, nil, 0, false
	}
	room := blob[:len(blob)-rest] // what the header may take; it is at least 5
	k := int(room[3])
	if len(room) < 5+k {
		return nil, nil, 0, false
	}
	m := int(room[4+k])
	header = 5 + k + m
	if len(room) < header {
		return nil, nil, 0, false
	}
	return room[4 : 4+k], room[5+k : header], header, true
}

// EncryptBlob appends a ciphertext of plaintext to dst. The same encryption context, which is not secret and not in the blob, must be
// given to decrypt; nil and empty are the same. A nil random means crypto/rand; any other source must never repeat itself.
// Only SYMMETRIC_DEFAULT keys do this; others return [ErrUnsupportedAlgorithm].
func (k *Key) EncryptBlob(dst []byte, h Header, context map[string]string, plaintext []byte, random io.Reader) ([]byte, error) {
	c, ok := k.impl.(*blobCipher)
	if !ok {
		return nil, fmt.Errorf("%s with key spec %s: %w", SymmetricAEAD, k.spec, ErrUnsupportedAlgorithm)
	}
	if random == nil {
		random = rand.Reader
	}
	start := len(dst)
	dst = slices.Grow(dst, minBlob+len(h.Key)+len(h.Material)+len(plaintext))
	dst, err := appendHeader(dst, blobFormat, h)
	if err != nil {
		return nil, err
	}
	end := len(dst)
	dst = dst[:end+nonceSize]
	nonce := dst[end:]
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	s := c.scratch()
	defer c.pool.Put(s)
	block, err := c.derive(s, nonce)
	if err != nil {
		return nil, fmt.Errorf("deriving a message key: %w", err)
	}
	s.aad = appendContext(append(s.aad[:0], dst[start:end]...), context)
	if fips140.Enabled() {
		// FIPS 140 approves GCM only with nonces that the module draws itself (SP 800-38D, section 8.2.2). It writes its 12 bytes where ours
		// would be, so the format is the same.
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("preparing the cipher: %w", err)
		}
		return aead.Seal(dst[:end+deriveSize], nil, plaintext, s.aad), nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher: %w", err)
	}
	return aead.Seal(dst, nonce[deriveSize:], plaintext, s.aad), nil
}

// DecryptBlob appends the plaintext of a blob to dst. A blob that is malformed, changed, of another key or of another
// encryption context is [ErrInvalidCiphertext].
func (k *Key) DecryptBlob(dst, blob []byte, context map[string]string) ([]byte, error) {
	c, ok := k.impl.(*blobCipher)
	if !ok {
		return nil, fmt.Errorf("%s with key spec %s: %w", SymmetricAEAD, k.spec, ErrUnsupportedAlgorithm)
	}
	_, _, header, ok := splitBlob(blob)
	if !ok {
		return nil, ErrInvalidCiphertext
	}
	nonce := blob[header : header+nonceSize]
	s := c.scratch()
	defer c.pool.Put(s)
	block, err := c.derive(s, nonce)
	if err != nil {
		return nil, fmt.Errorf("deriving a message key: %w", err)
	}
	// This is NewGCM with the nonce in front of the ciphertext, and allowed in FIPS 140 mode.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher: %w", err)
	}
	s.aad = appendContext(append(s.aad[:0], blob[:header]...), context)
	plaintext, err := aead.Open(dst, nil, blob[header+deriveSize:], s.aad)
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	return plaintext, nil
}

// appendContext appends the canonical form of an encryption context: for each pair, sorted by the bytes of its key, the uvarint
// length and bytes of key and value. The lengths make it injective (no pair can pose as two, no key as part of its value), the order
// makes it independent of the map's, and nothing is folded, so that case counts. An empty context adds nothing.
func appendContext(dst []byte, context map[string]string) []byte {
	type pair struct{ key, value string }
	var room [8]pair
	pairs := room[:0]
	for k, v := range context {
		pairs = append(pairs, pair{k, v})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	for _, p := range pairs {
		dst = binary.AppendUvarint(dst, uint64(len(p.key)))
		dst = append(dst, p.key...)
		dst = binary.AppendUvarint(dst, uint64(len(p.value)))
		dst = append(dst, p.value...)
	}
	return dst
}

// blobCipher is XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key derived for each message, with CMAC as in
// NIST SP 800-108r1, from the first half of a 192-bit random nonce.
//
// Why not AES-GCM alone: under one key its random 96-bit nonces are safe for 2^32 messages only (SP 800-38D, section 8.3), which a
// busy KMS key passes in weeks, and one repetition gives away the authentication key. Here two messages must agree in all 192
// bits; 2^80 messages are safe with the probability that SP 800-38D asks for. Why not HMAC for deriving: the two AES
// blocks of CMAC cost a twentieth of it, and the key schedule is at hand.
//
// GCM does not commit to its key: someone who chooses two keys can make a blob that opens under both. The header names the key and
// its material and is authenticated, and a key is tried only on blobs that name it, so there is nothing to win.
type blobCipher struct {
	key   []byte
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC's subkey for whole blocks
	pool  sync.Pool           // of *scratch
}

// scratch is what a message needs and a cipher behind an interface would move to the heap.
type scratch struct {
	key [2 * aes.BlockSize]byte
	aad []byte
}

func (c *blobCipher) scratch() *scratch {
	if s, ok := c.pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{aad: make([]byte, 0, 256)}
}

var symmetricFamily = family{
	generate: func(_ Spec, random io.Reader) (any, error) {
		key := make([]byte, 32)
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, err
		}
		return newBlobCipher(key)
	},
	parse: func(_ Spec, material []byte) (any, error) {
		if len(material) != 32 {
			return nil, ErrInvalidKey
		}
		return newBlobCipher(slices.Clone(material))
	},
	encode: func(impl any) ([]byte, []byte, error) { return impl.(*blobCipher).key, nil, nil },
}

func newBlobCipher(key []byte) (*blobCipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c := &blobCipher{key: key, block: block}
	// SP 800-38B, section 6.1: K1 = L doubled in GF(2^128), where L is the encryption of the zero block.
	block.Encrypt(c.k1[:], c.k1[:])
	var carry byte
	for i := len(c.k1) - 1; i >= 0; i-- {
		carry, c.k1[i] = c.k1[i]>>7, c.k1[i]<<1|carry
	}
	c.k1[15] ^= carry * 0x87
	return c, nil
}

// derive returns AES-256 under the message key for a nonce.
func (c *blobCipher) derive(s *scratch, nonce []byte) (cipher.Block, error) {
	defer clear(s.key[:])
	// Two CMACs of one block each: counter, label 'X', a zero byte, context. The last block of a CMAC is masked with K1.
	for i := range 2 {
		m := s.key[i*aes.BlockSize:][:aes.BlockSize]
		m[1], m[2] = byte(i+1), 'X'
		copy(m[4:], nonce[:deriveSize])
		for j := range m {
			m[j] ^= c.k1[j]
		}
		c.block.Encrypt(m, m)
	}
	return aes.NewCipher(s.key[:])
}
