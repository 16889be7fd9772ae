package eventpattern

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// token is what a lexer finds.
type token uint8

const (
	tokenEnd token = iota // of the text
	tokenObject
	tokenEndObject
	tokenArray
	tokenEndArray
	tokenName
	tokenString
	tokenNumber
	tokenTrue
	tokenFalse
	tokenNull
)

// lexer reads a pattern token by token, and knows at each where a parser of the kind that AWS uses would be: behind a name it has seen the start of the
// value already, and a string is passed only when it is asked for its text. That place is in the messages.
type lexer struct {
	src     string
	at      int     // behind what was read
	tok     token   // the current token
	ahead   token   // of a value whose start was seen with its name
	text    string  // of the current name, or of a string that was read
	start   int     // of the number, literal or string
	pending bool    // a string was begun and not read
	open    []scope // the objects and arrays around
}

// scope is an object or array that is open.
type scope struct {
	array bool
	start int // of its bracket
	some  bool
}

// maxDepth is how deep a pattern or an event nests.
const maxDepth = 1000

// syntaxError is a reason with the place that it names.
func (l *lexer) syntaxError(at int, format string, args ...any) error {
	return &Error{reason: fmt.Sprintf(format, args...) + l.location(at)}
}

// fail is a reason with the current place.
func (l *lexer) fail(format string, args ...any) error { return l.syntaxError(l.at, format, args...) }

// location is how messages name the byte at.
func (l *lexer) location(at int) string { return "\n at " + l.source(at) }

func (l *lexer) source(at int) string {
	line, row := 1, 0
	for i := 0; i < at && i < len(l.src); i++ {
		if l.src[i] == '\n' {
			line, row = line+1, i+1
		}
	}
	return fmt.Sprintf("[Source: (String)%s; line: %d, column: %d]", quoteSource(l.src), line, units(l.src[row:min(at, len(l.src))])+1)
}

// maxSource is how many characters of a pattern are in a message.
const maxSource = 500

