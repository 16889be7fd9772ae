package policy

import "strings"

// Context gives the values of condition keys. Lookup is called with the key in lower
// case, for the keys that policies ask for and no others, mostly once for each: the
// answers to the last few are kept. A key that is not known, or has no values, is absent. The slice stays
// the Context's: it must not change during the decision, not even by a further Lookup.
type Context interface {
	Lookup(key string) (values []string, ok bool)
}

// Values is a Context over a map, whose keys are in lower case.
type Values map[string][]string

// Set gives a key, in any case, its values.
func (v Values) Set(key string, values ...string) { v[strings.ToLower(key)] = values }

// Lookup implements Context.
func (v Values) Lookup(key string) ([]string, bool) {
	values, ok := v[key]
	return values, ok
}

// Grant is a KMS grant that covers the request: its operations, its constraints and its
// life have been checked by the caller.
type Grant struct {
	ID string
	// Grantee is the grantee principal as the grant has it: a user, a role, a session, an
	// account, a service. Empty means the caller itself.
	Grantee string
}

// Request is one question: may this principal do this, here, now?
type Request struct {
	Principal Principal
	Action    string // kms:Encrypt; case does not matter
	// Resource is the ARN acted on; empty for actions that have none, which
	// only a * resource covers.
	Resource string
	// ResourceAccount owns the resource. Empty means the principal's own account.
	ResourceAccount string
	// Context may be nil. Keys that follow from the other fields (aws:PrincipalArn,
	// aws:PrincipalAccount, aws:PrincipalType, aws:userid, aws:username,
	// aws:PrincipalIsAWSService, aws:PrincipalServiceName, aws:FederatedProvider,
	// aws:ResourceAccount) need not be in it; where they are, it is believed.
	Context Context

	Identity []*Policy // attached to the user or the role
	Groups   []*Policy // attached to the user's groups
	Boundary *Policy   // nil: none
	// Session holds the policies passed when the session was made; one must allow. None
	// means no limit, except for a federated user, who is limited to nothing.
	Session []*Policy

	// SCP and RCP have a list of policies for each level from the organization's root to
	// the account; each level must allow. Nil means that none bind: no organization, the
	// management account, a service-linked role.
	SCP [][]*Policy
	RCP [][]*Policy
	// Endpoint is the policy of the VPC endpoint that the request came through; nil: none.
	Endpoint *Policy

	// ResourcePolicy is the resource's policy, or a role's trust policy; nil: none.
	ResourcePolicy *Policy
	// ResourcePolicyRequired is set for resources whose own policy must agree even in the
	// same account (KMS keys, roles to be assumed): identity policies count only if the
	// resource policy allows the account.
	ResourcePolicyRequired bool
	Grant                  *Grant // nil: none
}

// Derived is the value of a key that follows from the fields of the request, where the context has none; empty if none does.
func (r *Request) Derived(key string) string {
	e := evaluation{r: r}
	return e.derived(key)
}
