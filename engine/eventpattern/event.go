package eventpattern

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// maxEvent is how large an event is, in bytes: more than any service lets in.
const maxEvent = 4 << 20

// step is a node of the tree of the paths that patterns name, one for each name between dots.
type step struct {
	inner map[string]*step
	field int32 // that ends here, or -1
}

func newStep() *step { return &step{field: -1} }

// into is the step for a path below s, made if it is missing.
func (s *step) into(path string) *step {
	for name := range bytes.SplitSeq([]byte(path), []byte{'.'}) {
		next := s.inner[string(name)]
		if next == nil {
			next = newStep()
			if s.inner == nil {
				s.inner = map[string]*step{}
			}
			s.inner[string(name)] = next
		}
		s = next
	}
	return s
}

// follow is the step for a member's name below s, or nil. A name may have dots itself.
func (s *step) follow(name []byte) *step {
	for s != nil {
		dot := bytes.IndexByte(name, '.')
		if dot < 0 {
			return s.inner[string(name)]
		}
		s, name = s.inner[string(name[:dot])], name[dot+1:]
	}
	return nil
}

// Values that lie in elements of one array fit together only in the same element. A member is an element of an array, with the member that its array
// lies in; member 0 is the event. Members are numbered in the order in which they begin, so that what lies in a member, or in an array, has the numbers
// from its first to before its end.
type member struct {
	parent, array, end int32
}

// array is the range of members in an array.
type array struct{ first, end int32 }

// reader reads an event and keeps the values of the fields that patterns name.
type reader struct {
	src     []byte
	at      int
	depth   int
	text    []byte    // of strings with escapes
	values  [][]value // by field
	present []int32   // the fields that have values
	members []member
	arrays  []array
}

// errEvent is what is wrong with an event: nobody asks for more.
var errEvent = errors.New("the event is not valid")

// reset makes r ready for an event and for fields.
func (r *reader) reset(src []byte, fields int) {
	for _, f := range r.present {
		r.values[f] = r.values[f][:0]
	}
	if len(r.values) < fields {
		r.values = append(r.values, make([][]value, fields-len(r.values))...)
	}
	r.src, r.at, r.depth, r.text = src, 0, 0, r.text[:0]
	r.present, r.arrays = r.present[:0], r.arrays[:0]
	r.members = append(r.members[:0], member{parent: -1, array: -1})
}

// check reads an event for nothing but its form.
func (r *reader) check() error { return r.event(nil) }

// event reads the event.
func (r *reader) event(root *step) error {
	if len(r.src) > maxEvent {
		return errEvent
	}
	if r.space() != '{' {
		return errEvent
	}
	if err := r.object(root, 0); err != nil {
		return err
	}
	if r.space(); r.at < len(r.src) {
		return errEvent
	}
	return nil
}

// space goes to the next byte that is no white space, and returns it, or 0 at the end.
func (r *reader) space() byte {
	for r.at < len(r.src) {
		switch c := r.src[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// object reads an object, whose brace is next.
func (r *reader) object(s *step, in int32) error {
	if err := r.enter(); err != nil {
		return err
	}
	if r.space() == '}' {
		return r.leave()
	}
	for {
		if r.space() != '"' {
			return errEvent
		}
		name, err := r.string(s != nil)
		if err != nil {
			return err
		}
		if r.space() != ':' {
			return errEvent
		}
		r.at++
		if err := r.value(s.follow(name), in); err != nil {
			return err
		}
		switch r.space() {
		case ',':
			r.at++
		case '}':
			return r.leave()
		default:
			return errEvent
		}
	}
}

// list reads an array, whose bracket is next.
func (r *reader) list(s *step, in int32) error {
	if err := r.enter(); err != nil {
		return err
	}
	if r.space() == ']' {
		return r.leave()
	}
	id := int32(len(r.arrays))
	if s != nil {
		r.arrays = append(r.arrays, array{first: int32(len(r.members))})
	}
	for {
		element := in
		if c := r.space(); s != nil && (c == '{' || c == '[') {
			element = int32(len(r.members))
			r.members = append(r.members, member{parent: in, array: id})
		}
		if err := r.value(s, element); err != nil {
			return err
		}
		if element != in {
			r.members[element].end = int32(len(r.members))
		}
		switch r.space() {
		case ',':
			r.at++
		case ']':
			if s != nil {
				r.arrays[id].end = int32(len(r.members))
			}
			return r.leave()
		default:
			return errEvent
		}
	}
}

func (r *reader) enter() error {
	r.at++
	if r.depth++; r.depth > maxDepth {
		return errEvent
	}
	return nil
}

func (r *reader) leave() error {
	r.at++
	r.depth--
	return nil
}

// value reads a value, and keeps it if a field ends at s.
func (r *reader) value(s *step, in int32) error {
	v := value{member: in}
	keep := s != nil && s.field >= 0
	switch c := r.space(); {
	case c == '{':
		return r.object(s, in)
	case c == '[':
		return r.list(s, in)
	case c == '"':
		text, err := r.string(keep)
		if err != nil {
			return err
		}
		v.text = text
	case c == '-' || c >= '0' && c <= '9':
		n, bad := numberLength(r.src[r.at:])
		if bad != "" {
			return errEvent
		}
		v.text = r.src[r.at : r.at+n]
		r.at += n
		v.kind = valueBigNumber
		if keep {
			if number, ok := parseMillionths(v.text); ok {
				v.kind, v.number = valueNumber, number
			}
		}
	default:
		v.kind = valueLiteral
		if v.text = r.literal(); v.text == nil {
			return errEvent
		}
	}
	if keep {
		r.keep(s.field, v)
	}
	return nil
}

func (r *reader) keep(field int32, v value) {
	if len(r.values[field]) == 0 {
		r.present = append(r.present, field)
	}
	r.values[field] = append(r.values[field], v)
}

func (r *reader) literal() []byte {
	for _, word := range [...]string{"true", "false", "null"} {
		if rest := r.src[r.at:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			r.at += len(word)
			return rest[:len(word)]
		}
	}
	return nil
}

// string reads a string, whose quote is next. Its text is needed only if somebody wants it.
func (r *reader) string(wanted bool) ([]byte, error) {
	r.at++
	for from := r.at; r.at < len(r.src); r.at++ {
		switch c := r.src[r.at]; {
		case c == '"':
			r.at++
			return r.src[from : r.at-1], nil
		case c == '\\':
			return r.escaped(from, wanted)
		case c < ' ':
			return nil, errEvent
		}
	}
	return nil, errEvent
}

// escaped reads the rest of a string from its first escape.
func (r *reader) escaped(from int, wanted bool) ([]byte, error) {
	begin := len(r.text)
	for r.at < len(r.src) {
		switch c := r.src[r.at]; {
		case c == '"':
			if wanted {
				r.text = append(r.text, r.src[from:r.at]...)
			}
			r.at++
			return r.text[begin:], nil
		case c == '\\':
			if wanted {
				r.text = append(r.text, r.src[from:r.at]...)
			}
			char, n, bad := unescape(r.src[r.at:])
			if bad != "" {
				return nil, errEvent
			}
			r.at += n
			from = r.at
			if wanted {
				r.text = utf8.AppendRune(r.text, char)
			}
		case c < ' ':
			return nil, errEvent
		default:
			r.at++
		}
	}
	return nil, errEvent
}
