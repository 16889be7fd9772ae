package saml

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"

	"github.com/beevik/etree"
	xrv "github.com/mattermost/xml-roundtrip-validator"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

const (
	// maxDepth is far more than any response has.
	maxDepth = 64
	// maxTags bounds how much work a response makes before its signature is looked at. The signature library reads a thousand elements, with two tags each.
	maxTags = 4000
	// maxSpaces bounds how many namespaces may be declared around any element. The library copies all of them at every element; responses declare some ten.
	maxSpaces = 64
)

// parse reads a response into a tree, if it means the same to every parser.
func parse(document []byte) (*etree.Element, error) {
	if bytes.Count(document, []byte("<")) > maxTags {
		return nil, errors.New("too many elements")
	}
	// What Go's decoder changes when it writes again, another parser may have read otherwise. The error would quote the document.
	if err := xrv.Validate(bytes.NewReader(document)); err != nil {
		return nil, errors.New("not stable XML")
	}
	tree := etree.NewDocument()
	tree.ReadSettings = etree.ReadSettings{ValidateInput: true, MaxDepth: maxDepth, PreserveDuplicateAttrs: true}
	if err := tree.ReadFromBytes(document); err != nil {
		return nil, errors.New("not XML")
	}
	for i, token := range tree.Child {
		switch token := token.(type) {
		case *etree.Directive:
			return nil, errors.New("document type declaration")
		case *etree.ProcInst:
			if i != 0 || token.Target != "xml" || strings.Contains(token.Inst, "encoding") && !strings.Contains(strings.ToLower(token.Inst), "utf-8") {
				return nil, errors.New("processing instruction, or not UTF-8")
			}
		}
	}
	if len(tree.ChildElements()) != 1 {
		return nil, errors.New("not one root element")
	}
	return tree.Root(), nil
}

// is tells whether an element has a name.
func is(e *etree.Element, space, name string) bool { return e.Tag == name && e.NamespaceURI() == space }

// children returns the child elements of a name.
func children(e *etree.Element, space, name string) []*etree.Element {
	var found []*etree.Element
	for _, child := range e.ChildElements() {
		if is(child, space, name) {
			found = append(found, child)
		}
	}
	return found
}

// child returns the only child element of a name, nil if there is none or there are several.
func child(e *etree.Element, space, name string) *etree.Element {
	if found := children(e, space, name); len(found) == 1 {
		return found[0]
	}
	return nil
}

// attribute returns an attribute without a namespace. SelectAttr would return one of any.
func attribute(e *etree.Element, name string) string {
	for _, a := range e.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value
		}
	}
	return ""
}

// text returns the text of an element that has nothing else in it. Text around a comment is not text: parsers disagree on which part of it counts.
func text(e *etree.Element) (string, bool) {
	var b strings.Builder
	for _, token := range e.Child {
		data, ok := token.(*etree.CharData)
		if !ok {
			return "", false
		}
		b.WriteString(data.Data)
	}
	return strings.TrimSpace(b.String()), true
}

// shape is what is known of a response before anything in it is believed.
type shape struct {
	assertion          *etree.Element
	assertions         int
	encrypted          bool
	ids                map[string]bool
	repeated, stray    bool // an ID occurs twice; a signature, comment or the like is where none may be
	attributesRepeated bool
	crowded            bool // there are more namespaces around an element than maxSpaces
}

// walk looks at an element around which so many namespaces are declared.
func (s *shape) walk(e *etree.Element, root *etree.Element, spaces int) {
	switch {
	case e.Tag == "Assertion": // of any namespace, so that nothing that looks like one to somebody is overlooked
		s.assertions++
		if e.Parent() == root && is(e, nsAssertion, "Assertion") {
			s.assertion = e
		}
	case e.Tag == "EncryptedAssertion":
		s.encrypted = true
	case e.Tag == "Signature":
		p := e.Parent()
		if p != root && !(p != nil && p.Parent() == root && is(p, nsAssertion, "Assertion")) {
			s.stray = true
		}
	}
	seen := make(map[string]bool, len(e.Attr))
	for _, a := range e.Attr {
		name := a.Space + ":" + a.Key
		s.attributesRepeated = s.attributesRepeated || seen[name]
		seen[name] = true
		if a.Space == "xmlns" || name == ":xmlns" {
			spaces++
		}
		// XML Signature leaves it to the document type what an ID is. There is no such declaration here, so every spelling counts.
		if strings.EqualFold(a.Key, "ID") && a.Space != "xmlns" {
			s.repeated = s.repeated || s.ids[a.Value]
			s.ids[a.Value] = true
		}
	}
	if spaces > maxSpaces {
		s.crowded = true
		return
	}
	for _, token := range e.Child {
		switch token := token.(type) {
		case *etree.Element:
			s.walk(token, root, spaces)
		case *etree.ProcInst, *etree.Directive:
			s.stray = true
		}
	}
}

