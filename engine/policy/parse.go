package policy

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Fault sorts what can be wrong with a document, for callers whose API has an error
// for each.
type Fault uint8

const (
	InvalidJSON      Fault = iota // not a JSON document
	Malformed                     // JSON, and not a policy
	InvalidPrincipal              // a principal of no valid form
)

// SyntaxError says what is wrong with a document, and where.
type SyntaxError struct {
	Offset int    // in bytes, from zero
	Line   int    // from one
	Column int    // in characters, from one
	Path   string // Statement[0].Condition.StringEquals
	Msg    string // what is wrong there, in our words or AWS's
	Fault  Fault

	sentence string // AWS's
}

func (e *SyntaxError) Error() string {
	where := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		where = e.Path + ", " + where
	}
	return fmt.Sprintf("%s (%s)", e.Msg, where)
}

// Versions of the policy language.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// Parse compiles a policy document of the given kind. The error is a *SyntaxError.
// How long a document may be is for the caller to say.
func Parse(doc []byte, kind Kind) (*Policy, error) {
	if int(kind) >= len(kinds) {
		return nil, fmt.Errorf("policy kind %d is unknown", kind)
	}
	p := &Policy{kind: kind, version: Version2008, text: string(doc), mark: fingerprint(kind, doc)}
	c := &compiler{policy: p, grammar: &kinds[kind]}
	if root, err := readJSON(doc); err != nil {
		c.note(err)
	} else {
		c.note(c.document(&root))
	}
	if f := c.fault; f != nil {
		e := &SyntaxError{Offset: f.offset, Path: f.path, Msg: f.msg, Fault: f.kind, sentence: c.grammar.texts.sentence(f)}
		e.Line, e.Column = position(p.text, f.offset)
		return nil, e
	}
	for i := range p.statements {
		p.file(&p.statements[i])
	}
	return p, nil
}

type compiler struct {
	policy  *Policy
	grammar *grammar
	path    string
	fault   *fault // what the document is refused for
}

// failAt is a mistake in the shape of the document.
func (c *compiler) failAt(offset int, format string, args ...any) error {
	return c.fail(rankSyntax, offset, format, args...)
}

func (c *compiler) fail(at rank, offset int, format string, args ...any) error {
	return &fault{offset: offset, path: c.path, msg: fmt.Sprintf(format, args...), kind: Malformed, rank: at}
}

// note keeps an error, unless there is one already that goes before.
func (c *compiler) note(err error) {
	if f, ok := err.(*fault); ok && c.grammar.texts.worse(f, c.fault) { // the reader and the compiler return nothing else
		c.fault = f
	}
}

// in runs f with the path extended, and notes its error: the rest of the document is read all the same.
func (c *compiler) in(name string, f func() error) {
	outer := c.path
	if c.path != "" && !strings.HasPrefix(name, "[") {
		name = "." + name
	}
	c.path += name
	c.note(f())
	c.path = outer
}

func (c *compiler) document(root *node) error {
	if root.kind != nodeObject {
		return c.failAt(root.start, "a policy is a JSON object, not %v", root.kind)
	}
	var statements *node
	for i := range root.members {
		m := &root.members[i]
		c.in(m.name, func() error {
			v := &m.value
			switch m.name {
			case "Version":
				if v.kind != nodeString || v.text != Version2008 && v.text != Version2012 {
					return c.failAt(v.start, "The policy must contain a valid version string")
				}
				c.policy.version = v.text
			case "Id":
				if v.kind != nodeString {
					return c.failAt(v.start, "Id is a string, not %v", v.kind)
				}
				c.policy.id = v.text
			case "Statement":
				statements = v
			default:
				return c.failAt(m.start, "Unknown field %s", m.name)
			}
			return nil
		})
	}
	if statements == nil {
		return c.failAt(root.start, "Missing required field Statement")
	}
	c.in("Statement", func() error {
		if statements.kind == nodeObject {
			c.policy.statements = make([]statement, 1)
			return c.statement(statements, 0)
		}
		if statements.kind != nodeArray {
			return c.failAt(statements.start, "Statement is an object or an array, not %v", statements.kind)
		}
		if len(statements.items) == 0 {
			return c.failAt(statements.start, "Could not parse the policy: Statement is empty!")
		}
		c.policy.statements = make([]statement, len(statements.items))
		sids := map[string]bool{}
		for i := range statements.items {
			item := &statements.items[i]
			c.in("["+strconv.Itoa(i)+"]", func() error { return c.statement(item, i) })
			if sid := c.policy.statements[i].sid; sid != "" && !c.grammar.freeSid {
				if sids[sid] {
					text := "Statement IDs (SID) in a single policy must be unique."
					if c.grammar.texts == resourceTexts {
						text = "The Statement Ids in the policy are not unique"
					}
					c.note(c.fail(rankSid, item.start, "%s", text))
				}
				sids[sid] = true
			}
		}
		return nil
	})
	return nil
}

