package logpattern

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// words is a pattern of conditions on the words of a message: a condition each for those before the ellipsis, and for those behind it. Without one, the last word
// is all that is left of the message.
type words struct {
	head, tail []word
	ellipsis   bool
}

// word is a word that has a name, and the conditions on it: one of the lists must hold, all of it.
type word struct {
	name string // with $ before it
	any  [][]condition
}

func compileWords(text string) (form, int, error) {
	inner, closed := strings.CutSuffix(text[1:], "]")
	if !closed {
		return nil, 0, problem("a bracket is not closed")
	}
	r := &reader{text: inner}
	p := new(words)
	names := make(map[string]bool)
	if r.space(); r.rest() == "" {
		p.ellipsis = true // anything
		return p, 0, nil
	}
	for {
		if r.take("...") {
			if p.ellipsis {
				return nil, 0, problem("there is more than one ellipsis")
			}
			p.ellipsis = true
		} else {
			w, err := r.namedWord()
			if err != nil {
				return nil, 0, err
			}
			if names[w.name] {
				return nil, 0, problem("there is more than one word " + w.name[1:])
			}
			names[w.name] = true
			if p.ellipsis {
				p.tail = append(p.tail, w)
			} else {
				p.head = append(p.head, w)
			}
		}
		if r.space(); r.rest() == "" {
			break
		}
		if !r.take(",") {
			return nil, 0, problem("there is no comma between words")
		}
	}
	if r.regexes > maxRegexes {
		return nil, 0, problem("there are more than 2 regular expressions")
	}
	return p, r.regexes, nil
}

// name reads the name of a word.
func (r *reader) name() (string, error) {
	r.space()
	from := r.at
	for r.rest() != "" {
		c, n := utf8.DecodeRuneInString(r.rest())
		if !isName(c) && c != '-' {
			break
		}
		r.at += n
	}
	if from == r.at {
		return "", problem("a word has no name")
	}
	return "$" + r.text[from:r.at], nil
}

// namedWord reads a word's name, and conditions with && and || between, each with the name before it.
func (r *reader) namedWord() (w word, err error) {
	if w.name, err = r.name(); err != nil {
		return w, err
	}
	c, found, err := r.condition(",")
	if err != nil || !found {
		return w, err
	}
	all := []condition{c}
	for {
		switch {
		case r.take("&&"):
		case r.take("||"):
			w.any = append(w.any, all)
			all = nil
		default:
			w.any = append(w.any, all)
			return w, nil
		}
		name, err := r.name()
		if err != nil {
			return w, err
		}
		if name != w.name {
			return w, problem("the conditions of a word are about different words")
		}
		c, found, err := r.condition(",")
		if err != nil {
			return w, err
		}
		if !found {
			return w, problem("a condition is missing")
		}
		all = append(all, c)
	}
}

func (w *word) holds(text string) bool {
	number, isNum := parseNumber(text)
	for _, all := range w.any {
		met := true
		for i := range all {
			met = met && all[i].holds(text, number, isNum)
		}
		if met {
			return true
		}
	}
	return len(w.any) == 0
}

// token is a word of a message: what is between spaces, brackets or quotation marks.
type token struct {
	text string
	from int // where it begins in the message
}

// tokens are the words of a message, at most limit of them if that is not zero. rest tells whether there are more.
func tokens(message string, limit int) (all []token, rest bool) {
	var unclosed [128]bool // marks that are not in the message any more: not looked for again
	for at := 0; ; {
		for at < len(message) && strings.IndexByte(spaces, message[at]) >= 0 {
			at++
		}
		if at == len(message) {
			return all, false
		}
		if limit > 0 && len(all) == limit {
			return all, true
		}
		if mark := closing(message[at]); mark != 0 && !unclosed[mark] {
			if end := strings.IndexByte(message[at+1:], mark); end >= 0 {
				all = append(all, token{message[at+1 : at+1+end], at})
				at += end + 2
				continue
			}
			unclosed[mark] = true
		}
		end := strings.IndexAny(message[at:], spaces)
		if end < 0 {
			end = len(message) - at
		}
		all = append(all, token{message[at : at+end], at})
		at += end
	}
}

const spaces = " \t\r\n"

// closing is what ends a word that begins with a character, if it is not a space.
func closing(c byte) byte {
	switch c {
	case '"':
		return '"'
	case '[':
		return ']'
	}
	return 0
}

// assign returns the words of a message: those of the head, those of the ellipsis, and those of the tail.
func (p *words) assign(message string) (all []token, ok bool) {
	limit := 0
	if !p.ellipsis {
		limit = len(p.head)
	}
	all, rest := tokens(message, limit)
	if len(all) < len(p.head)+len(p.tail) {
		return nil, false
	}
	if rest {
		last := &all[len(all)-1]
		last.text = strings.TrimRight(message[last.from:], spaces)
	}
	for i := range p.head {
		if !p.head[i].holds(all[i].text) {
			return nil, false
		}
	}
	for i := range p.tail {
		if !p.tail[i].holds(all[len(all)-len(p.tail)+i].text) {
			return nil, false
		}
	}
	return all, true
}

func (p *words) match(message string) bool {
	_, ok := p.assign(message)
	return ok
}

func (p *words) extract(message string) *Match {
	all, ok := p.assign(message)
	if !ok {
		return nil
	}
	m := &Match{values: make(map[string]string, len(all))}
	for i, t := range all {
		name := "$" + strconv.Itoa(i+1)
		if tail := i - (len(all) - len(p.tail)); i < len(p.head) {
			name = p.head[i].name
		} else if tail >= 0 {
			name = p.tail[tail].name
		}
		m.values[name] = t.text
	}
	return m
}

// selects reports whether a word has the name, or the number, of the selector.
func (p *words) selects(s *Selector) bool {
	for _, list := range [][]word{p.head, p.tail} {
		for i := range list {
			if list[i].name == s.word {
				return true
			}
		}
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s.word, "$"))
	return err == nil && n > 0 && p.ellipsis
}
