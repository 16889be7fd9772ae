package iam

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

func fold(name string) string { return strings.ToLower(name) }

func certificates(c *call.Call) store.Rows[serverCertificate] {
	return certificateTable.In(c.Scope.Account, "")
}

func (k *serverCertificate) arn(partition string) string {
	return "arn:" + partition + ":iam::" + k.Account + ":server-certificate" + pathOf(k.Path) + k.Name
}

const certificateType = "AWS::IAM::ServerCertificate"

// UploadServerCertificate keeps a certificate with its private key, which is told to nobody.
func (s *Service) UploadServerCertificate(c *call.Call, in *iam.UploadServerCertificateRequest) (*iam.UploadServerCertificateResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	k := &serverCertificate{
		Account: c.Scope.Account, Name: *in.ServerCertificateName, Path: pathOf(optional.Value(in.Path)), ID: identity.NewID("ASCA"), Body: *in.CertificateBody,
		Chain: optional.Value(in.CertificateChain), Tags: tags, Uploaded: c.Time,
	}
	if err := s.create(c, &call.Resource{ARN: k.arn(s.cfg.Partition), Type: certificateType}, iam.OpTagServerCertificate, tags); err != nil {
		return nil, err
	}
	parsed, err := checkKeyPair(k.Body, *in.PrivateKey)
	if err != nil {
		return nil, err
	}
	k.Expires = parsed.NotAfter
	if err := checkChain(parsed, k.Chain); err != nil {
		return nil, err
	}
	if k.Key, err = s.cfg.Seal.Wrap(keyPlace(k.Account, k.ID), []byte(*in.PrivateKey)); err != nil {
		return nil, err
	}
	if err := insert(c, certificateTable, k, "ServerCertificatesPerAccount", serverCertificatesQuota, certificateTaken(k.Name)); err != nil {
		return nil, err
	}
	out := &iam.UploadServerCertificateResponse{ServerCertificateMetadata: s.certificateShape(k)}
	if len(tags) > 0 {
		out.Tags = tagList(tags)
	}
	return out, nil
}

func certificateTaken(name string) string {
	return "The Server Certificate with name " + name + " already exists."
}

// checkKeyPair reads a certificate and checks that the key is its own.
func checkKeyPair(body, key string) (*x509.Certificate, error) {
	parsed, err := parseCertificate(body)
	if err != nil {
		return nil, err
	}
	private := parsePrivateKey(key)
	if private == nil {
		return nil, &iam.MalformedCertificateException{Message: "Unable to parse private key. Please ensure the private key is in PEM format and is not encrypted."}
	}
	if public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(parsed.PublicKey) {
		return nil, &iam.KeyPairMismatchException{Message: "The certificate and the private key do not match."}
	}
	return parsed, nil
}

// parsePrivateKey reads a PEM private key, as OpenSSL has written them over the years. It is nil if there is none, or an encrypted one.
func parsePrivateKey(text string) crypto.Signer {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue // EC PARAMETERS, which are in the key as well
		}
		if signer, ok := key.(crypto.Signer); ok && err == nil {
			return signer
		}
		return nil
	}
	return nil
}

// checkChain checks that each certificate of a chain, which may be empty, has signed the one before it, beginning with the server's own.
func checkChain(child *x509.Certificate, chain string) error {
	rest := []byte(chain)
	for i := -1; len(bytes.TrimSpace(rest)) > 0; i++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return brokenChain(i)
		}
		parent, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !signed(parent, child) {
			return brokenChain(i)
		}
		child = parent
	}
	return nil
}

func brokenChain(index int) error {
	return &iam.MalformedCertificateException{Message: fmt.Sprintf("Unable to validate certificate chain. The certificate chain must start with the immediate "+
		"signing certificate, followed by any intermediaries in order. The index within the chain of the invalid certificate is: %d", index)}
}

// signed reports whether a certificate has signed another. Where the algorithm is too old to be checked (old roots have SHA-1) the names are enough: who uploads
// a certificate vouches for its chain, and clients check it once more.
func signed(parent, child *x509.Certificate) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	_, old := errors.AsType[x509.InsecureAlgorithmError](err)
	return err == nil || old
}

func (s *Service) certificateShape(k *serverCertificate) *iam.ServerCertificateMetadata {
	return &iam.ServerCertificateMetadata{
		Path: new(pathOf(k.Path)), ServerCertificateName: &k.Name, ServerCertificateId: &k.ID, Arn: new(k.arn(s.cfg.Partition)),
		UploadDate: &k.Uploaded, Expiration: &k.Expires,
	}
}

