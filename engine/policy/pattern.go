package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled string with wildcards and policy variables: a row of tokens
// that the subject must satisfy from its first to its last byte.
//
//	arn:aws:s3:::home/${aws:username}/*    lit "arn:aws:s3:::home/", variable, lit "/", any
//
// Two short forms cover most of what policies hold: all ("*") and a literal, alone or
// before one star at the end.
type pattern struct {
	tokens []token
	form   form
	lit    string // exact, prefix
}

type form uint8

const (
	general form = iota
	exact
	prefix
	all
)

type token struct {
	kind tokenKind
	text string // lit: the text; variable: the key in lower case
	key  string // variable: the key as written
	// fallback is what a variable stands for when its key is absent.
	fallback    string
	hasFallback bool
}

type tokenKind uint8

const (
	lit         tokenKind = iota
	variable              // the value of a context key, taken literally
	star                  // *
	one                   // ?
	starInField           // * that may not pass a colon
	oneInField            // ? that may not be a colon
)

// dialect is what a string may hold where it stands.
type dialect struct {
	wildcards bool
	variables bool // policies of 2012-10-17
	// fields: the string is an ARN, and a star between the characters of one of its
	// first five fields stays in that field.
	fields bool
	fold   bool // lower the literals (actions)
}

// compilePattern returns an error text and its offset in s when a variable is malformed.
func compilePattern(s string, d dialect) (p pattern, at int, problem string) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			p.tokens = append(p.tokens, token{kind: lit, text: text.String()})
			text.Reset()
		}
	}
	fields := d.fields && strings.HasPrefix(s, "arn:")
	colons := 0
	for i := 0; i < len(s); {
		c := s[i]
		// inField: a wildcard here belongs to one of the five short fields.
		inField := fields && colons < 5
		switch {
		case d.variables && strings.HasPrefix(s[i:], "${"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return pattern{}, i, "policy variable without a closing brace"
			}
			t, problem := compileVariable(s[i+2 : i+end])
			if problem != "" {
				return pattern{}, i, problem
			}
			if t.kind == lit {
				text.WriteString(t.text)
			} else {
				flush()
				p.tokens = append(p.tokens, t)
			}
			i += end + 1
			continue
		case d.wildcards && c == '*':
			flush()
			for i+1 < len(s) && s[i+1] == '*' {
				i++ // many stars are one
			}
			kind := star
			if inField && i+1 < len(s) && s[i+1] != ':' {
				kind = starInField
			}
			p.tokens = append(p.tokens, token{kind: kind})
		case d.wildcards && c == '?':
			flush()
			kind := one
			if inField {
				kind = oneInField
			}
			p.tokens = append(p.tokens, token{kind: kind})
		default:
			if c == ':' {
				colons++
			}
			if d.fold && c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			text.WriteByte(c)
		}
		i++
	}
	flush()
	switch t := p.tokens; {
	case len(t) == 0:
		p.form = exact
	case len(t) == 1 && t[0].kind == star:
		p.form = all
	case len(t) == 1 && t[0].kind == lit:
		p.form, p.lit = exact, t[0].text
	case len(t) == 2 && t[0].kind == lit && t[1].kind == star:
		p.form, p.lit = prefix, t[0].text
	}
	return p, 0, ""
}

// compileVariable takes what stands between ${ and }: a key, a key with a default in
// single quotes, or one of the three characters that cannot stand for themselves.
func compileVariable(s string) (token, string) {
	switch s {
	case "*", "?", "$":
		return token{kind: lit, text: s}, ""
	}
	key, rest, hasDefault := strings.Cut(s, ",")
	key = strings.TrimSpace(key)
	if key == "" || strings.ContainsAny(key, "${'\"*?") {
		return token{}, fmt.Sprintf("malformed policy variable ${%s}", s)
	}
	t := token{kind: variable, text: strings.ToLower(key), key: key, hasFallback: hasDefault}
	if hasDefault {
		rest = strings.TrimSpace(rest)
		if len(rest) < 2 || rest[0] != '\'' || rest[len(rest)-1] != '\'' {
			return token{}, fmt.Sprintf("the default of policy variable ${%s} is not in single quotes", key)
		}
		t.fallback = rest[1 : len(rest)-1]
	}
	return t, ""
}

// resolve returns the text a token stands for. A key with no value and no default, or
// with several values, stands for nothing, and a pattern that holds it matches nothing.
func (t *token) resolve(e *evaluation) (string, bool) {
	if t.kind == lit {
		return t.text, true
	}
	values, ok := e.lookup(t.text)
	switch {
	case ok && len(values) == 1:
		return values[0], true
	case (!ok || len(values) == 0) && t.hasFallback:
		return t.fallback, true
	}
	return "", false
}

