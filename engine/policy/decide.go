package policy

import "strings"

// Decide answers a request. It allocates nothing of its own.
//
// The order is AWS's: an explicit deny anywhere decides; then each fence (RCP, SCP,
// endpoint) must allow; then the resource's policy and the principal's own are weighed.
// README.md has the rules in words.
func Decide(r *Request) Decision {
	e := evaluation{r: r}
	return e.decide()
}

// evaluation is one decision being made.
type evaluation struct {
	r *Request
	// vendor is the action's, vendors its set.
	vendor  vendor
	vendors vendorSet
	// found has what the context keys asked for last were worth: policies ask for the same few, and an answer may be dear.
	found [8]value
}

// value is what a context key is worth in this request.
type value struct {
	key    string // empty: nothing yet
	values []string
	ok     bool
	// own is what the request itself gives, where the context gives nothing. (values must not point to it: that would
	// send the evaluation to the heap.)
	own [1]string
}

func (e *evaluation) decide() Decision {
	e.vendor = vendorOf(e.r.Action)
	e.vendors = e.vendor.set()
	if d, denied := e.denied(); denied {
		return d
	}
	for _, level := range e.r.RCP {
		if _, ok := e.anyAllows(level); !ok {
			return e.lacks(RCP)
		}
	}
	for _, level := range e.r.SCP {
		if _, ok := e.anyAllows(level); !ok {
			return e.lacks(SCP)
		}
	}
	if p := e.r.Endpoint; p != nil {
		if _, how := e.allows(p); how == unnamed {
			return e.lacks(Endpoint)
		}
	}

	fromResource, named := e.resourceSide()
	p := &e.r.Principal
	switch {
	case !p.hasIdentity():
		if named == byIdentity {
			return fromResource
		}
		return e.lacks(e.resourceKind())
	case e.r.ResourceAccount != "" && e.r.ResourceAccount != p.Account:
		// Two accounts: each must allow by its own means.
		d := e.principalSide()
		if d.Allowed && named == unnamed {
			return e.lacks(e.resourceKind())
		}
		return d
	case named == byIdentity && !(p.Kind == Root && len(e.r.Session) > 0):
		return fromResource
	case named >= byIssuer:
		// The resource names the role (or the privileged root session's account): what the
		// boundary and the session policy leave out stays out.
		if kind, ok := e.limitsAllow(); !ok {
			return e.lacks(kind)
		}
		return fromResource
	case e.r.ResourcePolicyRequired && named < byAccount:
		return e.lacks(e.resourceKind())
	}
	return e.principalSide()
}

// denied looks for an explicit deny in every policy.
func (e *evaluation) denied() (Decision, bool) {
	r := e.r
	for _, level := range r.RCP {
		if d, ok := e.anyDenies(RCP, level); ok {
			return d, true
		}
	}
	for _, level := range r.SCP {
		if d, ok := e.anyDenies(SCP, level); ok {
			return d, true
		}
	}
	if d, ok := e.denies(Endpoint, r.Endpoint); ok {
		return d, true
	}
	if d, ok := e.denies(e.resourceKind(), r.ResourcePolicy); ok {
		return d, true
	}
	if d, ok := e.anyDenies(Identity, r.Identity); ok {
		return d, true
	}
	if d, ok := e.anyDenies(Identity, r.Groups); ok {
		return d, true
	}
	if d, ok := e.denies(Boundary, r.Boundary); ok {
		return d, true
	}
	return e.anyDenies(Session, r.Session)
}

func (e *evaluation) anyDenies(kind Kind, ps []*Policy) (Decision, bool) {
	for _, p := range ps {
		if d, ok := e.denies(kind, p); ok {
			return d, true
		}
	}
	return Decision{}, false
}

