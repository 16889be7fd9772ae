package policytest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Generator makes Worlds.
type Generator struct {
	*rand.Rand
	callers     []policy.Principal
	accounts    []string
	expressions map[string]*regexp.Regexp
	compiled    *compiled

	// Compiling is most of the work, so policies may be used for several Worlds, and organizations are for many.
	template      *World
	reuse, uses   int
	organizations []*Organization
	inhabitants   *Generator // whose cast are the accounts' people
	left          int
}

// compiled remembers what documents were compiled to. It holds the documents, so that no other one comes to lie where one of them lay.
type compiled map[uintptr]struct {
	doc    Doc
	policy *policy.Policy
}

func (c *compiled) of(d Doc, kind policy.Kind) (*policy.Policy, error) {
	at := reflect.ValueOf(d).Pointer()
	if known, ok := (*c)[at]; ok && known.policy.Kind() == kind {
		return known.policy, nil
	}
	p, err := Compile(d, kind)
	if len(*c) > 500 {
		clear(*c)
	}
	if err == nil {
		(*c)[at] = struct {
			doc    Doc
			policy *policy.Policy
		}{d, p}
	}
	return p, err
}

// New returns a Generator whose Worlds follow from the seed.
func New(seed uint64) *Generator {
	return &Generator{Rand: rand.New(rand.NewPCG(seed, 1)), callers: Callers, accounts: []string{Ours, Theirs}, expressions: map[string]*regexp.Regexp{}, compiled: &compiled{}}
}

func pick[T any](g *Generator, from ...T) T { return from[g.IntN(len(from))] }

// some picks one string, or an array of up to three.
func (g *Generator) some(from ...string) any {
	if g.IntN(2) == 0 {
		return pick(g, from...)
	}
	var out []any
	for range 1 + g.IntN(3) {
		out = append(out, pick(g, from...))
	}
	return out
}

// The accounts of most Worlds.
const (
	Ours   = "111122223333"
	Theirs = "444455556666"
)

// Callers are who asks in most Worlds: nobody, the root user, ann and bob (of Theirs), sessions of the roles team/ops and web,
// fay whom ann federated, somebody from Google, and a service.
var Callers = []policy.Principal{
	{},
	{Kind: policy.Root, Account: Ours, ARN: "arn:aws:iam::111122223333:root"},
	{Kind: policy.User, Account: Ours, ARN: "arn:aws:iam::111122223333:user/ann", ID: "AIDAANNANNANNANNANN01", UserName: "ann"},
	{Kind: policy.User, Account: Theirs, ARN: "arn:aws:iam::444455556666:user/bob", ID: "AIDABOBBOBBOBBOBBOB01", UserName: "bob"},
	{Kind: policy.Role, Account: Ours, ARN: "arn:aws:sts::111122223333:assumed-role/ops/s1", Issuer: "arn:aws:iam::111122223333:role/team/ops", ID: "AROAOPSOPSOPSOPSOPS01", SessionName: "s1"},
	{Kind: policy.Role, Account: Ours, ARN: "arn:aws:sts::111122223333:assumed-role/web/s2", Issuer: "arn:aws:iam::111122223333:role/web", ID: "AROAWEBWEBWEBWEBWEB01", SessionName: "s2", Provider: "accounts.google.com"},
	{Kind: policy.FederatedUser, Account: Ours, ARN: "arn:aws:sts::111122223333:federated-user/fay", Issuer: "arn:aws:iam::111122223333:user/ann", ID: "AIDAANNANNANNANNANN01", SessionName: "fay"},
	{Kind: policy.Federated, Provider: "accounts.google.com"},
	{Kind: policy.Service, ServiceName: "events.amazonaws.com"},
}

