// Package cbor reads and writes the items of CBOR (RFC 8949), one at a time. It knows no schemas: who reads
// says what is expected next.
package cbor

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// Major is the major type of an item.
type Major uint8

// The major types.
const (
	Uint Major = iota
	NegInt
	Bytes
	Text
	Array
	Map
	Tag
	Simple // and floats
)

// The values of simple items that mean something here.
const (
	False     = 20
	True      = 21
	Null      = 22
	Undefined = 23
)

// Indefinite is the argument of an item of indefinite length.
const Indefinite = math.MaxUint64

// ErrMalformed says that the bytes are no well-formed CBOR.
var ErrMalformed = errors.New("malformed CBOR")

// Head is what an item begins with.
type Head struct {
	Major Major
	Info  byte   // the low five bits of the first byte
	Arg   uint64 // value, length or count; Indefinite when Info is 31
}

// IsBreak reports whether the head is the end of an item of indefinite length.
func (h Head) IsBreak() bool { return h.Major == Simple && h.Info == 31 }

// IsNull reports whether the item is null or undefined.
func (h Head) IsNull() bool {
	return h.Major == Simple && (h.Arg == Null || h.Arg == Undefined) && h.Info < 24
}

// Float gives the value of a float item.
func (h Head) Float() (float64, bool) {
	if h.Major != Simple {
		return 0, false
	}
	switch h.Info {
	case 25:
		return half(uint16(h.Arg)), true
	case 26:
		return float64(math.Float32frombits(uint32(h.Arg))), true
	case 27:
		return math.Float64frombits(h.Arg), true
	}
	return 0, false
}

// half widens a float of 16 bits.
func half(h uint16) float64 {
	exp, frac := int(h>>10&0x1f), float64(h&0x3ff)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(frac, -24)
	case 31:
		v = math.Inf(1)
		if frac != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1024+frac, exp-25)
	}
	if h&0x8000 != 0 {
		v = -v
	}
	return v
}

// Decoder reads items from bytes, which it neither changes nor keeps in what it returns.
type Decoder struct {
	b   []byte
	pos int
}

// NewDecoder begins at the start of b.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Done reports whether all bytes have been read.
func (d *Decoder) Done() bool { return d.pos == len(d.b) }

// Peek is Next without going on.
func (d *Decoder) Peek() (Head, error) {
	pos := d.pos
	h, err := d.Next()
	d.pos = pos
	return h, err
}

// Next reads a head. The content of a string, array, map or tag follows it.
func (d *Decoder) Next() (Head, error) {
	if d.pos >= len(d.b) {
		return Head{}, ErrMalformed
	}
	first := d.b[d.pos]
	h := Head{Major: Major(first >> 5), Info: first & 31}
	rest := d.b[d.pos+1:]
	n := 0
	switch {
	case h.Info < 24:
		h.Arg = uint64(h.Info)
	case h.Info <= 27:
		n = 1 << (h.Info - 24)
		if len(rest) < n {
			return Head{}, ErrMalformed
		}
		switch n {
		case 1:
			h.Arg = uint64(rest[0])
		case 2:
			h.Arg = uint64(binary.BigEndian.Uint16(rest))
		case 4:
			h.Arg = uint64(binary.BigEndian.Uint32(rest))
		case 8:
			h.Arg = binary.BigEndian.Uint64(rest)
		}
		if h.Major == Simple && n == 1 && h.Arg < 32 {
			return Head{}, ErrMalformed // RFC 8949, section 3.3: not well-formed
		}
	case h.Info == 31:
		switch h.Major {
		case Bytes, Text, Array, Map, Simple:
			h.Arg = Indefinite
		default:
			return Head{}, ErrMalformed
		}
	default:
		return Head{}, ErrMalformed
	}
	switch h.Major {
	case Bytes, Text, Array:
		// An element takes a byte at least, so that a count can not promise more than there is.
		if h.Info != 31 && h.Arg > uint64(len(rest)-n) {
			return Head{}, ErrMalformed
		}
	case Map:
		if h.Info != 31 && h.Arg > uint64(len(rest)-n)/2 {
			return Head{}, ErrMalformed
		}
	}
	d.pos += 1 + n
	return h, nil
}

// Content reads the content of the string that h begins, which may be in chunks. The bytes are good until the
// decoder's input changes. Text is checked to be UTF-8.
func (d *Decoder) Content(h Head) ([]byte, error) {
	if h.Info != 31 {
		s := d.b[d.pos : d.pos+int(h.Arg)]
		d.pos += int(h.Arg)
		if h.Major == Text && !utf8.Valid(s) {
			return nil, ErrMalformed
		}
		return s, nil
	}
	var all []byte
	for {
		c, err := d.Next()
		if err != nil {
			return nil, err
		}
		if c.IsBreak() {
			return all, nil
		}
		if c.Major != h.Major || c.Info == 31 {
			return nil, ErrMalformed
		}
		s, err := d.Content(c)
		if err != nil {
			return nil, err
		}
		all = append(all, s...)
	}
}

// Skip passes over the item at hand, whatever it is, and checks it all the same. It refuses items nested
// deeper than depth.
func (d *Decoder) Skip(depth int) error {
	h, err := d.Next()
	if err != nil {
		return err
	}
	return d.skip(h, depth)
}

func (d *Decoder) skip(h Head, depth int) error {
	if depth <= 0 {
		return ErrMalformed
	}
	switch h.Major {
	case Bytes, Text:
		_, err := d.Content(h)
		return err
	case Tag:
		return d.Skip(depth - 1)
	case Simple:
		if h.IsBreak() {
			return ErrMalformed
		}
	case Array, Map:
		each := 1
		if h.Major == Map {
			each = 2
		}
		for i := uint64(0); h.Info == 31 || i < h.Arg; i++ {
			if h.Info == 31 {
				next, err := d.Peek()
				if err != nil {
					return err
				}
				if next.IsBreak() {
					d.pos++
					return nil
				}
			}
			for range each {
				if err := d.Skip(depth - 1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
