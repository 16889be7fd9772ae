package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// TestOracle compares the package with the oracle on generated requests: on whole ones,
// and on ones where a single statement decides, so that nothing hides what it does. A
// failure prints the seed; HOLDFAST_POLICY_SEED repeats it and HOLDFAST_POLICY_CASES asks
// for more.
func TestOracle(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HOLDFAST_POLICY_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	cases := 6000
	if s := os.Getenv("HOLDFAST_POLICY_CASES"); s != "" {
		cases, _ = strconv.Atoi(s)
	}
	t.Run("Whole", func(t *testing.T) {
		tally := compare(t, seed, cases, (*generator).world)
		// The comparison is worth what its cases reach.
		for _, outcome := range []policy.Outcome{policy.ExplicitDeny, policy.ImplicitDeny} {
			for kind := policy.Identity; kind <= policy.Trust; kind++ {
				if name := fmt.Sprintf("%v by %v", outcome, kind); tally[name] == 0 && name != "implicitDeny by resource control policy" {
					t.Errorf("no generated case ended in %s", name)
				}
			}
		}
		for _, kind := range []policy.Kind{policy.Identity, policy.Resource, policy.Trust} {
			if tally[fmt.Sprintf("%v by %v", policy.Allow, kind)] < 20 {
				t.Errorf("too few allows by %v", kind)
			}
		}
	})
	t.Run("SingleStatement", func(t *testing.T) {
		tally := compare(t, seed, cases, (*generator).single)
		for _, outcome := range []policy.Outcome{policy.ExplicitDeny, policy.ImplicitDeny, policy.Allow} {
			if tally[fmt.Sprintf("%v by %v", outcome, policy.Identity)] < cases/10 {
				t.Errorf("too few cases ended in %v", outcome)
			}
		}
	})
}

// compare runs the cases and counts how they end.
func compare(t *testing.T, seed uint64, cases int, next func(*generator) *world) map[string]int {
	t.Logf("seed %d, %d cases", seed, cases)
	g := &generator{rand.New(rand.NewPCG(seed, 1))}
	tally := map[string]int{}
	for i := range cases {
		w := next(g)
		r := w.request(t)
		got := policy.Decide(r)
		want := w.judge()
		if got.Outcome != want.outcome || got.Kind != want.kind || got.Allowed != (want.outcome == policy.Allow) {
			dump, _ := json.MarshalIndent(w.dump(), "", " ")
			t.Fatalf("seed %d, case %d: Decide = %v by %v, oracle says %v by %v\n%s",
				seed, i, got.Outcome, got.Kind, want.outcome, want.kind, dump)
		}
		if x := policy.Explain(r); x.Decision != got {
			t.Fatalf("seed %d, case %d: Explain decides %+v, Decide %+v", seed, i, x.Decision, got)
		}
		if got.Allowed != (got.Message() == "") {
			t.Fatalf("seed %d, case %d: allowed %t with the message %q", seed, i, got.Allowed, got.Message())
		}
		tally[fmt.Sprintf("%v by %v", got.Outcome, got.Kind)]++
	}
	t.Log(tally)
	return tally
}

type generator struct{ *rand.Rand }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// some picks one string, or an array of up to three.
func (g *generator) some(from ...string) any {
	if g.IntN(2) == 0 {
		return pick(g, from...)
	}
	var out []any
	for range 1 + g.IntN(3) {
		out = append(out, pick(g, from...))
	}
	return out
}

const (
	ours   = "111122223333"
	theirs = "444455556666"
)

var callers = []policy.Principal{
	{},
	{Kind: policy.Root, Account: ours, ARN: "arn:aws:iam::111122223333:root"},
	{Kind: policy.User, Account: ours, ARN: "arn:aws:iam::111122223333:user/ann", ID: "AIDAANNANNANNANNANN01", UserName: "ann"},
	{Kind: policy.User, Account: theirs, ARN: "arn:aws:iam::444455556666:user/bob", ID: "AIDABOBBOBBOBBOBBOB01", UserName: "bob"},
	{Kind: policy.Role, Account: ours, ARN: "arn:aws:sts::111122223333:assumed-role/ops/s1", Issuer: "arn:aws:iam::111122223333:role/team/ops", ID: "AROAOPSOPSOPSOPSOPS01", SessionName: "s1"},
	{Kind: policy.Role, Account: ours, ARN: "arn:aws:sts::111122223333:assumed-role/web/s2", Issuer: "arn:aws:iam::111122223333:role/web", ID: "AROAWEBWEBWEBWEBWEB01", SessionName: "s2", Provider: "accounts.google.com"},
	{Kind: policy.FederatedUser, Account: ours, ARN: "arn:aws:sts::111122223333:federated-user/fay", Issuer: "arn:aws:iam::111122223333:user/ann", ID: "AIDAANNANNANNANNANN01", SessionName: "fay"},
	{Kind: policy.Federated, Provider: "accounts.google.com"},
	{Kind: policy.Service, ServiceName: "events.amazonaws.com"},
}