// statement compiles one statement in place: the policy's other slices point to it.
func (c *compiler) statement(n *node, index int) error {
	s := &c.policy.statements[index]
	s.index, s.start, s.end = index, n.start, n.end
	s.view.Index = index
	s.anyRes = c.grammar.resource == forbidden
	if n.kind != nodeObject {
		return c.failAt(n.start, "a statement is an object, not %v", n.kind)
	}
	elements := map[string]bool{}
	for i := range n.members {
		m := &n.members[i]
		elements[m.name] = true
		c.in(m.name, func() error { return c.element(s, m) })
	}
	for _, e := range [...]struct {
		name    string
		need    need
		missing string
		rank    rank
	}{
		{"Principal", c.grammar.principal, "", rankSyntax},
		{"Action", c.grammar.action, actionsMissing, rankNoAction},
		{"Resource", c.grammar.resource, resMissing, rankNoResource},
	} {
		plain, not := elements[e.name], elements["Not"+e.name]
		switch {
		case plain && not:
			c.note(c.failAt(n.start, "%s and Not%s exclude each other", e.name, e.name))
		case e.need == required && !plain && !not && c.grammar.texts == resourceTexts:
			c.note(c.failAt(n.start, "Missing required field %s", e.name))
		case e.need == required && !plain && !not:
			c.note(c.fail(e.rank, n.start, "%s", cmp.Or(e.missing, "Missing required field "+e.name)))
		}
	}
	if !elements["Effect"] {
		c.note(c.failAt(n.start, "Missing required field Effect"))
	}
	if s.principals.not && s.view.Effect == "Allow" {
		// It would grant to everybody not listed, strangers included. AWS has withdrawn it.
		c.note(c.failAt(n.start, "Allow with NotPrincipal is not allowed."))
	}
	if c.policy.kind == RCP {
		c.note(c.resourceControl(s))
	}
	s.actions = compileActions(s.view.Actions)
	s.view.Sid, s.view.Start, s.view.End = s.sid, s.start, s.end
	s.view.NotAction, s.view.NotResource, s.view.NotPrincipal = s.notAction, s.notRes, s.principals.not
	s.view.Principals = s.principals.refs
	for i := range s.conditions {
		s.view.Conditions = append(s.view.Conditions, s.conditions[i].ref)
	}
	return nil
}

// resourceControl checks what only resource control policies are held to: they deny, to
// everybody, actions of named services. The one that allows is AWS's RCPFullAWSAccess.
func (c *compiler) resourceControl(s *statement) error {
	full := len(s.view.Actions) == 1 && s.view.Actions[0] == "*"
	switch {
	case !s.principals.everybody:
		return c.failAt(s.start, "the Principal of a resource control policy is *")
	case s.notAction:
		return c.failAt(s.start, "a resource control policy has no NotAction")
	case s.view.Effect == "Allow" && !(full && !s.notRes && len(s.conditions) == 0 && len(s.view.Resources) == 1 && s.view.Resources[0] == "*"):
		return c.failAt(s.start, "a resource control policy only denies")
	case s.view.Effect == "Deny" && full:
		return c.failAt(s.start, "a resource control policy denies the actions of named services, not *")
	}
	return nil
}

