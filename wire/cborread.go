package wire

import (
	"bytes"
	"math"
	"time"

	"github.com/holdfast-cloud/holdfast/wire/internal/cbor"
)

// cborReader reads shapes from CBOR.
type cborReader struct {
	d     cbor.Decoder
	stack []cborFrame
	err   error
}

type cborFrame struct {
	schema     *Schema
	left       uint64 // items or entries to come
	indefinite bool
}

func newCBORReader(b []byte) *cborReader { return &cborReader{d: cbor.NewDecoder(b)} }

// readTop reads a whole body into s.
func (r *cborReader) readTop(s Shape) error {
	r.enter(cbor.Map, s.Schema())
	s.ReadMembers(r)
	if r.err == nil && !r.d.Done() {
		r.malformed()
	}
	return r.err
}

func (r *cborReader) malformed() { r.fail("") }

func (r *cborReader) fail(message string) {
	if r.err == nil {
		r.err = serialization(message)
	}
}

// next reads a head that is no tag; tags that mean nothing to us are passed over.
func (r *cborReader) next() cbor.Head {
	if r.err != nil {
		return cbor.Head{}
	}
	for range maxDepth {
		h, err := r.d.Next()
		if err != nil {
			r.malformed()
			return cbor.Head{}
		}
		if h.Major != cbor.Tag {
			return h
		}
	}
	r.malformed()
	return cbor.Head{}
}

func (r *cborReader) enter(m cbor.Major, s *Schema) {
	h := r.next()
	if r.err != nil {
		return
	}
	if h.Major != m {
		switch {
		case h.Major == cbor.Array:
			r.fail("Start of list found where not expected")
		case h.Major == cbor.Map:
			r.fail("Start of structure or map found where not expected.")
		case m == cbor.Array:
			r.fail("Expected list or null")
		case s.Kind == Map:
			r.fail("Expected map or null")
		default:
			r.fail("Expected null")
		}
		return
	}
	if len(r.stack) >= maxDepth {
		r.malformed()
		return
	}
	r.stack = append(r.stack, cborFrame{schema: s, left: h.Arg, indefinite: h.Info == 31})
}

// more reports whether another item comes, and leaves the container otherwise.
func (r *cborReader) more() bool {
	if r.err != nil {
		return false
	}
	f := &r.stack[len(r.stack)-1]
	if f.indefinite {
		h, err := r.d.Peek()
		if err != nil {
			r.malformed()
			return false
		}
		if !h.IsBreak() {
			return true
		}
		_, _ = r.d.Next()
	} else if f.left > 0 {
		f.left--
		return true
	}
	r.stack = r.stack[:len(r.stack)-1]
	return false
}

func (r *cborReader) BeginStruct(m *Member) { r.enter(cbor.Map, m.Target) }

func (r *cborReader) NextMember() *Member {
	for r.more() {
		schema := r.stack[len(r.stack)-1].schema
		k := r.content(cbor.Text, "String")
		if r.err != nil {
			return nil
		}
		m := memberByWireName(schema, k)
		switch {
		case m == nil:
			if r.d.Skip(maxDepth-len(r.stack)) != nil {
				r.malformed()
			}
		case !r.Null():
			return m
		}
	}
	return nil
}

func (r *cborReader) BeginList(m *Member) { r.enter(cbor.Array, m.Target) }
func (r *cborReader) NextItem() bool      { return r.more() }
func (r *cborReader) BeginMap(m *Member)  { r.enter(cbor.Map, m.Target) }

func (r *cborReader) NextKey() (string, bool) {
	for r.more() {
		sparse := r.stack[len(r.stack)-1].schema.Sparse
		k := string(r.content(cbor.Text, "String"))
		if r.err != nil {
			return "", false
		}
		if sparse || !r.Null() {
			return k, true
		}
	}
	return "", false
}

func (r *cborReader) Null() bool {
	if r.err != nil {
		return false
	}
	h, err := r.d.Peek()
	if err != nil || !h.IsNull() {
		return false
	}
	_, _ = r.d.Next()
	return true
}

// mismatch is the error for an item of the wrong sort.
func (r *cborReader) mismatch(h cbor.Head, want string) {
	if r.err != nil {
		return
	}
	_, float := h.Float()
	var token string
	switch {
	case h.Major == cbor.Array:
		r.fail("Start of list found where not expected")
		return
	case h.Major == cbor.Map:
		r.fail("Start of structure or map found where not expected.")
		return
	case h.Major == cbor.Uint || h.Major == cbor.NegInt || float:
		token = "NUMBER_VALUE"
	case h.Major == cbor.Text:
		token = "STRING_VALUE"
	case h.Major == cbor.Bytes:
		token = "BLOB_VALUE"
	case h.Arg == cbor.True:
		token = "TRUE_VALUE"
	case h.Arg == cbor.False:
		token = "FALSE_VALUE"
	default:
		token = "NULL_VALUE"
	}
	article := "a"
	if want == "Integer" {
		article = "an"
	}
	r.fail(token + " can not be converted to " + article + " " + want)
}

