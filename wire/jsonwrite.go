package wire

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// jsonWriter appends shapes to a JSON text.
type jsonWriter struct {
	b       []byte
	unnamed bool   // what is written next is no member of a structure, and has no name
	outer   []bool // unnamed, of the containers around
}

// jsonWriters keeps writers for their stacks, but never a text.
var jsonWriters = sync.Pool{New: func() any { return new(jsonWriter) }}

func newJSONWriter(b []byte) *jsonWriter {
	w := jsonWriters.Get().(*jsonWriter)
	w.b, w.unnamed, w.outer = b, false, w.outer[:0]
	return w
}

// free gives the text, and the writer back.
func (w *jsonWriter) free() []byte {
	b := w.b
	w.b = nil
	jsonWriters.Put(w)
	return b
}

// appendJSON appends the shape as a JSON object.
func appendJSON(b []byte, s Shape) []byte {
	w := newJSONWriter(append(b, '{'))
	s.WriteMembers(w)
	return append(w.free(), '}')
}

// begin writes the comma and the name in front of a value.
func (w *jsonWriter) begin(m *Member) {
	// Inside a string a quote is the last byte, so the last byte tells where we are.
	if n := len(w.b); n > 0 {
		switch w.b[n-1] {
		case '{', '[', ':':
		default:
			w.b = append(w.b, ',')
		}
	}
	if !w.unnamed {
		w.b = append(w.b, '"')
		w.b = append(w.b, m.WireName()...)
		w.b = append(w.b, '"', ':')
	}
}

func (w *jsonWriter) enter(bracket byte, unnamed bool) {
	w.b = append(w.b, bracket)
	w.outer = append(w.outer, w.unnamed)
	w.unnamed = unnamed
}

func (w *jsonWriter) leave(bracket byte) {
	w.b = append(w.b, bracket)
	n := len(w.outer) - 1
	w.unnamed = w.outer[n]
	w.outer = w.outer[:n]
}

func (w *jsonWriter) BeginStruct(m *Member) {
	w.begin(m)
	w.enter('{', false)
}

func (w *jsonWriter) EndStruct() { w.leave('}') }

func (w *jsonWriter) BeginList(m *Member, n int) {
	w.begin(m)
	w.enter('[', true)
}

func (w *jsonWriter) EndList() { w.leave(']') }

func (w *jsonWriter) BeginMap(m *Member, n int) {
	w.begin(m)
	w.enter('{', true)
}

func (w *jsonWriter) MapKey(k string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(AppendJSONString(w.b, k), ':')
}

func (w *jsonWriter) EndMap() { w.leave('}') }

func (w *jsonWriter) String(m *Member, v string) {
	w.begin(m)
	w.b = AppendJSONString(w.b, v)
}

func (w *jsonWriter) Blob(m *Member, v []byte) {
	w.begin(m)
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, v)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) Bool(m *Member, v bool) {
	w.begin(m)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *jsonWriter) Int(m *Member, v int64) {
	w.begin(m)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *jsonWriter) Float(m *Member, v float64) {
	w.begin(m)
	w.b = appendJSONFloat(w.b, v, floatBits(m.Target.Kind))
}

func appendJSONFloat(b []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		b = append(b, '"')
		b = append(b, formatFloat(v, bits)...)
		return append(b, '"')
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

func (w *jsonWriter) Time(m *Member, v time.Time) {
	w.begin(m)
	format := timeFormat(m, EpochSeconds)
	if format == EpochSeconds {
		w.b = appendEpoch(w.b, v)
		return
	}
	w.b = append(w.b, '"')
	w.b = appendTime(w.b, v, format)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) Document(m *Member, v any) {
	w.begin(m)
	w.b = appendJSONAny(w.b, v)
}

func (w *jsonWriter) Null(m *Member) {
	w.begin(m)
	w.b = append(w.b, "null"...)
}

func appendJSONAny(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return AppendJSONString(b, v)
	case json.Number:
		return append(b, v...)
	case float64:
		return appendJSONFloat(b, v, 64)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONAny(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(AppendJSONString(b, k), ':')
			b = appendJSONAny(b, v[k])
		}
		return append(b, '}')
	default:
		// A document holds nothing else by its contract; other Go values are worth their JSON.
		text, err := json.Marshal(v)
		if err != nil {
			return append(b, "null"...)
		}
		return append(b, text...)
	}
}

// AppendJSONString appends s as a JSON string, in quotes. What is not UTF-8 becomes U+FFFD.
func AppendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := plainBytes(s, 0); i < len(s); i = plainBytes(s, i) {
		c := s[i]
		if c >= utf8.RuneSelf {
			u, n := utf8.DecodeRuneInString(s[i:])
			if u == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// plainBytes is where the first byte of s at i or behind it stands that does not stand for itself in a string, or the length of s. It looks at eight bytes at once: see "Determine if a
// word has a byte less than n" in Anderson's Bit Twiddling Hacks. A borrow can only make it take a later byte for one that is not plain, never an earlier one.
func plainBytes(s string, i int) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, backslash := w^each*'"', w^each*'\\'
		if found := (w | (w - each*' ') | (quote - each) | (backslash - each)) & high; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(s) && plainByte[s[i]] {
		i++
	}
	return i
}
