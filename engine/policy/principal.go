package policy

import (
	"slices"
	"strings"
)

// PrincipalKind is what sort of caller makes a request.
type PrincipalKind uint8

const (
	Anonymous     PrincipalKind = iota // an unsigned request
	Root                               // the root user of an account
	User                               // an IAM user
	Role                               // a session of a role
	FederatedUser                      // a session from GetFederationToken
	Federated                          // a SAML or web identity before it has assumed a role
	Service                            // an AWS service acting for itself
)

// Principal is who makes a request. The zero value is an anonymous caller.
type Principal struct {
	Kind PrincipalKind
	// Account is the twelve digits of the account that the principal belongs to.
	// Empty for anonymous callers, federated identities and services.
	Account string
	// ARN names the caller as AWS's messages do: the user, the root user
	// (arn:aws:iam::111122223333:root), the session (arn:aws:sts::111122223333:assumed-role/R/S)
	// or the federated user (arn:aws:sts::111122223333:federated-user/name).
	ARN string
	// Issuer is the ARN of what a session was made from: the role, with its path, of a
	// role session; the user of a federated user.
	Issuer string
	// ID is the unique ID of the user (AIDA...) or of the role behind the session
	// (AROA...). It matches principals whose ARN was replaced by their ID.
	ID string
	// SessionName is the last part of a role session's or federated user's ARN.
	SessionName string
	// UserName is the friendly name of an IAM user.
	UserName string
	// Provider is the identity provider, as ARN or host name, that a federated identity,
	// or a role session made by one, comes from.
	Provider string
	// ServiceName is the name of a service principal (events.amazonaws.com).
	ServiceName string
	// RegionalName is the other name of a service principal that has one for each region (logs.eu-central-1.amazonaws.com), or empty. Policies may use either.
	RegionalName string
	// CanonicalID is the account's canonical user ID, where the caller of this package has one.
	CanonicalID string
}

// hasIdentity reports whether the principal belongs to an account whose policies are
// asked. The others are allowed by resource policies alone.
func (p *Principal) hasIdentity() bool {
	switch p.Kind {
	case Root, User, Role, FederatedUser:
		return true
	}
	return false
}

// name is how a denial message calls the principal.
func (p *Principal) name() string {
	switch {
	case p.ARN != "":
		return p.ARN
	case p.Kind == Service:
		return p.ServiceName
	case p.Kind == Federated:
		return p.Provider
	}
	return "anonymous"
}

// strength is how closely a resource policy's Allow names the caller. It decides
// which of the caller's own policies may still limit what is granted.
type strength uint8

const (
	unnamed    strength = iota
	byAccount           // the account is named: the account's own policies must allow as well
	byIssuer            // the role, or the federated user's IAM user: boundary and session policy still limit
	byIdentity          // the user, the session, the service, or everybody
)

// principals is the compiled Principal or NotPrincipal element.
type principals struct {
	present   bool
	not       bool
	everybody bool
	accounts  []string
	arns      []string
	ids       []string
	services  []string
	providers []string
	canonical []string
	refs      []PrincipalRef
}

// PrincipalRef is one principal named by a policy.
type PrincipalRef struct {
	Type      string // AWS, Service, Federated, CanonicalUser; or * for the bare wildcard
	Value     string // as written
	Not       bool   // from NotPrincipal
	Statement int    // index of the statement
	Offset    int    // where it stands in the document
}

// names says how closely the element names p.
func (ps *principals) names(p *Principal) strength {
	if ps.everybody {
		return byIdentity
	}
	best := unnamed
	switch p.Kind {
	case Service:
		if slices.Contains(ps.services, p.ServiceName) || p.RegionalName != "" && slices.Contains(ps.services, p.RegionalName) {
			return byIdentity
		}
	case Root:
		if slices.Contains(ps.accounts, p.Account) {
			return byIdentity
		}
	case User, Role, FederatedUser:
		if slices.Contains(ps.arns, p.ARN) {
			return byIdentity
		}
		if p.Kind == User && p.ID != "" && slices.Contains(ps.ids, p.ID) {
			return byIdentity
		}
		switch {
		case p.Issuer != "" && slices.Contains(ps.arns, p.Issuer), p.Kind != User && p.ID != "" && slices.Contains(ps.ids, p.ID):
			best = byIssuer
		case slices.Contains(ps.accounts, p.Account):
			best = byAccount
		}
	}
	if p.Provider != "" && slices.Contains(ps.providers, p.Provider) ||
		p.CanonicalID != "" && slices.Contains(ps.canonical, p.CanonicalID) {
		return byIdentity
	}
	return best
}

// excepts reports whether a NotPrincipal element leaves p out. An account listed there
// stands for its root user only, or the documented form that lists a user beside the
// account would except the whole account. A role session must be listed beside its role:
// AWS checks the role and then the assumed-role user.
func (ps *principals) excepts(p *Principal) bool {
	if ps.names(p) != byIdentity {
		return false
	}
	if p.Kind == Role && !ps.everybody && p.Issuer != "" && slices.Contains(ps.arns, p.ARN) {
		return slices.Contains(ps.arns, p.Issuer) || p.ID != "" && slices.Contains(ps.ids, p.ID)
	}
	return true
}

// add takes one principal in; false means that it has no valid form.
func (ps *principals) add(kind, value string) bool {
	switch kind {
	case "AWS":
		return ps.addAWS(value)
	case "Service":
		ps.services = append(ps.services, value)
		return strings.Contains(value, ".") && !strings.ContainsAny(value, "*? ")
	case "Federated":
		ps.providers = append(ps.providers, value)
		return value != "" && !strings.ContainsAny(value, "*? ")
	case "CanonicalUser":
		ps.canonical = append(ps.canonical, value)
		return value != "" && !strings.ContainsAny(value, "*? ")
	}
	return false
}

func (ps *principals) addAWS(value string) bool {
	switch {
	case value == "*":
		ps.everybody = true
		return true
	case isAccount(value):
		ps.accounts = append(ps.accounts, value)
		return true
	case isUniqueID(value):
		ps.ids = append(ps.ids, value)
		return true
	}
	// arn:partition:iam|sts::account:resource. No wildcards: a principal is named, or everybody is.
	f := strings.SplitN(value, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[1] == "" || f[3] != "" || strings.ContainsAny(value, "*?$") {
		return false
	}
	account, resource := f[4], f[5]
	kind, rest, _ := strings.Cut(resource, "/")
	switch {
	case f[2] == "iam" && resource == "root" && isAccount(account):
		ps.accounts = append(ps.accounts, account)
		return true
	case f[2] == "iam" && kind == "user" && account == "cloudfront": // origin access identities
	case !isAccount(account):
		return false
	case f[2] == "iam" && (kind == "user" || kind == "role"):
	case f[2] == "sts" && kind == "federated-user":
	case f[2] == "sts" && kind == "assumed-role" && strings.Contains(rest, "/"):
	default:
		return false
	}
	if rest == "" || strings.HasSuffix(rest, "/") {
		return false
	}
	ps.arns = append(ps.arns, value)
	return true
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isUniqueID reports whether s looks like AIDACKCEVSQ6C2EXAMPLE.
func isUniqueID(s string) bool {
	if len(s) < 16 || len(s) > 128 || s[0] != 'A' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}
