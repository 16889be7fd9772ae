// Package samltest is a SAML identity provider for tests: it has a real key, describes itself in metadata, and signs responses, right ones and wrong ones.
package samltest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	// SignIn is the URL of AWS's sign-in service, which is what responses are for unless a Response says otherwise.
	SignIn = "https://signin.aws.amazon.com/saml"
	// Attributes begins the names of the attributes that AWS has defined.
	Attributes = "https://aws.amazon.com/SAML/Attributes/"

	timeFormat = "2006-01-02T15:04:05.000Z"
)

// Provider is an identity provider. Its methods may be called concurrently.
type Provider struct {
	t        testing.TB
	entityID string
	key      crypto.Signer
	cert     *x509.Certificate
	mu       sync.Mutex // guards count
	count    int
}

// New makes a provider with an RSA key.
func New(t testing.TB, entityID string) *Provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return NewWithKey(t, entityID, key)
}

// NewEC makes a provider with an EC key on P-256.
func NewEC(t testing.TB, entityID string) *Provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return NewWithKey(t, entityID, key)
}

// NewWithKey makes a provider with a key of the caller's. Its certificate expired long ago, as those of real providers now and then have.
func NewWithKey(t testing.TB, entityID string, key crypto.Signer) *Provider {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatalf("making a certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parsing a certificate: %v", err)
	}
	return &Provider{t: t, entityID: entityID, key: key, cert: cert}
}

