package policytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Doc is a decoded JSON object.
type Doc = map[string]any

// World is a request with its policies as documents, and the organizations around it.
type World struct {
	who             policy.Principal
	action          string
	resource        string
	resourceAccount string
	context         map[string][]string
	identity        []Doc
	groups          []Doc
	boundary        Doc
	session         []Doc
	scp, rcp        [][]Doc
	endpoint        Doc
	resourcePolicy  Doc
	trust           bool
	required        bool
	grantee         *string

	// In a World of organizations, scp and rcp are empty: they follow from the records.
	organizations []*Organization
	serviceLinked bool   // the caller is a session of a service-linked role
	source        string // the account that a calling service acts for

	expressions map[string]*regexp.Regexp // a memory: the same few patterns come up all the time
	compiled    *compiled
	own         map[string]string // what follows() found
}

// Verdict is what a Decision has to say.
type Verdict struct {
	Outcome policy.Outcome
	Kind    policy.Kind
}

// Judge decides the World.
func (w *World) Judge() Verdict {
	rcp, scp := w.fences()
	resourceKind := policy.Resource
	if w.trust {
		resourceKind = policy.Trust
	}
	type layer struct {
		kind policy.Kind
		docs []Doc
	}
	one := func(d Doc) []Doc {
		if d == nil {
			return nil
		}
		return []Doc{d}
	}
	layers := []layer{
		{policy.RCP, slices.Concat(rcp...)}, {policy.SCP, slices.Concat(scp...)}, {policy.Endpoint, one(w.endpoint)},
		{resourceKind, one(w.resourcePolicy)}, {policy.Identity, slices.Concat(w.identity, w.groups)},
		{policy.Boundary, one(w.boundary)}, {policy.Session, w.session},
	}
	for _, l := range layers {
		if w.says("Deny", l.docs) > 0 {
			return Verdict{policy.ExplicitDeny, l.kind}
		}
	}
	for _, level := range rcp {
		if w.says("Allow", level) == 0 {
			return Verdict{policy.ImplicitDeny, policy.RCP}
		}
	}
	for _, level := range scp {
		if w.says("Allow", level) == 0 {
			return Verdict{policy.ImplicitDeny, policy.SCP}
		}
	}
	if w.endpoint != nil && w.says("Allow", one(w.endpoint)) == 0 {
		return Verdict{policy.ImplicitDeny, policy.Endpoint}
	}

	named := w.says("Allow", one(w.resourcePolicy))
	if w.grantee != nil {
		g := 3
		if *w.grantee != "" {
			g = w.closeness([2]string{"AWS", *w.grantee})
			if w.who.Kind == policy.Service && *w.grantee == w.who.ServiceName {
				g = 3
			}
		}
		named = max(named, g)
	}
	root := w.who.Kind == policy.Root
	identityOK := root || w.says("Allow", slices.Concat(w.identity, w.groups)) > 0
	boundaryOK := w.boundary == nil || w.says("Allow", one(w.boundary)) > 0
	limited := len(w.session) > 0 || w.who.Kind == policy.FederatedUser
	sessionOK := !limited || w.says("Allow", w.session) > 0

	hasAccount := w.who.Account != ""
	same := w.resourceAccount == w.who.Account
	// Each row: is it this case, and what must hold, in the order it is complained of.
	type wish struct {
		ok   bool
		kind policy.Kind
	}
	var wishes []wish
	winner := resourceKind
	switch {
	case !hasAccount:
		wishes = []wish{{named == 3, resourceKind}}
	case !same:
		wishes = []wish{{identityOK, policy.Identity}, {boundaryOK, policy.Boundary}, {sessionOK, policy.Session}, {named > 0, resourceKind}}
		winner = policy.Identity
	case named == 3 && root && limited, named == 2:
		wishes = []wish{{boundaryOK, policy.Boundary}, {sessionOK, policy.Session}}
	case named == 3:
	default:
		wishes = []wish{{!w.required || named == 1, resourceKind}, {identityOK, policy.Identity}, {boundaryOK, policy.Boundary}, {sessionOK, policy.Session}}
		winner = policy.Identity
	}
	for _, x := range wishes {
		if !x.ok {
			return Verdict{policy.ImplicitDeny, x.kind}
		}
	}
	return Verdict{policy.Allow, winner}
}

