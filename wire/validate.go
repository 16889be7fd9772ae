package wire

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Validate checks in against the constraints that the model states: required members, lengths, ranges,
// patterns and enums. The error is an *Error of code ValidationException that tells all violations in AWS's
// words, with the values of sensitive members left out; what code a protocol or service uses instead is the
// caller's to say. A valid shape costs no memory.
func Validate(in Shape) error { return validate(in, false) }

// ValidateInside is Validate for the input of a call that comes from another service, and no caller: some values may be longer there.
func ValidateInside(in Shape) error { return validate(in, true) }

func validate(in Shape, inside bool) error {
	c := checkers.Get().(*checker)
	c.inside = inside
	c.begin(in.Schema())
	in.WriteMembers(c)
	c.endStruct()
	bad := c.bad
	checkers.Put(c)
	if !bad {
		return nil
	}
	// Something is wrong. Only now is it worth while to keep the values and the way to them.
	rec := recorder{}
	root := &value{schema: in.Schema()}
	rec.stack = append(rec.stack, root)
	in.WriteMembers(&rec)
	var f findings
	f.structure(root, "", false)
	if len(f) == 0 { // it lies where a list or map is too long to be told
		f = findings{{RuleItem, "Members of lists and maps must satisfy their constraints"}}
	}
	return &Error{Code: "ValidationException", Message: f.message(), Status: 400, Broken: f[0].rule}
}

// checker is a Writer that finds out whether anything is wrong, not what.
type checker struct {
	bad    bool
	inside bool
	stack  []checkFrame
}

type checkFrame struct {
	schema   *Schema
	required int // members written that are required
}

// checkers keeps checkers for their stacks.
var checkers = sync.Pool{New: func() any { return new(checker) }}

func (c *checker) begin(s *Schema) {
	c.bad = false
	c.stack = append(c.stack[:0], checkFrame{schema: s})
}

// needed reports whether a value that has no m is invalid. A body that is streamed is there, be it empty: it is no part of the value.
func (m *Member) needed() bool { return m.Required && !m.Target.Streaming }

// saw takes note of a value of m in the container at hand.
func (c *checker) saw(m *Member) {
	if m.needed() {
		c.stack[len(c.stack)-1].required++
	}
}

func (c *checker) push(m *Member) {
	c.saw(m)
	c.stack = append(c.stack, checkFrame{schema: m.Target})
}

func (c *checker) pop() { c.stack = c.stack[:len(c.stack)-1] }

func (c *checker) endStruct() {
	f := &c.stack[len(c.stack)-1]
	for i := range f.schema.Members {
		if f.schema.Members[i].needed() {
			f.required--
		}
	}
	if f.required < 0 {
		c.bad = true
	}
	c.pop()
}

func (c *checker) length(s *Schema, n int) {
	if k := s.Constraint; k != nil && !k.holds(float64(n)) && !(c.inside && float64(n) >= k.Min && float64(n) <= k.Inside) {
		c.bad = true
	}
}

func (c *checker) BeginStruct(m *Member) { c.push(m) }
func (c *checker) EndStruct()            { c.endStruct() }

func (c *checker) BeginList(m *Member, n int) {
	c.length(m.Target, n)
	c.push(m)
}

func (c *checker) EndList() { c.pop() }

func (c *checker) BeginMap(m *Member, n int) {
	c.length(m.Target, n)
	c.push(m)
}

func (c *checker) MapKey(k string) {
	if key := c.stack[len(c.stack)-1].schema.Key; key != nil {
		c.text(key.Target, k)
	}
}

func (c *checker) EndMap() { c.pop() }

func (c *checker) text(s *Schema, v string) {
	if k := s.Constraint; k != nil && !k.allows(v) {
		c.bad = true
	}
}

func (c *checker) String(m *Member, v string) {
	c.saw(m)
	c.text(m.Target, v)
}

func (c *checker) Blob(m *Member, v []byte) {
	c.saw(m)
	c.length(m.Target, len(v))
}

func (c *checker) Int(m *Member, v int64) {
	c.saw(m)
	if k := m.Target.Constraint; k != nil && !k.holds(float64(v)) {
		c.bad = true
	}
}

