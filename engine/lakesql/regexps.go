package lakesql

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled regular expression, which finds a match in time linear in the text.
type pattern struct {
	*regexp.Regexp
	looksBack bool // whether it matches at a place depends on what stands before it, as with ^ and \b
}

// pattern compiles a regular expression. They are kept for the time of the query.
func (x *execution) pattern(text string) (pattern, error) {
	if p, ok := x.patterns[text]; ok {
		return p, nil
	}
	if len(text) > maxPattern {
		return pattern{}, errors.New("the regular expression is too long")
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return pattern{}, fmt.Errorf("invalid regular expression: %w", err)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("invalid regular expression: %w", err)
	}
	if len(x.patterns) >= 100 {
		clear(x.patterns)
	}
	x.patterns[text] = pattern{compiled, looksBack(tree)}
	return x.patterns[text], nil
}

func looksBack(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(tree.Sub, looksBack)
}

// matches finds all matches, as [regexp.Regexp.FindAllStringSubmatchIndex] does. All together can take the square of the text's length, so it looks between
// two of them whether the query shall end; where it cannot, the text is bounded.
func (x *execution) matches(p pattern, text string) ([][]int, error) {
	if p.looksBack {
		if len(text) > 16<<10 {
			return nil, fmt.Errorf("%w to find all matches of a regular expression with ^ or \\b", errTooLong)
		}
		return p.FindAllStringSubmatchIndex(text, -1), nil
	}
	var all [][]int
	for at, end := 0, -1; at <= len(text); {
		m := p.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		for i := range m {
			if m[i] >= 0 {
				m[i] += at
			}
		}
		if at = m[1]; m[0] == m[1] {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += max(1, size)
		}
		if m[0] == m[1] && m[0] == end {
			continue // an empty match behind another
		}
		end = m[1]
		if all = append(all, m); len(all) > maxElements {
			return nil, errTooLong
		}
		if err := x.check(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func regexpLike(x *execution, a []any) (any, error) {
	p, err := x.pattern(a[1].(string))
	if err != nil {
		return nil, err
	}
	return boolean(p.MatchString(a[0].(string))), nil
}

// group is the number of the group that a call asks for.
func group(p pattern, a []any) (int, error) {
	if len(a) < 3 {
		return 0, nil
	}
	n := a[2].(int64)
	if n < 0 || n > int64(p.NumSubexp()) {
		return 0, fmt.Errorf("Pattern has %d groups. Cannot access group %d", p.NumSubexp(), n)
	}
	return int(n), nil
}

func regexpExtract(x *execution, a []any) (any, error) {
	p, err := x.pattern(a[1].(string))
	if err != nil {
		return nil, err
	}
	n, err := group(p, a)
	if err != nil {
		return nil, err
	}
	at := p.FindStringSubmatchIndex(a[0].(string))
	if at == nil || at[2*n] < 0 {
		return nil, nil
	}
	return a[0].(string)[at[2*n]:at[2*n+1]], nil
}

func regexpExtractAll(x *execution, a []any) (any, error) {
	p, err := x.pattern(a[1].(string))
	if err != nil {
		return nil, err
	}
	n, err := group(p, a)
	if err != nil {
		return nil, err
	}
	matches, err := x.matches(p, a[0].(string))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, m := range matches {
		all = append(all, a[0].(string)[max(0, m[2*n]):max(0, m[2*n+1])])
	}
	return textArray(all), nil
}

func regexpReplace(x *execution, a []any) (any, error) {
	p, err := x.pattern(a[1].(string))
	if err != nil {
		return nil, err
	}
	by := ""
	if len(a) == 3 {
		by = groupReference.ReplaceAllString(a[2].(string), "$${$1}")
	}
	text := a[0].(string)
	matches, err := x.matches(p, text)
	if err != nil {
		return nil, err
	}
	var out []byte
	at, references := 0, strings.Count(by, "$")
	for _, m := range matches {
		out = append(out, text[at:m[0]]...)
		if len(out)+len(by)+references*(m[1]-m[0]) > maxText {
			return nil, errTooLong
		}
		out = p.ExpandString(out, by, text, m)
		at = m[1]
	}
	return string(append(out, text[at:]...)), nil
}

// groupReference is $1 in a replacement, which is the group 1 even if letters follow.
var groupReference = regexp.MustCompile(`\$(\d+)`)

func regexpSplit(x *execution, a []any) (any, error) {
	p, err := x.pattern(a[1].(string))
	if err != nil {
		return nil, err
	}
	text := a[0].(string)
	matches, err := x.matches(p, text)
	if err != nil {
		return nil, err
	}
	var all []string
	at := 0
	for _, m := range matches {
		all = append(all, text[at:m[0]])
		at = m[1]
	}
	return textArray(append(all, text[at:])), nil
}

func regexpCount(x *execution, a []any) (any, error) {
	p, err := x.pattern(a[1].(string))
	if err != nil {
		return nil, err
	}
	matches, err := x.matches(p, a[0].(string))
	return int64(len(matches)), err
}

// likePattern is a compiled pattern of LIKE: literal runes, one (any rune) and many (any runes).
type likePattern []rune

const (
	likeOne  rune = -1
	likeMany rune = -2
)

func compileLike(pattern string, escape ...string) (likePattern, error) {
	escaping := rune(-1)
	if len(escape) > 0 {
		r, size := utf8.DecodeRuneInString(escape[0])
		if size == 0 || size != len(escape[0]) {
			return nil, errors.New("Escape string must be a single character")
		}
		escaping = r
	}
	var p likePattern
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			if r != '%' && r != '_' && r != escaping {
				return nil, errors.New("Escape character must be followed by '%', '_' or the escape character itself")
			}
			p = append(p, r)
			escaped = false
		case r == escaping:
			escaped = true
		case r == '_':
			p = append(p, likeOne)
		case r == '%':
			if len(p) == 0 || p[len(p)-1] != likeMany {
				p = append(p, likeMany)
			}
		default:
			p = append(p, r)
		}
	}
	if escaped {
		return nil, errors.New("Escape character must be followed by '%', '_' or the escape character itself")
	}
	return p, nil
}

// match goes back to the last % only, so it takes at most the product of the two lengths.
func (p likePattern) match(text string) bool {
	at, star, mark := 0, -1, 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case at < len(p) && p[at] == likeMany:
			star, mark = at, i
			at++
		case at < len(p) && (p[at] == likeOne || p[at] == r):
			at++
			i += size
		case star >= 0:
			_, size := utf8.DecodeRuneInString(text[mark:])
			mark += size
			at, i = star+1, mark
		default:
			return false
		}
	}
	for at < len(p) && p[at] == likeMany {
		at++
	}
	return at == len(p)
}

func like(x *execution, a []any) (any, error) {
	key := a[1].(string)
	var escape []string
	if len(a) == 3 {
		escape = []string{a[2].(string)}
		key += "\x00" + escape[0]
	}
	p, ok := x.likes[key]
	if !ok {
		var err error
		if len(key) > maxPattern {
			return nil, errors.New("the pattern of LIKE is too long")
		}
		if p, err = compileLike(a[1].(string), escape...); err != nil {
			return nil, err
		}
		if len(x.likes) >= 100 {
			clear(x.likes)
		}
		x.likes[key] = p
	}
	return boolean(p.match(a[0].(string))), nil
}
