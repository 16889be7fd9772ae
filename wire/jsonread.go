package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep values may be nested in a body of any protocol. The services' own limits are lower
// where shapes recurse; this one only keeps the stack small.
const maxDepth = 128

// jsonReader reads shapes straight from the bytes of a JSON text (RFC 8259). It keeps no reference to them in
// what it returns.
type jsonReader struct {
	b   []byte
	pos int
	err error

	schema *Schema // of the structure at hand
	first  bool    // nothing of the container at hand has been read
	outer  []*Schema
	buf    []byte // for strings with escapes
}

// keptBuffer is the largest buffer that is kept: each use clears all of it.
const keptBuffer = 64 << 10

// jsonReaders keeps readers for their buffers; they hold nothing of a request when they are in it.
var jsonReaders = sync.Pool{New: func() any { return new(jsonReader) }}

func newJSONReader(b []byte) *jsonReader {
	r := jsonReaders.Get().(*jsonReader)
	*r = jsonReader{b: b, outer: r.outer[:0], buf: r.buf[:0]}
	return r
}

func (r *jsonReader) free() {
	clear(r.buf[:cap(r.buf)]) // it may have held a secret
	if cap(r.buf) > keptBuffer {
		r.buf = nil
	}
	r.b, r.schema, r.err = nil, nil, nil
	jsonReaders.Put(r)
}

// readTop reads a whole text into s.
func (r *jsonReader) readTop(s Shape) error {
	r.beginTop(s.Schema())
	s.ReadMembers(r)
	return r.end()
}

func (r *jsonReader) beginTop(s *Schema) {
	r.space()
	if r.peek() != '{' {
		r.mismatch("structure")
		return
	}
	r.enter(s)
}

// end checks that nothing follows.
func (r *jsonReader) end() error {
	r.space()
	if r.err == nil && r.pos != len(r.b) {
		r.malformed()
	}
	return r.err
}

func serialization(message string) *Error {
	return &Error{Code: "SerializationException", Message: message, Status: 400}
}

// malformed is the answer to what is no JSON: AWS gives no text then.
func (r *jsonReader) malformed() { r.fail(serialization("")) }

func (r *jsonReader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.pos = len(r.b)
	}
}

// mismatch is the answer to a value of the wrong sort. What follows at pos is the value, and is checked no
// further.
func (r *jsonReader) mismatch(want string) {
	if r.err != nil {
		return
	}
	var token string
	switch c := r.peek(); {
	case c == '{':
		r.fail(serialization("Start of structure or map found where not expected."))
		return
	case c == '[':
		r.fail(serialization("Start of list found where not expected"))
		return
	case c == '"':
		token = "STRING_VALUE"
	case c == '-' || c >= '0' && c <= '9':
		token = "NUMBER_VALUE"
	case r.literal("true"):
		token = "TRUE_VALUE"
	case r.literal("false"):
		token = "FALSE_VALUE"
	case r.literal("null"):
		token = "NULL_VALUE"
	default:
		r.malformed()
		return
	}
	switch want {
	case "structure":
		r.fail(serialization("Expected null"))
	case "list", "map":
		r.fail(serialization("Expected " + want + " or null"))
	case "Integer":
		r.fail(serialization(token + " can not be converted to an " + want))
	default:
		r.fail(serialization(token + " can not be converted to a " + want))
	}
}

func (r *jsonReader) space() {
	for r.pos < len(r.b) {
		switch r.b[r.pos] {
		case ' ', '\n', '\r', '\t':
			r.pos++
		default:
			return
		}
	}
}

// peek is the byte at hand, 0 at the end.
func (r *jsonReader) peek() byte {
	if r.pos < len(r.b) {
		return r.b[r.pos]
	}
	return 0
}

// value is the first byte of the value at hand.
func (r *jsonReader) value() byte {
	r.space()
	return r.peek()
}

