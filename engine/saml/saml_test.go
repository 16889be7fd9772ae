package saml_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/saml"
	"github.com/holdfast-cloud/holdfast/engine/saml/samltest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	entity   = "https://idp.example.com/saml"
	role     = "arn:aws:iam::111122223333:role/Admin"
	provider = "arn:aws:iam::111122223333:saml-provider/Example"
	prefix   = samltest.Attributes
)

func wantError(t *testing.T, err error, kind saml.Kind, message string) {
	t.Helper()
	if message == "" {
		if err != nil {
			t.Errorf("got %v, want success", err)
		}
		return
	}
	var e *saml.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Message != message {
		t.Errorf("got %v, want %v %q", err, kind, message)
	}
}

func metadata(t testing.TB, p *samltest.Provider) *saml.Metadata {
	t.Helper()
	m, err := saml.ParseMetadata([]byte(p.Metadata()))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestVerify(t *testing.T) {
	idp := samltest.NewEC(t, entity)
	m := metadata(t, idp)
	got, err := m.Verify(idp.Sign(samltest.Response{
		Now: now, NameID: "ann@example.com", Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient", SessionName: "ann@example.com",
		Roles: []string{role + "," + provider, provider + " , " + role + "2", "nonsense"},
		Attributes: map[string][]string{
			"SessionDuration": {"3600"}, "SourceIdentity": {"ann"}, "PrincipalTag:Team": {"red"}, "PrincipalTag:Cost": {""},
			"TransitiveTagKeys": {"Team", "Cost", "Team"}, "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": {"staff", "member"}, "urn:oid:2.5.4.3": {"Ann"},
		},
		Edit: func(response *etree.Element) {
			response.FindElement(".//saml:AuthnStatement").CreateAttr("SessionNotOnOrAfter", "2026-03-01T20:00:00Z")
		},
	}), saml.Service{}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := &saml.Assertion{
		ID: "_assertion-2", Issuer: entity, Subject: "ann@example.com", Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
		Recipient: samltest.SignIn, Roles: []saml.Role{{role, provider}, {role + "2", provider}}, SessionName: "ann@example.com",
		Duration: time.Hour, SessionEnds: now.Add(8 * time.Hour), Tags: map[string]string{"Team": "red", "Cost": ""}, TransitiveTags: []string{"Cost", "Team"},
		SourceIdentity: "ann", Attributes: got.Attributes,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Verify (-want +got):\n%s", diff)
	}
	if !got.Allows(role, provider) || got.Allows(role, provider+"x") || got.Allows(provider, role) {
		t.Error("Allows does not tell the roles")
	}
	conditions := map[string][]string{
		"aud": {samltest.SignIn}, "iss": {entity}, "sub": {"ann@example.com"}, "sub_type": {"transient"}, "doc": {"111122223333/Example"},
		"namequalifier": {saml.NameQualifier(entity, "111122223333", "Example")}, "edupersonaffiliation": {"staff", "member"},
		"cn": {"Ann"}, "commonName": {"Ann"},
	}
	if diff := cmp.Diff(conditions, got.Conditions("111122223333", "Example")); diff != "" {
		t.Errorf("Conditions (-want +got):\n%s", diff)
	}
}

func TestNameQualifier(t *testing.T) {
	// printf 'https://example.com/saml123456789012/MySAMLIdP' | openssl dgst -sha1 -binary | base64
	if got, want := saml.NameQualifier("https://example.com/saml", "123456789012", "MySAMLIdP"), "1uAJanUnBc2XeUkHURMht+xam2c="; got != want {
		t.Errorf("NameQualifier = %s, want %s", got, want)
	}
}

// set returns an edit that sets an attribute of the elements at a path; no value removes it.
func set(path, name string, value ...string) func(*etree.Element) {
	return func(response *etree.Element) {
		for _, e := range response.FindElements(path) {
			e.RemoveAttr(name)
			for _, v := range value {
				e.CreateAttr(name, v)
			}
		}
	}
}

func remove(path string) func(*etree.Element) {
	return func(response *etree.Element) {
		for _, e := range response.FindElements(path) {
			e.Parent().RemoveChild(e)
		}
	}
}

const (
	badResponse  = "Invalid SAML response"
	badSignature = "Response signature invalid"
	tooLate      = "Token must be redeemed within 5 minutes of issuance"
	badAudience  = "Response does not contain the required audience."
)

func at(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }

func TestContents(t *testing.T) {
	idp := samltest.NewEC(t, entity) // fast
	m := metadata(t, idp)
	attributes := func(name string, values ...string) samltest.Response {
		return samltest.Response{Attributes: map[string][]string{name: values}}
	}
	const badName, badSource = "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
		`Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`
	const badDuration = "SessionDuration in AuthnResponse must be between 900 and 43200 seconds"
	for i, test := range []struct {
		name     string
		response samltest.Response
		kind     saml.Kind
		message  string
	}{
		{"OK", samltest.Response{}, 0, ""},
		{"RegionalEndpoint", samltest.Response{Recipient: "https://eu-west-1.signin.aws.amazon.com/saml", Audience: "urn:amazon:webservices"}, 0, ""},
		{"ProvidersOwnEndpoint", samltest.Response{Recipient: "https://us-east-1.signin.aws.amazon.com/saml/acs/SAMLSP123",
			Audience: "https://us-east-1.signin.aws.amazon.com/saml/acs/SAMLSP123"}, 0, ""},
		{"LookalikeRecipient", samltest.Response{Recipient: "https://evil.example/https://signin.aws.amazon.com/saml"}, saml.Invalid, badResponse},
		{"LookalikeDomain", samltest.Response{Recipient: "https://x.evil-signin.aws.amazon.com.example/saml"}, saml.Invalid, badResponse},
		{"WrongAudience", samltest.Response{Audience: "https://elsewhere.example"}, saml.Invalid, badAudience},
		{"NoAudience", samltest.Response{Edit: remove(".//saml:AudienceRestriction")}, saml.Invalid, badAudience},
		{"SecondRestrictionFails", samltest.Response{Edit: func(r *etree.Element) {
			r.FindElement(".//saml:Conditions").CreateElement("saml:AudienceRestriction").CreateElement("saml:Audience").SetText("other")
		}}, saml.Invalid, badAudience},
		{"OneOfTwoAudiences", samltest.Response{Edit: func(r *etree.Element) {
			r.FindElement(".//saml:AudienceRestriction").CreateElement("saml:Audience").SetText("other")
		}}, 0, ""},
		{"UnknownCondition", samltest.Response{Edit: func(r *etree.Element) {
			r.FindElement(".//saml:Conditions").CreateElement("saml:Condition")
		}}, saml.Invalid, badResponse},
		{"OneTimeUse", samltest.Response{Edit: func(r *etree.Element) {
			r.FindElement(".//saml:Conditions").CreateElement("saml:OneTimeUse")
		}}, 0, ""},
		{"NoConditions", samltest.Response{Edit: remove(".//saml:Conditions")}, saml.Invalid, badResponse},
		{"ConditionsEnded", samltest.Response{Edit: set(".//saml:Conditions", "NotOnOrAfter", at(0))}, saml.Expired, tooLate},
		{"ConditionsNotYet", samltest.Response{Edit: set(".//saml:Conditions", "NotBefore", at(5*time.Minute+time.Second))}, saml.Invalid, badResponse},
		{"ConditionsALittleAhead", samltest.Response{Edit: set(".//saml:Conditions", "NotBefore", at(5*time.Minute))}, 0, ""},
		{"ConditionsNoTime", samltest.Response{Edit: set(".//saml:Conditions", "NotOnOrAfter", "soon")}, saml.Invalid, badResponse},
		{"IssuedLongAgo", samltest.Response{Edit: set(".//saml:Assertion", "IssueInstant", at(-5*time.Minute))}, saml.Expired, tooLate},
		{"IssuedInFuture", samltest.Response{Edit: set(".//saml:Assertion", "IssueInstant", at(6*time.Minute))}, saml.Invalid, badResponse},
		{"IssuedNever", samltest.Response{Edit: set(".//saml:Assertion", "IssueInstant")}, saml.Invalid, badResponse},
		{"Version1", samltest.Response{Edit: set(".//saml:Assertion", "Version", "1.1")}, saml.Invalid, badResponse},
		{"ResponseVersion1", samltest.Response{Edit: set(".", "Version", "1.1")}, saml.Invalid, badResponse},
		{"NoSubject", samltest.Response{Edit: remove(".//saml:Subject")}, saml.Invalid, badResponse},
		{"NoNameID", samltest.Response{Edit: remove(".//saml:NameID")}, saml.Invalid, badResponse},
		{"NoConfirmation", samltest.Response{Edit: remove(".//saml:SubjectConfirmation")}, saml.Invalid, badResponse},
		{"NoConfirmationData", samltest.Response{Edit: remove(".//saml:SubjectConfirmationData")}, saml.Invalid, badResponse},
		{"HolderOfKey", samltest.Response{Edit: set(".//saml:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")},
			saml.Invalid, badResponse},
		{"ConfirmationEnded", samltest.Response{Edit: set(".//saml:SubjectConfirmationData", "NotOnOrAfter", at(-time.Second))}, saml.Expired, tooLate},
		{"ConfirmationWithoutEnd", samltest.Response{Edit: set(".//saml:SubjectConfirmationData", "NotOnOrAfter")}, saml.Invalid, badResponse},
		{"NoRecipient", samltest.Response{Edit: set(".//saml:SubjectConfirmationData", "Recipient")}, saml.Invalid, badResponse},
		{"SecondConfirmationHolds", samltest.Response{Edit: func(r *etree.Element) {
			c := r.FindElement(".//saml:SubjectConfirmation")
			c.Parent().AddChild(c.Copy())
			c.SelectElement("SubjectConfirmationData").CreateAttr("Recipient", "https://elsewhere.example")
		}}, 0, ""},
		{"NoAuthnStatement", samltest.Response{Edit: remove(".//saml:AuthnStatement")}, saml.Invalid, badResponse},
		{"SessionEnded", samltest.Response{Edit: set(".//saml:AuthnStatement", "SessionNotOnOrAfter", at(0))}, saml.Expired, tooLate},
		{"NoRoles", samltest.Response{Roles: nil}, 0, ""},
		{"NoSessionName", samltest.Response{SessionName: "-"}, saml.Invalid, "RoleSessionName is required in AuthnResponse"},
		{"BadSessionName", samltest.Response{SessionName: "ann smith"}, saml.Invalid, badName},
		{"TwoSessionNames", attributes("RoleSessionName", "ann", "bob"), saml.Invalid, badName},
		{"BadSourceIdentity", attributes("SourceIdentity", "aws:ann"), saml.Invalid, badSource},
		{"DurationIsText", attributes("SessionDuration", "long"), saml.Invalid, badDuration},
		{"DurationTooLong", attributes("SessionDuration", "43201"), saml.Invalid, badDuration},
		{"DurationTooShort", attributes("SessionDuration", "899"), saml.Invalid, badDuration},
		{"DurationOverflows", attributes("SessionDuration", "9223372036854775807"), saml.Invalid, badDuration},
		{"TagWithTwoValues", attributes("PrincipalTag:Team", "red", "blue"), saml.Invalid, "PrincipalTag in AuthnResponse must have a key and one value"},
		{"StructuredAttributeOfOthers", samltest.Response{Edit: func(r *etree.Element) {
			a := r.FindElement(".//saml:AttributeStatement").CreateElement("saml:Attribute")
			a.CreateAttr("Name", "urn:oid:1.3.6.1.4.1.5923.1.1.1.10")
			a.CreateElement("saml:AttributeValue").CreateElement("saml:NameID").SetText("x")
		}}, 0, ""},
		{"StructuredRole", samltest.Response{Edit: func(r *etree.Element) {
			a := r.FindElement(".//saml:AttributeStatement").CreateElement("saml:Attribute")
			a.CreateAttr("Name", prefix+"Role")
			a.CreateElement("saml:AttributeValue").CreateElement("saml:NameID").SetText("x")
		}}, saml.Invalid, badResponse},
		{"OtherIssuer", samltest.Response{Edit: func(r *etree.Element) { r.FindElement("./saml:Assertion/saml:Issuer").SetText("https://other") }},
			saml.Invalid, "Issuer not present in specified provider"},
		{"NoIssuer", samltest.Response{Edit: remove("./saml:Assertion/saml:Issuer")}, saml.Invalid, "Issuer not present in specified provider"},
		{"Failed", samltest.Response{Edit: set(".//samlp:StatusCode", "Value", "urn:oasis:names:tc:SAML:2.0:status:Requester")},
			saml.Rejected, "The identity provider reported that authentication failed"},
		{"NoStatus", samltest.Response{Edit: remove("./samlp:Status")}, saml.Invalid, badResponse},
		{"Encrypted", samltest.Response{Edit: func(r *etree.Element) { r.CreateElement("saml:EncryptedAssertion") }},
			saml.Invalid, "Encrypted SAML assertions are not supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.response.Now, test.response.SignResponse = now, i%2 == 1 // what is signed makes no difference to what is said
			_, err := m.Verify(idp.Sign(test.response), saml.Service{}, now)
			wantError(t, err, test.kind, test.message)
		})
	}
	t.Run("OwnService", func(t *testing.T) {
		service := saml.Service{Recipients: []string{"https://cloud.house/saml"}, Audiences: []string{"urn:house"}}
		_, err := m.Verify(idp.Sign(samltest.Response{Now: now, Recipient: "https://cloud.house/saml", Audience: "urn:house"}), service, now)
		wantError(t, err, 0, "")
		_, err = m.Verify(idp.Sign(samltest.Response{Now: now, Audience: "urn:house"}), service, now)
		wantError(t, err, saml.Invalid, badResponse)
		_, err = m.Verify(idp.Sign(samltest.Response{Now: now, Recipient: "https://cloud.house/saml"}), service, now)
		wantError(t, err, saml.Invalid, badAudience)
	})
	t.Run("MetadataExpired", func(t *testing.T) {
		old := *m
		old.ValidUntil = now
		_, err := old.Verify(idp.Sign(samltest.Response{Now: now}), saml.Service{}, now)
		wantError(t, err, saml.Invalid, badSignature)
	})
	t.Run("RedeemedLater", func(t *testing.T) {
		response := idp.Sign(samltest.Response{Now: now})
		_, err := m.Verify(response, saml.Service{}, now.Add(5*time.Minute-time.Second))
		wantError(t, err, 0, "")
		_, err = m.Verify(response, saml.Service{}, now.Add(5*time.Minute))
		wantError(t, err, saml.Expired, tooLate)
	})
}

func TestSignatures(t *testing.T) {
	idp, ec, stranger := samltest.New(t, entity), samltest.NewEC(t, entity), samltest.NewEC(t, entity)
	both := metadata(t, idp)
	both.Certificates = append(both.Certificates, metadata(t, ec).Certificates...)
	for _, test := range []struct {
		name    string
		by      *samltest.Provider
		r       samltest.Response
		message string
	}{
		{"RSA", idp, samltest.Response{}, ""},
		{"EC", ec, samltest.Response{}, ""},
		{"Response", idp, samltest.Response{SignResponse: true}, ""},
		{"Both", idp, samltest.Response{SignBoth: true}, ""},
		{"SHA512", idp, samltest.Response{Hash: crypto.SHA512}, ""},
		{"SHA1", idp, samltest.Response{Hash: crypto.SHA1}, badSignature},
		{"Unsigned", idp, samltest.Response{Unsigned: true}, badSignature},
		{"Stranger", stranger, samltest.Response{}, badSignature},
		{"StrangerSignsResponse", stranger, samltest.Response{SignResponse: true}, badSignature},
		{"CertificateNotNeeded", idp, samltest.Response{Tamper: remove(".//KeyInfo")}, ""},
		{"CertificateExchanged", idp, samltest.Response{Tamper: func(r *etree.Element) {
			// The key is the metadata's whatever the document says.
			r.FindElement(".//X509Certificate").SetText("AAAA")
		}}, ""},
		{"Altered", idp, samltest.Response{Tamper: func(r *etree.Element) { r.FindElement(".//saml:NameID").SetText("root") }}, badSignature},
		{"AlteredUnderResponse", idp, samltest.Response{SignResponse: true, Tamper: func(r *etree.Element) {
			r.FindElement(".//saml:NameID").SetText("root")
		}}, badSignature},
		{"BadResponseSignatureIsNotPassedOver", idp, samltest.Response{SignBoth: true, Tamper: set(".", "Destination", "https://elsewhere")}, badSignature},
		{"CommentInNameID", idp, samltest.Response{NameID: "root@example.com.evil.example", Tamper: func(r *etree.Element) {
			// Canonical XML drops comments, so the signature stays good; what may not change is what is read.
			n := r.FindElement(".//saml:NameID")
			n.SetText("root@example.com")
			n.CreateComment("")
			n.CreateText(".evil.example")
		}}, ""},
		{"NamespaceFromAround", idp, samltest.Response{Tamper: set("./saml:Assertion", "xmlns:saml")}, ""},
		{"DigestChanged", idp, samltest.Response{Tamper: func(r *etree.Element) { r.FindElement(".//DigestValue").SetText("AAAA") }}, badSignature},
		{"ReferenceToAll", idp, samltest.Response{Tamper: set(".//Reference", "URI", "")}, badSignature},
		{"ReferenceElsewhere", idp, samltest.Response{Tamper: set(".//Reference", "URI", "#other")}, badSignature},
		{"TwoReferences", idp, samltest.Response{Tamper: func(r *etree.Element) {
			e := r.FindElement(".//Reference")
			e.Parent().AddChild(e.Copy())
		}}, badSignature},
		{"TwoSignatures", idp, samltest.Response{Tamper: func(r *etree.Element) {
			e := r.FindElement(".//Signature")
			e.Parent().AddChild(e.Copy())
		}}, badSignature},
		{"UnknownTransform", idp, samltest.Response{Tamper: set(".//Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")}, badSignature},
		{"HMAC", idp, samltest.Response{Tamper: set(".//SignatureMethod", "Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1")}, badSignature},
		{"NoID", idp, samltest.Response{Tamper: set(".//saml:Assertion", "ID")}, badSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.r.Now = now
			got, err := both.Verify(test.by.Sign(test.r), saml.Service{}, now)
			wantError(t, err, saml.Invalid, test.message)
			if want := max(test.r.NameID, "ann"); err == nil && got.Subject != want {
				t.Errorf("Subject is %q, want %q", got.Subject, want)
			}
		})
	}
}

