package lakesql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// stringFunctions count characters, from 1, as Trino's do.
var stringFunctions = map[string]function{
	"lower":  {"s", typVarchar, text1(strings.ToLower), false},
	"upper":  {"s", typVarchar, text1(strings.ToUpper), false},
	"trim":   {"s", typVarchar, text1(strings.TrimSpace), false},
	"ltrim":  {"s", typVarchar, text1(func(s string) string { return strings.TrimLeft(s, " \t\n\r\v\f") }), false},
	"rtrim":  {"s", typVarchar, text1(func(s string) string { return strings.TrimRight(s, " \t\n\r\v\f") }), false},
	"length": {"s", typBigint, func(_ *execution, a []any) (any, error) { return int64(utf8.RuneCountInString(a[0].(string))), nil }, false},
	"substr": {"si?i", typVarchar, substring, false}, "substring": {"si?i", typVarchar, substring, false},
	"replace":    {"ss?s", typVarchar, replace, false},
	"strpos":     {"ss?i", typBigint, position, false},
	"split":      {"ss?i", arrayOf(typVarchar), split, false},
	"split_part": {"ssi", typVarchar, splitPart, false},
	"concat_ws":  {"s?s*", typVarchar, concatWith, true},
	"starts_with": {"ss", typBoolean, func(_ *execution, a []any) (any, error) {
		return boolean(strings.HasPrefix(a[0].(string), a[1].(string))), nil
	}, false},
	"ends_with": {"ss", typBoolean, func(_ *execution, a []any) (any, error) {
		return boolean(strings.HasSuffix(a[0].(string), a[1].(string))), nil
	}, false},
	"lpad":      {"sis", typVarchar, pad(true), false},
	"rpad":      {"sis", typVarchar, pad(false), false},
	"chr":       {"i", typVarchar, func(_ *execution, a []any) (any, error) { return string(rune(a[0].(int64))), nil }, false},
	"codepoint": {"s", typBigint, codepoint, false},
	"translate": {"sss", typVarchar, translate, false},

	"regexp_like":        {"ss", typBoolean, regexpLike, false},
	"regexp_extract":     {"ss?i", typVarchar, regexpExtract, false},
	"regexp_extract_all": {"ss?i", arrayOf(typVarchar), regexpExtractAll, false},
	"regexp_replace":     {"ss?s", typVarchar, regexpReplace, false},
	"regexp_split":       {"ss", arrayOf(typVarchar), regexpSplit, false},
	"regexp_count":       {"ss", typBigint, regexpCount, false},

	"url_extract_host":     {"s", typVarchar, urlPart((*url.URL).Hostname), false},
	"url_extract_path":     {"s", typVarchar, urlPart(func(u *url.URL) string { return u.Path }), false},
	"url_extract_protocol": {"s", typVarchar, urlPart(func(u *url.URL) string { return u.Scheme }), false},
	"url_extract_query":    {"s", typVarchar, urlPart(func(u *url.URL) string { return u.RawQuery }), false},
	"url_decode": {"s", typVarchar, func(_ *execution, a []any) (any, error) {
		text, err := url.QueryUnescape(a[0].(string))
		return text, err
	}, false},
	"url_encode": {"s", typVarchar, text1(url.QueryEscape), false},
	"to_hex":     {"s", typVarchar, text1(func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }), false},
	"ip_in": {"ss", typBoolean, func(_ *execution, a []any) (any, error) {
		network, err := netip.ParsePrefix(a[0].(string))
		if err != nil {
			return nil, errors.New("Invalid CIDR")
		}
		address, err := netip.ParseAddr(a[1].(string))
		return boolean(err == nil && network.Contains(address.Unmap())), nil
	}, false},
}

func text1(f func(string) string) scalar {
	return func(_ *execution, a []any) (any, error) { return f(a[0].(string)), nil }
}

func boolean(b bool) any {
	if b {
		return int64(1)
	}
	return int64(0)
}

func substring(_ *execution, a []any) (any, error) {
	runes := []rune(a[0].(string))
	size := int64(len(runes))
	start := a[1].(int64)
	switch {
	case start > 0:
		start--
	case start < 0 && -start <= size:
		start += size
	default:
		return "", nil
	}
	if start >= size {
		return "", nil
	}
	end := size
	if len(a) == 3 {
		n := a[2].(int64)
		if n <= 0 {
			return "", nil
		}
		if n < end-start {
			end = start + n
		}
	}
	return string(runes[start:end]), nil
}

