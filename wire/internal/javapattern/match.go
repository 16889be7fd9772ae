package javapattern

import "unicode"

// maxSteps bounds the work of one match. Characters that are looked at in a row count as one step for so many.
const (
	maxSteps    = 200_000
	charsInStep = 32
)

// Pattern is a compiled pattern. It may be used concurrently.
type Pattern struct {
	root   node
	groups int
}

// Compile reads a pattern. The error does not say what is wrong with it: patterns come from models.
func Compile(s string) (*Pattern, error) {
	if len(s) > maxPattern {
		return nil, errSyntax
	}
	p := parser{s: s}
	n, err := p.alternatives()
	if err != nil || p.more() {
		return nil, errSyntax
	}
	return &Pattern{root: n, groups: p.groups}, nil
}

// Match reports whether the pattern matches the whole of s. When to find out would take too long, it does not.
func (p *Pattern) Match(s string) bool {
	m := matcher{in: []rune(s), groups: make([]span, p.groups+1)}
	return m.match(p.root, 0, func(i int) bool { return i == len(m.in) })
}

type span struct {
	from, to int
	set      bool
}

type matcher struct {
	in     []rune
	groups []span
	steps  int
}

// match tries n at i, and goes on with then wherever n can end.
func (m *matcher) match(n node, i int, then func(int) bool) bool {
	if m.steps++; m.steps > maxSteps {
		return false
	}
	switch n := n.(type) {
	case set:
		return i < len(m.in) && n.has(m.in[i]) && then(i+1)
	case sequence:
		return m.sequence(n, i, then)
	case alternative:
		for _, a := range n {
			if m.match(a, i, then) {
				return true
			}
		}
		return false
	case group:
		if n.index == 0 {
			return m.match(n.n, i, then)
		}
		was := m.groups[n.index]
		if m.match(n.n, i, func(j int) bool {
			before := m.groups[n.index]
			m.groups[n.index] = span{i, j, true}
			if then(j) {
				return true
			}
			m.groups[n.index] = before
			return false
		}) {
			return true
		}
		m.groups[n.index] = was
		return false
	case repeat:
		return m.repeat(n, i, then)
	case backref:
		if int(n) >= len(m.groups) || !m.groups[n].set {
			return false
		}
		g := m.groups[n]
		for k := g.from; k < g.to; k++ {
			if i >= len(m.in) || m.in[i] != m.in[k] {
				return false
			}
			i++
			if k%charsInStep == 0 {
				m.steps++
			}
		}
		return then(i)
	case look:
		return m.look(n, i) != n.not && then(i)
	case anchor:
		return m.anchor(n, i) && then(i)
	}
	return false
}

func (m *matcher) sequence(s sequence, i int, then func(int) bool) bool {
	switch len(s) {
	case 0:
		return then(i)
	case 1:
		return m.match(s[0], i, then)
	}
	return m.match(s[0], i, func(j int) bool { return m.sequence(s[1:], j, then) })
}

func (m *matcher) repeat(r repeat, i int, then func(int) bool) bool {
	if s, ok := r.n.(set); ok {
		return m.repeatSet(s, r, i, then)
	}
	if r.possessive {
		end := -1
		greedy := r
		greedy.possessive = false
		m.repeatN(greedy, 0, i, func(j int) bool { end = j; return true })
		return end >= 0 && then(end)
	}
	return m.repeatN(r, 0, i, then)
}

// repeatN goes on after count rounds.
func (m *matcher) repeatN(r repeat, count, i int, then func(int) bool) bool {
	again := func() bool {
		return (r.max < 0 || count < r.max) && m.match(r.n, i, func(j int) bool {
			// A round that took nothing would go on for ever.
			return (j > i || count < r.min) && m.repeatN(r, count+1, j, then)
		})
	}
	if count < r.min {
		return again()
	}
	if r.lazy {
		return then(i) || again()
	}
	return again() || then(i)
}

// repeatSet is repeatN for a set, without a call for each character.
func (m *matcher) repeatSet(s set, r repeat, i int, then func(int) bool) bool {
	limit := len(m.in) - i
	if r.max >= 0 {
		limit = min(limit, r.max)
	}
	if r.lazy {
		for n := 0; ; n++ {
			if n >= r.min && then(i+n) {
				return true
			}
			if n >= limit || !s.has(m.in[i+n]) || m.steps > maxSteps {
				return false
			}
		}
	}
	n := 0
	for n < limit && s.has(m.in[i+n]) {
		n++
	}
	m.steps += n / charsInStep
	for ; n >= r.min; n-- {
		if then(i + n) {
			return true
		}
		if m.steps++; r.possessive || m.steps > maxSteps {
			return false
		}
	}
	return false
}

func (m *matcher) look(l look, i int) bool {
	if !l.behind {
		return m.match(l.n, i, func(int) bool { return true })
	}
	for from := i; from >= 0; from-- {
		if m.match(l.n, from, func(j int) bool { return j == i }) {
			return true
		}
	}
	return false
}

func (m *matcher) anchor(a anchor, i int) bool {
	switch a {
	case '^':
		return i == 0
	case '$':
		return i == len(m.in)
	}
	word := func(k int) bool {
		return k >= 0 && k < len(m.in) && (m.in[k] == '_' || unicode.IsLetter(m.in[k]) || unicode.IsDigit(m.in[k]))
	}
	return (word(i-1) != word(i)) == (a == 'b')
}

// has reports whether the set has a character.
func (s set) has(c rune) bool {
	if s.holds(c) {
		return !s.not
	}
	if s.fold && c < 0x80 {
		other := c ^ 0x20
		if (c|0x20) >= 'a' && (c|0x20) <= 'z' && s.holds(other) {
			return !s.not
		}
	}
	return s.not
}

func (s set) holds(c rune) bool {
	for k := 0; k+1 < len(s.ranges); k += 2 {
		if c >= s.ranges[k] && c <= s.ranges[k+1] {
			return true
		}
	}
	for _, t := range s.tables {
		if unicode.Is(t, c) {
			return true
		}
	}
	for _, t := range s.outside {
		if !unicode.Is(t, c) {
			return true
		}
	}
	for _, n := range s.inner {
		if n.has(c) {
			return true
		}
	}
	return false
}
