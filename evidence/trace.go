package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Trace collects why permission was given or refused, each time that one call asks. Its zero value collects nothing. It belongs to one
// goroutine, and to a call that allocates nothing for it while policies read no condition keys.
type Trace struct {
	recorder *Recorder
	now      time.Time
	buf      []byte // JSON, without its end
	asked    int
	omitted  int
	seen     []seenKey       // of the question at hand
	many     map[string]bool // the keys of seen, once there are more than few
	values   []string        // what seen refers to
	unkept   []*entry
}

// seenKey is a condition key that a policy looked up, and where its values are.
type seenKey struct {
	key      string
	from, to int
	ok       bool
}

// maxTrace is where a trace stops to take more, in bytes: a call may ask thousands of times, and be given values without end.
const (
	maxTrace  = 64 << 10
	maxValues = 16 << 10 // of one question
)

// Begin makes the trace collect. It writes to the end of buf, which is the caller's again when the records of the call are written. A nil
// recorder collects nothing.
func (t *Trace) Begin(r *Recorder, now time.Time, buf []byte) {
	t.recorder, t.now, t.buf = r, now, buf[:0]
}

// On reports whether the trace collects.
func (t *Trace) On() bool { return t.recorder != nil }

// Ask begins a question.
func (t *Trace) Ask() {
	t.seen, t.values = t.seen[:0], t.values[:0]
	clear(t.many)
}

// Saw takes what a policy was told when it looked up a condition key.
func (t *Trace) Saw(key string, values []string, ok bool) {
	if t.has(key) {
		return
	}
	from := len(t.values)
	t.values = append(t.values, values...) // the slice may be used again
	t.seen = append(t.seen, seenKey{key, from, len(t.values), ok})
}

// few is how many keys are looked through. A large policy may ask for thousands.
const few = 32

func (t *Trace) has(key string) bool {
	if len(t.seen) < few {
		return slices.ContainsFunc(t.seen, func(s seenKey) bool { return s.key == key })
	}
	if len(t.many) == 0 {
		t.many = make(map[string]bool)
		for i := range t.seen {
			t.many[t.seen[i].key] = true
		}
	}
	has := t.many[key]
	t.many[key] = true
	return has
}

// Decided takes the answer to the question, and of a denial its sentence. With as set it was asked for another principal than that of the call: that of the
// request. The result is what was written of it; it is good until the next question.
func (t *Trace) Decided(r *policy.Request, d policy.Decision, sentence string, as bool) []byte {
	b, start := t.element()
	if b == nil {
		return nil
	}
	question := len(b)
	b = append(b, `{"action":`...)
	b = wire.AppendJSONString(b, r.Action)
	b = append(b, `,"resource":`...)
	b = wire.AppendJSONString(b, r.Resource)
	if r.ResourceAccount != "" && r.ResourceAccount != r.Principal.Account {
		b = append(b, `,"owner":`...)
		b = wire.AppendJSONString(b, r.ResourceAccount)
	}
	b = append(b, `,"outcome":"`...)
	b = append(b, d.Outcome.String()...)
	b = append(b, `","kind":`...)
	b = strconv.AppendUint(b, uint64(d.Kind), 10)
	if d.Grant != nil {
		b = append(b, `,"grant":`...)
		b = wire.AppendJSONString(b, d.Grant.ID)
	}
	if d.Policy != nil {
		b = append(b, `,"statement":`...)
		b = strconv.AppendInt(b, int64(d.Statement), 10)
	}
	principal, fences := ofPrincipal(r), ofFences(r)
	b = t.set(b, "principal", &principal, d.Policy)
	b = t.set(b, "fences", &fences, d.Policy)
	if r.ResourcePolicy != nil {
		b = t.set(b, "resourcePolicy", &binding{resource: r.ResourcePolicy}, nil)
		if name := r.ResourcePolicy.Name(); name != "" && name != r.Resource {
			b = append(b, `,"resourcePolicyName":`...)
			b = wire.AppendJSONString(b, name)
		}
	}
	if len(t.seen) > 0 {
		b = t.appendValues(b, r)
	}
	if !d.Allowed {
		b = append(b, `,"message":`...)
		b = wire.AppendJSONString(b, sentence)
	}
	if as {
		who, _ := json.Marshal(&r.Principal) // strings
		b = append(b, `,"as":`...)
		b = append(b, who...)
	}
	return t.end(append(b, '}'), start, question)
}

// Refused takes a refusal that no policy made.
func (t *Trace) Refused(action, message string) {
	b, start := t.element()
	if b == nil {
		return
	}
	b = append(b, `{"action":`...)
	b = wire.AppendJSONString(b, action)
	b = append(b, `,"outcome":"refused","message":`...)
	b = wire.AppendJSONString(b, message)
	t.end(append(b, '}'), start, start)
}

// Opened takes why a call needs no permission.
func (t *Trace) Opened(why string) {
	b, start := t.element()
	if b == nil {
		return
	}
	b = append(b, `{"outcome":"open","message":`...)
	b = wire.AppendJSONString(b, why)
	t.end(append(b, '}'), start, start)
}

// element begins another element of the list; b is nil where there is no room or nothing is collected.
func (t *Trace) element() (b []byte, start int) {
	if t.recorder == nil {
		return nil, 0
	}
	if len(t.buf) > maxTrace {
		t.omitted++
		return nil, 0
	}
	start = len(t.buf)
	if t.asked == 0 {
		return append(t.buf, `{"asked":[`...), start
	}
	return append(t.buf, ','), start
}

