package audit

import (
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/wire"
)

// hidden stands where a sensitive value was.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// AppendShape appends in as a JSON object the way CloudTrail writes request parameters and response
// elements: member names begin with a small letter, sensitive members are hidden, blobs are left out
// (a ciphertext says nothing to an auditor, and a plaintext must not be there).
func AppendShape(dst []byte, in wire.Shape) []byte { return AppendNamed(dst, in, nil) }

// AppendNamed is AppendShape for a service some of whose parameters have names of their own in CloudTrail: name gives them, and "" for the usual one.
func AppendNamed(dst []byte, in wire.Shape, name func(*wire.Member) string) []byte {
	w := writers.Get().(*shapeWriter)
	*w = shapeWriter{buf: append(dst, '{'), first: true, stack: w.stack[:0], name: name}
	in.WriteMembers(w)
	out := append(w.buf, '}')
	w.buf, w.name = nil, nil
	writers.Put(w)
	return out
}

var writers = sync.Pool{New: func() any { return new(shapeWriter) }}

// shapeWriter is the wire.Writer behind AppendShape. While skip is above zero it is inside of something hidden
// and writes nothing.
type shapeWriter struct {
	buf   []byte
	skip  int
	first bool // nothing was written yet in the container at hand
	in    container
	stack []container // those around it
	name  func(*wire.Member) string
}

// container is what the next value stands in. A map's values have their key written by MapKey.
type container byte

const (
	inStruct container = iota
	inList
	inMap
)

var _ wire.Writer = (*shapeWriter)(nil)

// lead writes the comma and the key before a value; it reports false where the value must not be written.
func (w *shapeWriter) lead(m *wire.Member) bool {
	if w.skip > 0 {
		return false
	}
	if w.in != inMap {
		if !w.first {
			w.buf = append(w.buf, ',')
		}
		w.first = false
	}
	if w.in == inStruct {
		w.key(m)
	}
	if m.Sensitive {
		w.buf = append(w.buf, '"')
		w.buf = append(w.buf, hidden...)
		w.buf = append(w.buf, '"')
		return false
	}
	return true
}

// key writes the name of a member.
func (w *shapeWriter) key(m *wire.Member) {
	if w.name != nil {
		if own := w.name(m); own != "" {
			w.buf = append(wire.AppendJSONString(w.buf, own), ':')
			return
		}
	}
	w.buf = appendKey(w.buf, m.Name)
}

func (w *shapeWriter) begin(m *wire.Member, in container, open byte) {
	if !w.lead(m) {
		w.skip++
		return
	}
	w.buf = append(w.buf, open)
	w.stack = append(w.stack, w.in)
	w.in, w.first = in, true
}

func (w *shapeWriter) end(close byte) {
	if w.skip > 0 {
		w.skip--
		return
	}
	w.buf = append(w.buf, close)
	w.in, w.first = w.stack[len(w.stack)-1], false
	w.stack = w.stack[:len(w.stack)-1]
}

func (w *shapeWriter) BeginStruct(m *wire.Member)      { w.begin(m, inStruct, '{') }
func (w *shapeWriter) EndStruct()                      { w.end('}') }
func (w *shapeWriter) BeginList(m *wire.Member, _ int) { w.begin(m, inList, '[') }
func (w *shapeWriter) EndList()                        { w.end(']') }
func (w *shapeWriter) BeginMap(m *wire.Member, _ int)  { w.begin(m, inMap, '{') }
func (w *shapeWriter) EndMap()                         { w.end('}') }

func (w *shapeWriter) MapKey(k string) {
	if w.skip > 0 {
		return
	}
	if !w.first {
		w.buf = append(w.buf, ',')
	}
	w.first = false
	w.buf = append(wire.AppendJSONString(w.buf, k), ':')
}

func (w *shapeWriter) String(m *wire.Member, v string) {
	if w.lead(m) {
		w.buf = wire.AppendJSONString(w.buf, v)
	}
}

// Blob leaves the value out; in a list or map, where it must not vanish, it writes null.
func (w *shapeWriter) Blob(m *wire.Member, _ []byte) {
	if w.in != inStruct && w.lead(m) {
		w.buf = append(w.buf, "null"...)
	}
}

func (w *shapeWriter) Bool(m *wire.Member, v bool) {
	if w.lead(m) {
		w.buf = strconv.AppendBool(w.buf, v)
	}
}

func (w *shapeWriter) Int(m *wire.Member, v int64) {
	if w.lead(m) {
		w.buf = strconv.AppendInt(w.buf, v, 10)
	}
}

func (w *shapeWriter) Float(m *wire.Member, v float64) {
	if !w.lead(m) {
		return
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.buf = append(w.buf, "null"...)
		return
	}
	w.buf = strconv.AppendFloat(w.buf, v, 'g', -1, 64)
}

// Time writes the form that CloudTrail uses inside of parameters, e.g. "Nov 26, 2026, 1:38:04 PM".
func (w *shapeWriter) Time(m *wire.Member, v time.Time) {
	if w.lead(m) {
		w.buf = append(w.buf, '"')
		w.buf = v.UTC().AppendFormat(w.buf, "Jan 2, 2006, 3:04:05 PM")
		w.buf = append(w.buf, '"')
	}
}

func (w *shapeWriter) Document(m *wire.Member, v any) {
	if !w.lead(m) {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte("null")
	}
	w.buf = append(w.buf, b...)
}

func (w *shapeWriter) Null(m *wire.Member) {
	if w.lead(m) {
		w.buf = append(w.buf, "null"...)
	}
}

// appendKey appends name with a small first letter, quoted, and a colon.
func appendKey(dst []byte, name string) []byte {
	dst = append(dst, '"')
	c := name[0]
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	dst = append(dst, c)
	dst = append(dst, name[1:]...)
	return append(dst, '"', ':')
}
