package keys

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// WrappingAlgorithm is how key material is encrypted on its way into a key management service.
type WrappingAlgorithm string

// RSAES_PKCS1_V1_5 is not among them: KMS has refused it since October 2023, for padding oracles.
const (
	WrapOAEPSHA1   WrappingAlgorithm = "RSAES_OAEP_SHA_1"
	WrapOAEPSHA256 WrappingAlgorithm = "RSAES_OAEP_SHA_256"
	WrapAESSHA1    WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_1"
	WrapAESSHA256  WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_256"
	WrapSM2        WrappingAlgorithm = "SM2PKE"
)

// Unwrap decrypts key material that was wrapped for k, an RSA or SM2 key; [Parse] then reads it. For RSA_AES_KEY_WRAP the
// material is wrapped with AES-KWP (RFC 5649), and the AES key before it with RSAES-OAEP. Whatever is wrong
// with it is [ErrInvalidCiphertext].
func (k *Key) Unwrap(alg WrappingAlgorithm, wrapped []byte) ([]byte, error) {
	switch alg {
	case WrapOAEPSHA1, WrapOAEPSHA256, WrapSM2:
		return k.Decrypt(Algorithm(alg), wrapped)
	case WrapAESSHA1, WrapAESSHA256:
		priv, ok := k.impl.(*rsaKey)
		if !ok {
			break
		}
		if len(wrapped) <= priv.priv.Size() {
			return nil, ErrInvalidCiphertext
		}
		oaep := OAEPSHA1
		if alg == WrapAESSHA256 {
			oaep = OAEPSHA256
		}
		kek, err := k.Decrypt(oaep, wrapped[:priv.priv.Size()])
		if err != nil {
			return nil, err
		}
		defer clear(kek)
		return unwrapAES(kek, wrapped[priv.priv.Size():])
	}
	return nil, fmt.Errorf("%s with key spec %s: %w", alg, k.spec, ErrUnsupportedAlgorithm)
}

// maxWrapped bounds the work of unwrapping; the PKCS #8 of an RSA_4096 key takes about 2400 bytes.
const maxWrapped = 8192

// unwrapAES is RFC 5649, section 4.2, over the key unwrapping of RFC 3394, section 2.2.2.
func unwrapAES(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) < 16 || len(wrapped)%8 != 0 || len(wrapped) > maxWrapped {
		return nil, ErrInvalidCiphertext
	}
	out := make([]byte, len(wrapped))
	copy(out, wrapped)
	if len(out) == aes.BlockSize {
		block.Decrypt(out, out)
	} else {
		var b [aes.BlockSize]byte
		n := len(out)/8 - 1
		a := out[:8]
		for j := 5; j >= 0; j-- {
			for i := n; i >= 1; i-- {
				r := out[8*i:][:8]
				binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(a)^uint64(n*j+i))
				copy(b[8:], r)
				block.Decrypt(b[:], b[:])
				copy(a, b[:8])
				copy(r, b[8:])
			}
		}
	}
	// The check value, the length and the padding are weighed together, so that no time tells which of them was wrong.
	prefix := subtle.ConstantTimeCompare(out[:4], []byte{0xa6, 0x59, 0x59, 0xa6})
	size, body := int(binary.BigEndian.Uint32(out[4:8])), out[8:]
	fits := 0
	if size <= len(body) && size > len(body)-8 {
		fits = 1
	}
	var padding byte
	for i := len(body) - 7; i < len(body); i++ {
		if i >= size {
			padding |= body[i]
		}
	}
	if prefix&fits&subtle.ConstantTimeByteEq(padding, 0) != 1 {
		return nil, ErrInvalidCiphertext
	}
	return body[:size], nil
}
