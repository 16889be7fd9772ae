package logpattern

import (
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// object is a pattern of conditions on the fields of a JSON object.
type object struct {
	root  expression
	paths []path
}

// expression is a condition, or several.
type expression interface {
	holds(object any) bool
}

type and struct{ all []expression }
type or struct{ any []expression }

// field is a condition on what a selector finds: on one of it, if there is more.
type field struct {
	path      path
	condition condition
}

// absent is NOT EXISTS.
type absent struct{ path path }

// is is IS NULL, IS TRUE or IS FALSE.
type is struct {
	path  path
	value any
}

func compileObject(text string) (form, int, error) {
	inner, closed := strings.CutSuffix(text[1:], "}")
	if !closed {
		return nil, 0, problem("a brace is not closed")
	}
	r := &reader{text: inner}
	p := new(object)
	var err error
	if p.root, err = r.or(p); err != nil {
		return nil, 0, err
	}
	if r.space(); r.rest() != "" {
		return nil, 0, problem("there is something behind a condition")
	}
	switch {
	case r.regexes > maxRegexes:
		return nil, 0, problem("there are more than 2 regular expressions")
	case r.stars > maxWildcards:
		return nil, 0, problem("there are more than 3 wildcards in selectors")
	}
	return p, r.regexes, nil
}

// or reads expressions with || between.
func (r *reader) or(p *object) (expression, error) {
	e, err := r.and(p)
	if err != nil {
		return nil, err
	}
	all := []expression{e}
	for r.take("||") {
		if e, err = r.and(p); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 1 {
		return e, nil
	}
	return or{all}, nil
}

// and reads expressions with && between.
func (r *reader) and(p *object) (expression, error) {
	e, err := r.single(p)
	if err != nil {
		return nil, err
	}
	all := []expression{e}
	for r.take("&&") {
		if e, err = r.single(p); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 1 {
		return e, nil
	}
	return and{all}, nil
}

// single reads a condition, or an expression in parentheses.
func (r *reader) single(p *object) (expression, error) {
	if r.take("(") {
		if r.depth++; r.depth > maxDepth {
			return nil, problem("parentheses are nested too deep")
		}
		e, err := r.or(p)
		if err != nil {
			return nil, err
		}
		if r.depth--; !r.take(")") {
			return nil, problem("a parenthesis is not closed")
		}
		return e, nil
	}
	path, err := r.selector()
	if err != nil {
		return nil, err
	}
	p.paths = append(p.paths, path)
	switch {
	case r.word("NOT"):
		if !r.word("EXISTS") {
			return nil, problem("EXISTS is missing behind NOT")
		}
		return absent{path}, nil
	case r.word("IS"):
		switch {
		case r.word("NULL"):
			return is{path, nil}, nil
		case r.word("TRUE"):
			return is{path, true}, nil
		case r.word("FALSE"):
			return is{path, false}, nil
		}
		return nil, problem("IS has neither NULL nor TRUE nor FALSE behind it")
	}
	c, found, err := r.condition("()")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem("a selector has no condition")
	}
	return field{path, c}, nil
}

func (e and) holds(object any) bool {
	for _, x := range e.all {
		if !x.holds(object) {
			return false
		}
	}
	return true
}

func (e or) holds(object any) bool {
	for _, x := range e.any {
		if x.holds(object) {
			return true
		}
	}
	return false
}

func (e field) holds(object any) bool {
	found := false
	e.path.each(object, func(v any) bool {
		switch v := v.(type) {
		case string:
			found = e.condition.holds(v, 0, false)
		case json.Number:
			n, ok := parseNumber(string(v))
			found = e.condition.holds(string(v), n, ok)
		}
		return !found
	})
	return found
}

func (e absent) holds(object any) bool {
	there := false
	e.path.each(object, func(any) bool { there = true; return false })
	return !there
}

func (e is) holds(object any) bool {
	found := false
	e.path.each(object, func(v any) bool {
		switch v.(type) {
		case nil, bool:
			found = v == e.value
		}
		return !found
	})
	return found
}

// decode reads a message that is one JSON object or array.
func decode(message string) (any, bool) {
	if m := strings.TrimLeft(message, " \t\r\n"); !strings.HasPrefix(m, "{") && !strings.HasPrefix(m, "[") {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(message))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false // something is behind it
	}
	return v, true
}

func (p *object) match(message string) bool {
	v, ok := decode(message)
	return ok && p.root.holds(v)
}

func (p *object) extract(message string) *Match {
	v, ok := decode(message)
	if !ok || !p.root.holds(v) {
		return nil
	}
	m := &Match{object: v, values: make(map[string]string)}
	for _, path := range p.paths {
		path.each(v, func(v any) bool {
			text, ok := textOf(v)
			if ok {
				m.values[path.text] = text
			}
			return !ok
		})
	}
	return m
}

func (p *object) selects(s *Selector) bool { return s.word == "" }

// textOf writes a value that is neither an object nor an array.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// path is a selector of values in JSON.
type path struct {
	text  string
	steps []step
}

// step goes from a value into it.
type step struct {
	name  string
	index int // where isIndex
	kind  stepKind
}

type stepKind uint8

const (
	byName stepKind = iota
	byIndex
	allFields
	allElements
)

// selector reads a selector.
func (r *reader) selector() (p path, err error) {
	r.space()
	from := r.at
	if !strings.HasPrefix(r.rest(), "$") {
		return p, problem("a selector does not begin with $")
	}
	r.at++
	stars := 0
	for {
		s, more, err := r.step()
		if err != nil {
			return p, err
		}
		if !more {
			break
		}
		if s.kind >= allFields {
			stars++
		}
		p.steps = append(p.steps, s)
	}
	if p.text = r.text[from:r.at]; len(p.steps) == 0 {
		return p, problem("a selector names no field")
	}
	if r.stars += stars; stars > maxSelectorWildcards {
		return p, problem("a selector has more than one wildcard")
	}
	return p, nil
}

// step reads a part of a selector, if there is another one.
func (r *reader) step() (s step, more bool, err error) {
	switch {
	case strings.HasPrefix(r.rest(), ".["):
		r.at++
		return r.bracket()
	case strings.HasPrefix(r.rest(), "["):
		return r.bracket()
	case strings.HasPrefix(r.rest(), ".*"):
		r.at += 2
		return step{kind: allFields}, true, nil
	case !strings.HasPrefix(r.rest(), "."):
		return s, false, nil
	}
	r.at++
	from := r.at
	for r.rest() != "" {
		c, n := utf8.DecodeRuneInString(r.rest())
		if !isName(c) && c != '-' {
			break
		}
		r.at += n
	}
	if r.at == from {
		return s, false, &SyntaxError{Term: "$" + r.text[from-1:min(len(r.text), from+1)]}
	}
	return step{name: r.text[from:r.at]}, true, nil
}

// bracket reads ['name'], [3] or [*].
func (r *reader) bracket() (s step, more bool, err error) {
	r.at++
	switch rest := r.rest(); {
	case strings.HasPrefix(rest, "'"), strings.HasPrefix(rest, `"`):
		if s.name, err = r.quoted(); err != nil {
			return s, false, err
		}
	case strings.HasPrefix(rest, "*"):
		r.at++
		s.kind = allElements
	default:
		s.kind = byIndex
		for r.rest() != "" && '0' <= r.text[r.at] && r.text[r.at] <= '9' && s.index < 1<<20 {
			s.index = 10*s.index + int(r.text[r.at]-'0')
			r.at++
		}
		if len(rest) == len(r.rest()) {
			return s, false, problem("brackets have neither a name nor a number in them")
		}
	}
	if !strings.HasPrefix(r.rest(), "]") {
		return s, false, problem("a bracket is not closed")
	}
	r.at++
	return s, true, nil
}

// each calls fn with what the path finds in a value, until it returns false.
func (p *path) each(v any, fn func(any) bool) { walk(v, p.steps, fn) }

func walk(v any, steps []step, fn func(any) bool) (goOn bool) {
	if len(steps) == 0 {
		return fn(v)
	}
	s := &steps[0]
	switch v := v.(type) {
	case map[string]any:
		switch s.kind {
		case byName:
			if inner, ok := v[s.name]; ok {
				return walk(inner, steps[1:], fn)
			}
		case allFields:
			for _, inner := range v {
				if !walk(inner, steps[1:], fn) {
					return false
				}
			}
		}
	case []any:
		switch s.kind {
		case byIndex:
			if s.index < len(v) {
				return walk(v[s.index], steps[1:], fn)
			}
		case allElements:
			for _, inner := range v {
				if !walk(inner, steps[1:], fn) {
					return false
				}
			}
		}
	}
	return true
}