func (c *checker) Float(m *Member, v float64) {
	c.saw(m)
	if k := m.Target.Constraint; k != nil && !k.holds(v) {
		c.bad = true
	}
}

func (c *checker) Bool(m *Member, v bool)      { c.saw(m) }
func (c *checker) Time(m *Member, v time.Time) { c.saw(m) }
func (c *checker) Document(m *Member, v any)   { c.saw(m) }
func (c *checker) Null(m *Member)              { c.saw(m) }

// holds reports whether a length or a number is in range. NaN never is.
func (c *Constraint) holds(v float64) bool {
	return (!c.HasMin || v >= c.Min) && (!c.HasMax || v <= c.Max)
}

// allows reports whether a string satisfies the whole constraint.
func (c *Constraint) allows(v string) bool {
	return c.holdsLength(v) && c.inEnum(v) && c.matches(v)
}

// holdsLength reports whether a string is as long as it may be. One to three bytes make one of Java's
// characters, so most strings need not be counted.
func (c *Constraint) holdsLength(v string) bool {
	n := len(v)
	if (!c.HasMax || float64(n) <= c.Max) && (!c.HasMin || float64((n+2)/3) >= c.Min) {
		return true
	}
	return c.holds(float64(utf16Length(v)))
}

func (c *Constraint) inEnum(v string) bool {
	if len(c.Enum) == 0 {
		return true
	}
	for _, e := range c.Enum {
		if e == v {
			return true
		}
	}
	return false
}

// utf16Length is the length of s as Java counts it.
func utf16Length(s string) int {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x80 || c >= 0xC0 && c < 0xF0:
			n++
		case c >= 0xF0:
			n += 2
		}
	}
	return n
}

// What a caller is told is bounded, since two bytes of a request can make a hundred of an answer: so many violations at the most, each with so much
// of the value, and from so many items of a list or map. A value that is too long by far is not matched against patterns as well.
const (
	maxFindings = 100
	maxShown    = 32 << 10 // bytes
	maxItems    = 10_000
	maxMatched  = 64 << 10 // UTF-16 units
)

// value is a part of a shape whose violations are to be told.
type value struct {
	member *Member // nil at the top
	schema *Schema
	key    string // in a map
	text   string // of a scalar, as Java prints it
	number float64
	length int
	isNull bool
	parts  []*value
}

// recorder is a Writer that keeps what it is given.
type recorder struct {
	stack []*value
	key   string
	skip  int // containers open in an item that is not kept
}

// keeps reports whether a value in the container at hand is kept.
func (r *recorder) keeps() bool {
	return r.skip == 0 && len(r.stack[len(r.stack)-1].parts) < maxItems
}

func (r *recorder) add(m *Member, v value) *value {
	key := r.key
	r.key = ""
	if !r.keeps() {
		return nil
	}
	v.member, v.schema, v.key = m, m.Target, key
	top := r.stack[len(r.stack)-1]
	top.parts = append(top.parts, &v)
	return &v
}

func (r *recorder) push(m *Member, n int) {
	if v := r.add(m, value{length: n}); v != nil {
		r.stack = append(r.stack, v)
		return
	}
	r.skip++
}

func (r *recorder) pop() {
	if r.skip > 0 {
		r.skip--
		return
	}
	r.stack = r.stack[:len(r.stack)-1]
}

func (r *recorder) BeginStruct(m *Member)      { r.push(m, 0) }
func (r *recorder) EndStruct()                 { r.pop() }
func (r *recorder) BeginList(m *Member, n int) { r.push(m, n) }
func (r *recorder) EndList()                   { r.pop() }
func (r *recorder) BeginMap(m *Member, n int)  { r.push(m, n) }
func (r *recorder) MapKey(k string)            { r.key = k }
func (r *recorder) EndMap()                    { r.pop() }

func (r *recorder) String(m *Member, v string) {
	r.add(m, value{text: v, length: utf16Length(v)})
}

func (r *recorder) Blob(m *Member, v []byte) {
	n := strconv.Itoa(len(v))
	r.add(m, value{text: "java.nio.HeapByteBuffer[pos=0 lim=" + n + " cap=" + n + "]", length: len(v)})
}

func (r *recorder) Bool(m *Member, v bool) { r.add(m, value{text: strconv.FormatBool(v)}) }