func (g *Generator) principal() any {
	if g.IntN(5) == 0 {
		return "*"
	}
	aws := []string{"*"}
	for _, account := range g.accounts {
		aws = append(aws, account, "arn:aws:iam::"+account+":root")
	}
	for _, c := range g.callers {
		if c.Account == "" || c.Kind == policy.Root {
			continue
		}
		aws = append(aws, c.ARN, c.ID)
		if c.Issuer != "" {
			aws = append(aws, c.Issuer)
		}
	}
	p := Doc{}
	if g.IntN(4) > 0 {
		p["AWS"] = g.some(aws[1:]...)
	}
	if len(p) == 0 || g.IntN(4) == 0 {
		p["Service"] = g.some("events.amazonaws.com", "sns.amazonaws.com")
	}
	if g.IntN(4) == 0 {
		p["Federated"] = g.some("accounts.google.com", "cognito-identity.amazonaws.com")
	}
	return p
}

var (
	actions        = []string{"kms:Encrypt", "kms:Decrypt", "s3:GetObject", "s3:GetObjectTagging", "KMS:encrypt"}
	actionPatterns = []string{"*", "kms:*", "kms:En*", "KMS:encrypt", "kms:?ncrypt", "kms:*crypt", "s3:Get*", "s3:*Object", "s3:*Obj*ing", "*:*", "kms:Decrypt"}
	resources      = []string{
		"", "arn:aws:kms:eu-west-1:111122223333:key/k1", "arn:aws:kms:us-east-1:444455556666:key/k2",
		"arn:aws:s3:::home/ann/a:b.txt", "arn:aws:s3:::home/*/x", "arn:aws:s3:::home/red/é", "arn:aws:sns:eu-west-1:111122223333:topic"}
	resourcePatterns = []string{
		"*", "*", "arn:aws:kms:*", "arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:eu-*-1:111122223333:key/k1", "arn:aws:kms:e*-w*-?:*:key/k?",
		"arn:aws:kms:*1:*", "arn:aws:kms:e*3:key/*", "arn:aws:kms:**1:1*3:key/*", "arn:aws:*:*:*:*", "arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/${aws:PrincipalTag/team, 'red'}/*",
		"arn:aws:s3:::home/${*}/*", "arn:aws:s3:::*/?", "arn:aws:s3:::home/*/*:*", "arn:aws:s3:::home/*${aws:PrincipalTag/team}*", "arn:aws:kms:eu-west-1:${aws:PrincipalAccount}:key/k1",
		"arn:aws:kms:*-${aws:PrincipalTag/team}-*:*:key/*", "arn:aws:sns:?*:x*", "arn:aws:kms:us-east-1:444455556666:key/k2"}
)