// says is how closely the closest statement of that effect names the caller: 0 not at all,
// 1 its account, 2 its role or user, 3 itself.
func (w *World) says(effect string, docs []Doc) int {
	best := 0
	for _, d := range docs {
		statements, ok := d["Statement"].([]any)
		if !ok {
			statements = []any{d["Statement"]}
		}
		modern := d["Version"] == "2012-10-17"
		for _, s := range statements {
			s := s.(Doc)
			if s["Effect"] == effect {
				best = max(best, w.applies(s, modern))
			}
		}
	}
	return best
}

func (w *World) applies(s Doc, modern bool) int {
	how := 3
	if p, ok := s["Principal"]; ok {
		how = 0
		for _, v := range principalList(p) {
			how = max(how, w.closeness(v))
		}
	}
	if p, ok := s["NotPrincipal"]; ok && w.excepted(p) {
		how = 0
	}
	action, hasAction := s["Action"]
	notAction, hasNotAction := s["NotAction"]
	actionFits := func(v any) bool {
		return slices.ContainsFunc(list(v), func(p string) bool {
			return w.glob(strings.ToLower(p), nil).MatchString(strings.ToLower(w.action))
		})
	}
	if !(hasAction && actionFits(action) || hasNotAction && !actionFits(notAction)) {
		return 0
	}
	resource, hasResource := s["Resource"]
	notResource, hasNotResource := s["NotResource"]
	resourceFits := func(v any) bool {
		subject := w.resource
		if subject == "" {
			subject = "*"
		}
		return slices.ContainsFunc(list(v), func(p string) bool { return w.resourceGlob(p, modern).MatchString(subject) })
	}
	// Only trust policies apply without a resource; elsewhere it is a statement without effect.
	bare := w.trust && !hasResource && !hasNotResource
	if !(bare || hasResource && resourceFits(resource) || hasNotResource && !resourceFits(notResource)) {
		return 0
	}
	conditions, _ := s["Condition"].(Doc)
	for name, block := range conditions {
		for key, v := range block.(Doc) {
			if !w.condition(name, key, list(v), modern) {
				return 0
			}
		}
	}
	return how
}

func principalList(v any) (out [][2]string) {
	if v == "*" {
		return [][2]string{{"AWS", "*"}}
	}
	for kind, values := range v.(Doc) {
		for _, s := range list(values) {
			out = append(out, [2]string{kind, s})
		}
	}
	return out
}

func (w *World) closeness(named [2]string) int {
	kind, s := named[0], named[1]
	p := w.who
	names := map[string]int{}
	learn := func(kind, name string, how int) {
		if name != "" {
			names[kind+" "+name] = max(how, names[kind+" "+name])
		}
	}
	switch p.Kind {
	case policy.Root:
		learn("AWS", p.Account, 3)
		learn("AWS", p.ARN, 3)
	case policy.User:
		learn("AWS", p.Account, 1)
		learn("AWS", "arn:aws:iam::"+p.Account+":root", 1)
		learn("AWS", p.ARN, 3)
		learn("AWS", p.ID, 3)
	case policy.Role, policy.FederatedUser:
		learn("AWS", p.Account, 1)
		learn("AWS", "arn:aws:iam::"+p.Account+":root", 1)
		learn("AWS", p.Issuer, 2)
		learn("AWS", p.ID, 2)
		learn("AWS", p.ARN, 3)
	case policy.Service:
		learn("Service", p.ServiceName, 3)
	}
	learn("Federated", p.Provider, 3)
	learn("CanonicalUser", p.CanonicalID, 3)
	learn("AWS", "*", 3)
	return names[kind+" "+s]
}

func (w *World) excepted(notPrincipal any) bool {
	p := w.who
	if w.boundary != nil && (p.Kind == policy.User || p.Kind == policy.Role) {
		return false
	}
	listed := func(name string) bool {
		return name != "" && slices.Contains(principalList(notPrincipal), [2]string{"AWS", name})
	}
	if listed("*") {
		return true
	}
	if p.Kind == policy.Role && listed(p.ARN) {
		return listed(p.Issuer) || listed(p.ID)
	}
	return slices.ContainsFunc(principalList(notPrincipal), func(n [2]string) bool { return w.closeness(n) == 3 })
}

