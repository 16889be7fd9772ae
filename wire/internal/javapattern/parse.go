// Package javapattern matches whole strings against the regular expressions of the service models that Go's
// own package can not: those that look ahead or behind, refer back, or count beyond a thousand. It tries one way
// after another, within a bound on the work that no pattern of the models comes near for a string of sensible
// length.
package javapattern

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// node is a part of a pattern.
type node interface{}

type (
	sequence    []node
	alternative []node
	set         struct {
		ranges  []rune // pairs, both ends within
		tables  []*unicode.RangeTable
		outside []*unicode.RangeTable // of \P{...}: all that is not in it
		inner   []set
		not     bool
		fold    bool
	}
	repeat struct {
		n          node
		min, max   int // max < 0: without end
		lazy       bool
		possessive bool
	}
	group struct {
		n     node
		index int // from 1; 0 for a group that is not counted
	}
	backref int
	look    struct {
		n      node
		behind bool
		not    bool
	}
	anchor byte // '^', '$', 'b' or 'B'
)

const (
	maxPattern = 4096
	maxNesting = 100
)

var errSyntax = errors.New("not a pattern of the kind that is understood")

type parser struct {
	s      string
	i      int
	groups int
	depth  int
	fold   bool // (?i)
	dotAll bool // (?s)
}

func (p *parser) more() bool { return p.i < len(p.s) }

func (p *parser) eat(prefix string) bool {
	if strings.HasPrefix(p.s[p.i:], prefix) {
		p.i += len(prefix)
		return true
	}
	return false
}

func (p *parser) next() rune {
	r, n := utf8.DecodeRuneInString(p.s[p.i:])
	p.i += n
	return r
}

func (p *parser) alternatives() (node, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, errSyntax
	}
	defer func() { p.depth-- }()
	var all alternative
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		if !p.eat("|") {
			break
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *parser) sequence() (node, error) {
	var seq sequence
	for p.more() && p.s[p.i] != '|' && p.s[p.i] != ')' {
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		if n, err = p.quantified(n); err != nil {
			return nil, err
		}
		seq = append(seq, n)
	}
	return seq, nil
}

func (p *parser) quantified(n node) (node, error) {
	for p.more() {
		r := repeat{n: n}
		switch {
		case p.eat("*"):
			r.max = -1
		case p.eat("+"):
			r.min, r.max = 1, -1
		case p.eat("?"):
			r.max = 1
		case p.s[p.i] == '{':
			end := strings.IndexByte(p.s[p.i:], '}')
			if end < 0 {
				return nil, errSyntax
			}
			low, high, ranged := strings.Cut(p.s[p.i+1:p.i+end], ",")
			var err error
			if r.min, err = strconv.Atoi(low); err != nil || r.min < 0 {
				return nil, errSyntax
			}
			switch {
			case !ranged:
				r.max = r.min
			case high == "":
				r.max = -1
			default:
				if r.max, err = strconv.Atoi(high); err != nil || r.max < r.min {
					return nil, errSyntax
				}
			}
			p.i += end + 1
		default:
			return n, nil
		}
		switch {
		case p.eat("?"):
			r.lazy = true
		case p.eat("+"):
			r.possessive = true
		}
		n = r
	}
	return n, nil
}

// atom reads what a quantifier can follow; nil for a change of flags.
func (p *parser) atom() (node, error) {
	switch c := p.next(); c {
	case '(':
		return p.group()
	case '[':
		return p.class()
	case '.':
		s := set{not: true, ranges: []rune{'\n', '\n', '\r', '\r', 0x85, 0x85, 0x2028, 0x2029}}
		if p.dotAll {
			s.ranges = nil
		}
		return s, nil
	case '^', '$':
		return anchor(c), nil
	case '*', '+', '?', '{':
		return nil, errSyntax
	case '\\':
		if !p.more() {
			return nil, errSyntax
		}
		switch d := p.s[p.i]; {
		case d == 'b' || d == 'B':
			p.i++
			return anchor(d), nil
		case d == 'A':
			p.i++
			return anchor('^'), nil
		case d == 'z' || d == 'Z':
			p.i++
			return anchor('$'), nil
		case d >= '1' && d <= '9':
			// As many digits as there are groups for, as Java reads them.
			ref := 0
			for p.more() && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
				with := ref*10 + int(p.s[p.i]-'0')
				if ref > 0 && with > p.groups {
					break
				}
				ref = with
				p.i++
			}
			return backref(ref), nil
		}
		return p.escape()
	default:
		return p.char(c), nil
	}
}

func (p *parser) char(c rune) set { return set{ranges: []rune{c, c}, fold: p.fold} }

func (p *parser) group() (node, error) {
	fold, dotAll := p.fold, p.dotAll
	restore := func() { p.fold, p.dotAll = fold, dotAll }
	var wrap func(node) node
	switch {
	case p.eat("?:"):
		wrap = func(n node) node { return group{n: n} }
	case p.eat("?="):
		wrap = func(n node) node { return look{n: n} }
	case p.eat("?!"):
		wrap = func(n node) node { return look{n: n, not: true} }
	case p.eat("?<="):
		wrap = func(n node) node { return look{n: n, behind: true} }
	case p.eat("?<!"):
		wrap = func(n node) node { return look{n: n, behind: true, not: true} }
	case p.eat("?>"):
		wrap = func(n node) node { return repeat{n: n, min: 1, max: 1, possessive: true} }
	case p.eat("?"):
		set := true
		for p.more() {
			switch p.next() {
			case 'i':
				p.fold = set
			case 's':
				p.dotAll = set
			case '-':
				set = false
			case 'u', 'U', 'd':
			case ')':
				return nil, nil // from here to the end of the group around
			case ':':
				n, err := p.alternatives()
				if err != nil || !p.eat(")") {
					return nil, errSyntax
				}
				restore()
				return group{n: n}, nil
			default:
				return nil, errSyntax
			}
		}
		return nil, errSyntax
	default:
		p.groups++
		index := p.groups
		wrap = func(n node) node { return group{n: n, index: index} }
	}
	n, err := p.alternatives()
	if err != nil || !p.eat(")") {
		return nil, errSyntax
	}
	restore()
	return wrap(n), nil
}