func replace(x *execution, a []any) (any, error) {
	text, old, by := a[0].(string), a[1].(string), ""
	if len(a) == 3 {
		by = a[2].(string)
	}
	if grown := int64(len(text)) + int64(strings.Count(text, old))*int64(len(by)); grown > maxText {
		return nil, errTooLong
	}
	return strings.ReplaceAll(text, old, by), nil
}

// position is where a text stands in another for the nth time: 0 if it doesn't. Times below 0 count from the end.
func position(_ *execution, a []any) (any, error) {
	text, part, n := a[0].(string), a[1].(string), int64(1)
	if len(a) == 3 {
		n = a[2].(int64)
	}
	if n == 0 {
		return nil, errors.New("'instance' must not be a positive or negative number.")
	}
	at := 0
	for begin, end := 0, len(text); ; {
		if n > 0 {
			i := strings.Index(text[begin:], part)
			if i < 0 {
				return int64(0), nil
			}
			at = begin + i
			begin = at + max(1, len(part))
			n--
		} else {
			if at = strings.LastIndex(text[:end], part); at < 0 {
				return int64(0), nil
			}
			end = at
			n++
		}
		if n == 0 {
			return int64(utf8.RuneCountInString(text[:at])) + 1, nil
		}
		if begin > len(text) {
			return int64(0), nil
		}
	}
}

func split(_ *execution, a []any) (any, error) {
	limit := -1
	if len(a) == 3 {
		if limit = int(min(a[2].(int64), 1<<30)); limit <= 0 {
			return nil, errors.New("Limit must be positive")
		}
	}
	if a[1] == "" {
		return nil, errors.New("The delimiter may not be the empty string")
	}
	return textArray(strings.SplitN(a[0].(string), a[1].(string), limit)), nil
}

func textArray(all []string) string {
	out := []byte{'['}
	for i, text := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendQuoted(out, text)
	}
	return string(append(out, ']'))
}

func splitPart(_ *execution, a []any) (any, error) {
	n := a[2].(int64)
	if n <= 0 {
		return nil, errors.New("Index must be greater than zero")
	}
	text, delimiter := a[0].(string), a[1].(string)
	for ; n > 1; n-- {
		_, rest, ok := strings.Cut(text, delimiter)
		if !ok || delimiter == "" {
			return nil, nil
		}
		text = rest
	}
	part, _, _ := strings.Cut(text, delimiter)
	return part, nil
}

func concatWith(_ *execution, a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	var parts []string
	for _, v := range a[1:] {
		if v != nil {
			parts = append(parts, v.(string))
		}
	}
	return strings.Join(parts, a[0].(string)), nil
}

func pad(left bool) scalar {
	return func(_ *execution, a []any) (any, error) {
		text, size, with := []rune(a[0].(string)), a[1].(int64), []rune(a[2].(string))
		if size < 0 || size > maxText/4 {
			return nil, errors.New("Target length is out of range")
		}
		if len(with) == 0 {
			return nil, errors.New("Padding string must not be empty")
		}
		if size <= int64(len(text)) {
			return string(text[:size]), nil
		}
		padding := make([]rune, size-int64(len(text)))
		for i := range padding {
			padding[i] = with[i%len(with)]
		}
		if left {
			return string(padding) + string(text), nil
		}
		return string(text) + string(padding), nil
	}
}

func codepoint(_ *execution, a []any) (any, error) {
	r, size := utf8.DecodeRuneInString(a[0].(string))
	if size == 0 || size != len(a[0].(string)) {
		return nil, errors.New("Input string must be a single character string")
	}
	return int64(r), nil
}

func translate(_ *execution, a []any) (any, error) {
	from, to := []rune(a[1].(string)), []rune(a[2].(string))
	table := make(map[rune]rune, len(from))
	for i, r := range from {
		if _, ok := table[r]; ok {
			continue
		}
		if table[r] = -1; i < len(to) {
			table[r] = to[i]
		}
	}
	return strings.Map(func(r rune) rune {
		if by, ok := table[r]; ok {
			return by
		}
		return r
	}, a[0].(string)), nil
}

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

func urlPart(part func(*url.URL) string) scalar {
	return func(_ *execution, a []any) (any, error) {
		u, err := url.Parse(a[0].(string))
		if err != nil {
			return nil, nil
		}
		return part(u), nil
	}
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
