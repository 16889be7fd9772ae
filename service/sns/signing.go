package sns

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // version 1 of signatures is defined with it
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// Each region has a key that signs its messages, and a certificate that is published for whoever verifies them. The key is replaced once a year; certificates of earlier ones stay
// published, as they have to for messages that wait somewhere.

const (
	signerUse  = 365 * 24 * time.Hour     // for which a key signs
	signerLife = 2 * 365 * 24 * time.Hour // for which its certificate is valid

	// CertificatePrefix is what the names of published certificates begin with.
	CertificatePrefix = "SimpleNotificationService-"
	certificateSuffix = ".pem"
)

// signatures are the signatures of a message.
type signatures struct {
	Version string            `json:",omitempty"` // 1 is SHA-1, 2 is SHA-256
	File    string            `json:",omitempty"` // the certificate
	By      map[string]string `json:",omitempty"` // by protocol, where that has a body of its own, else ""
}

// of is the signature of the message that a protocol's subscribers get, or "".
func (s *signatures) of(protocol string) string {
	if own, ok := s.By[protocol]; ok {
		return own
	}
	return s.By[""]
}

// signer is a key of a region with its certificate's name.
type signer struct {
	key     *rsa.PrivateKey
	file    string
	created time.Time
}

// usable reports whether a key still signs.
func (s *signer) usable(now time.Time) bool { return s != nil && now.Before(s.created.Add(signerUse)) }

// loadSigner loads the newest key of a region. It is nil if there is none.
func (s *Service) loadSigner(ctx context.Context, region string) (k *signer, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		k, err = s.readSigner(r, region)
		return err
	})
	return k, err
}

func (s *Service) readSigner(r store.Reader, region string) (*signer, error) {
	for record, err := range signerTable.In(call.OwnAccount, region).Scan(r, store.Query{Reverse: true, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		der, err := s.box.Unwrap("signer/"+region+"/"+record.File, record.Key)
		if err != nil {
			return nil, fmt.Errorf("opening the key that signs messages in %s: %w", region, err)
		}
		defer clear(der)
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("reading the key that signs messages in %s: %w", region, err)
		}
		private, ok := key.(*rsa.PrivateKey)
		if !ok {
			return nil, errors.New("the key that signs messages is not one of RSA")
		}
		return &signer{private, record.File, record.Created}, nil
	}
	return nil, nil
}

// signer is the key that signs in a region now. It is made where there is none, or an old one.
func (s *Service) signer(c *call.Call, region string) (*signer, error) {
	k, err := s.signers.Get(c.Context, region)
	if err != nil || k.usable(c.Time) {
		return k, err
	}
	// Read in the transaction, too: of two calls that find none, one makes a key.
	if k, err = s.readSigner(c.Tx(), region); err != nil {
		return nil, err
	}
	if !k.usable(c.Time) {
		if k, err = s.newSigner(c, region); err != nil {
			return nil, err
		}
	}
	c.Tx().OnCommitted(func() { s.signers.Forget(region) })
	return k, nil
}

func (s *Service) newSigner(c *call.Call, region string) (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key that signs messages: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "sns." + suffix(s.cfg.Partition), Organization: []string{"Holdfast"}},
		NotBefore: c.Time.Add(-24 * time.Hour), NotAfter: c.Time.Add(signerLife), KeyUsage: x509.KeyUsageDigitalSignature,
		DNSNames: []string{"sns." + suffix(s.cfg.Partition), "sns." + region + "." + suffix(s.cfg.Partition)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of a key that signs messages: %w", err)
	}
	sum := sha256.Sum256(der)
	file := CertificatePrefix + hex.EncodeToString(sum[:16]) + certificateSuffix
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sealed, err := s.box.Wrap("signer/"+region+"/"+file, plain)
	if err != nil {
		return nil, err
	}
	record := &signerRecord{Created: c.Time, File: file, Certificate: der, Key: sealed}
	return &signer{key, file, c.Time}, signerTable.In(call.OwnAccount, region).Insert(c.Tx(), record)
}

// suffix is the domain of AWS in a partition.
func suffix(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// sign signs a message for the subscribers of a protocol, unless that has been done.
func (s *Service) sign(t *topic, m *message, protocol string) error {
	if t.fifo() && m.Kind == notification {
		return nil // as with AWS
	}
	if _, ownBody := m.Bodies[protocol]; !ownBody {
		protocol = ""
	}
	if m.Signed.By[protocol] != "" {
		return nil
	}
	k, err := s.signer(t.c, t.region)
	if err != nil {
		return err
	}
	m.Signed.Version, m.Signed.File = signatureVersion(t), k.file
	text := canonical(s.fields(m, t.arn, t.region, protocol))
	var signature []byte
	if m.Signed.Version == "2" {
		sum := sha256.Sum256([]byte(text))
		signature, err = rsa.SignPKCS1v15(nil, k.key, crypto.SHA256, sum[:])
	} else {
		sum := sha1.Sum([]byte(text))
		signature, err = rsa.SignPKCS1v15(nil, k.key, crypto.SHA1, sum[:])
	}
	if err != nil {
		return fmt.Errorf("signing a message: %w", err)
	}
	if m.Signed.By == nil {
		m.Signed.By = make(map[string]string)
	}
	m.Signed.By[protocol] = base64.StdEncoding.EncodeToString(signature)
	return nil
}

// signatureVersion is the version of the topic's signatures: 1 unless it says otherwise, as with AWS. In FIPS mode it is always 2, as there is no SHA-1 to sign with.
func signatureVersion(t *topic) string {
	if t.Attributes["SignatureVersion"] == "2" || fips140.Enabled() {
		return "2"
	}
	return "1"
}

func (s *Service) certificateURL(region, file string) string { return s.cfg.URL(region) + "/" + file }

// ErrNoCertificate is returned for what is no name of a certificate.
var ErrNoCertificate = errors.New("no such certificate")

// Certificate returns the certificate that is published under a name, in PEM, for everybody who verifies messages. It is ErrNoCertificate if there is none.
func (s *Service) Certificate(ctx context.Context, file string) (out []byte, err error) {
	if !strings.HasPrefix(file, CertificatePrefix) || !strings.HasSuffix(file, certificateSuffix) || len(file) > 100 {
		return nil, ErrNoCertificate
	}
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		record, err := signerTable.In("", "").Find(r, "file", file)
		if missing(err) {
			return ErrNoCertificate
		}
		if err != nil {
			return err
		}
		out = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: record.Certificate})
		return nil
	})
	return out, err
}
