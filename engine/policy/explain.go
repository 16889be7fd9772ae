package policy

import (
	"maps"
	"slices"
)

// Explanation is a decision with everything that bore on it, for simulators and people.
type Explanation struct {
	Decision Decision
	// Matched are the statements that apply to the request, in the order that policies
	// are asked.
	Matched []Match
	// Missing are the context keys, as written and sorted, that statements covering the
	// principal, the action and the resource read and the request does not have.
	Missing []string
}

// Match is a statement that applies.
type Match struct {
	Kind      Kind
	Policy    *Policy
	Statement Statement
}

// Explain decides like Decide, and says why.
func Explain(r *Request) Explanation {
	e := evaluation{r: r}
	x := Explanation{Decision: e.decide()}
	missing := map[string]string{}
	look := func(kind Kind, ps ...*Policy) {
		for _, p := range ps {
			if p == nil {
				continue
			}
			for i := range p.statements {
				s := &p.statements[i]
				if e.reads(s) {
					s.keys(func(key, written string) {
						if values, ok := e.lookup(key); missing[key] == "" && (!ok || len(values) == 0) {
							missing[key] = written
						}
					})
				}
				if e.applies(s) != unnamed {
					x.Matched = append(x.Matched, Match{Kind: kind, Policy: p, Statement: s.view})
				}
			}
		}
	}
	for _, level := range r.RCP {
		look(RCP, level...)
	}
	for _, level := range r.SCP {
		look(SCP, level...)
	}
	look(Endpoint, r.Endpoint)
	look(e.resourceKind(), r.ResourcePolicy)
	look(Identity, r.Identity...)
	look(Identity, r.Groups...)
	look(Boundary, r.Boundary)
	look(Session, r.Session...)
	x.Missing = slices.Sorted(maps.Values(missing))
	return x
}

// reads reports whether evaluation of the statement comes to its context keys: principal
// and action fit, and the resource does or hangs on a variable.
func (e *evaluation) reads(s *statement) bool {
	if s.principals.present && !s.principals.not && s.principals.names(&e.r.Principal) == unnamed {
		return false
	}
	if len(s.actions.patterns) == 0 || s.actions.match(e.r.Action, e.vendor) == s.notAction {
		return false
	}
	if e.covers(s) {
		return true
	}
	onVariable := false
	for i := range s.resources {
		s.resources[i].keys(func(_, _ string) { onVariable = true })
	}
	return onVariable
}