// certificate finds a server certificate, and asks for permission.
func (s *Service) certificate(c *call.Call, name string, with ...func(*call.Resource)) (*serverCertificate, error) {
	k, err := certificates(c).Get(c.Tx(), name)
	there := err == nil
	if missing(err) {
		k = &serverCertificate{Account: c.Scope.Account, Name: name}
	} else if err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: k.arn(s.cfg.Partition), Type: certificateType, Tags: k.Tags}
	if err := s.authorizeWith(c, r, with); err != nil {
		return nil, err
	}
	if !there {
		return nil, &iam.NoSuchEntityException{Message: "The Server Certificate with name " + name + " cannot be found."}
	}
	return k, nil
}

// GetServerCertificate tells a certificate and its chain.
func (s *Service) GetServerCertificate(c *call.Call, in *iam.GetServerCertificateRequest) (*iam.GetServerCertificateResponse, error) {
	k, err := s.certificate(c, *in.ServerCertificateName)
	if err != nil {
		return nil, err
	}
	return &iam.GetServerCertificateResponse{ServerCertificate: &iam.ServerCertificate{
		ServerCertificateMetadata: s.certificateShape(k), CertificateBody: &k.Body, CertificateChain: some(k.Chain), Tags: tagList(k.Tags),
	}}, nil
}

// ListServerCertificates lists the account's server certificates.
func (s *Service) ListServerCertificates(c *call.Call, in *iam.ListServerCertificatesRequest) (*iam.ListServerCertificatesResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, certificateTable, store.Query{}, in.Marker, in.MaxItems, optional.Value(in.PathPrefix),
		func(k *serverCertificate) bool { return under(in.PathPrefix, k.Path) })
	if err != nil {
		return nil, err
	}
	out := &iam.ListServerCertificatesResponse{
		ServerCertificateMetadataList: make([]iam.ServerCertificateMetadata, 0, len(found)), IsTruncated: &truncated, Marker: next,
	}
	for _, k := range found {
		out.ServerCertificateMetadataList = append(out.ServerCertificateMetadataList, *s.certificateShape(k))
	}
	return out, nil
}

// UpdateServerCertificate gives a certificate another name or path. As with users, both ARNs are asked for.
func (s *Service) UpdateServerCertificate(c *call.Call, in *iam.UpdateServerCertificateRequest) (*iam.UpdateServerCertificateResponse, error) {
	k, err := s.certificate(c, *in.ServerCertificateName)
	if err != nil {
		return nil, err
	}
	old := *k
	if in.NewPath != nil {
		k.Path = *in.NewPath
	}
	if in.NewServerCertificateName != nil {
		k.Name = *in.NewServerCertificateName
	}
	if k.arn(s.cfg.Partition) == old.arn(s.cfg.Partition) {
		return &iam.UpdateServerCertificateResponse{}, nil
	}
	r := &call.Resource{ARN: k.arn(s.cfg.Partition), Type: certificateType, Tags: k.Tags}
	if err := s.authorize(c, r); err != nil {
		return nil, err
	}
	if err := certificates(c).Delete(c.Tx(), old.Name); err != nil {
		return nil, err
	}
	if err := certificates(c).Insert(c.Tx(), k); errors.Is(err, store.ErrExists) {
		return nil, &iam.EntityAlreadyExistsException{Message: certificateTaken(k.Name)}
	} else if err != nil {
		return nil, err
	}
	return &iam.UpdateServerCertificateResponse{}, nil
}

// DeleteServerCertificate deletes a certificate and its key.
func (s *Service) DeleteServerCertificate(c *call.Call, in *iam.DeleteServerCertificateRequest) (*iam.DeleteServerCertificateResponse, error) {
	k, err := s.certificate(c, *in.ServerCertificateName)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteServerCertificateResponse{}, certificates(c).Delete(c.Tx(), k.Name)
}

// TagServerCertificate sets tags of a certificate.
func (s *Service) TagServerCertificate(c *call.Call, in *iam.TagServerCertificateRequest) (*iam.TagServerCertificateResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	k, err := s.certificate(c, *in.ServerCertificateName, requesting(set))
	if err != nil {
		return nil, err
	}
	if k.Tags, err = addTags(k.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagServerCertificateResponse{}, certificates(c).Put(c.Tx(), k)
}

// UntagServerCertificate removes tags of a certificate.
func (s *Service) UntagServerCertificate(c *call.Call, in *iam.UntagServerCertificateRequest) (*iam.UntagServerCertificateResponse, error) {
	k, err := s.certificate(c, *in.ServerCertificateName, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	k.Tags = removeTags(k.Tags, in.TagKeys)
	return &iam.UntagServerCertificateResponse{}, certificates(c).Put(c.Tx(), k)
}

// ListServerCertificateTags lists the tags of a certificate.
func (s *Service) ListServerCertificateTags(c *call.Call, in *iam.ListServerCertificateTagsRequest) (*iam.ListServerCertificateTagsResponse, error) {
	k, err := s.certificate(c, *in.ServerCertificateName)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(k.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListServerCertificateTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}