// wants and has are, by kind of value, what policies ask and contexts hold.
var wants = map[string][]string{
	"String":  {"red", "Red", "blue", "r*", "?ed", "${aws:PrincipalTag/team}", "${aws:username,'red'}", "${*}", "${$}x", "${no:such}", "", "é?", "a${aws:TagKeys}", "re${aws:PrincipalTag/team, 'd'}"},
	"Numeric": {"1", "10", "9007199254740993", "-2", "1.5", "1e1", "10.0"},
	"Date":    {"2013-06-30T00:00:00Z", "2013-06-30", "1372550400", "2013", "2014-01-01T00:00:00+02:00"},
	"Bool":    {"true", "false"},
	"Binary":  {"QmluYXJ5", "AAEC"},
	"Ip":      {"10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "192.0.2.7/24", "0.0.0.0/0"},
	"Arn":     {"arn:aws:sns:*:111122223333:t*", "arn:aws:sns:eu-west-1:111122223333:topic", "arn:aws:iam::${aws:PrincipalAccount}:*", "arn:aws:s*", "*", "arn:*:*:*:*:*", "arn:aws:iam::111122223333:role/*", "arn:aws:sns"},
}

var has = map[string][]string{
	"String":  {"red", "RED", "blue", "é1", "*", "$x", "", "ared"},
	"Numeric": {"1", "10", "9007199254740992", "-2", "1.5", "abc"},
	"Date":    {"2013-06-30T00:00:00Z", "1372550400", "2013-12-31T22:00:00Z", "2015-01-01", "soon"},
	"Bool":    {"true", "False", "yes"},
	"Binary":  {"QmluYXJ5", "AAEC", "%"},
	"Ip":      {"10.1.2.3", "192.0.2.99", "2001:db8::1", "::ffff:10.1.2.3", "nowhere"},
	"Arn":     {"arn:aws:sns:eu-west-1:111122223333:topic", "arn:aws:sns:eu-west-1:444455556666:t:u", "arn:aws:iam::111122223333:role/a", "arn:short", "x"},
}

var keysOf = map[string][]string{
	"String":  {"aws:PrincipalTag/team", "aws:TagKeys", "AWS:username", "kms:EncryptionContext:app", "aws:PrincipalType", "aws:userid"},
	"Numeric": {"s3:max-keys"},
	"Date":    {"aws:CurrentTime"},
	"Bool":    {"aws:MultiFactorAuthPresent", "aws:PrincipalIsAWSService"},
	"Binary":  {"x:bin"},
	"Ip":      {"aws:SourceIp"},
	"Arn":     {"aws:SourceArn", "aws:PrincipalArn"},
}

var operatorsOf = map[string][]string{
	"String":  {"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"},
	"Numeric": {"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"},
	"Date":    {"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"},
	"Bool":    {"Bool"},
	"Binary":  {"BinaryEquals"},
	"Ip":      {"IpAddress", "NotIpAddress"},
	"Arn":     {"ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"},
}

var families = []string{"String", "String", "Numeric", "Date", "Bool", "Binary", "Ip", "Arn"}

func (g *Generator) conditions() Doc {
	c := Doc{}
	for range 1 + g.IntN(2) {
		f := pick(g, families...)
		key := pick(g, keysOf[f]...)
		if g.IntN(8) == 0 {
			c["Null"] = Doc{key: g.some("true", "false")}
			continue
		}
		name := pick(g, "", "", "ForAllValues:", "ForAnyValue:") + pick(g, operatorsOf[f]...) + pick(g, "", "", "IfExists")
		value := g.some(wants[f]...)
		switch {
		case g.IntN(20) == 0:
			value = []any{}
		case f == "Bool" && g.IntN(2) == 0:
			value = g.IntN(2) == 0
		case f == "Numeric" && g.IntN(3) == 0:
			value = float64(g.IntN(12))
		}
		c[name] = Doc{key: value}
	}
	return c
}

// document makes a policy. lean is the share of statements, of ten, that allow.
func (g *Generator) document(kind policy.Kind, lean int) Doc {
	var statements []any
	for range 1 + g.IntN(3) {
		s := Doc{"Effect": "Deny"}
		if g.IntN(10) < lean {
			s["Effect"] = "Allow"
		}
		if kind == policy.Trust {
			s["Action"] = g.some("sts:AssumeRole", "sts:*", "sts:TagSession", "STS:assume*")
		} else if g.IntN(6) == 0 {
			s["NotAction"] = g.some(actionPatterns[1:]...)
		} else {
			s["Action"] = g.some(actionPatterns...)
		}
		switch {
		case kind == policy.Trust:
		case kind == policy.Resource && g.IntN(15) == 0: // stored, and without effect
		case g.IntN(6) == 0:
			s["NotResource"] = g.some(resourcePatterns[2:]...)
		default:
			s["Resource"] = g.some(resourcePatterns...)
		}
		switch kind {
		case policy.Resource, policy.Endpoint:
			if s["Effect"] == "Deny" && g.IntN(3) == 0 {
				s["NotPrincipal"] = g.principal()
				if c := pick(g, slices.DeleteFunc(slices.Clone(g.callers), func(p policy.Principal) bool { return p.Account == "" || p.Kind == policy.Root })...); g.IntN(3) == 0 {
					s["NotPrincipal"] = Doc{"AWS": []any{Ours, c.ARN, pick(g, c.Issuer, c.ID, Theirs)}}
					if c.Issuer == "" {
						s["NotPrincipal"] = Doc{"AWS": c.ARN}
					}
				}
				break
			}
			s["Principal"] = g.principal()
		case policy.Trust:
			s["Principal"] = g.principal()
		case policy.RCP:
			s["Principal"] = "*"
			s["Effect"] = "Deny"
			delete(s, "NotAction")
			s["Action"] = g.some(actionPatterns[1:]...)
		}
		if g.IntN(2) == 0 {
			s["Condition"] = g.conditions()
		}
		statements = append(statements, s)
	}
	if kind == policy.RCP {
		statements = append(statements, Doc{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
	}
	d := Doc{"Statement": statements}
	if len(statements) == 1 && g.IntN(2) == 0 {
		d["Statement"] = statements[0]
	}
	if v := pick(g, "2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17", ""); v != "" {
		d["Version"] = v
	}
	return d
}

func (g *Generator) documents(kind policy.Kind, atLeast, atMost, lean int) (out []Doc) {
	for range atLeast + g.IntN(atMost-atLeast+1) {
		out = append(out, g.document(kind, lean))
	}
	return out
}

// World returns a request under policies of every kind.
func (g *Generator) World() *World {
	w := g.policies()
	g.ask(w)
	return w
}

// ask makes the request of a World that has its policies.
func (g *Generator) ask(w *World) {
	w.who, w.action, w.resource = pick(g, g.callers...), pick(g, actions...), pick(g, resources...)
	w.resourceAccount, w.required = pick(g, Ours, Ours, Theirs), w.trust || g.IntN(3) == 0
	if w.trust && g.IntN(4) > 0 {
		w.action = "sts:AssumeRole"
	}
	w.context = map[string][]string{}
	for _, f := range families {
		for _, key := range keysOf[f] {
			if key == "aws:PrincipalIsAWSService" || g.IntN(3) == 0 {
				continue
			}
			var values []string
			for range pick(g, 0, 1, 1, 1, 2, 3) {
				values = append(values, pick(g, has[f]...))
			}
			w.context[key] = values
		}
	}
	if g.IntN(5) == 0 {
		w.grantee = new(pick(g, "", Ours, "arn:aws:iam::111122223333:root", w.who.ARN, w.who.Issuer, Theirs, "events.amazonaws.com", "arn:aws:iam::111122223333:user/nobody"))
	}
}

// policies returns a World without a request. Several in succession have the same policies.
func (g *Generator) policies() *World {
	if g.uses--; g.uses > 0 {
		return new(*g.template)
	}
	g.uses = g.reuse
	w := &World{expressions: g.expressions, compiled: g.compiled}
	g.template = w
	rarely := func() bool { return g.IntN(5) == 0 }
	w.identity = g.documents(policy.Identity, 0, 2, 9)
	if g.IntN(2) == 0 {
		w.groups = g.documents(policy.Identity, 0, 1, 9)
	}
	if rarely() {
		w.boundary = g.document(policy.Boundary, 9)
	}
	if rarely() {
		w.session = g.documents(policy.Session, 1, 2, 9)
	}
	if rarely() {
		w.scp = [][]Doc{g.documents(policy.SCP, 1, 2, 9), g.documents(policy.SCP, 1, 1, 9)}
	}
	if rarely() {
		w.rcp = [][]Doc{g.documents(policy.RCP, 1, 1, 0)}
	}
	if rarely() {
		w.endpoint = g.document(policy.Endpoint, 6)
	}
	switch g.IntN(5) {
	case 0:
	case 1:
		w.trust, w.resourcePolicy = true, g.document(policy.Trust, 8)
	default:
		w.resourcePolicy = g.document(policy.Resource, 8)
	}
	return new(*w)
}

// Single returns a World whose one statement decides: it allows, or it denies what another allows.
func (g *Generator) Single() *World {
	w := &World{}
	g.ask(w)
	statement := Doc{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": g.conditions()}
	if g.IntN(2) == 0 {
		delete(statement, "Condition")
		statement["Action"] = pick(g, actionPatterns...)
		statement["Resource"] = pick(g, resourcePatterns...)
	}
	w.identity = []Doc{{"Version": pick(g, "2012-10-17", "2012-10-17", "2008-10-17"), "Statement": statement}}
	if g.IntN(2) == 0 {
		statement["Effect"] = "Deny"
		w.identity = append(w.identity, Doc{"Statement": Doc{"Effect": "Allow", "Action": "*", "Resource": "*"}})
	}
	return &World{who: Callers[2+g.IntN(2)*2], action: w.action, resource: w.resource, resourceAccount: Ours, context: w.context, identity: w.identity, expressions: g.expressions, compiled: g.compiled}
}

// Membership is what an implementation knows of an account's place in an organization.
type Membership struct {
	OrgID string
	Paths []string
	SCP   [][]*policy.Policy
	RCP   func(action string) [][]*policy.Policy // those that bind an action on the account's resources
}

// Request compiles the World's documents. What accounts are members of is asked of memberships, which returns nil for an account outside of
// organizations; it is not called in Worlds without them.
func (w *World) Request(memberships func(w *World, account string) *Membership) (*policy.Request, error) {
	var problem error
	parse := func(d Doc, kind policy.Kind) *policy.Policy {
		if d == nil {
			return nil
		}
		p, err := w.compiled.of(d, kind)
		if err != nil {
			problem = err
		}
		return p
	}
	all := func(ds []Doc, kind policy.Kind) (out []*policy.Policy) {
		for _, d := range ds {
			out = append(out, parse(d, kind))
		}
		return out
	}
	context := policy.Values{}
	for key, values := range w.context {
		context.Set(key, values...)
	}
	r := &policy.Request{
		Principal: w.who, Action: w.action, Resource: w.resource, ResourceAccount: w.resourceAccount, Context: context,
		Identity: all(w.identity, policy.Identity), Groups: all(w.groups, policy.Identity), Boundary: parse(w.boundary, policy.Boundary),
		Session: all(w.session, policy.Session), Endpoint: parse(w.endpoint, policy.Endpoint), ResourcePolicyRequired: w.required,
	}
	for _, level := range w.scp {
		r.SCP = append(r.SCP, all(level, policy.SCP))
	}
	for _, level := range w.rcp {
		r.RCP = append(r.RCP, all(level, policy.RCP))
	}
	if len(w.organizations) > 0 {
		w.place(r, context, memberships)
	}
	if r.ResourcePolicy = parse(w.resourcePolicy, policy.Resource); w.trust {
		r.ResourcePolicy = parse(w.resourcePolicy, policy.Trust)
	}
	if w.grantee != nil {
		r.Grant = &policy.Grant{ID: "g", Grantee: *w.grantee}
	}
	return r, problem
}

// Compile parses a document.
func Compile(d Doc, kind policy.Kind) (*policy.Policy, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(text, kind)
	if err != nil {
		return nil, fmt.Errorf("parsing %s as %v: %w", text, kind, err)
	}
	return p, nil
}

// String is the World as JSON, for failure messages.
func (w *World) String() string {
	text, _ := json.MarshalIndent(Doc{
		"who": w.who, "action": w.action, "resource": w.resource, "resourceAccount": w.resourceAccount, "context": w.context,
		"identity": w.identity, "groups": w.groups, "boundary": w.boundary, "session": w.session, "scp": w.scp, "rcp": w.rcp,
		"endpoint": w.endpoint, "resourcePolicy": w.resourcePolicy, "required": w.required, "grantee": w.grantee,
		"organizations": w.organizations, "serviceLinked": w.serviceLinked, "source": w.source,
	}, "", " ")
	return string(text)
}
