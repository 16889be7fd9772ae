package logpattern

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// terms is a pattern of terms. Optional ones count only where there are no others.
type terms struct {
	required, optional, excluded []term
}

// term is a text or an expression that a message has somewhere.
type term struct {
	text  string
	regex *regexp.Regexp
}

func (t *term) in(message string) bool {
	if t.regex != nil {
		return t.regex.MatchString(message)
	}
	return strings.Contains(message, t.text)
}

func compileTerms(text string) (form, int, error) {
	r := &reader{text: text}
	p := new(terms)
	for r.space(); r.rest() != ""; r.space() {
		to := &p.required
		switch r.text[r.at] {
		case '?':
			to = &p.optional
			r.at++
		case '-':
			to = &p.excluded
			r.at++
		}
		t, err := r.term()
		if err != nil {
			return nil, 0, err
		}
		*to = append(*to, t)
	}
	return p, r.regexes, nil
}

func (r *reader) term() (t term, err error) {
	switch {
	case strings.HasPrefix(r.rest(), `"`):
		t.text, err = r.quoted()
		return t, err
	case strings.HasPrefix(r.rest(), "%"):
		t.regex, err = r.regex()
		return t, err
	}
	from := r.at
	for r.rest() != "" {
		c, n := utf8.DecodeRuneInString(r.rest())
		if !isName(c) {
			break
		}
		r.at += n
	}
	t.text = r.text[from:r.at]
	if rest := r.rest(); rest != "" && strings.TrimSpace(rest[:1]) != "" {
		c, n := utf8.DecodeRuneInString(rest)
		if c == utf8.RuneError {
			return t, problem("a term is not valid UTF-8")
		}
		return t, &SyntaxError{Term: rest[:n]}
	}
	if t.text == "" {
		return t, problem("a term is empty")
	}
	return t, nil
}

func (p *terms) match(message string) bool {
	for i := range p.excluded {
		if p.excluded[i].in(message) {
			return false
		}
	}
	for i := range p.required {
		if !p.required[i].in(message) {
			return false
		}
	}
	if len(p.required) > 0 || len(p.excluded) > 0 || len(p.optional) == 0 {
		return true
	}
	for i := range p.optional {
		if p.optional[i].in(message) {
			return true
		}
	}
	return false
}

func (p *terms) extract(message string) *Match {
	if !p.match(message) {
		return nil
	}
	return &Match{values: map[string]string{}}
}

func (p *terms) selects(*Selector) bool { return false }