// Metadata returns the document that the provider is registered with. It is longer than the 1000 characters that IAM asks for.
func (p *Provider) Metadata() string {
	cert := base64.StdEncoding.EncodeToString(p.cert.Raw)
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<!-- %[3]s -->
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="%[1]s">
  <md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing">
      <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>%[2]s</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
    </md:KeyDescriptor>
    <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="%[1]s/sso"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
`, p.entityID, cert, fmt.Sprintf("%0500d", 0))
}

// Response says what the provider asserts. What is left out is as it should be.
type Response struct {
	Now         time.Time
	NameID      string // default ann
	Format      string // default persistent
	Recipient   string // default SignIn
	Audience    string // default SignIn
	SessionName string // default ann; "-" for none
	// Roles are pairs of ARNs with a comma between.
	Roles []string
	// Attributes are further ones. A name without a slash or colon gets AWS's prefix.
	Attributes map[string][]string
	// SignResponse signs the response in place of the assertion, SignBoth both.
	SignResponse, SignBoth bool
	// Unsigned signs nothing.
	Unsigned bool
	// Hash is SHA-256 by default.
	Hash crypto.Hash
	// Edit changes the response before it is signed, Tamper after.
	Edit, Tamper func(response *etree.Element)
}

// Sign returns a response in base64, as a browser posts it.
func (p *Provider) Sign(r Response) string {
	p.t.Helper()
	return base64.StdEncoding.EncodeToString([]byte(p.Document(r)))
}

func (p *Provider) nextID(kind string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return fmt.Sprintf("_%s-%d", kind, p.count)
}

// Document returns a response as XML.
func (p *Provider) Document(r Response) string {
	p.t.Helper()
	orElse := func(s *string, other string) {
		if *s == "" {
			*s = other
		}
	}
	orElse(&r.NameID, "ann")
	orElse(&r.Format, "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")
	orElse(&r.Recipient, SignIn)
	orElse(&r.Audience, SignIn)
	orElse(&r.SessionName, "ann")
	if r.Hash == 0 {
		r.Hash = crypto.SHA256
	}

	response := etree.NewElement("samlp:Response")
	response.CreateAttr("xmlns:samlp", "urn:oasis:names:tc:SAML:2.0:protocol")
	response.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	response.CreateAttr("ID", p.nextID("response"))
	response.CreateAttr("Version", "2.0")
	response.CreateAttr("IssueInstant", r.Now.UTC().Format(timeFormat))
	response.CreateAttr("Destination", r.Recipient)
	response.CreateElement("saml:Issuer").SetText(p.entityID)
	response.CreateElement("samlp:Status").CreateElement("samlp:StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
	p.assert(response, &r)
	if r.Edit != nil {
		r.Edit(response)
	}
	if !r.Unsigned && (!r.SignResponse || r.SignBoth) {
		p.envelop(response.SelectElement("saml:Assertion"), r.Hash)
	}
	if !r.Unsigned && (r.SignResponse || r.SignBoth) {
		p.envelop(response, r.Hash)
	}
	if r.Tamper != nil {
		r.Tamper(response)
	}
	tree := etree.NewDocument()
	tree.SetRoot(response)
	text, err := tree.WriteToString()
	if err != nil {
		p.t.Fatalf("writing a response: %v", err)
	}
	return text
}

func (p *Provider) assert(response *etree.Element, r *Response) {
	stamp := func(d time.Duration) string { return r.Now.Add(d).UTC().Format(timeFormat) }
	a := response.CreateElement("saml:Assertion")
	a.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	a.CreateAttr("ID", p.nextID("assertion"))
	a.CreateAttr("Version", "2.0")
	a.CreateAttr("IssueInstant", stamp(0))
	a.CreateElement("saml:Issuer").SetText(p.entityID)
	subject := a.CreateElement("saml:Subject")
	id := subject.CreateElement("saml:NameID")
	id.CreateAttr("Format", r.Format)
	id.SetText(r.NameID)
	confirmation := subject.CreateElement("saml:SubjectConfirmation")
	confirmation.CreateAttr("Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer")
	data := confirmation.CreateElement("saml:SubjectConfirmationData")
	data.CreateAttr("NotOnOrAfter", stamp(5*time.Minute))
	data.CreateAttr("Recipient", r.Recipient)
	conditions := a.CreateElement("saml:Conditions")
	conditions.CreateAttr("NotBefore", stamp(-time.Minute))
	conditions.CreateAttr("NotOnOrAfter", stamp(5*time.Minute))
	conditions.CreateElement("saml:AudienceRestriction").CreateElement("saml:Audience").SetText(r.Audience)
	statement := a.CreateElement("saml:AuthnStatement")
	statement.CreateAttr("AuthnInstant", stamp(0))
	statement.CreateAttr("SessionIndex", a.SelectAttrValue("ID", ""))
	statement.CreateElement("saml:AuthnContext").CreateElement("saml:AuthnContextClassRef").
		SetText("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport")

	values := map[string][]string{Attributes + "Role": r.Roles}
	if r.SessionName != "-" {
		values[Attributes+"RoleSessionName"] = []string{r.SessionName}
	}
	for name, v := range r.Attributes {
		if !slices.ContainsFunc([]rune(name), func(c rune) bool { return c == '/' }) && !isURN(name) {
			name = Attributes + name
		}
		values[name] = v
	}
	attributes := a.CreateElement("saml:AttributeStatement")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if values[name] == nil {
			continue
		}
		attribute := attributes.CreateElement("saml:Attribute")
		attribute.CreateAttr("Name", name)
		for _, v := range values[name] {
			attribute.CreateElement("saml:AttributeValue").SetText(v)
		}
	}
}

func isURN(name string) bool { return len(name) > 4 && name[:4] == "urn:" }

// envelop signs an element in place, with the signature behind the issuer, where the schema has it.
func (p *Provider) envelop(e *etree.Element, hash crypto.Hash) {
	p.t.Helper()
	context, err := dsig.NewSigningContext(p.key, [][]byte{p.cert.Raw})
	if err != nil {
		p.t.Fatalf("preparing to sign: %v", err)
	}
	context.Hash = hash
	context.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := context.ConstructSignature(e, true)
	if err != nil {
		p.t.Fatalf("signing: %v", err)
	}
	if key, ok := p.key.Public().(*ecdsa.PublicKey); ok {
		p.sideBySide(signature.SelectElement("SignatureValue"), (key.Curve.Params().BitSize+7)/8)
	}
	e.InsertChildAt(1, signature)
}

// sideBySide turns an ECDSA signature from ASN.1's form into XML Signature's.
func (p *Provider) sideBySide(value *etree.Element, size int) {
	p.t.Helper()
	der, err := base64.StdEncoding.DecodeString(value.Text())
	var pair struct{ R, S *big.Int }
	if err == nil {
		_, err = asn1.Unmarshal(der, &pair)
	}
	if err != nil {
		p.t.Fatalf("reading a signature: %v", err)
	}
	raw := make([]byte, 2*size)
	pair.R.FillBytes(raw[:size])
	pair.S.FillBytes(raw[size:])
	value.SetText(base64.StdEncoding.EncodeToString(raw))
}
