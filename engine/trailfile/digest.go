package trailfile

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// SHA256withRSA is the signature algorithm of digest files: RSASSA-PKCS1-v1_5.
const SHA256withRSA = "SHA256withRSA"

// The metadata of a digest file's object, where S3 writes x-amz-meta- before the name. The signature is in hexadecimal.
const (
	MetaSignature = "signature"
	MetaAlgorithm = "signature-algorithm"
)

// A Digest is a digest file: what was delivered to a bucket in a time, for an account and region, and the digest before it. Times are whole seconds in UTC; pointers are nil where
// the file says null. The members of Previous are null in the first digest of a chain.
type Digest struct {
	Account            string     `json:"awsAccountId"`
	Start              time.Time  `json:"digestStartTime"`
	End                time.Time  `json:"digestEndTime"`
	Bucket             string     `json:"digestS3Bucket"`
	Object             string     `json:"digestS3Object"`
	Fingerprint        string     `json:"digestPublicKeyFingerprint"`
	SignatureAlgorithm string     `json:"digestSignatureAlgorithm"`
	Newest             *time.Time `json:"newestEventTime"` // of all log files; nil when there are none
	Oldest             *time.Time `json:"oldestEventTime"`
	Previous
	LogFiles []LogFile `json:"logFiles"`
}

// Previous names the digest before one.
type Previous struct {
	Bucket        *string `json:"previousDigestS3Bucket"`
	Object        *string `json:"previousDigestS3Object"`
	Hash          *string `json:"previousDigestHashValue"` // of the uncompressed content, in hexadecimal
	HashAlgorithm *string `json:"previousDigestHashAlgorithm"`
	Signature     *string `json:"previousDigestSignature"`
}

// A Signed is a digest file as it is put into the bucket.
type Signed struct {
	Body      []byte // compressed
	Signature string // for MetaSignature
	Next      Previous
}

// Sign fills in what follows from the others of d's fields, and makes the file. What Previous of the digest behind it has to be is in Next.
func (d *Digest) Sign(key *rsa.PrivateKey) (Signed, error) {
	d.Start, d.End = second(d.Start), second(d.End)
	d.Fingerprint, d.SignatureAlgorithm = Fingerprint(&key.PublicKey), SHA256withRSA
	d.span()
	d.boundHashes()
	content, err := json.Marshal(d)
	if err != nil {
		return Signed{}, err
	}
	toSign := sha256.Sum256([]byte(StringToSign(d.End.Format(time.RFC3339), d.Bucket, d.Object, content, d.Previous.Signature)))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, toSign[:]) // deterministic: the random source only blinds
	if err != nil {
		return Signed{}, fmt.Errorf("signing a digest: %w", err)
	}
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	if _, err := zip.Write(content); err != nil {
		return Signed{}, err
	}
	if err := zip.Close(); err != nil {
		return Signed{}, err
	}
	hash := sha256.Sum256(content)
	s := Signed{Body: body.Bytes(), Signature: hex.EncodeToString(signature)}
	s.Next = Previous{new(d.Bucket), new(d.Object), new(hex.EncodeToString(hash[:])), new(SHA256), new(s.Signature)}
	return s, nil
}

// span says from when to when the events of the log files are.
func (d *Digest) span() {
	d.Newest, d.Oldest = nil, nil
	if d.LogFiles == nil {
		d.LogFiles = []LogFile{} // the file says [], and not null
	}
	for i := range d.LogFiles {
		f := &d.LogFiles[i]
		if d.Newest == nil || f.Newest.After(*d.Newest) {
			d.Newest = new(f.Newest)
		}
		if d.Oldest == nil || f.Oldest.Before(*d.Oldest) {
			d.Oldest = new(f.Oldest)
		}
	}
}

// boundHashes leaves out the hashes of records that are too many for one digest.
func (d *Digest) boundHashes() {
	size := 0
	for i := range d.LogFiles {
		if size += len(d.LogFiles[i].RecordHashes); size > maxHashedBytes {
			d.LogFiles[i].RecordHashes = nil
		}
	}
}

// StringToSign is what the signature of a digest file is of. end is its digestEndTime as the file writes it, content the file uncompressed, and previous the signature of the
// digest before it, or nil.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html
func StringToSign(end, bucket, object string, content []byte, previous *string) string {
	hash := sha256.Sum256(content)
	before := "null" // which is how AWS's own implementation writes that there is none
	if previous != nil {
		before = *previous
	}
	return end + "\n" + bucket + "/" + object + "\n" + hex.EncodeToString(hash[:]) + "\n" + before
}

// Fingerprint names a public key: the first half of the SHA-256 of its PKCS #1 form, as long as AWS's.
func Fingerprint(key *rsa.PublicKey) string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(key))
	return hex.EncodeToString(sum[:16])
}