// end keeps what was written unless it is too much for a record.
func (t *Trace) end(b []byte, start, question int) []byte {
	t.buf = b
	if len(b)-start > maxTrace {
		t.buf = b[:start]
		t.omitted++
		return nil
	}
	t.asked++
	return b[question:]
}

// set writes which set was considered, and which of its policies decided.
func (t *Trace) set(b []byte, name string, of *binding, decided *policy.Policy) []byte {
	if of.empty() {
		return b
	}
	e := t.recorder.find(of)
	if e.kept.Load() != periodOf(t.now) {
		t.unkept = append(t.unkept, e)
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":"`...)
	b = append(b, e.id...)
	b = append(b, '"')
	if decided == nil {
		return b
	}
	if i := of.position(decided); i >= 0 {
		b = append(b, `,"part":`...)
		b = strconv.AppendInt(b, int64(i), 10)
	}
	return b
}

func (t *Trace) appendValues(b []byte, r *policy.Request) []byte {
	b = append(b, `,"values":{`...)
	limit := len(b) + maxValues
	first, left := true, 0
	for _, s := range t.seen {
		values := t.values[s.from:s.to]
		if !s.ok {
			values = nil
			if derived := r.Derived(s.key); derived != "" {
				values = []string{derived}
			}
		}
		size := len(s.key)
		for _, v := range values {
			size += len(v)
		}
		if len(b)+size > limit {
			left++
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = wire.AppendJSONString(b, s.key)
		if len(values) == 0 {
			b = append(b, ":null"...)
			continue
		}
		b = append(b, ':', '[')
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = wire.AppendJSONString(b, v)
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	if left > 0 {
		b = append(b, `,"valuesLeftOut":`...)
		b = strconv.AppendInt(b, int64(left), 10)
	}
	return b
}

// Buffer is what Begin was given, as far as it grew.
func (t *Trace) Buffer() []byte { return t.buf }

// JSON is the trace as audit records carry it, or nil if nothing was asked.
func (t *Trace) JSON() []byte {
	if t.asked == 0 {
		return nil
	}
	b := append(t.buf, ']')
	if t.omitted > 0 {
		b = append(b, `,"omitted":`...)
		b = strconv.AppendInt(b, int64(t.omitted), 10)
	}
	return append(b, '}')
}

// Join has what the call t needs kept also what inner, a call that it made, needs.
func (t *Trace) Join(inner *Trace) { t.unkept = append(t.unkept, inner.unkept...) }

// Keep makes durable what Why will need of the policies that were considered. An error, which wraps ErrLost, means that the call must not be
// answered.
func (t *Trace) Keep(ctx context.Context) error {
	if len(t.unkept) == 0 {
		return nil
	}
	err := t.recorder.keep(ctx, t.now, t.unkept)
	t.unkept = nil
	return err
}

// Asked is a trace as it is read again.
type Asked struct {
	Asked   []Question `json:"asked"`
	Omitted int        `json:"omitted,omitempty"` // questions that had no room
}

// Question is what was asked once, and the answer.
type Question struct {
	Action   string `json:"action,omitempty"`
	Resource string `json:"resource,omitempty"`
	Owner    string `json:"owner,omitempty"` // account of the resource, where it is not the principal's

	// Outcome is allowed, implicitDeny or explicitDeny; refused where no policy decided; open where none had to.
	Outcome string      `json:"outcome"`
	Kind    policy.Kind `json:"kind,omitempty"`  // of the policies that decided
	Grant   string      `json:"grant,omitempty"` // that allowed
	Message string      `json:"message,omitempty"`

	// Statement decided: of the policy Part of the principal's or the fences' set, or of the resource's policy where Part is nil.
	Statement *int `json:"statement,omitempty"`
	Part      *int `json:"part,omitempty"`

	Principal          string `json:"principal,omitempty"`
	Fences             string `json:"fences,omitempty"`
	ResourcePolicy     string `json:"resourcePolicy,omitempty"`
	ResourcePolicyName string `json:"resourcePolicyName,omitempty"`

	// As is who asked, where that was not the caller: a service with rights of its own.
	As *policy.Principal `json:"as,omitempty"`

	// Values are those of the condition keys that policies looked up; nil for one that was absent.
	Values        map[string][]string `json:"values,omitempty"`
	ValuesLeftOut int                 `json:"valuesLeftOut,omitempty"`
}

var errTrace = errors.New("the decision trace of the record is damaged")

// Parse reads a trace from an audit record. Without one there is nothing in it.
func Parse(trace []byte) (*Asked, error) {
	a := new(Asked)
	if len(trace) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(trace, a); err != nil {
		return nil, errTrace
	}
	return a, nil
}

// ParseQuestion reads what Decided returned.
func ParseQuestion(b []byte) (*Question, error) {
	q := new(Question)
	if err := json.Unmarshal(b, q); err != nil {
		return nil, errTrace
	}
	return q, nil
}

// Allowed reports whether the question was answered with yes.
func (q *Question) Allowed() bool { return q.Outcome == policy.Allow.String() }

// Denied reports whether it was answered with no by policies.
func (q *Question) Denied() bool { return strings.HasSuffix(q.Outcome, "Deny") }