// escape reads what follows a backslash that stands for a character or a class of them.
func (p *parser) escape() (set, error) {
	if !p.more() {
		return set{}, errSyntax
	}
	c := p.next()
	switch c {
	case 'd':
		return set{ranges: []rune("09")}, nil
	case 'D':
		return set{ranges: []rune("09"), not: true}, nil
	case 'w':
		return set{ranges: []rune("azAZ09__")}, nil
	case 'W':
		return set{ranges: []rune("azAZ09__"), not: true}, nil
	case 's':
		return set{ranges: []rune{'\t', '\r', ' ', ' '}}, nil
	case 'S':
		return set{ranges: []rune{'\t', '\r', ' ', ' '}, not: true}, nil
	case 'p', 'P':
		return p.property(c == 'P')
	case 'n':
		return p.char('\n'), nil
	case 'r':
		return p.char('\r'), nil
	case 't':
		return p.char('\t'), nil
	case 'f':
		return p.char('\f'), nil
	case 'x', 'u':
		n := 2
		if c == 'u' {
			n = 4
		}
		u, err := p.hex(n)
		if err != nil {
			return set{}, err
		}
		return p.char(u), nil
	}
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
		return set{}, errSyntax
	}
	return p.char(c), nil
}

func (p *parser) hex(n int) (rune, error) {
	if len(p.s)-p.i < n {
		return 0, errSyntax
	}
	u, err := strconv.ParseUint(p.s[p.i:p.i+n], 16, 32)
	if err != nil {
		return 0, errSyntax
	}
	p.i += n
	return rune(u), nil
}

// posix are the classes of ASCII that Java has names for.
func posix(name string) []rune {
	switch name {
	case "ASCII":
		return []rune{0, 0x7f}
	case "Print":
		return []rune(" ~")
	case "Graph":
		return []rune("!~")
	case "Punct":
		return []rune("!/:@[`{~")
	case "Alpha":
		return []rune("AZaz")
	case "Digit":
		return []rune("09")
	case "Alnum":
		return []rune("09AZaz")
	case "Upper":
		return []rune("AZ")
	case "Lower":
		return []rune("az")
	case "XDigit":
		return []rune("09AFaf")
	case "Space":
		return []rune{'\t', '\r', ' ', ' '}
	case "Blank":
		return []rune("\t\t  ")
	case "Cntrl":
		return []rune{0, 0x1f, 0x7f, 0x7f}
	}
	return nil
}

func (p *parser) property(not bool) (set, error) {
	var name string
	if p.eat("{") {
		end := strings.IndexByte(p.s[p.i:], '}')
		if end < 0 {
			return set{}, errSyntax
		}
		name = p.s[p.i : p.i+end]
		p.i += end + 1
	} else if p.more() {
		name = string(p.next())
	}
	if r := posix(name); r != nil {
		return set{ranges: r, not: not}, nil
	}
	table := unicode.Categories[name]
	if table == nil {
		table = unicode.Scripts[strings.TrimPrefix(name, "Is")]
	}
	switch {
	case table == nil && name == "IsAlphabetic":
		table = unicode.Letter
	case table == nil:
		return set{}, errSyntax
	}
	if not {
		return set{outside: []*unicode.RangeTable{table}}, nil
	}
	return set{tables: []*unicode.RangeTable{table}}, nil
}

// class reads what stands between brackets.
func (p *parser) class() (node, error) {
	s := set{fold: p.fold}
	s.not = p.eat("^")
	for first := true; ; first = false {
		if !p.more() {
			return nil, errSyntax
		}
		c := p.next()
		var one set
		switch {
		case c == ']' && !first:
			return s, nil
		case c == '[':
			n, err := p.class()
			if err != nil {
				return nil, err
			}
			one = n.(set)
		case c == '&' && strings.HasPrefix(p.s[p.i:], "&"):
			return nil, errSyntax // an intersection
		case c == '\\':
			var err error
			if one, err = p.escape(); err != nil {
				return nil, err
			}
		default:
			one = set{ranges: []rune{c, c}}
		}
		low, single := one.single()
		if single && len(p.s)-p.i >= 2 && p.s[p.i] == '-' && p.s[p.i+1] != ']' && p.s[p.i+1] != '[' {
			mark := p.i
			p.i++
			high := p.next()
			ok := true
			if high == '\\' {
				end, err := p.escape()
				if err != nil {
					return nil, err
				}
				high, ok = end.single()
			}
			switch {
			case !ok:
				p.i = mark // a dash before a class means itself
			case high < low:
				return nil, errSyntax
			default:
				s.ranges = append(s.ranges, low, high)
				continue
			}
		}
		s.inner = append(s.inner, one)
	}
}

// single gives the only character of a set, if it has one and no other.
func (s set) single() (rune, bool) {
	if s.not || len(s.ranges) != 2 || s.ranges[0] != s.ranges[1] || len(s.tables)+len(s.outside)+len(s.inner) > 0 {
		return 0, false
	}
	return s.ranges[0], true
}
