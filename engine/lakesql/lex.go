package lakesql

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// place is where something stands in the statement; line and column count from 1, columns in characters.
type place struct{ line, column int }

func (p place) errorf(format string, args ...any) *Error {
	return &Error{Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...)}
}

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // an identifier or a keyword
	tokenQuoted           // "identifier"
	tokenString           // 'text'
	tokenInteger
	tokenDecimal
	tokenSymbol
)

type token struct {
	kind  tokenKind
	text  string // without quotes
	upper string // of a word, in capitals
	place place
}

func (t token) describe() string {
	switch t.kind {
	case tokenEnd:
		return "<EOF>"
	case tokenString:
		return "'" + t.text + "'"
	}
	return t.text
}

// storeID is an event data store's ID as CloudTrail Lake writes it after FROM: bare, although it may begin with a digit.
var storeID = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`)

// maxStatement is the most bytes of a statement. CloudTrail takes 10,000 characters.
const maxStatement = 64 << 10

type lexer struct {
	rest   string
	place  place
	tokens []token
}

func lex(statement string) ([]token, error) {
	if len(statement) > maxStatement {
		return nil, &Error{Message: fmt.Sprintf("the statement is longer than %d bytes", maxStatement)}
	}
	if !utf8.ValidString(statement) {
		return nil, &Error{Message: "the statement is not valid UTF-8"}
	}
	l := &lexer{rest: statement, place: place{1, 1}}
	for {
		if err := l.space(); err != nil {
			return nil, err
		}
		if l.rest == "" {
			return append(l.tokens, token{kind: tokenEnd, place: l.place}), nil
		}
		if err := l.next(); err != nil {
			return nil, err
		}
	}
}

func (l *lexer) take(n int) string {
	text := l.rest[:n]
	l.rest = l.rest[n:]
	for _, r := range text {
		if r == '\n' {
			l.place.line, l.place.column = l.place.line+1, 1
		} else {
			l.place.column++
		}
	}
	return text
}

func (l *lexer) space() error {
	for {
		trimmed := strings.TrimLeftFunc(l.rest, unicode.IsSpace)
		l.take(len(l.rest) - len(trimmed))
		switch {
		case strings.HasPrefix(l.rest, "--"):
			end := strings.IndexByte(l.rest, '\n')
			if end < 0 {
				end = len(l.rest)
			}
			l.take(end)
		case strings.HasPrefix(l.rest, "/*"):
			end := strings.Index(l.rest[2:], "*/")
			if end < 0 {
				return l.place.errorf("comment is not closed")
			}
			l.take(end + 4)
		default:
			return nil
		}
	}
}

func (l *lexer) next() error {
	if id := storeID.FindString(l.rest); id != "" {
		l.add(tokenQuoted, len(id), id)
		return nil
	}
	first, size := utf8.DecodeRuneInString(l.rest)
	switch {
	case first == '\'' || first == '"':
		return l.quoted(byte(first))
	case first >= '0' && first <= '9', first == '.' && len(l.rest) > 1 && isDigit(l.rest[1]):
		return l.number()
	case first == '_' || unicode.IsLetter(first):
		end := strings.IndexFunc(l.rest, func(r rune) bool {
			return r != '_' && r != '$' && r != '@' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
		if end < 0 {
			end = len(l.rest)
		}
		l.add(tokenWord, end, l.rest[:end])
		return nil
	}
	for _, symbol := range []string{"<>", "!=", "<=", ">=", "||", "->", "=>"} {
		if strings.HasPrefix(l.rest, symbol) {
			l.add(tokenSymbol, len(symbol), symbol)
			return nil
		}
	}
	if strings.ContainsRune("()[],.;+-*/%=<>?", first) {
		l.add(tokenSymbol, 1, l.rest[:1])
		return nil
	}
	return l.place.errorf("mismatched input '%s'", l.rest[:size])
}

func (l *lexer) add(kind tokenKind, size int, text string) {
	t := token{kind: kind, text: text, place: l.place}
	if kind == tokenWord {
		t.upper = strings.ToUpper(text)
	}
	l.take(size)
	l.tokens = append(l.tokens, t)
}

// quoted takes a string or a quoted identifier, in which the quote itself stands doubled.
func (l *lexer) quoted(quote byte) error {
	var text strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch {
		case l.rest[i] != quote:
			text.WriteByte(l.rest[i])
		case i+1 < len(l.rest) && l.rest[i+1] == quote:
			text.WriteByte(quote)
			i++
		case quote == '"' && text.Len() == 0:
			return l.place.errorf("zero-length delimited identifier not allowed")
		case quote == '"':
			l.add(tokenQuoted, i+1, text.String())
			return nil
		default:
			l.add(tokenString, i+1, text.String())
			return nil
		}
	}
	return l.place.errorf("quote is not closed")
}

func (l *lexer) number() error {
	kind, i := tokenInteger, 0
	digits := func() {
		for i < len(l.rest) && isDigit(l.rest[i]) {
			i++
		}
	}
	digits()
	if i < len(l.rest) && l.rest[i] == '.' {
		kind = tokenDecimal
		i++
		digits()
	}
	if i < len(l.rest) && (l.rest[i] == 'e' || l.rest[i] == 'E') {
		exponent := i + 1
		if exponent < len(l.rest) && (l.rest[exponent] == '+' || l.rest[exponent] == '-') {
			exponent++
		}
		if exponent < len(l.rest) && isDigit(l.rest[exponent]) {
			kind, i = tokenDecimal, exponent
			digits()
		}
	}
	if i < len(l.rest) {
		if r, _ := utf8.DecodeRuneInString(l.rest[i:]); r == '_' || unicode.IsLetter(r) {
			return l.place.errorf("identifiers must not start with a digit; surround the identifier with double quotes")
		}
	}
	l.add(kind, i, l.rest[:i])
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