func (r *recorder) Int(m *Member, v int64) {
	r.add(m, value{text: strconv.FormatInt(v, 10), number: float64(v)})
}

func (r *recorder) Float(m *Member, v float64) {
	text := formatFloat(v, floatBits(m.Target.Kind))
	if !strings.ContainsAny(text, ".eNI") {
		text += ".0"
	}
	r.add(m, value{text: text, number: v})
}

func (r *recorder) Time(m *Member, v time.Time) {
	r.add(m, value{text: v.UTC().Format("Mon Jan 02 15:04:05 UTC 2006")})
}

func (r *recorder) Document(m *Member, v any) {
	r.add(m, value{text: string(appendJSONAny(nil, v))})
}

func (r *recorder) Null(m *Member) { r.add(m, value{text: "null", isNull: true}) }

// finding is a violation: of which rule, and AWS's words for it.
type finding struct {
	rule Rule
	text string
}

// findings are the violations so far, in the order of the model.
type findings []finding

func (f findings) message() string {
	noun := "errors"
	if len(f) == 1 {
		noun = "error"
	}
	texts := make([]string, len(f))
	for i := range f {
		texts[i] = f[i].text
	}
	return fmt.Sprintf("%d validation %s detected: %s", len(f), noun, strings.Join(texts, "; "))
}

// add notes that what is found at path breaks a rule.
func (f *findings) add(v *value, path string, sensitive bool, broken finding) {
	shown := v.print()
	if len(shown) > maxShown {
		shown = strings.ToValidUTF8(shown[:maxShown], "") + "..."
	}
	shown = " '" + shown + "'"
	if sensitive {
		shown = ""
	}
	*f = append(*f, finding{broken.rule, "Value" + shown + " at '" + path + "' failed to satisfy constraint: " + broken.text})
}