func (g *generator) principal() any {
	if g.IntN(5) == 0 {
		return "*"
	}
	aws := []string{"*", ours, theirs, "arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"}
	for _, c := range callers[2:7] {
		aws = append(aws, c.ARN, c.ID)
		if c.Issuer != "" {
			aws = append(aws, c.Issuer)
		}
	}
	p := doc{}
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

func (g *generator) conditions() doc {
	c := doc{}
	for range 1 + g.IntN(2) {
		f := pick(g, families...)
		key := pick(g, keysOf[f]...)
		if g.IntN(8) == 0 {
			c["Null"] = doc{key: g.some("true", "false")}
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
		c[name] = doc{key: value}
	}
	return c
}

// document makes a policy. lean is the share of statements, of ten, that allow.
func (g *generator) document(kind policy.Kind, lean int) doc {
	var statements []any
	for range 1 + g.IntN(3) {
		s := doc{"Effect": "Deny"}
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
				if c := pick(g, callers[2:7]...); g.IntN(3) == 0 {
					s["NotPrincipal"] = doc{"AWS": []any{ours, c.ARN, pick(g, c.Issuer, c.ID, theirs)}}
					if c.Issuer == "" {
						s["NotPrincipal"] = doc{"AWS": c.ARN}
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
		statements = append(statements, doc{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
	}
	d := doc{"Statement": statements}
	if len(statements) == 1 && g.IntN(2) == 0 {
		d["Statement"] = statements[0]
	}
	if v := pick(g, "2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17", ""); v != "" {
		d["Version"] = v
	}
	return d
}

func (g *generator) documents(kind policy.Kind, atLeast, atMost, lean int) (out []doc) {
	for range atLeast + g.IntN(atMost-atLeast+1) {
		out = append(out, g.document(kind, lean))
	}
	return out
}

func (g *generator) world() *world {
	w := &world{
		who: pick(g, callers...), action: pick(g, actions...), resource: pick(g, resources...),
		resourceAccount: pick(g, ours, ours, theirs), context: map[string][]string{}, required: g.IntN(3) == 0,
	}
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
		w.scp = [][]doc{g.documents(policy.SCP, 1, 2, 9), g.documents(policy.SCP, 1, 1, 9)}
	}
	if rarely() {
		w.rcp = [][]doc{g.documents(policy.RCP, 1, 1, 0)}
	}
	if rarely() {
		w.endpoint = g.document(policy.Endpoint, 9)
	}
	switch g.IntN(5) {
	case 0:
	case 1:
		w.trust, w.required, w.resourcePolicy = true, true, g.document(policy.Trust, 8)
		if g.IntN(4) > 0 {
			w.action = "sts:AssumeRole"
		}
	default:
		w.resourcePolicy = g.document(policy.Resource, 8)
	}
	if rarely() {
		w.grantee = new(pick(g, "", ours, "arn:aws:iam::111122223333:root", w.who.ARN, w.who.Issuer, theirs, "events.amazonaws.com", "arn:aws:iam::111122223333:user/nobody"))
	}
	return w
}

// single is a world whose one statement decides: it allows, or it denies what another allows.
func (g *generator) single() *world {
	w := g.world()
	statement := doc{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": g.conditions()}
	if g.IntN(2) == 0 {
		delete(statement, "Condition")
		statement["Action"] = pick(g, actionPatterns...)
		statement["Resource"] = pick(g, resourcePatterns...)
	}
	w.identity = []doc{{"Version": pick(g, "2012-10-17", "2012-10-17", "2008-10-17"), "Statement": statement}}
	if g.IntN(2) == 0 {
		statement["Effect"] = "Deny"
		w.identity = append(w.identity, doc{"Statement": doc{"Effect": "Allow", "Action": "*", "Resource": "*"}})
	}
	return &world{who: callers[2+g.IntN(2)*2], action: w.action, resource: w.resource, resourceAccount: ours, context: w.context, identity: w.identity}
}

// request compiles the world's documents.
func (w *world) request(t testing.TB) *policy.Request {
	parse := func(d doc, kind policy.Kind) *policy.Policy {
		if d == nil {
			return nil
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Parse(text, kind)
		if err != nil {
			t.Fatalf("Parse(%s, %v) = %v", text, kind, err)
		}
		return p
	}
	all := func(ds []doc, kind policy.Kind) (out []*policy.Policy) {
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
	if r.ResourcePolicy = parse(w.resourcePolicy, policy.Resource); w.trust {
		r.ResourcePolicy = parse(w.resourcePolicy, policy.Trust)
	}
	if w.grantee != nil {
		r.Grant = &policy.Grant{ID: "g", Grantee: *w.grantee}
	}
	return r
}

func (w *world) dump() doc {
	return doc{
		"who": w.who, "action": w.action, "resource": w.resource, "resourceAccount": w.resourceAccount, "context": w.context,
		"identity": w.identity, "groups": w.groups, "boundary": w.boundary, "session": w.session, "scp": w.scp, "rcp": w.rcp,
		"endpoint": w.endpoint, "resourcePolicy": w.resourcePolicy, "required": w.required, "grantee": w.grantee,
	}
}