func (e *evaluation) denies(kind Kind, p *Policy) (Decision, bool) {
	if p == nil {
		return Decision{}, false
	}
	for i := range p.deny {
		f := &p.deny[i]
		if f.vendors&e.vendors != 0 && e.applies(f.statement) != unnamed {
			return Decision{Outcome: ExplicitDeny, Kind: kind, Policy: p, Statement: f.statement.index, request: e.r}, true
		}
	}
	return Decision{}, false
}

// allows returns the Allow statement of p that names the principal most closely, or -1.
func (e *evaluation) allows(p *Policy) (statement int, best strength) {
	statement = -1
	for i := range p.allow {
		f := &p.allow[i]
		if f.vendors&e.vendors == 0 {
			continue
		}
		if how := e.applies(f.statement); how > best {
			statement, best = f.statement.index, how
			if best == byIdentity {
				break
			}
		}
	}
	return statement, best
}

// anyAllows returns the first of several policies that allows.
func (e *evaluation) anyAllows(ps []*Policy) (Decision, bool) {
	for _, p := range ps {
		if i, how := e.allows(p); how != unnamed {
			return Decision{Allowed: true, Outcome: Allow, Kind: p.kind, Policy: p, Statement: i, request: e.r}, true
		}
	}
	return Decision{}, false
}

func (e *evaluation) lacks(kind Kind) Decision {
	return Decision{Outcome: ImplicitDeny, Kind: kind, Statement: -1, request: e.r}
}

func (e *evaluation) resourceKind() Kind {
	if e.r.ResourcePolicy != nil {
		return e.r.ResourcePolicy.kind
	}
	return Resource
}

// resourceSide is what the resource policy and the grant say together.
func (e *evaluation) resourceSide() (Decision, strength) {
	d := Decision{Allowed: true, Outcome: Allow, Kind: e.resourceKind(), Statement: -1, request: e.r}
	named := unnamed
	if p := e.r.ResourcePolicy; p != nil {
		if i, how := e.allows(p); how != unnamed {
			d.Policy, d.Statement, named = p, i, how
		}
	}
	if g := e.r.Grant; g != nil && named != byIdentity {
		if how := g.names(&e.r.Principal); how > named {
			d.Policy, d.Statement, d.Grant, named = nil, -1, g, how
		}
	}
	return d, named
}

// names is principals.names for a grantee. A grant to an account root stands for
// the account.
func (g *Grant) names(p *Principal) strength {
	account, isRoot := rootOf(g.Grantee)
	ofAccount := p.Account != "" && (isRoot && account == p.Account || g.Grantee == p.Account)
	switch {
	case g.Grantee == "", g.Grantee == p.ARN, p.Kind == Service && g.Grantee == p.ServiceName, p.Kind == Root && ofAccount:
		return byIdentity
	case p.Issuer != "" && g.Grantee == p.Issuer:
		return byIssuer
	case ofAccount:
		return byAccount
	}
	return unnamed
}

func rootOf(arn string) (account string, ok bool) {
	head, ok := strings.CutSuffix(arn, ":root")
	i := strings.LastIndexByte(head, ':')
	return head[i+1:], ok && i > 0
}

// principalSide is what the principal's own policies say: one of its identity policies
// must allow, and the boundary, and a session policy.
func (e *evaluation) principalSide() Decision {
	r := e.r
	d, ok := Decision{Allowed: true, Outcome: Allow, Kind: Identity, Statement: -1, request: r}, r.Principal.Kind == Root
	if !ok {
		d, ok = e.anyAllows(r.Identity)
	}
	if !ok {
		d, ok = e.anyAllows(r.Groups)
	}
	if !ok {
		return e.lacks(Identity)
	}
	if kind, ok := e.limitsAllow(); !ok {
		return e.lacks(kind)
	}
	return d
}

// limitsAllow asks the boundary and the session policies, and says which of them fails.
func (e *evaluation) limitsAllow() (Kind, bool) {
	r := e.r
	if r.Boundary != nil {
		if _, how := e.allows(r.Boundary); how == unnamed {
			return Boundary, false
		}
	}
	if len(r.Session) > 0 || r.Principal.Kind == FederatedUser {
		if _, ok := e.anyAllows(r.Session); !ok {
			return Session, false
		}
	}
	return 0, true
}