// value is what a key holds, in the context or by what the request is.
func (w *World) value(key string) []string {
	key = strings.ToLower(key)
	for k, v := range w.context {
		if strings.ToLower(k) == key {
			return v
		}
	}
	if w.own == nil {
		w.own = w.follows()
	}
	if w.own[key] == "" {
		return nil
	}
	return []string{w.own[key]}
}

// follows is the values of the keys that the request and the records say by themselves.
func (w *World) follows() map[string]string {
	p := w.who
	own := map[string]string{
		"aws:principalarn":          p.ARN,
		"aws:principalaccount":      p.Account,
		"aws:principalisawsservice": fmt.Sprint(p.Kind == policy.Service),
		"aws:principalservicename":  p.ServiceName,
		"aws:resourceaccount":       w.resourceAccount,
		"aws:principaltype":         map[policy.PrincipalKind]string{policy.Anonymous: "Anonymous", policy.Root: "Account", policy.User: "User", policy.Role: "AssumedRole", policy.FederatedUser: "FederatedUser"}[p.Kind],
		"aws:username":              p.UserName,
	}
	switch p.Kind {
	case policy.Root:
		own["aws:userid"] = p.Account
	case policy.User:
		own["aws:userid"] = p.ID
	case policy.Role:
		own["aws:userid"] = p.ID + ":" + p.SessionName
		own["aws:principalarn"] = p.Issuer
	case policy.FederatedUser:
		own["aws:userid"] = p.Account + ":" + p.SessionName
	}
	if p.Kind != policy.Federated {
		own["aws:federatedprovider"] = p.Provider
	}
	w.learnOrganizations(own)
	return own
}

var variableText = regexp.MustCompile(`\$\{([^}]*)\}`)

// abstract replaces each variable by a private character and says what each stands for.
// The second result is false when one stands for nothing.
func (w *World) abstract(s string, modern bool) (string, map[rune]string, bool) {
	values := map[rune]string{}
	if !modern || !strings.Contains(s, "$") {
		return s, values, true
	}
	ok := true
	s = variableText.ReplaceAllStringFunc(s, func(v string) string {
		r := rune(0xE000 + len(values))
		name := v[2 : len(v)-1]
		if name == "*" || name == "?" || name == "$" {
			values[r] = name
			return string(r)
		}
		key, def, hasDefault := strings.Cut(name, ",")
		got := w.value(strings.TrimSpace(key))
		switch {
		case len(got) == 1:
			values[r] = got[0]
		case len(got) == 0 && hasDefault:
			values[r] = strings.Trim(strings.TrimSpace(def), "'")
		default:
			ok = false
			values[r] = "?"
		}
		return string(r)
	})
	return s, values, ok
}

var never = regexp.MustCompile(`[^\s\S]`)

