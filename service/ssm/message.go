package ssm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// The value of an advanced SecureString is a message of the AWS Encryption SDK, under a data key of its own that KMS encrypts, so that whoever may use the key can open the
// ciphertext elsewhere, too: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
//
//	version 01 | type 80 | algorithm 0178 | message ID: 16 | context | 0001 data key | content 01 | 00000000 | IV length 0c | frame length 00000000 | IV: 12 | tag: 16
//	IV: 12 | length: 8 | ciphertext | tag: 16
//
// The context is its length in two bytes, the number of pairs, and keys and values, each with its length. The data key is aws-kms, the key's ARN, and the ciphertext of the
// data key, each with its length.
const (
	messageHead   = "\x01\x80\x01\x78"
	messageIDSize = 16
	messageTail   = "\x01\x00\x00\x00\x00\x0c\x00\x00\x00\x00"
	ivSize        = 12
	tagSize       = 16
	provider      = "aws-kms"
	singleBlock   = "AWSKMSEncryptionClient Single Block"
)

var errMessage = errors.New("not a message of the AWS Encryption SDK as Parameter Store makes them")

// message is such a message, taken apart. Its slices are parts of what was read.
type message struct {
	id      []byte
	header  []byte // all that is authenticated of it
	auth    []byte // IV and tag
	dataKey []byte // encrypted
	iv      []byte
	sealed  []byte // ciphertext and tag
}

// writeMessage encrypts under a data key. id is sixteen random bytes.
func writeMessage(id, dataKey, encryptedKey []byte, keyARN string, context map[string]string, plaintext []byte) ([]byte, error) {
	aead, err := messageAEAD(id, dataKey)
	if err != nil {
		return nil, err
	}
	pairs := binary.BigEndian.AppendUint16(nil, uint16(len(context)))
	for _, k := range slices.Sorted(maps.Keys(context)) {
		pairs = appendSized(appendSized(pairs, k), context[k])
	}
	b := appendSized(append([]byte(messageHead), id...), string(pairs))
	b = binary.BigEndian.AppendUint16(b, 1)
	b = appendSized(appendSized(appendSized(b, provider), keyARN), string(encryptedKey))
	b = append(b, messageTail...)
	b = aead.Seal(b, nil, nil, b)
	size := binary.BigEndian.AppendUint64(nil, uint64(len(plaintext)))
	content := aead.Seal(nil, nil, plaintext, contentData(id, size))
	b = append(append(b, content[:ivSize]...), size...)
	return append(b, content[ivSize:]...), nil
}

// readMessage takes a message apart, and opens nothing.
func readMessage(b []byte) (m message, err error) {
	r := reader{b: b}
	if string(r.take(len(messageHead))) != messageHead {
		return m, errMessage
	}
	m.id = r.take(messageIDSize)
	r.sized() // the context, which the data key's ciphertext is bound to
	one := r.take(2)
	if string(one) != "\x00\x01" || string(r.sized()) != provider {
		return m, errMessage
	}
	r.sized()
	m.dataKey = r.sized()
	if string(r.take(len(messageTail))) != messageTail {
		return m, errMessage
	}
	m.header = b[:r.at]
	m.auth = r.take(ivSize + tagSize)
	m.iv = r.take(ivSize)
	size := r.take(8)
	m.sealed = b[r.at:]
	if r.short || len(m.sealed) < tagSize || binary.BigEndian.Uint64(size) != uint64(len(m.sealed)-tagSize) {
		return m, errMessage
	}
	return m, nil
}

// open decrypts with the data key.
func (m *message) open(dataKey []byte) ([]byte, error) {
	aead, err := messageAEAD(m.id, dataKey)
	if err != nil {
		return nil, err
	}
	if _, err := aead.Open(nil, nil, m.auth, m.header); err != nil {
		return nil, errMessage
	}
	size := binary.BigEndian.AppendUint64(nil, uint64(len(m.sealed)-tagSize))
	plaintext, err := aead.Open(nil, nil, append(slices.Clone(m.iv), m.sealed...), contentData(m.id, size))
	if err != nil {
		return nil, errMessage
	}
	return plaintext, nil
}

// messageAEAD draws its nonces at random, because FIPS 140-3 wants them drawn by the module that encrypts. A key encrypts one message.
func messageAEAD(id, dataKey []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, dataKey, nil, messageHead[2:]+string(id), 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// contentData is what the content is authenticated with.
func contentData(id, size []byte) []byte {
	b := append(slices.Clone(id), singleBlock+"\x00\x00\x00\x01"...)
	return append(b, size...)
}

func appendSized(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// reader reads what may end too soon, and then reads nothing.
type reader struct {
	b     []byte
	at    int
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.b)-r.at < n {
		r.short = true
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

func (r *reader) sized() []byte {
	n := r.take(2)
	if n == nil {
		return nil
	}
	return r.take(int(binary.BigEndian.Uint16(n)))
}