// content reads a string of that sort.
func (r *cborReader) content(m cbor.Major, want string) []byte {
	h := r.next()
	if r.err != nil {
		return nil
	}
	if h.Major != m {
		r.mismatch(h, want)
		return nil
	}
	b, err := r.d.Content(h)
	if err != nil {
		r.malformed()
	}
	return b
}

func (r *cborReader) String(m *Member) string { return string(r.content(cbor.Text, "String")) }

func (r *cborReader) Blob(m *Member) []byte {
	b := r.content(cbor.Bytes, "Blob")
	if r.err != nil {
		return nil
	}
	return append([]byte{}, b...)
}

func (r *cborReader) Bool(m *Member) bool {
	h := r.next()
	if r.err == nil && (h.Major != cbor.Simple || h.Info >= 24 || h.Arg != cbor.True && h.Arg != cbor.False) {
		r.mismatch(h, "Boolean")
	}
	return r.err == nil && h.Arg == cbor.True
}

func (r *cborReader) Int(m *Member) int64 {
	h := r.next()
	if r.err != nil {
		return 0
	}
	if f, ok := h.Float(); ok {
		bits := 63
		if m.Target.Kind == Integer {
			bits = 31
		}
		limit := math.Ldexp(1, bits)
		if f = math.Trunc(f); f >= limit || f < -limit || f != f {
			r.malformed()
			return 0
		}
		return int64(f)
	}
	if h.Major != cbor.Uint && h.Major != cbor.NegInt {
		r.mismatch(h, numberName(m.Target.Kind))
		return 0
	}
	if h.Arg > math.MaxInt64 {
		r.malformed()
		return 0
	}
	v := int64(h.Arg)
	if h.Major == cbor.NegInt {
		v = -1 - v
	}
	if m.Target.Kind == Integer && v != int64(int32(v)) {
		r.malformed()
		return 0
	}
	return v
}

func (r *cborReader) Float(m *Member) float64 {
	h := r.next()
	if r.err != nil {
		return 0
	}
	v, ok := number(h)
	if !ok {
		r.mismatch(h, numberName(m.Target.Kind))
		return 0
	}
	if m.Target.Kind == Float {
		v = float64(float32(v))
	}
	return v
}

func number(h cbor.Head) (float64, bool) {
	switch h.Major {
	case cbor.Uint:
		return float64(h.Arg), true
	case cbor.NegInt:
		return -1 - float64(h.Arg), true
	}
	return h.Float()
}

func (r *cborReader) Time(m *Member) time.Time {
	h := r.next() // with or without tag 1
	if r.err != nil {
		return time.Time{}
	}
	v, ok := number(h)
	if !ok {
		r.mismatch(h, "Timestamp")
		return time.Time{}
	}
	if !(math.Abs(v) <= maxEpoch) {
		r.malformed()
		return time.Time{}
	}
	if h.Major != cbor.Simple {
		return time.Unix(int64(v), 0).UTC()
	}
	return time.UnixMicro(int64(math.Round(v * 1e6))).UTC()
}

func (r *cborReader) Document(m *Member) any {
	if r.err != nil {
		return nil
	}
	return r.any(maxDepth - len(r.stack))
}

// any reads an item of any sort.
func (r *cborReader) any(depth int) any {
	if depth <= 0 {
		r.malformed()
		return nil
	}
	h := r.next()
	if r.err != nil {
		return nil
	}
	switch h.Major {
	case cbor.Uint, cbor.NegInt:
		v, _ := number(h)
		return v
	case cbor.Text, cbor.Bytes:
		b, err := r.d.Content(h)
		if err != nil {
			r.malformed()
			return nil
		}
		return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
	case cbor.Array:
		list := []any{}
		for r.another(&h) {
			list = append(list, r.any(depth-1))
		}
		return list
	case cbor.Map:
		m := map[string]any{}
		for r.another(&h) {
			k := string(r.content(cbor.Text, "String"))
			m[k] = r.any(depth - 1)
		}
		return m
	}
	if v, ok := h.Float(); ok {
		return v
	}
	switch h.Arg {
	case cbor.True:
		return true
	case cbor.False:
		return false
	case cbor.Null, cbor.Undefined:
		return nil
	}
	r.malformed()
	return nil
}

// another is more for items that no schema describes.
func (r *cborReader) another(h *cbor.Head) bool {
	if r.err != nil {
		return false
	}
	if h.Info != 31 {
		if h.Arg == 0 {
			return false
		}
		h.Arg--
		return true
	}
	next, err := r.d.Peek()
	if err != nil {
		r.malformed()
		return false
	}
	if next.IsBreak() {
		_, _ = r.d.Next()
		return false
	}
	return true
}

func (r *cborReader) Err() error { return r.err }
