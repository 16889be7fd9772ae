package saml

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"
)

const (
	// MaxResponse is the longest response that is read, in base64.
	MaxResponse = 100_000
	// skew is how far a provider's clock may be ahead of ours. Ends are not stretched.
	skew = 5 * time.Minute
	// redeemWithin is how long after its issue a response may be used.
	redeemWithin = 5 * time.Minute

	minDuration, maxDuration = 15 * time.Minute, 12 * time.Hour

	statusSuccess = "urn:oasis:names:tc:SAML:2.0:status:Success"
	bearer        = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	attributes    = "https://aws.amazon.com/SAML/Attributes/"
)

var sessionName = regexp.MustCompile(`^[a-zA-Z_0-9+=,.@-]{2,64}$`)

// Verify checks that a response, in base64 as a browser posts it, was issued by the provider for the service and is valid at now. Whatever is wrong is an [*Error].
func (m *Metadata) Verify(response string, service Service, now time.Time) (*Assertion, error) {
	if len(response) > MaxResponse {
		return nil, invalid(because("too long"), invalidResponse)
	}
	document, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(response), ""))
	if err != nil {
		return nil, invalid(because("not base64"), invalidResponse)
	}
	root, err := parse(bytes.TrimSpace(document))
	if err != nil {
		return nil, invalid(err, invalidResponse)
	}
	if !is(root, nsProtocol, "Response") || attribute(root, "Version") != "2.0" {
		return nil, invalid(because("not a SAML 2.0 response"), invalidResponse)
	}
	// A response that reports a failure has no assertion and often no signature. It opens nothing, so it may be believed.
	if err := checkStatus(root); err != nil {
		return nil, err
	}
	if !m.ValidUntil.IsZero() && !now.Before(m.ValidUntil) {
		return nil, invalid(because("the provider's metadata has expired"), invalidSignature)
	}
	// Before the signature, because with the wrong metadata that is what a person needs to hear. It is asked again of what was signed.
	if s := child(root, nsAssertion, "Assertion"); s != nil {
		if issuer := child(s, nsAssertion, "Issuer"); issuer == nil || !has(issuer, m.EntityID) {
			return nil, invalid(nil, unknownIssuer)
		}
	}
	assertion, err := m.verified(root)
	if err != nil {
		return nil, err
	}
	return m.read(assertion, &service, now)
}

func checkStatus(root *etree.Element) error {
	status := child(root, nsProtocol, "Status")
	if status == nil {
		return invalid(because("no status"), invalidResponse)
	}
	code := child(status, nsProtocol, "StatusCode")
	if code == nil {
		return invalid(because("no status code"), invalidResponse)
	}
	if value := attribute(code, "Value"); value != statusSuccess {
		return &Error{Kind: Rejected, Message: "The identity provider reported that authentication failed", Cause: because("status is not success")}
	}
	return nil
}

func has(e *etree.Element, want string) bool {
	got, ok := text(e)
	return ok && got == want
}