// TestWrapping tries the eight shapes of signature wrapping (Somorovsky et al., On Breaking SAML, 2012): the signed part stays in the document, so its
// signature verifies, and a forged assertion stands where the application might look.
func TestWrapping(t *testing.T) {
	idp := samltest.NewEC(t, entity)
	m := metadata(t, idp)
	forge := func(e *etree.Element) *etree.Element {
		evil := e.Copy()
		for _, s := range evil.FindElements(".//Signature") {
			s.Parent().RemoveChild(s)
		}
		evil.FindElement(".//saml:NameID").SetText("root")
		return evil
	}
	assertion := func(r *etree.Element) *etree.Element { return r.FindElement("./saml:Assertion") }
	for _, test := range []struct {
		name   string
		whole  bool
		tamper func(r *etree.Element)
	}{
		{"ResponseInSignature", true, func(r *etree.Element) { // the signed response moves into the signature of a forged one
			original, signature := r.Copy(), r.FindElement("./ds:Signature")
			original.RemoveChild(original.FindElement("./ds:Signature"))
			assertion(r).FindElement(".//saml:NameID").SetText("root")
			r.CreateAttr("ID", "_evil")
			signature.CreateElement("ds:Object").AddChild(original)
		}},
		{"ResponseBesideAssertion", true, func(r *etree.Element) {
			original := r.Copy()
			assertion(r).FindElement(".//saml:NameID").SetText("root")
			r.CreateAttr("ID", "_evil")
			r.AddChild(original)
		}},
		{"ForgedBeforeSigned", false, func(r *etree.Element) {
			evil := forge(assertion(r))
			evil.CreateAttr("ID", "_evil")
			r.InsertChildAt(assertion(r).Index(), evil)
		}},
		{"ForgedAfterSigned", false, func(r *etree.Element) {
			evil := forge(assertion(r))
			evil.CreateAttr("ID", "_evil")
			r.AddChild(evil)
		}},
		{"SameIDTwice", false, func(r *etree.Element) { r.AddChild(forge(assertion(r))) }},
		{"SignedInsideForged", false, func(r *etree.Element) {
			original := assertion(r)
			evil := forge(original)
			evil.CreateAttr("ID", "_evil")
			r.RemoveChild(original)
			evil.AddChild(original)
			r.AddChild(evil)
		}},
		{"SignatureMovesToForged", false, func(r *etree.Element) {
			original := assertion(r)
			signature := original.FindElement("./ds:Signature")
			evil := forge(original)
			evil.CreateAttr("ID", "_evil")
			original.RemoveChild(signature)
			signature.CreateElement("ds:Object").AddChild(original)
			r.RemoveChild(original)
			evil.AddChild(signature)
			r.AddChild(evil)
		}},
		{"SignedInExtensions", false, func(r *etree.Element) {
			original := assertion(r)
			evil := forge(original)
			evil.CreateAttr("ID", "_evil")
			r.RemoveChild(original)
			r.CreateElement("samlp:Extensions").AddChild(original)
			r.AddChild(evil)
		}},
		{"SignedUnderAnotherName", false, func(r *etree.Element) { // the signed one is hidden from a search by namespace
			evil := forge(assertion(r))
			evil.CreateAttr("ID", "_evil")
			evil.CreateAttr("xmlns:x", "urn:x")
			evil.Space = "x"
			r.AddChild(evil)
		}},
		{"IDInAnotherNamespace", false, func(r *etree.Element) {
			a := assertion(r)
			a.CreateAttr("xmlns:x", "urn:x")
			a.CreateAttr("x:ID", a.SelectAttrValue("ID", ""))
		}},
		{"NameIDTwice", false, func(r *etree.Element) {
			n := r.FindElement(".//saml:NameID")
			evil := n.Copy()
			evil.SetText("root")
			n.Parent().InsertChildAt(0, evil)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := m.Verify(idp.Sign(samltest.Response{Now: now, SignResponse: test.whole, Tamper: test.tamper}), saml.Service{}, now)
			var e *saml.Error
			if !errors.As(err, &e) || e.Kind != saml.Invalid {
				t.Errorf("Verify = %+v, %v, want a refusal", got, err)
			}
		})
	}
}

