package iam

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/hex"
	"encoding/pem"
	"io"
	"iter"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

func certificatesOf(c *call.Call, o owner) iter.Seq2[*signingCertificate, error] {
	return signingTable.In(c.Scope.Account, "").Scan(c.Tx(), ofOwner(o))
}

// parseCertificate reads one PEM certificate.
func parseCertificate(body string) (*x509.Certificate, error) {
	// What is refused is not repeated: somebody may have sent a private key by mistake.
	malformed := &iam.MalformedCertificateException{Message: "Unable to parse certificate. Please ensure the certificate is in PEM format."}
	block, rest := pem.Decode([]byte(body))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, malformed
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, malformed
	}
	return parsed, nil
}

// UploadSigningCertificate gives a user, or the root user, a certificate that nobody else in the account has.
func (s *Service) UploadSigningCertificate(c *call.Call, in *iam.UploadSigningCertificateRequest) (*iam.UploadSigningCertificateResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	parsed, err := parseCertificate(*in.CertificateBody)
	if err != nil {
		return nil, err
	}
	if c.Time.After(parsed.NotAfter) {
		return nil, &iam.InvalidCertificateException{Message: "The certificate has expired."}
	}
	rows := signingTable.In(c.Scope.Account, "")
	sum := sha256.Sum256(parsed.Raw)
	digest := hex.EncodeToString(sum[:])
	if _, err := rows.Find(c.Tx(), "digest", digest); err == nil {
		return nil, &iam.DuplicateCertificateException{Message: "The same certificate is associated with an IAM user in the account."}
	} else if !missing(err) {
		return nil, err
	}
	n, err := rows.Count(c.Tx(), ofOwner(o))
	if err != nil {
		return nil, err
	}
	if n >= signingCertsPerUserQuota {
		return nil, exceeded("SigningCertificatesPerUser", signingCertsPerUserQuota)
	}
	id := make([]byte, 20)
	if _, err := io.ReadFull(c.Rand, id); err != nil {
		return nil, err
	}
	k := &signingCertificate{ID: base32.StdEncoding.EncodeToString(id), User: o.id(), Body: *in.CertificateBody, Digest: digest, Uploaded: c.Time}
	shape := signingShape(o, k)
	return &iam.UploadSigningCertificateResponse{Certificate: &shape}, rows.Insert(c.Tx(), k)
}

func signingShape(o owner, k *signingCertificate) iam.SigningCertificate {
	return iam.SigningCertificate{UserName: o.shown(), CertificateId: &k.ID, CertificateBody: &k.Body, Status: status(k.Inactive), UploadDate: &k.Uploaded}
}

// ListSigningCertificates lists a user's certificates.
func (s *Service) ListSigningCertificates(c *call.Call, in *iam.ListSigningCertificatesRequest) (*iam.ListSigningCertificatesResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, signingTable, ofOwner(o), in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &iam.ListSigningCertificatesResponse{Certificates: make([]iam.SigningCertificate, 0, len(found)), IsTruncated: &truncated, Marker: next}
	for _, k := range found {
		out.Certificates = append(out.Certificates, signingShape(o, k))
	}
	return out, nil
}

// signingCertificate finds a user's certificate, and asks for permission.
func (s *Service) signingCertificate(c *call.Call, user *string, id string) (*signingCertificate, store.Rows[signingCertificate], error) {
	rows := signingTable.In(c.Scope.Account, "")
	o, err := s.owner(c, user)
	if err != nil {
		return nil, rows, err
	}
	k, err := rows.Get(c.Tx(), id)
	if missing(err) || err == nil && k.User != o.id() {
		return nil, rows, &iam.NoSuchEntityException{Message: "The Certificate with id " + id + " cannot be found."}
	}
	return k, rows, err
}

// UpdateSigningCertificate switches a certificate on or off.
func (s *Service) UpdateSigningCertificate(c *call.Call, in *iam.UpdateSigningCertificateRequest) (*iam.UpdateSigningCertificateResponse, error) {
	off, err := inactive(in.Status)
	if err != nil {
		return nil, err
	}
	k, rows, err := s.signingCertificate(c, in.UserName, *in.CertificateId)
	if err != nil {
		return nil, err
	}
	k.Inactive = off
	return &iam.UpdateSigningCertificateResponse{}, rows.Put(c.Tx(), k)
}

// DeleteSigningCertificate deletes a certificate.
func (s *Service) DeleteSigningCertificate(c *call.Call, in *iam.DeleteSigningCertificateRequest) (*iam.DeleteSigningCertificateResponse, error) {
	k, rows, err := s.signingCertificate(c, in.UserName, *in.CertificateId)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteSigningCertificateResponse{}, rows.Delete(c.Tx(), k.ID)
}