// applies reports whether a statement bears on the request, and how closely it names the
// principal. Statements of policies without a Principal element name it by being attached.
func (e *evaluation) applies(s *statement) strength {
	how := byIdentity
	if s.principals.present {
		if s.principals.not {
			if !e.outside(&s.principals) {
				return unnamed
			}
		} else if how = s.principals.names(&e.r.Principal); how == unnamed {
			return unnamed
		}
	}
	if !e.covers(s) {
		return unnamed
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e) {
			return unnamed
		}
	}
	return how
}

// outside reports whether a NotPrincipal element bears on the principal. It always does
// on one with a permissions boundary, whomever it lists [AWS, NotPrincipal].
func (e *evaluation) outside(ps *principals) bool {
	p := &e.r.Principal
	if e.r.Boundary != nil && (p.Kind == User || p.Kind == Role) {
		return true
	}
	return !ps.excepts(p)
}

// covers reports whether the statement's action and resource elements fit. A statement
// without one of them, which resource policies may have, has no effect.
func (e *evaluation) covers(s *statement) bool {
	if len(s.actions.patterns) == 0 || len(s.resources) == 0 && !s.anyRes {
		return false
	}
	if s.actions.match(e.r.Action, e.vendor) == s.notAction {
		return false
	}
	return s.anyRes || e.anyResource(s) != s.notRes
}

func (e *evaluation) anyResource(s *statement) bool {
	resource := e.r.Resource
	if resource == "" {
		resource = "*"
	}
	for i := range s.resources {
		if s.resources[i].match(e, resource) {
			return true
		}
	}
	return false
}

// lookup asks the context, and then what the request itself says, once for each key: a further key may take the place of
// one of eight. The slice is good until the next lookup; its strings stay.
func (e *evaluation) lookup(key string) ([]string, bool) {
	v := &e.found[(len(key)+int(key[len(key)-1]))%len(e.found)]
	if v.key != key {
		v.key, v.values, v.ok, v.own[0] = key, nil, false, ""
		if e.r.Context != nil {
			v.values, v.ok = e.r.Context.Lookup(key)
		}
		if !v.ok {
			v.own[0] = e.derived(key)
		}
	}
	if v.own[0] != "" {
		return v.own[:], true
	}
	return v.values, v.ok
}

// derived is the value of a key that follows from the request, or empty.
func (e *evaluation) derived(key string) string {
	if !strings.HasPrefix(key, "aws:") {
		return ""
	}
	p := &e.r.Principal
	switch key {
	case "aws:principalarn":
		if p.Kind == Role {
			return p.Issuer
		}
		return p.ARN
	case "aws:principalaccount":
		return p.Account
	case "aws:username":
		if p.Kind == User {
			return p.UserName
		}
	case "aws:userid":
		switch p.Kind {
		case Root:
			return p.Account
		case User:
			return p.ID
		case Role:
			return p.ID + ":" + p.SessionName
		case FederatedUser:
			return p.Account + ":" + p.SessionName
		}
	case "aws:principaltype":
		switch p.Kind {
		case Anonymous:
			return "Anonymous"
		case Root:
			return "Account"
		case User:
			return "User"
		case Role:
			return "AssumedRole"
		case FederatedUser:
			return "FederatedUser"
		}
	case "aws:principalisawsservice":
		if p.Kind == Service {
			return "true"
		}
		return "false"
	case "aws:principalservicename":
		if p.Kind == Service {
			return p.ServiceName
		}
	case "aws:federatedprovider":
		if p.Kind != Federated {
			return p.Provider
		}
	case "aws:resourceaccount":
		if e.r.ResourceAccount == "" {
			return p.Account
		}
		return e.r.ResourceAccount
	}
	return ""
}