func (c *compiler) element(s *statement, m *member) error {
	v := &m.value
	g := c.grammar
	switch m.name {
	case "Sid":
		if v.kind != nodeString {
			return c.failAt(v.start, "Sid is a string, not %v", v.kind)
		}
		if !g.freeSid && !alphanumeric(v.text) {
			return c.fail(rankSid, v.start, "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
		}
		s.sid = v.text
		return nil
	case "Effect":
		if v.kind != nodeString || v.text != "Allow" && v.text != "Deny" {
			at := rankSyntax
			if strings.EqualFold(v.text, "Allow") || strings.EqualFold(v.text, "Deny") {
				at = rankLegacy
			}
			return c.fail(at, v.start, "Invalid effect: %s", v.text)
		}
		s.view.Effect = v.text
		return nil
	case "Principal", "NotPrincipal":
		switch {
		case g.principal == forbidden:
			return c.fail(rankPrincipal, m.start, "Policy document should not specify a principal.")
		case m.name == "NotPrincipal" && !g.notPrincipal:
			return c.failAt(m.start, "AssumeRole policy must not contain NotPrincipal field.")
		}
		s.principals.present, s.principals.not = true, m.name == "NotPrincipal"
		return c.principals(s, v)
	case "Action", "NotAction":
		s.notAction = m.name == "NotAction"
		return c.strings(v, rankNoAction, actionsMissing, func(v *node) error { return c.action(s, v) })
	case "Resource", "NotResource":
		switch {
		case g.resource == forbidden && m.name == "NotResource":
			return c.failAt(m.start, "AssumeRole policy must not contain resources.")
		case g.resource == forbidden:
			return c.failAt(m.start, "Has prohibited field Resource")
		}
		s.notRes = m.name == "NotResource"
		return c.strings(v, rankNoResource, resMissing, func(v *node) error { return c.resource(s, v) })
	case "Condition":
		return c.conditions(s, v)
	}
	return c.failAt(m.start, "Unknown field %s", m.name)
}

// strings calls f for a string or for each of an array of at least one.
func (c *compiler) strings(v *node, at rank, empty string, f func(*node) error) error {
	if v.kind == nodeString {
		return f(v)
	}
	if v.kind != nodeArray {
		return c.failAt(v.start, "a string or an array of strings was expected, not %v", v.kind)
	}
	if len(v.items) == 0 {
		return c.fail(at, v.start, "%s", empty)
	}
	for i := range v.items {
		item := &v.items[i]
		c.in("["+strconv.Itoa(i)+"]", func() error {
			if item.kind != nodeString {
				return c.failAt(item.start, "a string was expected, not %v", item.kind)
			}
			return f(item)
		})
	}
	return nil
}

func (c *compiler) action(s *statement, v *node) error {
	vendor, name, ok := strings.Cut(v.text, ":")
	switch {
	case v.text == "*":
	case !ok || vendor != "" && name == "":
		return c.fail(rankAction, v.start, "%s", vendorMissing)
	case strings.Contains(name, ":"):
		return c.fail(rankAction, v.start, "Actions/Condition can contain only one colon.")
	case vendor != "*" && !isVendor(vendor):
		return c.fail(rankAction, v.start, "Vendor %s is not valid", vendor)
	case !printable(name):
		return c.fail(rankLegacy, v.start, "%q is not an action", v.text)
	}
	if c.policy.kind == Trust && !strings.EqualFold(vendor, "sts") {
		return c.failAt(v.start, "AssumeRole policy may only specify STS AssumeRole actions.")
	}
	s.view.Actions = append(s.view.Actions, v.text)
	return nil
}

func (c *compiler) resource(s *statement, v *node) error {
	if c.grammar.arns && v.text != "*" {
		if msg, at := checkARN(v.text); msg != "" {
			return c.fail(at, v.start, "%s", msg)
		}
	}
	if v.text == "" {
		return c.failAt(v.start, "Resource is empty")
	}
	p, at, problem := compilePattern(v.text, dialect{wildcards: true, variables: c.variables(), fields: true})
	if problem != "" {
		return c.fail(rankLegacy, c.inside(v, at), "%s", problem)
	}
	s.resources = append(s.resources, p)
	s.view.Resources = append(s.view.Resources, v.text)
	return nil
}

// variables reports whether ${...} means anything: before 2012-10-17 it is text.
func (c *compiler) variables() bool { return c.policy.version == Version2012 }

// inside is the place in the document of the byte at of a string's decoded text.
func (c *compiler) inside(n *node, at int) int {
	r := &reader{src: []byte(c.policy.text), pos: n.start + 1}
	var decoded []byte
	for n.kind == nodeString && len(decoded) < at && r.pos < n.end-1 {
		if r.src[r.pos] == '\\' {
			decoded, _ = r.escape(decoded) // read without an error before
		} else {
			decoded = append(decoded, r.src[r.pos])
			r.pos++
		}
	}
	return r.pos
}

func (c *compiler) principals(s *statement, v *node) error {
	add := func(kind string, v *node) error {
		if !s.principals.add(kind, v.text) {
			return &fault{offset: v.start, path: c.path, kind: InvalidPrincipal,
				msg: fmt.Sprintf("Invalid principal in policy: %q:%q", strings.ToUpper(kind), v.text)}
		}
		s.principals.refs = append(s.principals.refs, PrincipalRef{
			Type: kind, Value: v.text, Not: s.principals.not, Statement: s.index, Offset: v.start})
		return nil
	}
	if v.kind == nodeString {
		if v.text != "*" {
			return &fault{offset: v.start, path: c.path, kind: InvalidPrincipal, msg: "Invalid principal in policy: " + strconv.Quote(v.text)}
		}
		s.principals.everybody = true
		s.principals.refs = []PrincipalRef{{Type: "*", Value: "*", Not: s.principals.not, Statement: s.index, Offset: v.start}}
		return nil
	}
	if v.kind != nodeObject {
		return c.failAt(v.start, "a principal is \"*\" or an object, not %v", v.kind)
	}
	if len(v.members) == 0 {
		return c.failAt(v.start, "%s", principalEmpty)
	}
	for i := range v.members {
		m := &v.members[i]
		c.in(m.name, func() error {
			switch m.name {
			case "AWS", "Service", "Federated", "CanonicalUser":
				return c.strings(&m.value, rankSyntax, principalEmpty, func(v *node) error { return add(m.name, v) })
			}
			return &fault{offset: m.start, path: c.path, kind: InvalidPrincipal, msg: fmt.Sprintf("Invalid principal in policy: %q", m.name)}
		})
	}
	return nil
}

func (c *compiler) conditions(s *statement, v *node) error {
	if v.kind != nodeObject {
		return c.failAt(v.start, "Condition is an object, not %v", v.kind)
	}
	for i := range v.members {
		block := &v.members[i]
		c.in(block.name, func() error {
			op, set, ifExists, ok := findOperator(block.name)
			if !ok {
				return c.failAt(block.start, "Invalid Condition type : %s.", block.name)
			}
			if block.value.kind != nodeObject {
				return c.failAt(block.value.start, "a condition is an object, not %v", block.value.kind)
			}
			for j := range block.value.members {
				m := &block.value.members[j]
				cond := condition{operator: op, set: set, ifExists: ifExists, key: strings.ToLower(m.name)}
				cond.ref = ConditionRef{Statement: s.index, Set: set, Operator: op.name, IfExists: ifExists, Key: m.name, Offset: m.start}
				c.in(m.name, func() error { return c.condition(&cond, m) })
				s.conditions = append(s.conditions, cond)
			}
			return nil
		})
	}
	return nil
}

func (c *compiler) condition(cond *condition, m *member) error {
	if vendor, name, ok := strings.Cut(m.name, ":"); !ok || vendor == "" || name == "" {
		c.note(c.fail(rankAction, m.start, "%s", vendorMissing)) // the values are still to be read
	}
	one := func(v *node) error {
		switch v.kind {
		case nodeString, nodeNumber, nodeBool:
		default:
			return c.failAt(v.start, "a condition value is a string, a number or a boolean, not %v", v.kind)
		}
		o, at, problem := compileOperand(cond.operator, v.text, c.variables())
		if problem != "" {
			return c.fail(rankLegacy, c.inside(v, at), "%s: %q", problem, v.text)
		}
		cond.values = append(cond.values, o)
		cond.ref.Values = append(cond.ref.Values, v.text)
		return nil
	}
	if m.value.kind != nodeArray {
		return one(&m.value)
	}
	for i := range m.value.items {
		item := &m.value.items[i]
		c.in("["+strconv.Itoa(i)+"]", func() error { return one(item) })
	}
	return nil
}

func alphanumeric(s string) bool {
	return strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func isVendor(s string) bool {
	return s != "" && strings.Trim(s, "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
