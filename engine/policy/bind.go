package policy

import (
	"encoding/json"
	"slices"
	"strings"
)

// A user or a role that is deleted and made again under its old name is somebody else.
// AWS therefore remembers the unique ID of each principal a policy names, and shows the
// ID in place of the ARN once the principal is gone. Bind does the remembering, Rewrite
// the showing.

// Bind returns the policy with the users and roles it names pinned to unique IDs: where
// id returns one for a principal of type AWS, the ID has to match and the ARN no longer
// does. An empty string leaves the principal as it is. The text stays.
func (p *Policy) Bind(id func(PrincipalRef) string) *Policy {
	q := *p
	q.statements = slices.Clone(p.statements)
	q.deny, q.allow = nil, nil
	for i := range q.statements {
		s := &q.statements[i]
		bound := s.principals
		bound.arns, bound.ids = nil, slices.Clone(s.principals.ids)
		for _, ref := range s.principals.refs {
			if ref.Type != "AWS" || !slices.Contains(s.principals.arns, ref.Value) {
				continue
			}
			if id := id(ref); id != "" {
				bound.ids = append(bound.ids, id)
			} else {
				bound.arns = append(bound.arns, ref.Value)
			}
		}
		s.principals = bound
		q.file(s)
	}
	return &q
}

// Rewrite returns the document's text with principals replaced: wherever value returns
// something else than the principal's own value. The rest stays byte for byte.
func (p *Policy) Rewrite(value func(PrincipalRef) string) string {
	var b strings.Builder
	done := 0
	for ref := range p.Principals() {
		v := value(ref)
		if v == ref.Value || ref.Type == "*" {
			continue
		}
		r := &reader{src: []byte(p.text), pos: ref.Offset}
		if _, err := r.str(); err != nil {
			continue // it was read without an error before
		}
		b.WriteString(p.text[done:ref.Offset])
		quoted, _ := json.Marshal(v) // a string always has a JSON form
		b.Write(quoted)
		done = r.pos
	}
	b.WriteString(p.text[done:])
	return b.String()
}

// file puts a statement on the list of its effect.
func (p *Policy) file(s *statement) {
	f := filed{vendors: everyVendor, statement: s}
	if !s.notAction {
		f.vendors = s.actions.set()
	}
	if s.view.Effect == "Deny" {
		p.deny = append(p.deny, f)
	} else {
		p.allow = append(p.allow, f)
	}
}
