// Package saml reads the metadata documents of SAML 2.0 identity providers and verifies the responses that they issue for the web
// browser sign-on profile.
//
// [ParseMetadata] says who a provider is and which certificates it signs with. [Metadata.Verify] takes a response, as a browser
// would post it, and returns what it asserts as [Assertion].
//
// A response is XML from an unauthenticated caller, and most holes in SAML implementations come from verifying one part of a document and then believing
// another. So, in this order: the document must mean the same to every parser (no DTD, no processing instructions, stable when written again), have one
// assertion and no signature but the response's and the assertion's own, have no ID twice; the signature must be over the element that it stands in, with SHA-2,
// by a certificate of the metadata, whatever certificate the signature itself brings; and from there on only the bytes that were verified are read,
// parsed anew. Comments have no place in a value.
//
// Encrypted assertions are not read: a response with one is refused with a message that says so.
//
// https://docs.oasis-open.org/security/saml/v2.0/saml-core-2.0-os.pdf, saml-profiles-2.0-os.pdf, section 4.1.4.3, and
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html
package saml

import (
	"crypto/fips140"
	"crypto/sha1" // how AWS defines the name qualifier; it identifies and does not protect
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Kind says which sort of thing is wrong with a document.
type Kind int

const (
	// Invalid: the response is not what it must be.
	Invalid Kind = iota + 1
	// Expired: the response was good once.
	Expired
	// Rejected: the identity provider itself reports that it did not authenticate the user.
	Rejected
	// BadMetadata: the metadata document is not one of an identity provider.
	BadMetadata
)

func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid response"
	case Expired:
		return "expired response"
	case Rejected:
		return "rejected by the identity provider"
	case BadMetadata:
		return "invalid metadata"
	}
	return fmt.Sprintf("saml.Kind(%d)", int(k))
}

// Error is what this package says of a document that is not accepted.
type Error struct {
	Kind Kind
	// Message is for the caller who brought the document.
	Message string
	// Cause is for the log. It may be nil. It does not quote a response, which is as good as a password while it is fresh.
	Cause error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

func invalid(cause error, format string, args ...any) error {
	return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...), Cause: cause}
}

func because(text string) error { return errors.New(text) }

// Messages that AWS is known to give.
const (
	invalidResponse  = "Invalid SAML response"
	invalidSignature = "Response signature invalid"
	unknownIssuer    = "Issuer not present in specified provider"
	wrongAudience    = "Response does not contain the required audience."
	tooLate          = "Token must be redeemed within 5 minutes of issuance"
	noSessionName    = "RoleSessionName is required in AuthnResponse"
	badSessionName   = "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"
	badSource        = `Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`
	badMetadata      = "Could not parse metadata"
)

// Service is who responses must be for. Its zero value is AWS's sign-in service.
type Service struct {
	// Recipients are the URLs that responses may be sent to. None means those of AWS's sign-in service: that of every region, and those with a provider's own
	// path behind.
	Recipients []string
	// Audiences are the names of the service. None means the names of AWS's, and whatever is a recipient.
	Audiences []string
}

var signIn = regexp.MustCompile(`^https://(?:[a-z0-9-]+\.)?signin\.(?:aws\.amazon\.com|amazonaws\.cn|amazonaws-us-gov\.com)/saml(?:/acs/[A-Za-z0-9_-]+)?$`)

func (s *Service) recipient(url string) bool {
	if len(s.Recipients) == 0 {
		return signIn.MatchString(url)
	}
	return slices.Contains(s.Recipients, url)
}

func (s *Service) audience(name string) bool {
	if len(s.Audiences) > 0 {
		return slices.Contains(s.Audiences, name)
	}
	switch name {
	case "urn:amazon:webservices", "urn:amazon:webservices:cn-north-1", "urn:amazon:webservices:govcloud", "https://signin.aws.amazon.com/saml":
		return true
	}
	return s.recipient(name)
}

// Role is a role that the provider lets the user assume.
type Role struct{ RoleARN, ProviderARN string }