// read checks a verified assertion and returns what it says.
func (m *Metadata) read(e *etree.Element, service *Service, now time.Time) (*Assertion, error) {
	a := &Assertion{ID: attribute(e, "ID"), Issuer: m.EntityID}
	issuer := child(e, nsAssertion, "Issuer")
	if issuer == nil || !has(issuer, m.EntityID) {
		return nil, invalid(nil, unknownIssuer)
	}
	if attribute(e, "Version") != "2.0" {
		return nil, invalid(because("assertion is not of version 2.0"), invalidResponse)
	}
	issued, err := parseTime(attribute(e, "IssueInstant"))
	if err != nil || issued.After(now.Add(skew)) {
		return nil, invalid(because("IssueInstant is not a time or in the future"), invalidResponse)
	}
	if !now.Before(issued.Add(redeemWithin)) {
		return nil, &Error{Kind: Expired, Message: tooLate}
	}
	for _, step := range []func(*etree.Element, *Service, time.Time) error{a.conditions, a.subject, a.statement, a.attributes} {
		if err := step(e, service, now); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// during checks NotBefore and NotOnOrAfter, each of which may be missing.
func during(e *etree.Element, now time.Time) error {
	if start := attribute(e, "NotBefore"); start != "" {
		t, err := parseTime(start)
		if err != nil || now.Add(skew).Before(t) {
			return invalid(because("NotBefore is not a time or in the future"), invalidResponse)
		}
	}
	if end := attribute(e, "NotOnOrAfter"); end != "" {
		t, err := parseTime(end)
		if err != nil {
			return invalid(because("NotOnOrAfter is not a time"), invalidResponse)
		}
		if !now.Before(t) {
			return &Error{Kind: Expired, Message: tooLate}
		}
	}
	return nil
}

// conditions checks the Conditions, SAML core, section 2.5. The audience restriction must be there: without it the assertion may be for anybody.
func (a *Assertion) conditions(e *etree.Element, service *Service, now time.Time) error {
	c := child(e, nsAssertion, "Conditions")
	if c == nil {
		return invalid(because("not one Conditions"), invalidResponse)
	}
	if err := during(c, now); err != nil {
		return err
	}
	restrictions := 0
	for _, condition := range c.ChildElements() {
		switch {
		case is(condition, nsAssertion, "AudienceRestriction"):
			restrictions++
			// Each restriction must hold; within one, any audience will do.
			if !slices.ContainsFunc(children(condition, nsAssertion, "Audience"), func(e *etree.Element) bool {
				name, ok := text(e)
				return ok && service.audience(name)
			}) {
				return invalid(nil, wrongAudience)
			}
		case is(condition, nsAssertion, "OneTimeUse"), is(condition, nsAssertion, "ProxyRestriction"):
			// The first asks not to be kept, and it is not; the second is about assertions made from this one, and none are.
		default:
			// Section 2.5.1.1: an assertion with a condition that is not understood is not valid.
			return invalid(because("unknown condition"), invalidResponse)
		}
	}
	if restrictions == 0 {
		return invalid(nil, wrongAudience)
	}
	return nil
}

// subject reads who the assertion is about and checks that whoever brings it to the service, now, may be taken for that.
func (a *Assertion) subject(e *etree.Element, service *Service, now time.Time) error {
	s := child(e, nsAssertion, "Subject")
	if s == nil {
		return invalid(because("not one Subject"), invalidResponse)
	}
	id := child(s, nsAssertion, "NameID")
	if id == nil {
		return invalid(because("not one NameID"), invalidResponse)
	}
	var ok bool
	if a.Subject, ok = text(id); !ok || a.Subject == "" {
		return invalid(because("NameID is empty or not text"), invalidResponse)
	}
	if a.Format = attribute(id, "Format"); a.Format == "" {
		a.Format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified" // SAML core, section 2.2.2
	}
	// One confirmation that holds is enough. If none does, the error is that of the last.
	err := invalid(because("no SubjectConfirmation by bearer"), invalidResponse)
	for _, confirmation := range children(s, nsAssertion, "SubjectConfirmation") {
		if attribute(confirmation, "Method") != bearer {
			continue
		}
		data := child(confirmation, nsAssertion, "SubjectConfirmationData")
		if data == nil {
			err = invalid(because("not one SubjectConfirmationData"), invalidResponse)
			continue
		}
		recipient := attribute(data, "Recipient")
		if !service.recipient(recipient) {
			err = invalid(because("Recipient is another service"), invalidResponse)
			continue
		}
		if attribute(data, "NotOnOrAfter") == "" { // SAML profiles, section 4.1.4.2 wants it
			err = invalid(because("SubjectConfirmationData without NotOnOrAfter"), invalidResponse)
			continue
		}
		if err = during(data, now); err == nil {
			a.Recipient = recipient
			return nil
		}
	}
	return err
}

// statement reads the end of the session from the AuthnStatement.
func (a *Assertion) statement(e *etree.Element, _ *Service, now time.Time) error {
	statements := children(e, nsAssertion, "AuthnStatement")
	if len(statements) == 0 {
		return invalid(because("no AuthnStatement"), invalidResponse)
	}
	for _, s := range statements {
		end := attribute(s, "SessionNotOnOrAfter")
		if end == "" {
			continue
		}
		t, err := parseTime(end)
		if err != nil {
			return invalid(because("SessionNotOnOrAfter is not a time"), invalidResponse)
		}
		if !now.Before(t) {
			return &Error{Kind: Expired, Message: tooLate}
		}
		if a.SessionEnds.IsZero() || t.Before(a.SessionEnds) {
			a.SessionEnds = t
		}
	}
	return nil
}

// attributes reads the AttributeStatements and what AWS has defined among them.
func (a *Assertion) attributes(e *etree.Element, _ *Service, _ time.Time) error {
	a.Attributes = make(map[string][]string)
	for _, statement := range children(e, nsAssertion, "AttributeStatement") {
		for _, attr := range children(statement, nsAssertion, "Attribute") {
			name := attribute(attr, "Name")
			for _, value := range children(attr, nsAssertion, "AttributeValue") {
				if len(value.ChildElements()) > 0 && !strings.HasPrefix(name, attributes) {
					continue // eduPersonTargetedID has a NameID in it, and others have what they like
				}
				v, ok := text(value)
				if !ok {
					return invalid(because("AttributeValue is not text"), invalidResponse)
				}
				a.Attributes[name] = append(a.Attributes[name], v)
			}
		}
	}
	for _, pair := range a.Attributes[attributes+"Role"] {
		if r, ok := parseRole(pair); ok {
			a.Roles = append(a.Roles, r)
		}
	}
	return a.session()
}

// parseRole reads a role and a provider, which come in either order.
func parseRole(pair string) (Role, bool) {
	first, second, ok := strings.Cut(pair, ",")
	first, second = strings.TrimSpace(first), strings.TrimSpace(second)
	if strings.Contains(first, ":saml-provider/") {
		first, second = second, first
	}
	return Role{RoleARN: first, ProviderARN: second}, ok && strings.Contains(first, ":role/") && strings.Contains(second, ":saml-provider/")
}

func (a *Assertion) session() error {
	switch names := a.Attributes[attributes+"RoleSessionName"]; {
	case len(names) == 0:
		return invalid(nil, noSessionName)
	case len(names) > 1 || !sessionName.MatchString(names[0]):
		return invalid(nil, badSessionName)
	default:
		a.SessionName = names[0]
	}
	switch sources := a.Attributes[attributes+"SourceIdentity"]; {
	case len(sources) == 0:
	case len(sources) > 1 || !sessionName.MatchString(sources[0]): // has no colon, so it does not begin with aws: either
		return invalid(nil, badSource)
	default:
		a.SourceIdentity = sources[0]
	}
	if durations := a.Attributes[attributes+"SessionDuration"]; len(durations) > 0 {
		seconds, err := strconv.Atoi(durations[0])
		d := time.Duration(max(0, min(seconds, 1<<20))) * time.Second
		if err != nil || len(durations) > 1 || d < minDuration || d > maxDuration {
			return invalid(nil, "SessionDuration in AuthnResponse must be between %d and %d seconds", int(minDuration.Seconds()), int(maxDuration.Seconds()))
		}
		a.Duration = d
	}
	for name, values := range a.Attributes {
		key, ok := strings.CutPrefix(name, attributes+"PrincipalTag:")
		if !ok {
			continue
		}
		if key == "" || len(values) != 1 {
			return invalid(nil, "PrincipalTag in AuthnResponse must have a key and one value")
		}
		if a.Tags == nil {
			a.Tags = make(map[string]string)
		}
		a.Tags[key] = values[0]
	}
	a.TransitiveTags = slices.Clone(a.Attributes[attributes+"TransitiveTagKeys"])
	slices.Sort(a.TransitiveTags)
	a.TransitiveTags = slices.Compact(a.TransitiveTags)
	return nil
}