func (p *pattern) match(e *evaluation, s string) bool {
	switch p.form {
	case all:
		return true
	case exact:
		return s == p.lit
	case prefix:
		return strings.HasPrefix(s, p.lit)
	}
	return p.walk(e, s, false)
}

// matchFold is match for a pattern compiled with fold, against a subject in any case.
func (p *pattern) matchFold(s string) bool {
	switch p.form {
	case all:
		return true
	case exact:
		return len(s) == len(p.lit) && hasPrefixFold(s, p.lit)
	case prefix:
		return hasPrefixFold(s, p.lit)
	}
	return p.walk(nil, s, true)
}

// walk matches token by token. After a mismatch it returns to the latest star and lets
// it take one character more. Only the latest star of each sort needs to be remembered:
// what an earlier one could take in addition, the later one can take as well. A star that
// is held in its field gives way to the latest free star.
func (p *pattern) walk(e *evaluation, s string, fold bool) bool {
	var (
		ti, si         int
		starT, starS   = -1, 0 // token after the latest free star, and how far it reaches
		fieldT, fieldS = -1, 0 // the same for the latest star held in its field
		last           = len(p.tokens) - 1
	)
	for {
		moved := false
		if ti <= last {
			switch t := &p.tokens[ti]; t.kind {
			case star:
				if ti == last {
					return true
				}
				ti++
				starT, starS, fieldT = ti, si, -1
				moved = true
			case starInField:
				ti++
				fieldT, fieldS = ti, si
				moved = true
			case one, oneInField:
				if si < len(s) && (t.kind == one || s[si] != ':') {
					si += runeLen(s[si:])
					ti++
					moved = true
				}
			default:
				text, ok := t.resolve(e)
				if !ok {
					return false
				}
				if fold && hasPrefixFold(s[si:], text) || !fold && strings.HasPrefix(s[si:], text) {
					si += len(text)
					ti++
					moved = true
				}
			}
		} else if si == len(s) {
			return true
		}
		switch {
		case moved:
		case fieldT >= 0 && fieldS < len(s) && s[fieldS] != ':':
			fieldS += runeLen(s[fieldS:])
			ti, si = fieldT, fieldS
		case starT >= 0 && starS < len(s):
			starS += runeLen(s[starS:])
			ti, si, fieldT = starT, starS, -1
		default:
			return false
		}
	}
}

// expand returns the pattern's text with its variables resolved. It is for the
// operators that know no wildcards.
func (p *pattern) expand(e *evaluation) (string, bool) {
	if p.form == exact {
		return p.lit, true
	}
	var b strings.Builder
	for i := range p.tokens {
		text, ok := p.tokens[i].resolve(e)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// keys calls add for each context key that the pattern's variables read: in lower case,
// and as written.
func (p *pattern) keys(add func(key, written string)) {
	for _, t := range p.tokens {
		if t.kind == variable {
			add(t.text, t.key)
		}
	}
}

func runeLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// hasPrefixFold reports whether s begins with lower, which has no upper case ASCII
// letters, in any case.
func hasPrefixFold(s, lower string) bool {
	if len(s) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// arnPattern matches ARNs field by field, as the Arn operators do.
type arnPattern struct {
	fields []pattern // six, or fewer when the last ends in a star and takes in the rest
}

func compileARN(s string, variables bool) (a arnPattern, at int, problem string) {
	start, open := 0, false
	for i := 0; i <= len(s); i++ {
		if i < len(s) {
			switch {
			case variables && strings.HasPrefix(s[i:], "${"):
				open = true
			case s[i] == '}':
				open = false
			}
			if s[i] != ':' || open || len(a.fields) == 5 {
				continue
			}
		}
		p, at, problem := compilePattern(s[start:i], dialect{wildcards: true, variables: variables})
		if problem != "" {
			return arnPattern{}, start + at, problem
		}
		a.fields = append(a.fields, p)
		start = i + 1
	}
	return a, 0, ""
}

func (a *arnPattern) match(e *evaluation, s string) bool {
	if !strings.HasPrefix(s, "arn:") || strings.Count(s, ":") < 5 {
		return false
	}
	n := len(a.fields)
	for i := range n - 1 {
		field, rest, _ := strings.Cut(s, ":")
		if !a.fields[i].match(e, field) {
			return false
		}
		s = rest
	}
	final := &a.fields[n-1]
	if n < 6 && (len(final.tokens) == 0 || final.tokens[len(final.tokens)-1].kind != star) {
		return false
	}
	return final.match(e, s)
}
