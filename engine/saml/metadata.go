package saml

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"

	// MaxMetadata is the largest metadata document that is read.
	MaxMetadata = 10_000_000
	// minRSA is what AWS asks of the certificates in metadata.
	minRSA = 1024
	// maxCertificates bounds how often a signature is tried.
	maxCertificates = 20
)

// Metadata is an identity provider, as it describes itself.
type Metadata struct {
	// EntityID is the issuer of its responses.
	EntityID string
	// ValidUntil is when the document expires; the zero time means never.
	ValidUntil time.Time
	// Certificates hold the keys that it signs with. They are containers: that one expires changes nothing, as with AWS.
	Certificates []*x509.Certificate
}

type entityDescriptor struct {
	XMLName    xml.Name
	EntityID   string          `xml:"entityID,attr"`
	ValidUntil string          `xml:"validUntil,attr"`
	Providers  []idpDescriptor `xml:"urn:oasis:names:tc:SAML:2.0:metadata IDPSSODescriptor"`
}

type idpDescriptor struct {
	Protocols  string `xml:"protocolSupportEnumeration,attr"`
	ValidUntil string `xml:"validUntil,attr"`
	Keys       []struct {
		Use  string `xml:"use,attr"`
		Info struct {
			Certificates []string `xml:"http://www.w3.org/2000/09/xmldsig# X509Data>X509Certificate"`
		} `xml:"http://www.w3.org/2000/09/xmldsig# KeyInfo"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:metadata KeyDescriptor"`
}

// ParseMetadata reads a metadata document with one identity provider in it. An error is an [*Error] of kind BadMetadata. Whether ValidUntil has passed is for the
// caller to ask; Verify does.
func ParseMetadata(document []byte) (*Metadata, error) {
	m, err := parseMetadata(document)
	if err != nil {
		return nil, &Error{Kind: BadMetadata, Message: badMetadata, Cause: err}
	}
	return m, nil
}

func parseMetadata(document []byte) (*Metadata, error) {
	if len(document) > MaxMetadata {
		return nil, errors.New("document is too large")
	}
	d := xml.NewDecoder(bytes.NewReader(document)) // which knows no entities but XML's own, and reads nothing but UTF-8
	var root entityDescriptor
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if err := nothingMore(d); err != nil {
		return nil, err
	}
	if root.XMLName.Space != nsMetadata || root.XMLName.Local != "EntityDescriptor" {
		return nil, errors.New("root element is not EntityDescriptor")
	}
	m := &Metadata{EntityID: strings.TrimSpace(root.EntityID)}
	if m.EntityID == "" || len(m.EntityID) > 1024 { // SAML metadata, section 2.2.1
		return nil, errors.New("entityID is missing or too long")
	}
	if err := m.until(root.ValidUntil); err != nil {
		return nil, err
	}
	found := false
	for _, p := range root.Providers {
		if !slices.Contains(strings.Fields(p.Protocols), nsProtocol) {
			continue
		}
		found = true
		if err := m.until(p.ValidUntil); err != nil {
			return nil, err
		}
		for _, k := range p.Keys {
			if k.Use != "" && k.Use != "signing" {
				continue
			}
			for _, text := range k.Info.Certificates {
				if err := m.add(text); err != nil {
					return nil, err
				}
			}
		}
	}
	if !found {
		return nil, errors.New("no IDPSSODescriptor for SAML 2.0")
	}
	if len(m.Certificates) == 0 {
		return nil, errors.New("no certificate for signing")
	}
	return m, nil
}

func nothingMore(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.Comment:
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return errors.New("text after the root element")
			}
		default:
			return errors.New("more than one root element")
		}
	}
}

// until notes the earliest of the document's ends.
func (m *Metadata) until(text string) error {
	if text == "" {
		return nil
	}
	t, err := parseTime(text)
	if err != nil {
		return fmt.Errorf("validUntil: %w", err)
	}
	if m.ValidUntil.IsZero() || t.Before(m.ValidUntil) {
		m.ValidUntil = t
	}
	return nil
}

func (m *Metadata) add(text string) error {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return errors.New("certificate: RSA key is too small")
		}
	case *ecdsa.PublicKey:
	default:
		return errors.New("certificate: neither an RSA nor an EC key")
	}
	for _, have := range m.Certificates {
		if have.Equal(c) {
			return nil
		}
	}
	if len(m.Certificates) == maxCertificates {
		return errors.New("too many certificates")
	}
	m.Certificates = append(m.Certificates, c)
	return nil
}

// parseTime reads an xs:dateTime as SAML core, section 1.3.3 has it: in UTC. Without a zone it is UTC too.
func parseTime(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if t, err = time.Parse("2006-01-02T15:04:05", text); err != nil {
			return t, errors.New("not a time")
		}
	}
	return t.UTC(), nil
}
