package iam

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// A trust policy means the very users and roles that it names when it is put: each is pinned to its unique ID (identity.Role.Bound), so that somebody who
// has the name later gets nothing. Once a principal is gone, its ID is shown in place of its ARN:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html

// trust checks a trust policy and returns it with the IDs of the principals that it names, by ARN. Principals that are named by their unique IDs are there
// as long as they exist, and are named by their ARNs from then on.
func (s *Service) trust(c *call.Call, document string) (text string, bound map[string]string, err error) {
	p, err := parseDocument(document, policy.Trust)
	if err != nil {
		return "", nil, err
	}
	if documentSize(document) > assumeRolePolicySizeQuota {
		return "", nil, exceeded("ACLSizePerRole", assumeRolePolicySizeQuota)
	}
	bound = make(map[string]string)
	named := make(map[string]string) // ARNs by unique IDs
	for ref := range p.Principals() {
		switch {
		case ref.Type == "Federated" && !isProvider(ref.Value):
			return "", nil, malformed("Federated principals must be valid domain names or SAML metadata ARNs")
		case ref.Type != "AWS" || ref.Value == "*":
			continue
		case isUniqueID(ref.Value):
			name, err := s.byID(c, ref.Value)
			if err != nil {
				return "", nil, err
			}
			if name == "" {
				return "", nil, noPrincipal(ref)
			}
			bound[name], named[ref.Value] = ref.Value, name
		default:
			there, id, err := s.cfg.Directory.Find(c.Tx(), ref.Value)
			if err != nil {
				return "", nil, err
			}
			if !there {
				return "", nil, noPrincipal(ref)
			}
			if id != "" {
				bound[ref.Value] = id
			}
		}
	}
	if len(named) == 0 {
		return document, bound, nil
	}
	return p.Rewrite(func(ref policy.PrincipalRef) string {
		if name := named[ref.Value]; ref.Type == "AWS" && name != "" {
			return name
		}
		return ref.Value
	}), bound, nil
}

func noPrincipal(ref policy.PrincipalRef) error {
	return malformed(fmt.Sprintf("Invalid principal in policy: %q:%q", strings.ToUpper(ref.Type), ref.Value))
}

// isProvider reports whether a federated principal is the host name of a provider, or the ARN of one.
func isProvider(name string) bool {
	a, err := arn.Parse(name)
	if err != nil {
		return strings.Contains(name, ".") && !strings.ContainsAny(name, "/:")
	}
	kind, rest, _ := strings.Cut(a.Resource, "/")
	return a.Service == "iam" && identity.IsAccount(a.Account) && (kind == "oidc-provider" || kind == "saml-provider") && rest != ""
}

func isUniqueID(name string) bool {
	return strings.HasPrefix(name, "AIDA") || strings.HasPrefix(name, "AROA")
}

// byID returns the ARN of the user or role of the caller's account that has a unique ID, or "".
func (s *Service) byID(c *call.Call, id string) (string, error) {
	if strings.HasPrefix(id, "AIDA") {
		for u, err := range identity.Users.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{}) {
			if err != nil {
				return "", err
			}
			if u.ID == id {
				return u.ARN(s.cfg.Partition), nil
			}
		}
		return "", nil
	}
	for r, err := range identity.Roles.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return "", err
		}
		if r.ID == id {
			return r.ARN(s.cfg.Partition), nil
		}
	}
	return "", nil
}

// shownTrust is a role's trust policy as answers have it: with the IDs of the principals that are gone.
func (s *Service) shownTrust(c *call.Call, r *identity.Role) (*string, error) {
	gone := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(r.Bound)) {
		there, id, err := s.cfg.Directory.Find(c.Tx(), name)
		if err != nil {
			return nil, err
		}
		if !there || id != r.Bound[name] {
			gone[name] = r.Bound[name]
		}
	}
	if len(gone) == 0 {
		return encoded(r.Trust), nil
	}
	p, err := policy.Parse([]byte(r.Trust), policy.Trust)
	if err != nil {
		return nil, fmt.Errorf("trust policy of role %s: %w", r.Name, err)
	}
	return encoded(p.Rewrite(func(ref policy.PrincipalRef) string {
		if id := gone[ref.Value]; ref.Type == "AWS" && id != "" {
			return id
		}
		return ref.Value
	})), nil
}