// structure checks the members of v. Everything below a sensitive member is sensitive.
func (f *findings) structure(v *value, path string, sensitive bool) {
	next := 0
	for i := range v.schema.Members {
		if len(*f) >= maxFindings {
			return
		}
		m := &v.schema.Members[i]
		at := join(path, lowerFirst(m.Name))
		var part *value
		if next < len(v.parts) && v.parts[next].member == m {
			part = v.parts[next]
			next++
		}
		switch {
		case part != nil:
			f.value(part, at, sensitive || v.schema.Sensitive)
		case m.needed():
			*f = append(*f, finding{RuleRequired, "Value null at '" + at + "' failed to satisfy constraint: Member must not be null"})
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// value checks v itself and what is in it.
func (f *findings) value(v *value, path string, sensitive bool) {
	if v.isNull || len(*f) >= maxFindings {
		return
	}
	sensitive = sensitive || v.member.Sensitive || v.schema.Sensitive
	for _, rule := range v.broken() {
		f.add(v, path, sensitive, rule)
	}
	switch v.schema.Kind {
	case Struct, Union:
		f.structure(v, path, sensitive)
	case List:
		elem := v.schema.Elem
		hidden := sensitive || elem.Sensitive || elem.Target.Sensitive
		if nests(elem.Target) {
			for i, p := range v.parts {
				f.value(p, path+"."+strconv.Itoa(i+1)+".member", sensitive)
			}
		} else if anyBroken(v.parts) {
			f.add(v, path, hidden, finding{RuleItem, "Member must satisfy constraint: [" + rules(elem.Target) + "]"})
		}
	case Map:
		if key := v.schema.Key; key != nil && key.Target.Constraint != nil {
			for _, p := range v.parts {
				if !key.Target.Constraint.allows(p.key) {
					f.add(v, path, sensitive || v.holdsSecrets(), finding{RuleItem, "Map keys must satisfy constraint: [" + rules(key.Target) + "]"})
					break
				}
			}
		}
		elem := v.schema.Elem
		if nests(elem.Target) {
			for _, p := range v.parts {
				// The name of an entry is shown even where values are not: it is where the fault lies.
				f.value(p, path+"."+p.key+".member", sensitive)
			}
		} else if anyBroken(v.parts) {
			f.add(v, path, sensitive || v.holdsSecrets(), finding{RuleItem, "Map value must satisfy constraint: [" + rules(elem.Target) + "]"})
		}
	}
}

// holdsSecrets reports whether the keys or the values of a map are sensitive.
func (v *value) holdsSecrets() bool {
	k, e := v.schema.Key, v.schema.Elem
	return e.Sensitive || e.Target.Sensitive || k != nil && (k.Sensitive || k.Target.Sensitive)
}

// nests reports whether values of the schema are told one by one, rather than as what their container holds.
func nests(s *Schema) bool {
	switch s.Kind {
	case Struct, Union, List, Map:
		return true
	}
	return false
}

func anyBroken(parts []*value) bool {
	for _, p := range parts {
		if !p.isNull && len(p.broken()) > 0 {
			return true
		}
	}
	return false
}

// broken gives the rules that v itself breaks.
func (v *value) broken() []finding {
	c := v.schema.Constraint
	if c == nil {
		return nil
	}
	var b []finding
	switch v.schema.Kind {
	case Integer, Long, Float, Double:
		if c.HasMin && !(v.number >= c.Min) {
			b = append(b, finding{RuleMinValue, "Member must have value greater than or equal to " + limit(c.Min)})
		}
		if c.HasMax && !(v.number <= c.Max) {
			b = append(b, finding{RuleMaxValue, "Member must have value less than or equal to " + limit(c.Max)})
		}
	case String, Enum, Blob, List, Map:
		n := float64(v.length)
		if c.HasMin && n < c.Min {
			b = append(b, finding{RuleMinLength, "Member must have length greater than or equal to " + limit(c.Min)})
		}
		if c.HasMax && n > c.Max {
			b = append(b, finding{RuleMaxLength, "Member must have length less than or equal to " + limit(c.Max)})
		}
	}
	if v.schema.Kind == String || v.schema.Kind == Enum {
		if (!c.HasMax || v.length <= maxMatched) && !c.matches(v.text) {
			b = append(b, finding{RulePattern, "Member must satisfy regular expression pattern: " + c.Pattern})
		}
		if !c.inEnum(v.text) {
			b = append(b, finding{RuleEnum, enumRule(c)})
		}
	}
	return b
}

func enumRule(c *Constraint) string {
	return "Member must satisfy enum value set: [" + strings.Join(c.Enum, ", ") + "]"
}

// rules lists all that is demanded of an element, in the order in which AWS lists it.
func rules(s *Schema) string {
	var b []string
	if c := s.Constraint; c != nil {
		what := "length"
		switch s.Kind {
		case Integer, Long, Float, Double:
			what = "value"
		}
		if c.HasMax {
			b = append(b, "Member must have "+what+" less than or equal to "+limit(c.Max))
		}
		if c.HasMin {
			b = append(b, "Member must have "+what+" greater than or equal to "+limit(c.Min))
		}
		if c.Pattern != "" {
			b = append(b, "Member must satisfy regular expression pattern: "+c.Pattern)
		}
		if len(c.Enum) > 0 {
			b = append(b, enumRule(c))
		}
	}
	return strings.Join(append(b, "Member must not be null"), ", ")
}

func limit(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// print writes v as Java would. What is sensitive inside is starred out.
func (v *value) print() string {
	var b strings.Builder
	v.printTo(&b)
	return b.String()
}

func (v *value) printTo(b *strings.Builder) {
	if v.member != nil && (v.member.Sensitive || v.schema.Sensitive) && b.Len() > 0 {
		b.WriteString("***Sensitive Data Redacted***")
		return
	}
	switch v.schema.Kind {
	case List:
		b.WriteByte('[')
		for i, p := range v.parts {
			if i > 0 {
				b.WriteString(", ")
			}
			p.printTo(b)
		}
		b.WriteByte(']')
	case Map:
		b.WriteByte('{')
		for i, p := range v.parts {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(p.key + "=")
			p.printTo(b)
		}
		b.WriteByte('}')
	case Struct, Union:
		b.WriteString(v.schema.Name + "(")
		for i, p := range v.parts {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(lowerFirst(p.member.Name) + "=")
			p.printTo(b)
		}
		b.WriteByte(')')
	default:
		if utf8.ValidString(v.text) {
			b.WriteString(v.text)
		}
	}
}

// lowerFirst spells a member's name as the services' own code does.
func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]-'A'+'a') + s[1:]
}