// verified returns the assertion of a response, from bytes that a certificate of the metadata has signed.
func (m *Metadata) verified(root *etree.Element) (*etree.Element, error) {
	s := shape{ids: make(map[string]bool)}
	s.walk(root, root, 0)
	switch {
	case s.crowded:
		return nil, invalid(because("too many namespaces"), invalidResponse)
	case s.encrypted:
		return nil, invalid(nil, "Encrypted SAML assertions are not supported")
	case s.assertions != 1 || s.assertion == nil:
		return nil, invalid(because("not one assertion"), invalidResponse)
	case s.repeated || s.attributesRepeated:
		return nil, invalid(because("an ID or attribute occurs twice"), invalidResponse)
	case s.stray:
		return nil, invalid(because("a signature or instruction is out of place"), invalidSignature)
	}
	// Both may be signed. The response's signature covers all of it; if it is there it has to be good.
	signed := root
	if len(children(root, nsSignature, "Signature")) == 0 {
		signed = s.assertion
	}
	good, err := m.signedBytes(signed)
	if err != nil {
		return nil, invalid(err, invalidSignature)
	}
	if signed == s.assertion {
		if !is(good, nsAssertion, "Assertion") {
			return nil, invalid(because("signed element is no assertion"), invalidSignature)
		}
		return good, nil
	}
	assertion := child(good, nsAssertion, "Assertion")
	if !is(good, nsProtocol, "Response") || assertion == nil {
		return nil, invalid(because("signed element is no response with an assertion"), invalidSignature)
	}
	return assertion, nil
}

var errUnsigned = errors.New("not signed by a certificate of the metadata")

// signedBytes verifies the enveloped signature of an element and returns the element as it was signed, parsed from the bytes that were hashed. The library checks the
// signature; here is checked that it is the one meant, and that it uses nothing that makes it mean less.
func (m *Metadata) signedBytes(e *etree.Element) (*etree.Element, error) {
	around, err := etreeutils.NSBuildParentContext(e)
	if err != nil {
		return nil, errors.New("namespaces do not resolve")
	}
	alone, err := etreeutils.NSDetatch(around, e)
	if err != nil {
		return nil, errors.New("too many elements, or namespaces do not resolve")
	}
	signature := child(alone, nsSignature, "Signature")
	if signature == nil {
		return nil, errors.New("not one signature")
	}
	if err := checkSignature(signature, attribute(alone, "ID")); err != nil {
		return nil, err
	}
	// The keys are the metadata's, not the document's. KeyInfo is outside of what is signed.
	for _, info := range children(signature, nsSignature, "KeyInfo") {
		signature.RemoveChild(info)
	}
	value := child(signature, nsSignature, "SignatureValue")
	if value == nil {
		return nil, errors.New("not one signature value")
	}
	given, ok := text(value)
	if !ok {
		return nil, errors.New("signature value is not text")
	}
	given = strings.Join(strings.Fields(given), "")
	for _, c := range m.Certificates {
		value.SetText(encodingFor(c, given))
		context := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
		// A certificate in metadata is a container for a key: it does not expire.
		context.Clock = dsig.NewFakeClockAt(c.NotBefore)
		if good, err := context.Validate(alone); err == nil && good != nil {
			return good, nil
		}
	}
	return nil, errUnsigned
}

// checkSignature checks what a signature says about itself: one reference, to the element that it stands in (SAML core, section 5.4.2), and only algorithms
// that are still good, without those that keep comments or apply scripts.
func checkSignature(signature *etree.Element, id string) error {
	info := child(signature, nsSignature, "SignedInfo")
	if info == nil || id == "" {
		return errors.New("not one SignedInfo, or nothing to refer to")
	}
	reference := child(info, nsSignature, "Reference")
	if reference == nil || attribute(reference, "URI") != "#"+id {
		return errors.New("not one reference to the element that the signature is in")
	}
	return checkAlgorithms(signature)
}

func checkAlgorithms(e *etree.Element) error {
	for _, a := range e.Attr {
		if a.Key == dsig.AlgorithmAttr && !allowed(e.Tag, a.Value) {
			return errors.New("algorithm is not allowed")
		}
	}
	for _, child := range e.ChildElements() {
		if err := checkAlgorithms(child); err != nil {
			return err
		}
	}
	return nil
}

// allowed lists algorithms by the element that names them. SHA-1 is not among them: whoever can make it collide can have one document signed and show another.
func allowed(tag, algorithm string) bool {
	switch tag {
	case dsig.CanonicalizationMethodTag, dsig.TransformTag:
		switch dsig.AlgorithmID(algorithm) {
		case dsig.CanonicalXML10ExclusiveAlgorithmId, dsig.CanonicalXML11AlgorithmId, dsig.CanonicalXML10RecAlgorithmId:
			return true
		case dsig.EnvelopedSignatureAltorithmId:
			return tag == dsig.TransformTag
		}
	case dsig.SignatureMethodTag:
		switch algorithm {
		case dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
			dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod:
			return true
		}
	case dsig.DigestMethodTag:
		switch algorithm {
		case "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512":
			return true
		}
	}
	return false
}

// encodingFor turns an ECDSA signature from XML Signature's form, r and s side by side (section 6.4.3), into ASN.1's, which the library wants.
func encodingFor(c *x509.Certificate, given string) string {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return given
	}
	raw, err := base64.StdEncoding.DecodeString(given)
	size := (key.Curve.Params().BitSize + 7) / 8
	if err != nil || len(raw) != 2*size {
		return given
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
	if err != nil {
		return given
	}
	return base64.StdEncoding.EncodeToString(der)
}
