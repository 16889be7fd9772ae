// Package logpattern is the filter pattern syntax of CloudWatch Logs: which log events a filter is about, and the values in them that it makes use of.
//
// There are three forms of patterns, told apart by how they begin:
//
//	ERROR -"bad request" ?optional %[45][0-9]{2}%   terms that a message has or has not
//	{ $.status >= 500 && $.path = "/api/*" }        conditions on the fields of a message that is JSON
//	[ip, user, ..., status = 4*, bytes > 1000]      conditions on the words of a message
//
// A pattern is compiled once, and matches in a time that grows with the length of the message: regular expressions are those of package regexp, which never go back.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
package logpattern

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a pattern.
const (
	maxRegexes           = 2 // in conditions
	maxSelectorWildcards = 1 // in a selector
	maxWildcards         = 3 // in all selectors
	maxDepth             = 64
)

// SyntaxError tells that a text is no pattern. Term is what has characters that it must not have, where that is what is wrong.
type SyntaxError struct {
	Term    string
	Problem string
}

func (e *SyntaxError) Error() string {
	if e.Term != "" {
		return "Invalid character(s) in term '" + e.Term + "'"
	}
	return "Invalid filter pattern: " + e.Problem
}

func problem(text string) error { return &SyntaxError{Problem: text} }

// Pattern is a compiled pattern. It is immutable, and safe for concurrent use.
type Pattern struct {
	text    string
	form    form
	regexes int
}

// form is a pattern of one of the three forms.
type form interface {
	// match reports whether a message matches.
	match(message string) bool
	// extract returns what the pattern makes of a message that matches, or nil.
	extract(message string) *Match
	// selects reports whether a selector fits the pattern.
	selects(s *Selector) bool
}

// Match is a message that a pattern matches.
type Match struct {
	object any               // of a JSON pattern
	values map[string]string // by selector
}

// Values are the values that the pattern speaks of, by their selectors: "$.field" or "$word".
func (m *Match) Values() map[string]string { return m.values }

// Value returns what a selector finds: a string, or a number or boolean as it is written.
func (m *Match) Value(s *Selector) (string, bool) {
	if s.word != "" {
		v, ok := m.values[s.word]
		return v, ok
	}
	out, found := "", false
	s.path.each(m.object, func(v any) bool {
		out, found = textOf(v)
		return !found
	})
	return out, found
}

// Compile makes a pattern of its text. Its errors are *SyntaxError.
func Compile(text string) (*Pattern, error) {
	p := &Pattern{text: text}
	var err error
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, "{"):
		p.form, p.regexes, err = compileObject(trimmed)
	case strings.HasPrefix(trimmed, "["):
		p.form, p.regexes, err = compileWords(trimmed)
	default:
		p.form, p.regexes, err = compileTerms(text)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Text is what the pattern was made of.
func (p *Pattern) Text() string { return p.text }

// Regexes is how many regular expressions the pattern has.
func (p *Pattern) Regexes() int { return p.regexes }

// Match reports whether a message matches.
func (p *Pattern) Match(message string) bool { return p.form.match(message) }

// Extract returns what the pattern makes of a message, or nil if that does not match.
func (p *Pattern) Extract(message string) *Match { return p.form.extract(message) }

// Selector names a value in messages.
type Selector struct {
	word string // e.g. "$bytes", of a pattern of words
	path path
}

// Selector reads the selector of a value of messages that match the pattern: "$.field", or the name of a word with "$" before it.
func (p *Pattern) Selector(text string) (*Selector, error) {
	var s *Selector
	if strings.HasPrefix(text, "$.") || strings.HasPrefix(text, "$[") {
		r := &reader{text: text}
		path, err := r.selector()
		if err != nil {
			return nil, err
		}
		if r.rest() != "" {
			return nil, problem("the selector has something behind it")
		}
		s = &Selector{path: path}
	} else {
		s = &Selector{word: text}
	}
	if !p.form.selects(s) {
		return nil, problem("the pattern has no value " + text)
	}
	return s, nil
}

// reader reads a pattern.
type reader struct {
	text    string
	at      int
	depth   int
	regexes int
	stars   int // wildcards in selectors
}

func (r *reader) rest() string { return r.text[r.at:] }

func (r *reader) space() {
	for r.at < len(r.text) {
		c, n := utf8.DecodeRuneInString(r.rest())
		if !unicode.IsSpace(c) {
			return
		}
		r.at += n
	}
}

// take reads a token if it is next.
func (r *reader) take(token string) bool {
	r.space()
	if !strings.HasPrefix(r.rest(), token) {
		return false
	}
	r.at += len(token)
	return true
}

// word reads a word of letters if it is next, with nothing of a name right behind it.
func (r *reader) word(w string) bool {
	at := r.at
	if !r.take(w) {
		return false
	}
	if c, _ := utf8.DecodeRuneInString(r.rest()); r.rest() != "" && isName(c) {
		r.at = at
		return false
	}
	return true
}

// quoted reads what is between the quotation marks that begin there. A backslash keeps the meaning of a mark or of a backslash behind it off.
func (r *reader) quoted() (string, error) {
	mark := r.text[r.at]
	var b strings.Builder
	for i := r.at + 1; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == mark:
			r.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(r.text) && (r.text[i+1] == mark || r.text[i+1] == '\\'):
			i++
			b.WriteByte(r.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", problem("a quotation mark is not closed")
}

// isName reports whether names may have a character.
func isName(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }
