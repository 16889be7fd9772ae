package lakesql

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// layout is what a scan takes out of its records: a tree of the wanted fields' names.
type layout struct {
	fields []layoutField
	wanted int // fields in this tree, its own included
}

type layoutField struct {
	name   string
	column int // -1: only its fields are wanted
	inner  *layout
}

func (l *layout) add(steps []string, column int) {
	l.wanted++
	for i := range l.fields {
		if f := &l.fields[i]; f.name == steps[0] {
			f.set(steps[1:], column)
			return
		}
	}
	l.fields = append(l.fields, layoutField{name: steps[0], column: -1})
	l.fields[len(l.fields)-1].set(steps[1:], column)
}

func (f *layoutField) set(rest []string, column int) {
	if len(rest) == 0 {
		f.column = column
		return
	}
	if f.inner == nil {
		f.inner = &layout{}
	}
	f.inner.add(rest, column)
}

// record is one record of a scan, of which the wanted fields were found but not yet decoded.
type record struct {
	layout *layout
	types  []*typ
	whole  int // the column that is the record itself, or -1
	fields [][]byte
	raw    []byte
	decode []byte // of the last text with escapes
}

// read finds the wanted fields of a record. What is no JSON has none.
func (r *record) read(raw []byte) {
	clear(r.fields)
	if r.raw = raw; r.whole >= 0 {
		r.fields[r.whole] = raw
	}
	if len(r.layout.fields) > 0 {
		r.object(raw, 0, r.layout)
	}
}

// object finds the fields of the object that begins at a place, and returns the place behind it, or -1. It stops early once all fields are found, except
// where the place behind matters: inside of another object.
func (r *record) object(b []byte, at int, l *layout) int {
	if at = skipSpace(b, at); at >= len(b) || b[at] != '{' {
		return -1
	}
	missing := len(l.fields)
	outermost := l == r.layout
	for at = skipSpace(b, at+1); at < len(b) && b[at] == '"'; at = skipSpace(b, at+1) {
		end := skipString(b, at)
		if end < 0 {
			return -1
		}
		name := b[at+1 : end-1]
		if at = skipSpace(b, end); at >= len(b) || b[at] != ':' {
			return -1
		}
		at = skipSpace(b, at+1)
		begin := at
		f := l.find(name)
		if f != nil && f.inner != nil && at < len(b) && b[at] == '{' {
			at = r.object(b, at, f.inner)
		} else {
			at = skipValue(b, at)
		}
		if at < 0 {
			return -1
		}
		if f != nil {
			if f.column >= 0 {
				r.fields[f.column] = b[begin:at]
			}
			if missing--; missing == 0 && outermost {
				return at
			}
		}
		if at = skipSpace(b, at); at >= len(b) || b[at] != ',' {
			break
		}
	}
	if at < len(b) && b[at] == '}' {
		return at + 1
	}
	return -1
}

func (l *layout) find(name []byte) *layoutField {
	if bytes.IndexByte(name, '\\') >= 0 {
		name = unquote(nil, name)
	}
	for i := range l.fields {
		if l.fields[i].name == string(name) {
			return &l.fields[i]
		}
	}
	return nil
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\n' || b[at] == '\t' || b[at] == '\r') {
		at++
	}
	return at
}

// skipString returns the place behind the string that begins at a place, or -1.
func skipString(b []byte, at int) int {
	for at++; at < len(b); {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return -1
		}
		end := at + n
		escapes := 0
		for end-1-escapes >= at && b[end-1-escapes] == '\\' {
			escapes++
		}
		if at = end + 1; escapes%2 == 0 {
			return at
		}
	}
	return -1
}

// skipValue returns the place behind the value that begins at a place, or -1. It trusts that brackets match.
func skipValue(b []byte, at int) int {
	if at >= len(b) {
		return -1
	}
	switch b[at] {
	case '"':
		return skipString(b, at)
	case '{', '[':
		depth := 0
		for at < len(b) {
			switch b[at] {
			case '"':
				if at = skipString(b, at); at < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return at + 1
				}
			}
			at++
		}
		return -1
	}
	begin := at
	for at < len(b) && b[at] != ',' && b[at] != '}' && b[at] != ']' && b[at] > ' ' {
		at++
	}
	if at == begin {
		return -1
	}
	return at
}