func TestXML(t *testing.T) {
	idp := samltest.NewEC(t, entity)
	m := metadata(t, idp)
	good := idp.Document(samltest.Response{Now: now})
	deep := strings.Repeat("<a>", 20000)
	for name, document := range map[string]string{
		"Empty":           "",
		"NotXML":          "hello",
		"OtherRoot":       "<Response/>",
		"Truncated":       good[:len(good)/2],
		"TwoRoots":        good + good,
		"DTD":             `<!DOCTYPE x [<!ENTITY e "ann">]>` + good,
		"EntityBomb":      `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>`,
		"Instruction":     strings.Replace(good, "<saml:Subject>", "<?php x?><saml:Subject>", 1),
		"OtherEncoding":   `<?xml version="1.0" encoding="UTF-16"?>` + good,
		"Deep":            strings.Replace(good, "<saml:Subject>", deep+"<saml:Subject>", 1),
		"DeepAndClosed":   deep + strings.Repeat("</a>", 20000),
		"Deep100":         strings.Replace(good, "<saml:Subject>", strings.Repeat("<a>", 100)+strings.Repeat("</a>", 100)+"<saml:Subject>", 1),
		"ManyElements":    strings.Replace(good, "<saml:Subject>", strings.Repeat("<a/>", 5000)+"<saml:Subject>", 1),
		"AttributeTwice":  strings.Replace(good, `Version="2.0"`, `Version="2.0" Version="2.0"`, 1),
		"ColonInName":     strings.Replace(good, "<saml:Subject>", "<saml:x::y/><saml:Subject>", 1),
		"UndeclaredSpace": strings.Replace(good, "<saml:Subject>", "<u:x/><saml:Subject>", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.Verify(base64.StdEncoding.EncodeToString([]byte(document)), saml.Service{}, now)
			var e *saml.Error
			if !errors.As(err, &e) || e.Kind != saml.Invalid {
				t.Errorf("Verify: %v, want Invalid", err)
			}
			if err != nil && strings.Contains(err.Error(), "ann") {
				t.Errorf("the error quotes the response: %v", err)
			}
		})
	}
	t.Run("NotBase64", func(t *testing.T) {
		_, err := m.Verify("<xml>", saml.Service{}, now)
		wantError(t, err, saml.Invalid, badResponse)
	})
	t.Run("TooLong", func(t *testing.T) {
		_, err := m.Verify(strings.Repeat("A", saml.MaxResponse+1), saml.Service{}, now)
		wantError(t, err, saml.Invalid, badResponse)
	})
	// The signature library copies all namespaces at every element: this one would keep it busy for a second a certificate.
	t.Run("ManyNamespaces", func(t *testing.T) {
		declared := func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, ` xmlns:a%d="urn:x"`, i)
			}
			return strings.Replace(good, "<saml:Subject>", "<a"+b.String()+">"+strings.Repeat("<b/>", 900)+"</a><saml:Subject>", 1)
		}
		for n, cause := range map[int]string{50: "not signed by", 2000: "too many namespaces"} {
			_, err := m.Verify(base64.StdEncoding.EncodeToString([]byte(declared(n))), saml.Service{}, now)
			if err == nil || !strings.Contains(err.Error(), cause) {
				t.Errorf("%d namespaces: %v, want one that says %s", n, err, cause)
			}
		}
	})
	t.Run("LineBreaksAndDeclaration", func(t *testing.T) {
		encoded := base64.StdEncoding.EncodeToString([]byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + good + "\n"))
		_, err := m.Verify(encoded[:76]+"\r\n"+encoded[76:], saml.Service{}, now)
		wantError(t, err, 0, "")
	})
}