func quoteSource(src string) string {
	var b strings.Builder
	n := 0
	b.WriteByte('"')
	for _, r := range src {
		if n++; n > maxSource {
			break
		}
		switch r {
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	if total := units(src); total > maxSource {
		fmt.Fprintf(&b, "[truncated %d chars]", total-maxSource)
	}
	return b.String()
}

// units are the UTF-16 code units of s, in which columns are counted.
func units(s string) (n int) {
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// next goes to the next token.
func (l *lexer) next() (token, error) {
	if l.ahead != tokenEnd {
		l.tok, l.ahead = l.ahead, tokenEnd
		l.enter(l.tok)
		return l.tok, nil
	}
	if l.pending {
		if err := l.readString(); err != nil {
			return tokenEnd, err
		}
	}
	tok, err := l.scan()
	if err != nil {
		return tokenEnd, err
	}
	l.tok = tok
	return tok, nil
}

func (l *lexer) scan() (token, error) {
	l.space()
	if l.at >= len(l.src) {
		if n := len(l.open); n > 0 {
			kind := "Object"
			if l.open[n-1].array {
				kind = "Array"
			}
			return tokenEnd, l.fail("Unexpected end-of-input: expected close marker for %s (start marker at %s)", kind, l.source(l.open[n-1].start))
		}
		return tokenEnd, nil
	}
	if c := l.src[l.at]; c == '}' || c == ']' {
		return l.leave(c == ']')
	}
	if n := len(l.open); n > 0 {
		s := &l.open[n-1]
		if s.some {
			if l.src[l.at] != ',' {
				kind := "Object"
				if s.array {
					kind = "Array"
				}
				return tokenEnd, l.unexpected("was expecting comma to separate %s entries", kind)
			}
			l.at++
			if l.space(); l.at >= len(l.src) {
				return tokenEnd, l.fail("Unexpected end-of-input within/between %s entries", map[bool]string{true: "Array", false: "Object"}[s.array])
			}
		}
		s.some = true
		if !s.array {
			return l.name()
		}
	}
	tok, err := l.value()
	if err == nil {
		l.enter(tok)
	}
	return tok, err
}

// leave closes the innermost scope.
func (l *lexer) leave(array bool) (token, error) {
	n := len(l.open)
	if n == 0 || l.open[n-1].array != array {
		if n == 0 {
			return tokenEnd, l.unexpected("expected a value")
		}
		marker, kind := "}", "Object"
		if l.open[n-1].array {
			marker, kind = "]", "Array"
		}
		closing := l.src[l.at]
		l.at++
		return tokenEnd, l.fail("Unexpected close marker '%c': expected '%s' (for %s starting at %s)", closing, marker, kind, l.source(l.open[n-1].start))
	}
	l.open = l.open[:n-1]
	l.at++
	if array {
		return tokenEndArray, nil
	}
	return tokenEndObject, nil
}

func (l *lexer) enter(tok token) {
	if tok == tokenObject || tok == tokenArray {
		l.open = append(l.open, scope{array: tok == tokenArray, start: l.at - 1})
	}
}

// name reads the name of a member and the start of its value.
func (l *lexer) name() (token, error) {
	if l.src[l.at] != '"' {
		return tokenEnd, l.unexpected("was expecting double-quote to start field name")
	}
	l.at++
	if err := l.readString(); err != nil {
		return tokenEnd, err
	}
	if l.space(); l.at >= len(l.src) {
		return tokenEnd, l.fail("Unexpected end-of-input within/between Object entries")
	}
	if l.src[l.at] != ':' {
		return tokenEnd, l.unexpected("was expecting a colon to separate field name and value")
	}
	l.at++
	if l.space(); l.at >= len(l.src) {
		return tokenEnd, l.fail("Unexpected end-of-input within/between Object entries")
	}
	tok, err := l.value()
	if err != nil {
		return tokenEnd, err
	}
	l.ahead = tok
	return tokenName, nil
}

// value reads a value as far as it is read before anybody asks for it: the bracket, the quote, or all of a number or literal.
func (l *lexer) value() (token, error) {
	l.start = l.at
	switch c := l.src[l.at]; {
	case c == '"':
		l.at++
		l.pending = true
		return tokenString, nil
	case c == '{' || c == '[':
		if len(l.open) >= maxDepth {
			return tokenEnd, l.fail("Document nesting depth (%d) exceeds the maximum allowed (%d)", maxDepth+1, maxDepth)
		}
		l.at++
		if c == '{' {
			return tokenObject, nil
		}
		return tokenArray, nil
	case c == '-' || c >= '0' && c <= '9':
		return l.number()
	case wordStart(rune(c)) || c >= utf8.RuneSelf:
		return l.word()
	default:
		return tokenEnd, l.unexpected("expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')")
	}
}

func wordStart(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '$'
}

func (l *lexer) word() (token, error) {
	end := l.at
	for end < len(l.src) && (wordStart(rune(l.src[end])) || l.src[end] >= '0' && l.src[end] <= '9' || l.src[end] >= utf8.RuneSelf) {
		end++
	}
	word := l.src[l.at:end]
	l.at = end
	switch word {
	case "true":
		return tokenTrue, nil
	case "false":
		return tokenFalse, nil
	case "null":
		return tokenNull, nil
	}
	return tokenEnd, l.fail("Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", strings.ToValidUTF8(word, "�"))
}

func (l *lexer) number() (token, error) {
	n, bad := numberLength(l.src[l.at:])
	l.at += n
	if bad == "" {
		return tokenNumber, nil
	}
	if l.at >= len(l.src) {
		return tokenEnd, l.fail("Unexpected end-of-input: %s", bad)
	}
	return tokenEnd, l.unexpected("%s", bad)
}

// numberLength is how much of s is a JSON number, and if that is none what is wrong behind it.
func numberLength[T string | []byte](s T) (n int, bad string) {
	digits := func() bool {
		from := n
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n > from
	}
	if n < len(s) && s[n] == '-' {
		n++
	}
	zero := n < len(s) && s[n] == '0'
	from := n
	if !digits() {
		return n, "expected digit (0-9) to follow minus sign, for valid numeric value"
	}
	if zero && n-from > 1 {
		n = from + 1
		return n, "Leading zeroes not allowed"
	}
	if n < len(s) && s[n] == '.' {
		if n++; !digits() {
			return n, "Decimal point not followed by a digit"
		}
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		if n++; n < len(s) && (s[n] == '+' || s[n] == '-') {
			n++
		}
		if !digits() {
			return n, "Exponent indicator not followed by a digit"
		}
	}
	return n, ""
}

// string is the text of the current string token.
func (l *lexer) string() (string, error) {
	if l.pending {
		if err := l.readString(); err != nil {
			return "", err
		}
	}
	return l.text, nil
}

// raw is the text of the current token as messages name it.
func (l *lexer) raw() string {
	switch l.tok {
	case tokenObject:
		return "{"
	case tokenEndObject:
		return "}"
	case tokenArray:
		return "["
	case tokenEndArray:
		return "]"
	default:
		return l.src[l.start:l.at]
	}
}

// readString reads a string whose first quote was read.
func (l *lexer) readString() error {
	l.pending = false
	var b strings.Builder
	from := l.at
	for l.at < len(l.src) {
		switch c := l.src[l.at]; {
		case c == '"':
			b.WriteString(l.src[from:l.at])
			l.text = b.String()
			l.at++
			return nil
		case c == '\\':
			b.WriteString(l.src[from:l.at])
			r, n, bad := unescape(l.src[l.at:])
			l.at += n
			if bad != "" {
				return l.fail("%s", bad)
			}
			b.WriteRune(r)
			from = l.at
		case c < ' ':
			at := l.at
			l.at++
			return l.syntaxError(at, "Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using backslash to be included in string value", c)
		default:
			l.at++
		}
	}
	return l.fail("Unexpected end-of-input: was expecting closing quote for a string value")
}

// escapes are what may follow a backslash, besides u.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape reads the escape that s begins with, n bytes.
func unescape[T string | []byte](s T) (r rune, n int, bad string) {
	if len(s) < 2 {
		return 0, len(s), "Unexpected end-of-input in character escape sequence"
	}
	if c := s[1]; c != 'u' {
		if escapes[c] == 0 {
			return 0, 2, fmt.Sprintf("Unrecognized character escape '%c' (code %d)", rune(c), c)
		}
		return rune(escapes[c]), 2, ""
	}
	r, ok := hex4(s[2:])
	if !ok {
		return 0, min(len(s), 6), "Unexpected character in character escape sequence: expected a hex-digit for character escape sequence"
	}
	if utf16.IsSurrogate(r) {
		if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
			if low, ok := hex4(s[8:]); ok {
				if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
					return full, 12, ""
				}
			}
		}
		return utf8.RuneError, 6, ""
	}
	return r, 6, ""
}

func hex4[T string | []byte](s T) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (l *lexer) space() {
	for l.at < len(l.src) {
		switch l.src[l.at] {
		case ' ', '\t', '\n', '\r':
			l.at++
		default:
			return
		}
	}
}

// unexpected says that the next character is out of place.
func (l *lexer) unexpected(format string, args ...any) error {
	r, _ := utf8.DecodeRuneInString(l.src[l.at:])
	name := fmt.Sprintf("'%c' (code %d)", r, r)
	if r < ' ' {
		name = fmt.Sprintf("(CTRL-CHAR, code %d)", r)
	}
	return l.fail("Unexpected character (%s): %s", name, fmt.Sprintf(format, args...))
}
