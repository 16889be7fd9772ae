package scheduler

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/wire"
)

// decodeInput reads the input of an operation from JSON whose members are named as Scheduler wants them: as in the service's API with a capital letter first, wherever a protocol puts them. Blobs are
// plain strings. Its error is one for the caller.
func decodeInput(op *wire.Operation, text []byte) (wire.Shape, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var top any
	if err := d.Decode(&top); err != nil || !json.Valid(text) { // Decode looks at the first value alone
		return nil, badInput("The payload is not well-formed JSON.")
	}
	members, ok := top.(map[string]any)
	if !ok {
		return nil, badInput("The payload is not a JSON object.")
	}
	in := op.NewInput()
	schema := in.Schema()
	var missing []string
	for i := range schema.Members {
		if m := &schema.Members[i]; m.Required && members[sdkName(m)] == nil {
			missing = append(missing, sdkName(m))
		}
	}
	if missing != nil {
		return nil, badInput("Request payload is missing the following field(s): " + strings.Join(missing, ", ") + ".")
	}
	r := &inputReader{stack: []inputFrame{{schema: schema, members: members}}}
	in.ReadMembers(r)
	if r.wrong != "" {
		return nil, badInput(r.wrong)
	}
	if s, ok := in.(wire.Streamer); ok && schema.Payload != nil {
		if body, ok := members[sdkName(schema.Payload)].(string); ok {
			s.SetStream(io.NopCloser(strings.NewReader(body)))
		}
	}
	return in, nil
}

func badInput(reason string) error { return invalid("Invalid RequestJson provided. Reason %s", reason) }

// sdkName is a member's name with a capital letter first.
func sdkName(m *wire.Member) string { return strings.ToUpper(m.Name[:1]) + m.Name[1:] }

// maxDepth is how deep values may be nested.
const maxDepth = 100

// inputReader reads a shape from what encoding/json made of a text. It is a wire.Reader, whose methods are told of there.
type inputReader struct {
	stack []inputFrame
	cur   any    // the value at hand
	wrong string // what is wrong with it
}

// inputFrame is a structure, a list or a map.
type inputFrame struct {
	schema  *wire.Schema
	members map[string]any
	items   []any
	keys    []string
	next    int
}

func (r *inputReader) fail(m *wire.Member, want string) {
	if r.wrong == "" {
		r.wrong = "The field " + sdkName(m) + " must be " + want + "."
	}
}

func (r *inputReader) push(m *wire.Member, f inputFrame) {
	if len(r.stack) >= maxDepth {
		r.fail(m, "nested less deeply")
	}
	r.stack = append(r.stack, f)
}

func (r *inputReader) top() *inputFrame { return &r.stack[len(r.stack)-1] }
func (r *inputReader) pop()             { r.stack = r.stack[:len(r.stack)-1] }

func (r *inputReader) BeginStruct(m *wire.Member) {
	members, ok := r.cur.(map[string]any)
	if !ok {
		r.fail(m, "an object")
	}
	r.push(m, inputFrame{schema: m.Target, members: members})
}

func (r *inputReader) NextMember() *wire.Member {
	f := r.top()
	for r.wrong == "" && f.next < len(f.schema.Members) {
		m := &f.schema.Members[f.next]
		f.next++
		if v := f.members[sdkName(m)]; v != nil && !m.Target.Streaming {
			r.cur = v
			return m
		}
	}
	r.pop()
	return nil
}

func (r *inputReader) BeginList(m *wire.Member) {
	items, ok := r.cur.([]any)
	if !ok {
		r.fail(m, "a list")
	}
	r.push(m, inputFrame{items: items})
}

func (r *inputReader) NextItem() bool {
	f := r.top()
	if r.wrong != "" || f.next == len(f.items) {
		r.pop()
		return false
	}
	r.cur = f.items[f.next]
	f.next++
	return true
}

func (r *inputReader) BeginMap(m *wire.Member) {
	members, ok := r.cur.(map[string]any)
	if !ok {
		r.fail(m, "an object")
	}
	r.push(m, inputFrame{members: members, keys: slices.Sorted(maps.Keys(members))})
}

func (r *inputReader) NextKey() (string, bool) {
	f := r.top()
	if r.wrong != "" || f.next == len(f.keys) {
		r.pop()
		return "", false
	}
	k := f.keys[f.next]
	r.cur = f.members[k]
	f.next++
	return k, true
}

func (r *inputReader) Null() bool { return r.cur == nil }

func (r *inputReader) String(m *wire.Member) string {
	v, ok := r.cur.(string)
	if !ok {
		r.fail(m, "a string")
	}
	return v
}

func (r *inputReader) Blob(m *wire.Member) []byte { return []byte(r.String(m)) }

func (r *inputReader) Bool(m *wire.Member) bool {
	v, ok := r.cur.(bool)
	if !ok {
		r.fail(m, "true or false")
	}
	return v
}

func (r *inputReader) Int(m *wire.Member) int64 {
	n, ok := r.cur.(json.Number)
	v, err := n.Int64()
	if !ok || err != nil || m.Target.Kind == wire.Integer && (v < math.MinInt32 || v > math.MaxInt32) {
		r.fail(m, "a whole number")
		return 0
	}
	return v
}

func (r *inputReader) Float(m *wire.Member) float64 {
	n, ok := r.cur.(json.Number)
	v, err := n.Float64()
	if !ok || err != nil {
		r.fail(m, "a number")
		return 0
	}
	return v
}

// Time takes seconds since 1970 and RFC 3339.
func (r *inputReader) Time(m *wire.Member) time.Time {
	switch v := r.cur.(type) {
	case json.Number:
		if s, err := v.Float64(); err == nil && math.Abs(s) < 1e12 {
			whole, part := math.Modf(s)
			return time.Unix(int64(whole), int64(part*1e9)).UTC()
		}
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.UTC()
		}
	}
	r.fail(m, "a time")
	return time.Time{}
}

func (r *inputReader) Document(*wire.Member) any { return r.cur }

func (r *inputReader) Err() error {
	if r.wrong == "" {
		return nil
	}
	return badInput(r.wrong)
}

var _ wire.Reader = (*inputReader)(nil)
