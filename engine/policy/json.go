package policy

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The document is read by a small JSON reader of our own, because every error has
// to say where it is: encoding/json forgets the place of a value once it is decoded,
// takes element names in any case, and lets the last of two equal names win.

type nodeKind uint8

const (
	nodeNull nodeKind = iota
	nodeBool
	nodeNumber
	nodeString
	nodeArray
	nodeObject
)

func (k nodeKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// node is a JSON value with its place. text is the decoded string, or the literal of
// a number or boolean as written.
type node struct {
	kind    nodeKind
	start   int
	end     int
	text    string
	items   []node
	members []member
}

type member struct {
	name  string
	start int // of the name
	value node
}

// maxDepth is far above the six levels a policy has.
const maxDepth = 32

type reader struct {
	src []byte
	pos int
}

// fault is an error with its place; Parse turns it into a *SyntaxError.
type fault struct {
	offset int
	path   string
	msg    string
	kind   Fault
	rank   rank
}

func (f *fault) Error() string { return f.msg }

func (r *reader) fail(offset int, msg string) error {
	return &fault{offset: offset, msg: msg, kind: InvalidJSON}
}

func readJSON(src []byte) (node, error) {
	r := &reader{src: src}
	n, err := r.value(0)
	if err != nil {
		return node{}, err
	}
	if r.space(); r.pos < len(src) {
		return node{}, r.fail(r.pos, "text after the end of the document")
	}
	return n, nil
}

func (r *reader) space() {
	for r.pos < len(r.src) {
		switch r.src[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek skips white space and returns the byte there, or 0 at the end.
func (r *reader) peek() byte {
	r.space()
	if r.pos < len(r.src) {
		return r.src[r.pos]
	}
	return 0
}

func (r *reader) value(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, r.fail(r.pos, "nested too deeply")
	}
	c := r.peek()
	start := r.pos
	switch {
	case start >= len(r.src):
		return node{}, r.fail(start, "unexpected end of the document")
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '"':
		s, err := r.str()
		return node{kind: nodeString, start: start, end: r.pos, text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, w := range [...]struct {
		text string
		kind nodeKind
	}{{"true", nodeBool}, {"false", nodeBool}, {"null", nodeNull}} {
		if end := start + len(w.text); end <= len(r.src) && string(r.src[start:end]) == w.text {
			r.pos = end
			return node{kind: w.kind, start: start, end: end, text: w.text}, nil
		}
	}
	return node{}, r.fail(start, "a JSON value was expected")
}

func (r *reader) object(depth int) (node, error) {
	n := node{kind: nodeObject, start: r.pos}
	r.pos++
	if r.peek() == '}' {
		r.pos++
		n.end = r.pos
		return n, nil
	}
	seen := map[string]bool{}
	for {
		if r.peek() != '"' {
			return n, r.fail(r.pos, "a quoted name was expected")
		}
		m := member{start: r.pos}
		var err error
		if m.name, err = r.str(); err != nil {
			return n, err
		}
		// Of two equal names a reader may honour either one. In a policy that is the
		// difference between what was reviewed and what is enforced.
		if seen[m.name] {
			return n, r.fail(m.start, "duplicate name "+strconv.Quote(m.name))
		}
		seen[m.name] = true
		if r.peek() != ':' {
			return n, r.fail(r.pos, "a colon was expected")
		}
		r.pos++
		if m.value, err = r.value(depth + 1); err != nil {
			return n, err
		}
		n.members = append(n.members, m)
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			n.end = r.pos
			return n, nil
		default:
			return n, r.fail(r.pos, "a comma or a closing brace was expected")
		}
	}
}

func (r *reader) array(depth int) (node, error) {
	n := node{kind: nodeArray, start: r.pos}
	r.pos++
	if r.peek() == ']' {
		r.pos++
		n.end = r.pos
		return n, nil
	}
	for {
		item, err := r.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, item)
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			n.end = r.pos
			return n, nil
		default:
			return n, r.fail(r.pos, "a comma or a closing bracket was expected")
		}
	}
}

func (r *reader) number() (node, error) {
	start := r.pos
	digits := func() bool {
		from := r.pos
		for r.pos < len(r.src) && r.src[r.pos] >= '0' && r.src[r.pos] <= '9' {
			r.pos++
		}
		return r.pos > from
	}
	at := func(cs string) bool {
		if r.pos < len(r.src) {
			for i := range len(cs) {
				if r.src[r.pos] == cs[i] {
					return true
				}
			}
		}
		return false
	}
	if at("-") {
		r.pos++
	}
	ok := true
	if at("0") {
		r.pos++
	} else {
		ok = digits()
	}
	if ok && at(".") {
		r.pos++
		ok = digits()
	}
	if ok && at("eE") {
		r.pos++
		if at("+-") {
			r.pos++
		}
		ok = digits()
	}
	if !ok {
		return node{}, r.fail(start, "malformed number")
	}
	return node{kind: nodeNumber, start: start, end: r.pos, text: string(r.src[start:r.pos])}, nil
}

func (r *reader) str() (string, error) {
	start := r.pos
	r.pos++
	from := r.pos
	var buf []byte // used from the first escape on
	escaped := false
	for r.pos < len(r.src) {
		c := r.src[r.pos]
		switch {
		case c == '"':
			s := r.src[from:r.pos]
			r.pos++
			if escaped {
				return string(append(buf, s...)), nil
			}
			return string(s), nil
		case c < ' ':
			return "", r.fail(r.pos, "control character in a string")
		case c == '\\':
			buf = append(buf, r.src[from:r.pos]...)
			escaped = true
			var err error
			if buf, err = r.escape(buf); err != nil {
				return "", err
			}
			from = r.pos
		case c < utf8.RuneSelf:
			r.pos++
		default:
			c, size := utf8.DecodeRune(r.src[r.pos:])
			if c == utf8.RuneError && size == 1 {
				return "", r.fail(r.pos, "not UTF-8")
			}
			r.pos += size
		}
	}
	return "", r.fail(start, "string without an end")
}

// escape appends what the escape sequence at r.pos stands for.
func (r *reader) escape(buf []byte) ([]byte, error) {
	start := r.pos
	if r.pos+1 >= len(r.src) {
		return nil, r.fail(start, "string without an end")
	}
	c := r.src[r.pos+1]
	r.pos += 2
	switch c {
	case '"', '\\', '/':
		return append(buf, c), nil
	case 'b':
		return append(buf, '\b'), nil
	case 'f':
		return append(buf, '\f'), nil
	case 'n':
		return append(buf, '\n'), nil
	case 'r':
		return append(buf, '\r'), nil
	case 't':
		return append(buf, '\t'), nil
	case 'u':
		u, ok := r.hex4()
		if ok && utf16.IsSurrogate(u) {
			if r.pos+1 < len(r.src) && r.src[r.pos] == '\\' && r.src[r.pos+1] == 'u' {
				r.pos += 2
				low, lowOK := r.hex4()
				u = utf16.DecodeRune(u, low)
				ok = lowOK && u != utf8.RuneError
			} else {
				ok = false
			}
		}
		if !ok {
			return nil, r.fail(start, "malformed \\u escape")
		}
		return utf8.AppendRune(buf, u), nil
	}
	return nil, r.fail(start, "unknown escape")
}

func (r *reader) hex4() (rune, bool) {
	if r.pos+4 > len(r.src) {
		return 0, false
	}
	u, err := strconv.ParseUint(string(r.src[r.pos:r.pos+4]), 16, 16)
	r.pos += 4
	return rune(u), err == nil
}
