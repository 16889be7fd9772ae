package keys

import "slices"

// Ciphertext of a key that is kept outside, such as in a hardware security module, is
//
//	offset  bytes  what
//	0       2      0x48 0x46
//	2       1      format: 2
//	3       2+k+m  names of the key and of the material, as in format 1
//	5+k+m   n      what the outside made of the plaintext, at least one byte
//
// Nothing here authenticates the header: who encrypts outside binds AdditionalData.
const outsideFormat = 2

// OutsideBlob is a ciphertext that names its key, as those of [Key.EncryptBlob] do, and was made outside.
func OutsideBlob(h Header, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, ErrInvalidCiphertext
	}
	blob, err := appendHeader(make([]byte, 0, 5+len(h.Key)+len(h.Material)+len(body)), outsideFormat, h)
	if err != nil {
		return nil, err
	}
	return append(blob, body...), nil
}

// ParseOutside takes what OutsideBlob made apart. Anything else, ciphertext of [Key.EncryptBlob] too, is [ErrInvalidCiphertext]. The body shares the blob's memory.
func ParseOutside(blob []byte) (h Header, body []byte, err error) {
	key, material, header, ok := splitHeader(blob, outsideFormat, 1)
	if !ok {
		return Header{}, nil, ErrInvalidCiphertext
	}
	return Header{Key: string(key), Material: string(material)}, blob[header:], nil
}

// AdditionalData is what an encryption outside must authenticate beside the plaintext: the header and the encryption context, so that a ciphertext neither passes for
// one of another key nor opens with another context. No two pairs of them give the same bytes.
func AdditionalData(h Header, context map[string]string) ([]byte, error) {
	data, err := appendHeader(nil, outsideFormat, h)
	if err != nil {
		return nil, err
	}
	return appendContext(slices.Clip(data), context), nil
}

// appendHeader appends the header of a blob.
func appendHeader(dst []byte, format byte, h Header) ([]byte, error) {
	if len(h.Key) > maxName || len(h.Material) > maxName {
		return nil, ErrHeader
	}
	dst = append(dst, blobMagic0, blobMagic1, format, byte(len(h.Key)))
	dst = append(dst, h.Key...)
	dst = append(dst, byte(len(h.Material)))
	return append(dst, h.Material...), nil
}