func TestParseMetadata(t *testing.T) {
	idp := samltest.NewEC(t, entity)
	good := idp.Metadata()
	other := samltest.NewEC(t, entity).Metadata()
	between := func(document, from, to string) string {
		i := strings.Index(document, from) + len(from)
		return document[i : i+strings.Index(document[i:], to)]
	}
	cert := between(good, "<ds:X509Certificate>", "<")
	key := "<md:KeyDescriptor" + between(good, "<md:KeyDescriptor", "</md:KeyDescriptor>") + "</md:KeyDescriptor>"
	t.Run("OK", func(t *testing.T) {
		m, err := saml.ParseMetadata([]byte(good))
		if err != nil || m.EntityID != entity || len(m.Certificates) != 1 || !m.ValidUntil.IsZero() {
			t.Errorf("ParseMetadata = %+v, %v", m, err)
		}
	})
	t.Run("TwoKeys", func(t *testing.T) {
		second := strings.Replace(key, cert, between(other, "<ds:X509Certificate>", "<"), 1)
		m, err := saml.ParseMetadata([]byte(strings.Replace(good, key, key+second+key, 1)))
		if err != nil || len(m.Certificates) != 2 {
			t.Errorf("ParseMetadata = %+v, %v, want two certificates", m, err)
		}
	})
	t.Run("WrappedLinesAndKeyForBothUses", func(t *testing.T) {
		document := strings.Replace(strings.Replace(good, cert, "\n"+cert[:64]+"\n  "+cert[64:]+"\n", 1), ` use="signing"`, "", 1)
		if _, err := saml.ParseMetadata([]byte(document)); err != nil {
			t.Error(err)
		}
	})
	t.Run("ValidUntil", func(t *testing.T) {
		document := strings.Replace(good, " entityID=", ` validUntil="2027-01-01T00:00:00Z" entityID=`, 1)
		document = strings.Replace(document, "<md:IDPSSODescriptor ", `<md:IDPSSODescriptor validUntil="2026-06-01T00:00:00.5+02:00" `, 1)
		m, err := saml.ParseMetadata([]byte(document))
		if want := time.Date(2026, 5, 31, 22, 0, 0, 5e8, time.UTC); err != nil || !m.ValidUntil.Equal(want) {
			t.Errorf("ParseMetadata = %+v, %v, want valid until %v", m, err, want)
		}
	})
	for name, document := range map[string]string{
		"Empty":            "",
		"NotXML":           "{}",
		"OtherRoot":        "<html/>",
		"OtherNamespace":   strings.Replace(good, "SAML:2.0:metadata", "SAML:1.0:metadata", 1),
		"Truncated":        good[:len(good)-30],
		"TwoRoots":         good + "<x/>",
		"TextBehind":       good + "x",
		"NoEntityID":       strings.Replace(good, "entityID", "other", 1),
		"ServiceProvider":  strings.ReplaceAll(good, "IDPSSODescriptor", "SPSSODescriptor"),
		"OtherProtocol":    strings.Replace(good, "SAML:2.0:protocol", "SAML:1.1:protocol", 1),
		"NoCertificate":    strings.Replace(good, key, "", 1),
		"ForEncryption":    strings.Replace(good, `use="signing"`, `use="encryption"`, 1),
		"CertificateNoise": strings.Replace(good, cert, "AAAA", 1),
		"CertificateText":  strings.Replace(good, cert, "not base64!", 1),
		"BadValidUntil":    strings.Replace(good, " entityID=", ` validUntil="always" entityID=`, 1),
		"OtherEncoding":    strings.Replace(good, "UTF-8", "UTF-16", 1),
		"EntityBomb":       `<!DOCTYPE x [<!ENTITY a "a">]><md:EntityDescriptor>&a;</md:EntityDescriptor>`,
		"Deep":             strings.Repeat("<a>", 20000),
		"TooLarge":         strings.Repeat(" ", saml.MaxMetadata+1),
		"ManyCertificates": strings.Replace(good, key, manyKeys(t), 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := saml.ParseMetadata([]byte(document))
			wantError(t, err, saml.BadMetadata, "Could not parse metadata")
		})
	}
}