// literal passes over the word, if that is what follows.
func (r *jsonReader) literal(word string) bool {
	if len(r.b)-r.pos < len(word) || string(r.b[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

func (r *jsonReader) enter(s *Schema) {
	if len(r.outer) >= maxDepth {
		r.malformed()
		return
	}
	r.pos++ // the bracket
	r.outer = append(r.outer, r.schema)
	r.schema = s
	r.first = true
}

func (r *jsonReader) leave() {
	r.pos++
	n := len(r.outer) - 1
	r.schema = r.outer[n]
	r.outer = r.outer[:n]
	r.first = false
}

// more reports whether another item comes before the closing bracket, and stands in front of it then.
func (r *jsonReader) more(closing byte) bool {
	if r.err != nil {
		return false
	}
	r.space()
	switch c := r.peek(); {
	case c == closing:
		r.leave()
		return false
	case r.first:
		r.first = false
		return true
	case c == ',':
		r.pos++
		r.space()
		return true
	}
	r.malformed()
	return false
}

// key reads a name and the colon behind it. The bytes are good until the next string is read.
func (r *jsonReader) key() []byte {
	if r.peek() != '"' {
		r.malformed()
		return nil
	}
	k := r.bytes()
	r.space()
	if r.peek() != ':' {
		r.malformed()
		return nil
	}
	r.pos++
	r.space()
	return k
}

func (r *jsonReader) BeginStruct(m *Member) {
	if r.err != nil {
		return
	}
	if r.value() != '{' {
		r.mismatch("structure")
		return
	}
	r.enter(m.Target)
}

func (r *jsonReader) NextMember() *Member {
	for r.more('}') {
		k := r.key()
		if r.err != nil {
			return nil
		}
		m := memberByWireName(r.schema, k)
		if m == nil {
			r.skip()
		} else if !r.literal("null") {
			return m
		}
	}
	return nil
}

// memberByWireName is Schema.Member for a name in bytes.
func memberByWireName(s *Schema, name []byte) *Member {
	for i := range s.Members {
		m := &s.Members[i]
		if m.Location != InBody {
			continue
		}
		if m.LocationName != "" {
			if string(name) == m.LocationName {
				return m
			}
		} else if string(name) == m.Name {
			return m
		}
	}
	return nil
}

func (r *jsonReader) BeginList(m *Member) {
	if r.err != nil {
		return
	}
	if r.value() != '[' {
		r.mismatch("list")
		return
	}
	r.enter(m.Target)
}

func (r *jsonReader) NextItem() bool { return r.more(']') }

func (r *jsonReader) BeginMap(m *Member) {
	if r.err != nil {
		return
	}
	if r.value() != '{' {
		r.mismatch("map")
		return
	}
	r.enter(m.Target)
}

func (r *jsonReader) NextKey() (string, bool) {
	for r.more('}') {
		k := r.key()
		if r.err != nil {
			return "", false
		}
		s := string(k)
		if !r.schema.Sparse && r.literal("null") {
			continue
		}
		return s, true
	}
	return "", false
}

func (r *jsonReader) Null() bool {
	return r.err == nil && r.value() == 'n' && r.literal("null")
}

func (r *jsonReader) String(m *Member) string {
	if r.err != nil {
		return ""
	}
	if r.value() != '"' {
		r.mismatch("String")
		return ""
	}
	b := r.bytes()
	if c := m.Target.Constraint; c != nil {
		// A value of an enum is in memory already.
		for _, v := range c.Enum {
			if string(b) == v {
				return v
			}
		}
	}
	return string(b)
}

// plainByte says of each byte whether it stands for itself in a string: all of ASCII but quotes, backslashes and controls.
var plainByte = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// bytes reads a string, which begins at pos. The result is a part of the text or of buf.
func (r *jsonReader) bytes() []byte {
	start := r.pos + 1
	ascii := true
	for i, c := range r.b[start:] {
		if plainByte[c] {
			continue
		}
		switch {
		case c == '"':
			r.pos = start + i + 1
			s := r.b[start : start+i]
			if !ascii && !utf8.Valid(s) {
				r.malformed()
				return nil
			}
			return s
		case c == '\\':
			return r.escaped(start, start+i)
		case c < ' ':
			r.malformed()
			return nil
		}
		ascii = false
	}
	r.malformed()
	return nil
}

// escaped goes on with a string that began at start, from its first escape, at i.
func (r *jsonReader) escaped(start, i int) []byte {
	out := append(r.buf[:0], r.b[start:i]...)
	for i < len(r.b) {
		c := r.b[i]
		i++
		switch {
		case c == '"':
			r.pos = i
			r.buf = out
			if !utf8.Valid(out) {
				r.malformed()
				return nil
			}
			return out
		case c < ' ':
			r.malformed()
			return nil
		case c != '\\':
			out = append(out, c)
			continue
		}
		if i == len(r.b) {
			break
		}
		c = r.b[i]
		i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			u, ok := hex4(r.b[i:])
			if !ok {
				r.malformed()
				return nil
			}
			i += 4
			if utf16.IsSurrogate(u) {
				var low rune
				if len(r.b)-i >= 6 && r.b[i] == '\\' && r.b[i+1] == 'u' {
					low, _ = hex4(r.b[i+2:])
				}
				// Half a pair is no character, and has no UTF-8.
				if u = utf16.DecodeRune(u, low); u == utf8.RuneError {
					r.malformed()
					return nil
				}
				i += 6
			}
			out = utf8.AppendRune(out, u)
		default:
			r.malformed()
			return nil
		}
	}
	r.malformed()
	return nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var u rune
	for _, c := range b[:4] {
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
		u = u<<4 | rune(c)
	}
	return u, true
}

func (r *jsonReader) Blob(m *Member) []byte {
	if r.err != nil {
		return nil
	}
	if r.value() != '"' {
		r.mismatch("Blob")
		return nil
	}
	s := r.bytes()
	if r.err != nil {
		return nil
	}
	b, ok := decodeBase64(s)
	if !ok {
		r.fail(serialization("")) // with the value AWS's text would give a secret away
	}
	return b
}

// decodeBase64 gives bytes of their own, never nil unless not ok.
func decodeBase64(s []byte) ([]byte, bool) {
	// encoding/base64 passes over line ends, AWS does not.
	if bytes.IndexByte(s, '\n') >= 0 || bytes.IndexByte(s, '\r') >= 0 {
		return nil, false
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(b, s)
	if err != nil {
		return nil, false
	}
	return b[:n], true
}

func (r *jsonReader) Bool(m *Member) bool {
	if r.err != nil {
		return false
	}
	r.space()
	if r.literal("true") {
		return true
	}
	if !r.literal("false") {
		r.mismatch("Boolean")
	}
	return false
}

// number reads the number at hand as RFC 8259 writes it, and reports whether it is an integer.
func (r *jsonReader) number() (text []byte, integer bool) {
	i := r.pos
	digits := func() bool {
		from := i
		for i < len(r.b) && r.b[i] >= '0' && r.b[i] <= '9' {
			i++
		}
		return i > from
	}
	integer = true
	if i < len(r.b) && r.b[i] == '-' {
		i++
	}
	zero := i < len(r.b) && r.b[i] == '0'
	from := i
	if !digits() || zero && i > from+1 {
		r.malformed()
		return nil, false
	}
	if i < len(r.b) && r.b[i] == '.' {
		i++
		integer = false
		if !digits() {
			r.malformed()
			return nil, false
		}
	}
	if i < len(r.b) && (r.b[i] == 'e' || r.b[i] == 'E') {
		i++
		integer = false
		if i < len(r.b) && (r.b[i] == '+' || r.b[i] == '-') {
			i++
		}
		if !digits() {
			r.malformed()
			return nil, false
		}
	}
	text = r.b[r.pos:i]
	r.pos = i
	return text, integer
}

func isNumberStart(c byte) bool { return c == '-' || c >= '0' && c <= '9' }

func numberName(k Kind) string {
	switch k {
	case Integer:
		return "Integer"
	case Long:
		return "Long"
	case Float:
		return "Float"
	default:
		return "Double"
	}
}

func (r *jsonReader) Int(m *Member) int64 {
	if r.err != nil {
		return 0
	}
	if !isNumberStart(r.value()) {
		r.mismatch(numberName(m.Target.Kind))
		return 0
	}
	text, integer := r.number()
	if r.err != nil {
		return 0
	}
	v, ok := parseInt(text, integer, m.Target.Kind)
	if !ok {
		r.fail(serialization(""))
	}
	return v
}

// parseInt takes a JSON number; a fraction is cut off, as the services do.
func parseInt(text []byte, integer bool, k Kind) (int64, bool) {
	bits := 64
	if k == Integer {
		bits = 32
	}
	if integer && len(text) <= 18 {
		var v int64
		digits := text
		if digits[0] == '-' {
			digits = digits[1:]
		}
		for _, c := range digits {
			v = v*10 + int64(c-'0')
		}
		if text[0] == '-' {
			v = -v
		}
		return v, bits == 64 || v == int64(int32(v))
	}
	if integer {
		v, err := strconv.ParseInt(string(text), 10, bits)
		return v, err == nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	limit := math.Ldexp(1, bits-1)
	f = math.Trunc(f)
	if err != nil || f >= limit || f < -limit {
		return 0, false
	}
	return int64(f), true
}

func (r *jsonReader) Float(m *Member) float64 {
	if r.err != nil {
		return 0
	}
	if c := r.value(); c == '"' {
		mark := r.pos
		switch string(r.bytes()) {
		case "NaN":
			return math.NaN()
		case "Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
		if r.err == nil {
			r.pos = mark
			r.mismatch(numberName(m.Target.Kind))
		}
		return 0
	} else if !isNumberStart(c) {
		r.mismatch(numberName(m.Target.Kind))
		return 0
	}
	text, _ := r.number()
	if r.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(text), floatBits(m.Target.Kind))
	if err != nil {
		r.fail(serialization(""))
		return 0
	}
	return f
}

func floatBits(k Kind) int {
	if k == Float {
		return 32
	}
	return 64
}

func (r *jsonReader) Time(m *Member) time.Time {
	if r.err != nil {
		return time.Time{}
	}
	switch c := r.value(); {
	case isNumberStart(c):
		text, _ := r.number()
		if r.err != nil {
			return time.Time{}
		}
		if t, ok := parseEpoch(string(text)); ok {
			return t
		}
	case c == '"':
		// Whichever format the model names, the services take the others as well.
		s := string(r.bytes())
		if r.err != nil {
			return time.Time{}
		}
		if t, ok := parseTime(s, timeFormat(m, EpochSeconds)); ok {
			return t
		}
		r.fail(serialization("STRING_VALUE can not be converted to a Timestamp"))
		return time.Time{}
	default:
		r.mismatch("Timestamp")
		return time.Time{}
	}
	r.fail(serialization("NUMBER_VALUE can not be converted to a Timestamp"))
	return time.Time{}
}

func (r *jsonReader) Document(m *Member) any {
	if r.err != nil {
		return nil
	}
	r.space()
	return r.any(len(r.outer))
}

// any reads a value of any sort.
func (r *jsonReader) any(depth int) any {
	if r.err != nil {
		return nil
	}
	if depth >= maxDepth {
		r.malformed()
		return nil
	}
	switch c := r.value(); {
	case c == '{':
		r.pos++
		v := map[string]any{}
		for first := true; r.another(&first, '}'); {
			k := string(r.key())
			v[k] = r.any(depth + 1)
		}
		return v
	case c == '[':
		r.pos++
		v := []any{}
		for first := true; r.another(&first, ']'); {
			v = append(v, r.any(depth+1))
		}
		return v
	case c == '"':
		return string(r.bytes())
	case isNumberStart(c):
		text, _ := r.number()
		return json.Number(text)
	case r.literal("true"):
		return true
	case r.literal("false"):
		return false
	case r.literal("null"):
		return nil
	}
	r.malformed()
	return nil
}

// another is more for values that no schema describes.
func (r *jsonReader) another(first *bool, closing byte) bool {
	if r.err != nil {
		return false
	}
	r.space()
	switch c := r.peek(); {
	case c == closing:
		r.pos++
		return false
	case *first:
		*first = false
		return true
	case c == ',':
		r.pos++
		r.space()
		return true
	}
	r.malformed()
	return false
}

// skip passes over a value of any sort, and checks it all the same.
func (r *jsonReader) skip() { r.skipValue(len(r.outer)) }

func (r *jsonReader) skipValue(depth int) {
	if r.err != nil {
		return
	}
	if depth >= maxDepth {
		r.malformed()
		return
	}
	switch c := r.value(); {
	case c == '{':
		r.pos++
		for first := true; r.another(&first, '}'); {
			r.key()
			r.skipValue(depth + 1)
		}
	case c == '[':
		r.pos++
		for first := true; r.another(&first, ']'); {
			r.skipValue(depth + 1)
		}
	case c == '"':
		r.bytes()
	case isNumberStart(c):
		r.number()
	case r.literal("true"), r.literal("false"), r.literal("null"):
	default:
		r.malformed()
	}
}

func (r *jsonReader) Err() error { return r.err }
