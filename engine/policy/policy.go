package policy

import (
	"crypto/sha256"
	"iter"
	"strings"
	"unicode/utf8"
)

// Policy is a compiled policy document. It is immutable, and safe for concurrent use.
type Policy struct {
	kind       Kind
	name       string
	version    string
	id         string
	text       string
	mark       Fingerprint
	statements []statement
	// deny and allow split the statements by effect, so that each of the two passes of a
	// decision touches only its own.
	deny, allow []filed
}

// filed is a statement with what settles most of them: whether it says anything of the service asked for.
type filed struct {
	vendors   vendorSet
	statement *statement
}

type statement struct {
	index      int
	sid        string
	principals principals
	actions    actions
	notAction  bool
	resources  []pattern
	notRes     bool
	anyRes     bool // the kind of policy has no Resource element
	conditions []condition
	start, end int
	view       Statement
}

// Statement is a statement as it was written. Callers must not change its slices.
type Statement struct {
	Index        int
	Sid          string
	Effect       string // Allow or Deny
	Actions      []string
	NotAction    bool // Actions come from NotAction
	Resources    []string
	NotResource  bool // Resources come from NotResource
	Principals   []PrincipalRef
	NotPrincipal bool // Principals come from NotPrincipal
	Conditions   []ConditionRef
	Start, End   int // offsets in the document
}

// Kind returns the kind that the document was parsed as.
func (p *Policy) Kind() Kind { return p.kind }

// Version returns the version of the policy language in force: 2008-10-17 where the
// document names none.
func (p *Policy) Version() string { return p.version }

// ID returns the document's Id element.
func (p *Policy) ID() string { return p.id }

// Text returns the document as it was given to Parse, byte for byte.
func (p *Policy) Text() string { return p.text }

// Fingerprint identifies a document across processes and restarts.
type Fingerprint [8]byte

// Fingerprint returns the identity of the policy's kind and text: equal for two policies
// if both are equal, whatever their names and bindings. It was computed by Parse, and is a prefix
// of a SHA-256: good to find a text again among those that one knows, not to prove that it is the same.
func (p *Policy) Fingerprint() Fingerprint { return p.mark }

// fingerprint hashes the kind's number, which therefore must not change, and the text.
func fingerprint(kind Kind, doc []byte) (f Fingerprint) {
	h := sha256.New()
	h.Write([]byte{byte(kind)})
	h.Write(doc)
	copy(f[:], h.Sum(nil))
	return f
}

// Name returns the name set by Named.
func (p *Policy) Name() string { return p.name }

// Named returns the same policy under a name of the caller's, such as its ARN, by which
// a decision's trace calls it.
func (p *Policy) Named(name string) *Policy {
	q := *p
	q.name = name
	return &q
}

// Position turns an offset in the document into a line and a column, both from one,
// columns in characters.
func (p *Policy) Position(offset int) (line, column int) { return position(p.text, offset) }

func position(text string, offset int) (line, column int) {
	offset = min(max(offset, 0), len(text))
	before := text[:offset]
	begin := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[begin:])
}

// Statements yields the statements in the order of the document.
func (p *Policy) Statements() iter.Seq[Statement] {
	return func(yield func(Statement) bool) {
		for i := range p.statements {
			if !yield(p.statements[i].view) {
				return
			}
		}
	}
}

// Principals yields every principal that the document names, in its order.
func (p *Policy) Principals() iter.Seq[PrincipalRef] {
	return func(yield func(PrincipalRef) bool) {
		for i := range p.statements {
			for _, ref := range p.statements[i].principals.refs {
				if !yield(ref) {
					return
				}
			}
		}
	}
}

// Conditions yields every condition of the document, in its order.
func (p *Policy) Conditions() iter.Seq[ConditionRef] {
	return func(yield func(ConditionRef) bool) {
		for i := range p.statements {
			for j := range p.statements[i].conditions {
				if !yield(p.statements[i].conditions[j].ref) {
					return
				}
			}
		}
	}
}

// ContextKeys yields the context keys that the document reads, in conditions and in
// variables: as written first, and each once, as case does not tell keys apart.
func (p *Policy) ContextKeys() iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := map[string]bool{}
		more := true
		for i := range p.statements {
			p.statements[i].keys(func(key, written string) {
				if more && !seen[key] {
					seen[key] = true
					more = yield(written)
				}
			})
		}
	}
}

// keys calls add for each context key that the statement reads, repeatedly where it does:
// in lower case, and as written.
func (s *statement) keys(add func(key, written string)) {
	for i := range s.resources {
		s.resources[i].keys(add)
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		add(c.key, c.ref.Key)
		for j := range c.values {
			c.values[j].pattern.keys(add)
			for k := range c.values[j].arn.fields {
				c.values[j].arn.fields[k].keys(add)
			}
		}
	}
}
