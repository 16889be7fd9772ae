// Package histogram sums many numbers up: how many there were, their sum, the smallest and the largest, and a bounded picture of how they are distributed, which percentiles and
// trimmed means come from. Two histograms merge into the one of all their numbers.
//
// Up to maxValues different numbers are kept as they are, so that what is asked of few numbers is exact. Beyond that they are counted in buckets whose width is a
// fixed part of their value, narrow ones first and wider ones where the numbers spread further. With numbers that lie within a factor of ten thousand of each other, what is asked is
// within 10 % of the truth.
package histogram

import (
	"math"
	"slices"
)

// maxValues is how many different numbers, or buckets of them, a histogram keeps.
const maxValues = 64

// Histogram is the sum of some numbers. The zero value is that of none. It is not safe for concurrent use.
type Histogram struct {
	Count, Sum, Min, Max float64

	// level is 0 while the numbers are kept as they are. From 1 on there are 2^(finest-level) buckets to an octave.
	level  int
	values []weight // in ascending order
}

// weight is a number and how often it came.
type weight struct{ value, count float64 }

// finest is the power of two of the buckets to an octave, plus one, that a histogram begins with when it does not keep numbers as they are any more.
const finest = 6

// Add adds one number. NaN is none.
func (h *Histogram) Add(v float64) { h.AddN(v, 1) }

// AddN adds a number that came count times, which may be a fraction.
func (h *Histogram) AddN(v, count float64) {
	if math.IsNaN(v) || math.IsNaN(count) || count <= 0 {
		return
	}
	h.span(v, v)
	h.Count += count
	h.Sum += v * count
	h.put(v, count)
}

// AddSet adds numbers of which only their sum and their extremes are known. Nothing can be said about the percentiles of a histogram then, unless they are all the same.
func (h *Histogram) AddSet(count, sum, smallest, largest float64) {
	if math.IsNaN(sum) || !(count > 0) || !(smallest <= largest) {
		return
	}
	h.span(smallest, largest)
	h.Count += count
	h.Sum += sum
	if smallest == largest {
		h.put(smallest, count)
	}
}

// Merge adds what o has.
func (h *Histogram) Merge(o *Histogram) {
	if o.Count == 0 {
		return
	}
	h.span(o.Min, o.Max)
	h.Count += o.Count
	h.Sum += o.Sum
	h.widen(o.level)
	for _, w := range o.values {
		h.put(w.value, w.count)
	}
}

// Clone returns a histogram that has nothing in common with h.
func (h *Histogram) Clone() *Histogram {
	out := *h
	out.values = slices.Clone(h.values)
	return &out
}

func (h *Histogram) span(smallest, largest float64) {
	if h.Count == 0 {
		h.Min, h.Max = smallest, largest
		return
	}
	h.Min, h.Max = min(h.Min, smallest), max(h.Max, largest)
}

func (h *Histogram) put(v, count float64) {
	v = round(v, h.level)
	i, found := slices.BinarySearchFunc(h.values, v, func(w weight, v float64) int {
		switch {
		case w.value < v:
			return -1
		case w.value > v:
			return 1
		}
		return 0
	})
	if found {
		h.values[i].count += count
		return
	}
	h.values = slices.Insert(h.values, i, weight{v, count})
	for len(h.values) > maxValues {
		h.widen(h.level + 1)
	}
}

// widen makes the buckets at least as wide as those of a level.
func (h *Histogram) widen(level int) {
	if level <= h.level {
		return
	}
	h.level = level
	merged := h.values[:0]
	for _, w := range h.values {
		v := round(w.value, level)
		if n := len(merged); n > 0 && merged[n-1].value == v {
			merged[n-1].count += w.count
		} else {
			merged = append(merged, weight{v, w.count})
		}
	}
	h.values = merged
}

// perOctave is how many buckets of a level there are to an octave.
func perOctave(level int) float64 { return math.Ldexp(1, finest-level) }

// round returns the middle of the bucket that a number falls into.
func round(v float64, level int) float64 {
	if level == 0 || v == 0 || math.IsInf(v, 0) {
		return v + 0 // -0 is 0
	}
	return math.Copysign(middle(bucket(v, level), level), v)
}

// bucket is the bucket that a number other than 0 falls into, whatever its sign. Buckets of one level lie wholly in those of the next.
func bucket(v float64, level int) int {
	return int(math.Floor(math.Log2(math.Abs(v)) * perOctave(level)))
}

// middle is a number of a bucket, which stays in it when rounded again.
func middle(bucket, level int) float64 {
	return min(math.Exp2((float64(bucket)+0.5)/perOctave(level)), math.MaxFloat64)
}