// glob compiles wildcards; private characters stand for the values' text.
func (w *World) glob(s string, values map[rune]string) *regexp.Regexp {
	var b strings.Builder
	for _, r := range s {
		if v, ok := values[r]; ok {
			b.WriteString(regexp.QuoteMeta(v))
		} else if r == '*' {
			b.WriteString(".*")
		} else if r == '?' {
			b.WriteString(".")
		} else {
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return w.expression(`(?s)\A` + b.String() + `\z`)
}

// expression is regexp.MustCompile with a memory.
func (w *World) expression(s string) *regexp.Regexp {
	if w.expressions[s] == nil {
		w.expressions[s] = regexp.MustCompile(s)
	}
	return w.expressions[s]
}

var starsInside = regexp.MustCompile(`\*+([^:*])`)

func (w *World) resourceGlob(s string, modern bool) *regexp.Regexp {
	written := "resource " + s
	if known := w.expressions[written]; known != nil {
		return known
	}
	plain := !strings.Contains(s, "$")
	s, values, ok := w.abstract(s, modern)
	if !ok {
		return never
	}
	if !strings.HasPrefix(s, "arn:") {
		return w.glob(s, values)
	}
	fields := strings.SplitN(s, ":", 6)
	for i, f := range fields {
		if i == 5 {
			continue
		}
		// A star before another character of its field does not leave the field, and a
		// question mark never does.
		f = starsInside.ReplaceAllString(f, "\uF000$1")
		fields[i] = strings.ReplaceAll(f, "?", "\uF001")
	}
	pattern := w.glob(strings.Join(fields, ":"), values).String()
	pattern = strings.ReplaceAll(pattern, "\uF000", "[^:]*")
	e := w.expression(strings.ReplaceAll(pattern, "\uF001", "[^:]"))
	if plain {
		w.expressions[written] = e
	}
	return e
}

func (w *World) condition(name, key string, want []string, modern bool) bool {
	set, op := "", name
	if before, after, ok := strings.Cut(name, ":"); ok {
		set, op = before, after
	}
	op, ifExists := strings.CutSuffix(op, "IfExists")
	got := w.value(key)
	if op == "Null" {
		return slices.Contains(want, fmt.Sprint(len(got) == 0))
	}
	if ifExists && len(got) == 0 {
		return true
	}
	positive := strings.Replace(op, "Not", "", 1)
	matches := func(v string) bool {
		return slices.ContainsFunc(want, func(p string) bool { return w.fits(positive, p, v, modern) })
	}
	misses := func(v string) bool { return !matches(v) }
	negated := positive != op
	test := matches
	if negated {
		test = misses
	}
	switch set {
	case "ForAllValues":
		return !slices.ContainsFunc(got, func(v string) bool { return !test(v) })
	case "ForAnyValue":
		return slices.ContainsFunc(got, test)
	}
	return slices.ContainsFunc(got, matches) != negated
}

func (w *World) fits(op, want, got string, modern bool) bool {
	switch op {
	case "StringEquals", "StringEqualsIgnoreCase":
		s, values, ok := w.abstract(want, modern)
		for r, v := range values {
			s = strings.ReplaceAll(s, string(r), v)
		}
		return ok && (s == got || op != "StringEquals" && strings.EqualFold(s, got))
	case "StringLike":
		s, values, ok := w.abstract(want, modern)
		return ok && w.glob(s, values).MatchString(got)
	case "ArnEquals", "ArnLike":
		s, values, ok := w.abstract(want, modern)
		wants, gots := strings.SplitN(s, ":", 6), strings.SplitN(got, ":", 6)
		if !ok || len(gots) != 6 || gots[0] != "arn" {
			return false
		}
		if n := len(wants); n < 6 {
			if !strings.HasSuffix(s, "*") {
				return false
			}
			gots = strings.SplitN(got, ":", n)
		}
		for i := range wants {
			if !w.glob(wants[i], values).MatchString(gots[i]) {
				return false
			}
		}
		return true
	case "Bool":
		return strings.EqualFold(want, got)
	case "BinaryEquals":
		a, err := base64.StdEncoding.DecodeString(got)
		b, _ := base64.StdEncoding.DecodeString(want)
		return err == nil && string(a) == string(b)
	case "IpAddress":
		return inRange(want, got)
	}
	var sign int
	if after, ok := strings.CutPrefix(op, "Numeric"); ok {
		a, ok := new(big.Rat).SetString(got)
		b, _ := new(big.Rat).SetString(want)
		if !ok {
			return false
		}
		op, sign = after, a.Cmp(b)
	} else {
		a, ok := instant(got)
		b, _ := instant(want)
		if !ok {
			return false
		}
		op, sign = strings.TrimPrefix(op, "Date"), a.Compare(b)
	}
	return map[string]bool{"Equals": sign == 0, "LessThan": sign < 0, "LessThanEquals": sign <= 0,
		"GreaterThan": sign > 0, "GreaterThanEquals": sign >= 0}[op]
}

func inRange(want, got string) bool {
	ip := net.ParseIP(got)
	if _, network, err := net.ParseCIDR(want); err == nil {
		return ip != nil && network.Contains(ip)
	}
	return ip != nil && ip.Equal(net.ParseIP(want))
}

func instant(s string) (time.Time, bool) {
	if n, ok := new(big.Int).SetString(s, 10); ok && len(s) != 4 {
		return time.Unix(n.Int64(), 0), true
	}
	for _, form := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02", "2006"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// list is a JSON value or array of values as strings.
func list(v any) (out []string) {
	if items, ok := v.([]any); ok {
		for _, item := range items {
			out = append(out, list(item)...)
		}
		return out
	}
	if s, ok := v.(string); ok {
		return []string{s}
	}
	text, _ := json.Marshal(v)
	return []string{string(text)}
}
