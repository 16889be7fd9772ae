package attest

import (
	"bytes"
	"fmt"
	"iter"
	"unicode/utf8"
)

// The major types of CBOR (RFC 8949, section 3.1).
const (
	majorUint byte = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

const (
	simpleNull = 22
	indefinite = 31 // in a head: the length is open; in a simple value: the break that ends it
)

// reader reads CBOR with the shortest lengths (RFC 8949, section 4.2.1), as the hypervisor writes it; some hypervisors leave
// the length of a map open, so arrays and maps may end in a break, but strings may not come in pieces. The first
// thing that is wrong sets err and leaves nothing to read, so that callers check once, at the end.
// Returned slices alias the input.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, why)
	}
	r.data = nil
}

// end demands that everything was read.
func (r *reader) end() {
	if r.err == nil && len(r.data) > 0 {
		r.fail("trailing bytes")
	}
}

// peek returns the major type of the next item, or 0xff if there is none.
func (r *reader) peek() byte {
	if len(r.data) == 0 {
		return 0xff
	}
	return r.data[0] >> 5
}

// next reads the head of an item.
func (r *reader) next() (major byte, value uint64) {
	if len(r.data) == 0 {
		r.fail("unexpected end")
		return 0xff, 0
	}
	major, value = r.data[0]>>5, uint64(r.data[0]&0x1f)
	r.data = r.data[1:]
	if value < 24 {
		return major, value
	}
	size := 1 << (value - 24)
	if value > 27 || len(r.data) < size {
		r.fail("length is cut short or indefinite")
		return 0xff, 0
	}
	low := value - 24
	value = 0
	for _, b := range r.data[:size] {
		value = value<<8 | uint64(b)
	}
	r.data = r.data[size:]
	if least := [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}[low]; value < least {
		r.fail("length is not the shortest")
		return 0xff, 0
	}
	return major, value
}

// head reads the head of an item of the major type; 0 after a failure.
func (r *reader) head(want byte) uint64 {
	major, value := r.next()
	if r.err == nil && major != want {
		r.fail("unexpected type")
	}
	if r.err != nil {
		return 0
	}
	return value
}

// items yields once for each item of an array, or pair of a map, of at most limit of them. The loop's body reads the item; the loop
// ends after a failure.
func (r *reader) items(major byte, limit int) iter.Seq[int] {
	return func(yield func(int) bool) {
		n, open := uint64(0), r.open(major)
		if !open {
			n = r.head(major)
		}
		for i := 0; r.err == nil && (open && !r.closed() || !open && uint64(i) < n); i++ {
			if i == limit || n > uint64(limit) {
				r.fail("too many items")
				return
			}
			if !yield(i) {
				return
			}
		}
	}
}

// open reads the head of an array or map of open length, if that is what comes.
func (r *reader) open(major byte) bool {
	if len(r.data) > 0 && r.data[0] == major<<5|indefinite {
		r.data = r.data[1:]
		return true
	}
	return false
}

// closed reads a break, if that is what comes.
func (r *reader) closed() bool {
	if len(r.data) > 0 && r.data[0] == majorSimple<<5|indefinite {
		r.data = r.data[1:]
		return true
	}
	return false
}

func (r *reader) take(major byte, least, most int) []byte {
	n := r.head(major)
	if r.err != nil {
		return nil
	}
	if n < uint64(least) || n > uint64(most) || n > uint64(len(r.data)) {
		r.fail("string too short or too long")
		return nil
	}
	out := r.data[:n:n]
	r.data = r.data[n:]
	return out
}

func (r *reader) bytes(least, most int) []byte { return r.take(majorBytes, least, most) }

func (r *reader) text(most int) string {
	s := r.take(majorText, 0, most)
	if !utf8.Valid(s) {
		r.fail("text is not UTF-8")
		return ""
	}
	return string(s)
}

// optionalBytes reads bytes or null.
func (r *reader) optionalBytes(most int) []byte {
	if r.peek() == majorSimple {
		if r.head(majorSimple) != simpleNull {
			r.fail("neither bytes nor null")
		}
		return nil
	}
	return bytes.Clone(r.bytes(0, most))
}

// skip reads past an item that is nested no deeper than depth.
func (r *reader) skip(depth int) {
	if depth == 0 {
		r.fail("nested too deep")
		return
	}
	switch r.peek() {
	case majorArray:
		for range r.items(majorArray, len(r.data)) {
			r.skip(depth - 1)
		}
	case majorMap:
		for range r.items(majorMap, len(r.data)) {
			r.skip(depth - 1)
			r.skip(depth - 1)
		}
	case majorBytes, majorText:
		r.take(r.peek(), 0, len(r.data))
	case majorTag:
		r.next()
		r.skip(depth - 1)
	default:
		r.next()
	}
}

func appendHead(dst []byte, major byte, value uint64) []byte {
	switch {
	case value < 24:
		return append(dst, major<<5|byte(value))
	case value < 1<<8:
		return append(dst, major<<5|24, byte(value))
	case value < 1<<16:
		return append(dst, major<<5|25, byte(value>>8), byte(value))
	default:
		return append(dst, major<<5|26, byte(value>>24), byte(value>>16), byte(value>>8), byte(value))
	}
}

func appendBytes(dst, b []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}