func manyKeys(t *testing.T) string {
	var b strings.Builder
	for range 21 {
		document := samltest.NewEC(t, entity).Metadata()
		i, j := strings.Index(document, "<md:KeyDescriptor"), strings.Index(document, "<md:NameIDFormat")
		fmt.Fprint(&b, document[i:j])
	}
	return b.String()
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(samltest.NewEC(f, entity).Metadata()))
	f.Add([]byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="a" validUntil="2026-01-01T00:00:00Z"/>`))
	f.Fuzz(func(t *testing.T, document []byte) {
		m, err := saml.ParseMetadata(document)
		if err == nil && (m.EntityID == "" || len(m.Certificates) == 0) {
			t.Errorf("ParseMetadata = %+v and no error", m)
		}
	})
}

// FuzzVerify changes a good response. Whatever still verifies must say the same.
func FuzzVerify(f *testing.F) {
	idp := samltest.NewEC(f, entity)
	m := metadata(f, idp)
	for _, whole := range []bool{false, true} {
		f.Add([]byte(idp.Document(samltest.Response{Now: now, SignResponse: whole, Roles: []string{role + "," + provider}})))
	}
	f.Add([]byte(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" Version="2.0"><samlp:Status/></samlp:Response>`))
	f.Fuzz(func(t *testing.T, document []byte) {
		a, err := m.Verify(base64.StdEncoding.EncodeToString(document), saml.Service{}, now)
		if err == nil && (a.Subject != "ann" || a.Issuer != entity || a.SessionName != "ann" || a.Recipient != samltest.SignIn) {
			t.Errorf("an altered response verified and says %+v", a)
		}
	})
}
