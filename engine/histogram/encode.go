package histogram

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

// As bytes, a histogram is
//
//	level             uvarint
//	n                 uvarint   how many values follow
//	n times           value, count
//	sums              a byte: 1 where Count, Sum, Min and Max follow, 0 where there is one value and it tells them
//
// Numbers are their bits in reverse order as a uvarint, which is short for whole numbers. From level 1 on, a value is its bucket as a
// varint, doubled, and one more if it is negative; the numbers 0 and the infinities have buckets that no other number has.

// ErrMalformed: the bytes are not those of a histogram.
var ErrMalformed = errors.New("not a histogram")

// AppendBinary appends h to b.
func (h *Histogram) AppendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(h.level))
	b = binary.AppendUvarint(b, uint64(len(h.values)))
	for _, w := range h.values {
		if h.level == 0 {
			b = appendNumber(b, w.value)
		} else {
			b = binary.AppendVarint(b, code(w.value, h.level))
		}
		b = appendNumber(b, w.count)
	}
	if h.told() {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, v := range []float64{h.Count, h.Sum, h.Min, h.Max} {
		b = appendNumber(b, v)
	}
	return b
}

// told reports whether the values tell all.
func (h *Histogram) told() bool {
	if h.level != 0 || len(h.values) != 1 {
		return false
	}
	w := h.values[0]
	return h.Count == w.count && h.Sum == w.value*w.count && h.Min == w.value && h.Max == w.value
}

// Cut reads a histogram from the beginning of b, and returns what comes after it.
func Cut(b []byte) (h Histogram, rest []byte, err error) {
	r := reader{b: b}
	level, n := r.uvarint(), r.uvarint()
	if level > 64 || n > maxValues {
		return Histogram{}, nil, ErrMalformed
	}
	h.level = int(level)
	h.values = make([]weight, n)
	for i := range h.values {
		w := &h.values[i]
		if level == 0 {
			w.value = r.number()
		} else {
			w.value = decode(r.varint(), h.level)
		}
		w.count = r.number()
		if !(w.count > 0) || math.IsNaN(w.value) || i > 0 && !(h.values[i-1].value < w.value) {
			r.failed = true
		}
	}
	switch r.byte() {
	case 0:
		if n != 1 || level != 0 {
			return Histogram{}, nil, ErrMalformed
		}
		w := h.values[0]
		h.Count, h.Sum, h.Min, h.Max = w.count, w.value*w.count, w.value, w.value
	case 1:
		h.Count, h.Sum, h.Min, h.Max = r.number(), r.number(), r.number(), r.number()
	default:
		r.failed = true
	}
	if r.failed {
		return Histogram{}, nil, ErrMalformed
	}
	return h, r.b, nil
}

// The buckets of numbers that fall into none; real ones are below 2^20.
const (
	zeroCode     = 1 << 40
	infinityCode = 1 << 41
)

func code(v float64, level int) int64 {
	b := int64(zeroCode)
	switch {
	case math.IsInf(v, 0):
		b = infinityCode
	case v != 0:
		b = int64(bucket(v, level))
	}
	if v < 0 {
		return 2*b + 1
	}
	return 2 * b
}

func decode(c int64, level int) float64 {
	v := 0.0
	switch b := c >> 1; {
	case b == infinityCode:
		v = math.Inf(1)
	case b != zeroCode:
		v = middle(int(b), level)
	}
	if c&1 == 1 {
		return -v
	}
	return v
}

func appendNumber(b []byte, v float64) []byte {
	return binary.AppendUvarint(b, bits.ReverseBytes64(math.Float64bits(v)))
}

// reader reads what was appended. After something that is not there it has failed.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) number() float64 { return math.Float64frombits(bits.ReverseBytes64(r.uvarint())) }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}
