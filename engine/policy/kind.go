package policy

// Kind is the place a policy is attached to. It decides which elements a document
// must and must not have, and how the policy weighs in a decision.
type Kind uint8

const (
	Identity Kind = iota // attached to a user, a group or a role
	Resource             // attached to a resource: key policy, bucket policy, ...
	Session              // passed when a session was made
	Boundary             // permissions boundary of a user or a role
	SCP                  // service control policy of an organization
	RCP                  // resource control policy of an organization
	Endpoint             // VPC endpoint policy
	Trust                // role trust policy: the resource policy of a role
)

// String is the name AWS's denial messages use for policies of the kind.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return "policy"
}

// need says whether an element must, may or must not be there.
type need uint8

const (
	forbidden need = iota
	optional
	required
)

// grammar is what differs between the kinds.
type grammar struct {
	name      string
	principal need
	action    need // Action or NotAction
	resource  need // Resource or NotResource
	// freeSid: Sids may hold any text and may repeat. IAM and Organizations want
	// unique Sids of letters and digits; key policies have had spaces in theirs since
	// the default one ("Enable IAM User Permissions").
	freeSid bool
	// arns: resources must be ARNs or a lone asterisk. Services that own their
	// resource policies allow short forms, so those are taken as they come.
	arns         bool
	notPrincipal bool
	texts        texts
}

var kinds = [...]grammar{
	Identity: {name: "identity-based policy", action: required, resource: required, arns: true},
	Resource: {name: "resource-based policy", principal: required, action: optional, resource: optional, freeSid: true, notPrincipal: true, texts: resourceTexts},
	Session:  {name: "session policy", action: required, resource: required, arns: true},
	Boundary: {name: "permissions boundary", action: required, resource: required, arns: true},
	SCP:      {name: "service control policy", action: required, resource: required, arns: true, texts: organizationTexts},
	RCP:      {name: "resource control policy", principal: required, action: required, resource: required, arns: true, texts: organizationTexts},
	Endpoint: {name: "VPC endpoint policy", principal: required, action: required, resource: required, freeSid: true, notPrincipal: true, texts: resourceTexts},
	Trust:    {name: "role trust policy", principal: required, action: required, texts: resourceTexts},
}
