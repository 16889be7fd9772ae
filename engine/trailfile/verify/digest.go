package verify

import (
	"compress/gzip"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// digestFile is the name of a digest, with the time that is in it.
type digestFile struct {
	name string
	end  time.Time
}

// digest is what a digest file says.
type digest struct {
	Account            string `json:"awsAccountId"`
	Start              string `json:"digestStartTime"`
	End                string `json:"digestEndTime"`
	Bucket             string `json:"digestS3Bucket"`
	Object             string `json:"digestS3Object"`
	Fingerprint        string `json:"digestPublicKeyFingerprint"`
	SignatureAlgorithm string `json:"digestSignatureAlgorithm"`

	PreviousBucket        *string `json:"previousDigestS3Bucket"`
	PreviousObject        *string `json:"previousDigestS3Object"`
	PreviousHash          *string `json:"previousDigestHashValue"`
	PreviousHashAlgorithm *string `json:"previousDigestHashAlgorithm"`
	PreviousSignature     *string `json:"previousDigestSignature"`

	LogFiles []logEntry `json:"logFiles"`

	// What follows is not in the file.
	start, end time.Time
	hash       string // of the content, in hexadecimal
}

// logEntry is what a digest says of a log file.
type logEntry struct {
	Bucket        string `json:"s3Bucket"`
	Object        string `json:"s3Object"`
	Hash          string `json:"hashValue"`
	HashAlgorithm string `json:"hashAlgorithm"`
	Newest        string `json:"newestEventTime"`
	Oldest        string `json:"oldestEventTime"`
	Records       []byte `json:"holdfastRecordHashes"` // recordHash bytes of the hash of each record; AWS has no such member
}

// maxDigest bounds the content of a digest. One of an hour with two million records has the half.
const maxDigest = 64 << 20

// errContent says that a file is not what it should be, in the words behind the colon.
var errContent = errors.New("content")

func wrongContent(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errContent}, args...)...)
}

// reason is what is wrong with the content of a file; empty if the error is about something else.
func reason(err error) string {
	if !errors.Is(err, errContent) {
		return ""
	}
	return strings.TrimPrefix(err.Error(), errContent.Error()+": ")
}

// stored reads a file as it is stored, and remembers when that fails: a disk that cannot be read is no sign that a file was altered.
type stored struct {
	r   io.Reader
	err error
}

func (s *stored) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// inflate calls fn with the content of a compressed file. Errors that wrap errContent are about the content.
func (v *verifier) inflate(ctx context.Context, name string, fn func(io.Reader) error) error {
	f, err := v.src.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	defer f.Close()
	in := &stored{r: f}
	zip, err := gzip.NewReader(in)
	if err == nil {
		err = fn(zip)
	}
	switch {
	case in.err != nil:
		return fmt.Errorf("reading %s: %w", name, in.err)
	case err == nil || errors.Is(err, errContent):
		return err
	}
	return wrongContent("it is not a whole gzip file (%v)", err)
}

// readDigest reads a digest, of which nothing is proven yet.
func (v *verifier) readDigest(ctx context.Context, name string) (*digest, error) {
	var content []byte
	err := v.inflate(ctx, name, func(r io.Reader) (err error) {
		if content, err = io.ReadAll(io.LimitReader(r, v.maxDigest+1)); err == nil && int64(len(content)) > v.maxDigest {
			err = wrongContent("it is larger than any digest")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return parseDigest(content)
}

func parseDigest(content []byte) (*digest, error) {
	d := new(digest)
	if err := json.Unmarshal(content, d); err != nil {
		return nil, wrongContent("it is not the JSON of a digest (%v)", err)
	}
	sum := sha256.Sum256(content)
	d.hash = hex.EncodeToString(sum[:])
	var err error
	if d.start, err = time.Parse(time.RFC3339, d.Start); err != nil {
		return nil, wrongContent("its digestStartTime is %q", d.Start)
	}
	if d.end, err = time.Parse(time.RFC3339, d.End); err != nil {
		return nil, wrongContent("its digestEndTime is %q", d.End)
	}
	return d, nil
}

// stringToSign is what the signature is of.
func (d *digest) stringToSign() string {
	previous := "null"
	if d.PreviousSignature != nil {
		previous = *d.PreviousSignature
	}
	return d.End + "\n" + d.Bucket + "/" + d.Object + "\n" + d.hash + "\n" + previous
}

// Why a signature does not prove a digest.
var (
	errNoSignature  = errors.New("its signature is nowhere: neither beside it nor in a digest behind it")
	errNoPublicKey  = errors.New("none of the public keys has its fingerprint")
	errOutdated     = errors.New("its public key signed no digests at that time")
	errBadSignature = errors.New("its signature is not right: it was not written like this")
)

// verifySignature checks a signature in hexadecimal.
func (d *digest) verifySignature(keys PublicKeys, signature string) error {
	if signature == "" {
		return errNoSignature
	}
	if d.SignatureAlgorithm != "SHA256withRSA" {
		return errBadSignature
	}
	named := keys[d.Fingerprint]
	if len(named) == 0 {
		return errNoPublicKey
	}
	raw, err := hex.DecodeString(signature)
	if err != nil {
		return errBadSignature
	}
	hash, result := sha256.Sum256([]byte(d.stringToSign())), errBadSignature
	for _, k := range named {
		if rsa.VerifyPKCS1v15(k.Key, crypto.SHA256, hash[:], raw) != nil {
			continue
		}
		if !k.Start.IsZero() && d.end.Before(k.Start) || !k.End.IsZero() && d.end.After(k.End) {
			result = errOutdated
			continue
		}
		return nil
	}
	return result
}