// unquote appends the text of a JSON string, whose quotes are gone.
func unquote(to, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 >= len(text) {
			to = append(to, text[i])
			continue
		}
		i++
		switch text[i] {
		case 'n':
			to = append(to, '\n')
		case 't':
			to = append(to, '\t')
		case 'r':
			to = append(to, '\r')
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'u':
			r, size := unescape(text[i+1:])
			to = utf8.AppendRune(to, r)
			i += size
		default:
			to = append(to, text[i])
		}
	}
	return to
}

// unescape reads what stands behind \u: one rune, in one or two escapes.
func unescape(text []byte) (rune, int) {
	four := func(b []byte) rune {
		if len(b) < 4 {
			return -1
		}
		n, err := strconv.ParseUint(string(b[:4]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	high := four(text)
	switch {
	case high < 0:
		return utf8.RuneError, 0
	case high < 0xd800 || high > 0xdfff:
		return high, 4
	case high < 0xdc00 && len(text) >= 10 && text[4] == '\\' && text[5] == 'u':
		if low := four(text[6:]); low >= 0xdc00 && low <= 0xdfff {
			return (high-0xd800)<<10 | (low - 0xdc00) + 0x10000, 10
		}
	}
	return utf8.RuneError, 4
}

func isNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

func (r *record) isNull(column int) bool { return r.value(column) == nil }

// text is the text of a varchar column, valid until the next call.
func (r *record) text(column int) ([]byte, bool) {
	raw := r.fields[column]
	if isNull(raw) {
		return nil, false
	}
	if raw[0] != '"' {
		return raw, true
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	r.decode = unquote(r.decode[:0], raw)
	return r.decode, true
}

// value is a column as the engine holds it.
func (r *record) value(column int) any {
	if r.types[column].kind == kindVarchar {
		if text, ok := r.text(column); ok {
			return string(text)
		}
		return nil
	}
	return decoded(r.fields[column], r.types[column].kind)
}

// code is a type as the engine's functions are told it: its kind is enough to decode a JSON value.
func (t *typ) code() int64 { return int64(t.kind) }

// decoded is a JSON value as the engine holds one of a kind. A value that cannot be of the kind is NULL.
func decoded(raw []byte, k kind) any {
	if isNull(raw) {
		return nil
	}
	var text string
	if raw[0] == '"' {
		text = string(unquote(nil, raw[1:len(raw)-1]))
	} else {
		text = string(raw)
	}
	switch k {
	case kindVarchar:
		return text
	case kindBoolean:
		switch text {
		case "true":
			return int64(1)
		case "false":
			return int64(0)
		}
	case kindBigint, kindDays, kindMonths:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case kindDouble:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case kindTimestamp, kindZoned, kindDate:
		if ms, ok := parseTime(text); ok {
			return ms
		}
	case kindJSON, kindUnknown:
		return string(raw)
	case kindArray:
		if raw[0] == '[' {
			return string(raw)
		}
	case kindMap, kindRow:
		if raw[0] == '{' {
			return string(raw)
		}
	}
	return nil
}

// encoded appends an engine's value of a kind as JSON; decoded makes the same value of it.
func encoded(to []byte, v any, k kind) []byte {
	if v == nil {
		return append(to, "null"...)
	}
	switch v := v.(type) {
	case string:
		if k >= kindJSON {
			return append(to, v...)
		}
		return appendQuoted(to, v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return appendQuoted(to, formatDouble(v))
		}
		return append(to, formatDouble(v)...)
	case int64:
		switch k {
		case kindBoolean:
			return strconv.AppendBool(to, v != 0)
		case kindTimestamp, kindZoned, kindDate:
			return appendQuoted(to, time.UnixMilli(v).UTC().Format("2006-01-02T15:04:05.000Z"))
		case kindDouble:
			return strconv.AppendInt(to, v, 10)
		}
		return strconv.AppendInt(to, v, 10)
	}
	return append(to, "null"...)
}

func appendQuoted(to []byte, text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.Encode(text) // a string is always encoded
	return append(to, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
