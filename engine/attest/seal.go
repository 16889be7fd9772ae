package attest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"
)

var (
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidOAEP          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

type oaepParameters struct { // RFC 4055, section 4.1
	Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
	MGF  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
}

type oaepIdentifier struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters oaepParameters
}

type keyTransport struct { // RFC 5652, section 6.2.1
	Version   int
	KeyID     []byte `asn1:"tag:0"`
	Algorithm oaepIdentifier
	Key       []byte
}

type cbcIdentifier struct {
	Algorithm asn1.ObjectIdentifier
	IV        []byte
}

// Seal encrypts plaintext so that only the attested software reads it: CMS EnvelopedData (RFC 5652) with a new AES-256-CBC
// key, transported under RSAES-OAEP with SHA-256 to the document's public key. A nil random means crypto/rand.
//
// The envelope tells nobody that it was changed, as KMS's own does not: the enclave gets it over the TLS connection
// that it opened, and the format is not ours to choose.
//
// The encoding is BER with the indefinite lengths that KMS sends, since the Nitro Enclaves SDK for C reads no other:
//
//	SEQUENCE (indefinite)
//	  envelopedData
//	  [0] (indefinite)
//	    SEQUENCE (indefinite)
//	      2
//	      SET { SEQUENCE { 2, [0] key identifier, RSAES-OAEP, encrypted key } }
//	      SEQUENCE (indefinite)
//	        data
//	        SEQUENCE { aes256-CBC, IV }
//	        [0] (indefinite)
//	          OCTET STRING
func (d *Document) Seal(plaintext []byte, random io.Reader) ([]byte, error) {
	pub, err := d.recipient()
	if err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	secrets := make([]byte, 32+aes.BlockSize)
	if _, err := io.ReadFull(random, secrets); err != nil {
		return nil, fmt.Errorf("drawing a content key: %w", err)
	}
	key, iv := secrets[:32], secrets[32:]
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing the content cipher: %w", err)
	}
	// RFC 5652, section 6.3: always padded, with as many bytes as are missing.
	pad := aes.BlockSize - len(plaintext)%aes.BlockSize
	content := make([]byte, len(plaintext)+pad)
	copy(content, plaintext)
	for i := len(plaintext); i < len(content); i++ {
		content[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(content, content)

	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, key, nil)
	if err != nil {
		return nil, fmt.Errorf("wrapping the content key: %w", err)
	}
	keyID := sha256.Sum256(x509.MarshalPKCS1PublicKey(pub))
	hash := pkix.AlgorithmIdentifier{Algorithm: oidSHA256}
	hashDER, err := asn1.Marshal(hash)
	if err != nil {
		return nil, fmt.Errorf("encoding the envelope: %w", err)
	}
	recipients, err := asn1.MarshalWithParams([]keyTransport{{
		Version: 2,
		KeyID:   keyID[:],
		Algorithm: oaepIdentifier{oidOAEP, oaepParameters{
			Hash: hash,
			MGF:  pkix.AlgorithmIdentifier{Algorithm: oidMGF1, Parameters: asn1.RawValue{FullBytes: hashDER}},
		}},
		Key: wrapped,
	}}, "set")
	if err != nil {
		return nil, fmt.Errorf("encoding the envelope: %w", err)
	}
	var parts [][]byte
	for _, v := range []any{oidEnvelopedData, 2, oidData, cbcIdentifier{oidAES256CBC, iv}, content} {
		der, err := asn1.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encoding the envelope: %w", err)
		}
		parts = append(parts, der)
	}
	const sequence, explicit0, indefinite = 0x30, 0xa0, 0x80
	out := []byte{sequence, indefinite}
	out = append(out, parts[0]...)
	out = append(out, explicit0, indefinite, sequence, indefinite)
	out = slices.Concat(out, parts[1], recipients)
	out = append(out, sequence, indefinite)
	out = slices.Concat(out, parts[2], parts[3])
	out = append(out, explicit0, indefinite)
	out = append(out, parts[4]...)
	return append(out, make([]byte, 5*2)...), nil // the five ends
}