// Assertion is what a verified response says.
type Assertion struct {
	ID     string
	Issuer string
	// Subject is the NameID, Format the URI of its format.
	Subject, Format string
	// Recipient is the URL that the response was sent to. It is what AWS calls the audience.
	Recipient string
	Roles     []Role
	// SessionName is valid as the name of a role session.
	SessionName string
	// Duration is how long the session should last, zero if the provider does not say.
	Duration time.Duration
	// SessionEnds is when it has to end at the latest, the zero time if the provider does not say.
	SessionEnds    time.Time
	Tags           map[string]string
	TransitiveTags []string
	SourceIdentity string
	// Attributes are the values of all attributes by name.
	Attributes map[string][]string
}

// Allows tells whether the provider lets the user assume a role through a provider, both by ARN.
func (a *Assertion) Allows(role, provider string) bool {
	return slices.Contains(a.Roles, Role{RoleARN: role, ProviderARN: provider})
}

// SubjectType returns the format as saml:sub_type and the SubjectType of a response have it: persistent, transient, or the whole URI.
func (a *Assertion) SubjectType() string {
	const formats = "urn:oasis:names:tc:SAML:2.0:nameid-format:"
	if short := strings.TrimPrefix(a.Format, formats); short == "persistent" || short == "transient" {
		return short
	}
	return a.Format
}

// NameQualifier returns what, with the subject, identifies a user across providers: the hash of the issuer, the account and the provider's name.
func NameQualifier(issuer, account, provider string) string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum([]byte(issuer + account + "/" + provider)) })
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Conditions returns what the assertion says to the saml: condition keys, by the key's name after the colon, for a provider of an account.
func (a *Assertion) Conditions(account, provider string) map[string][]string {
	m := map[string][]string{
		"aud":           {a.Recipient},
		"iss":           {a.Issuer},
		"sub":           {a.Subject},
		"sub_type":      {a.SubjectType()},
		"namequalifier": {NameQualifier(a.Issuer, account, provider)},
		"doc":           {account + "/" + provider},
	}
	for attribute, values := range a.Attributes {
		for _, key := range conditionKeys(attribute) {
			m[key] = append(m[key], values...)
		}
	}
	return m
}

// conditionKeys returns the condition keys that an attribute is known by.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-saml
func conditionKeys(attribute string) []string {
	const (
		eduPerson = "1.3.6.1.4.1.5923.1.1.1."
		eduOrg    = "1.3.6.1.4.1.5923.1.2.1."
		claims    = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	)
	one := func(key string) []string { return []string{key} }
	switch strings.TrimPrefix(attribute, "urn:oid:") {
	case eduPerson + "1":
		return one("edupersonaffiliation")
	case eduPerson + "2":
		return one("edupersonnickname")
	case eduPerson + "3":
		return one("edupersonorgdn")
	case eduPerson + "4":
		return one("edupersonorgunitdn")
	case eduPerson + "5":
		return one("edupersonprimaryaffiliation")
	case eduPerson + "6":
		return one("edupersonprincipalname")
	case eduPerson + "7":
		return one("edupersonentitlement")
	case eduPerson + "8":
		return one("edupersonprimaryorgunitdn")
	case eduPerson + "9":
		return one("edupersonscopedaffiliation")
	case eduPerson + "10":
		return one("edupersontargetedid")
	case eduPerson + "11":
		return one("edupersonassurance")
	case eduOrg + "2":
		return one("eduorghomepageuri")
	case eduOrg + "3":
		return one("eduorgidentityauthnpolicyuri")
	case eduOrg + "4":
		return one("eduorglegalname")
	case eduOrg + "5":
		return one("eduorgsuperioruri")
	case eduOrg + "6":
		return one("eduorgwhitepagesuri")
	case "2.5.4.3":
		return []string{"cn", "commonName"}
	case "2.5.4.4", claims + "surname":
		return one("surname")
	case "2.5.4.42", claims + "givenname":
		return one("givenName")
	case "2.5.4.45":
		return one("x500UniqueIdentifier")
	case "0.9.2342.19200300.100.1.1":
		return one("uid")
	case "0.9.2342.19200300.100.1.3", claims + "emailaddress":
		return one("mail")
	case "0.9.2342.19200300.100.1.45":
		return one("organizationStatus")
	case claims + "name":
		return one("name")
	case "http://schemas.xmlsoap.org/claims/CommonName":
		return one("commonName")
	case "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid":
		return one("primaryGroupSID")
	}
	return nil
}
