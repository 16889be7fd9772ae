package keys

import (
	"bytes"
	"crypto/hmac"
	"io"
)

var hmacFamily = family{
	generate: func(spec Spec, random io.Reader) (any, error) {
		// As long as the hash's output, which is the strength RFC 2104, section 3 asks for.
		key := make([]byte, hmacBits(spec)/8)
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, err
		}
		return &macKey{key}, nil
	},
	parse: func(spec Spec, material []byte) (any, error) {
		// Imported keys are as long as generated ones.
		if len(material) != hmacBits(spec)/8 {
			return nil, ErrInvalidKey
		}
		return &macKey{bytes.Clone(material)}, nil
	},
	encode: func(impl any) ([]byte, []byte, error) { return impl.(*macKey).key, nil, nil },
}

func hmacBits(spec Spec) int {
	switch spec {
	case HMAC224:
		return 224
	case HMAC256:
		return 256
	case HMAC384:
		return 384
	}
	return 512
}

type macKey struct{ key []byte }

func (k *macKey) mac(alg Algorithm, message []byte) []byte {
	h := hmac.New(alg.Hash().New, k.key)
	h.Write(message)
	return h.Sum(nil)
}

func (k *macKey) verify(alg Algorithm, message, mac []byte) error {
	// Constant time: an early exit would let a forger find the MAC byte by byte. A truncated MAC is refused.
	if !hmac.Equal(k.mac(alg, message), mac) {
		return ErrInvalidMAC
	}
	return nil
}
