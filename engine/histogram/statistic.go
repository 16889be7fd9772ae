package histogram

import "math"

// Average is 0 without numbers.
func (h *Histogram) Average() float64 {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / h.Count
}

// Known reports whether the distribution of all numbers is known, see AddSet.
func (h *Histogram) Known() bool {
	known := 0.0
	for _, w := range h.values {
		known += w.count
	}
	return h.Count > 0 && math.Abs(known-h.Count) <= 1e-9*h.Count
}

// Quantile is the number below which the part p, from 0 to 1, of all numbers lies.
func (h *Histogram) Quantile(p float64) float64 {
	rank, seen := p*h.Count, 0.0
	for _, w := range h.values {
		if seen += w.count; seen >= rank-1e-9 {
			return h.inside(w.value)
		}
	}
	return h.Max
}

// inside keeps the middle of a bucket within what there really was.
func (h *Histogram) inside(v float64) float64 { return min(max(v, h.Min), h.Max) }

// Part is a part of the numbers in a histogram: those between two bounds.
type Part struct {
	Count, Sum float64

	below, above float64 // how many lie outside
	low, high    float64 // the outermost that are inside
}

// Mean is that of the numbers in the part; 0 for none.
func (p Part) Mean() float64 {
	if p.Count == 0 {
		return 0
	}
	return p.Sum / p.Count
}

// Winsorized is the mean of all numbers where those outside of the part count as the outermost ones inside.
func (p Part) Winsorized() float64 {
	n := p.Count + p.below + p.above
	if n == 0 || p.Count == 0 {
		return 0
	}
	return (p.Sum + p.below*p.low + p.above*p.high) / n
}

// Between is the part between two quantiles, each from 0 to 1.
func (h *Histogram) Between(from, to float64) Part {
	var p Part
	seen, low, high := 0.0, from*h.Count, to*h.Count
	for _, w := range h.values {
		start, end := seen, seen+w.count
		seen = end
		p.take(h.inside(w.value), max(0, min(end, high)-max(start, low)))
	}
	p.below, p.above = low, max(0, h.Count-high)
	return p
}

// Within is the part of the numbers that are larger than low and at most high.
func (h *Histogram) Within(low, high float64) Part {
	var p Part
	for _, w := range h.values {
		switch v := h.inside(w.value); {
		case v <= low:
			p.below += w.count
		case v > high:
			p.above += w.count
		default:
			p.take(v, w.count)
		}
	}
	return p
}

func (p *Part) take(v, count float64) {
	if count <= 0 {
		return
	}
	if p.Count == 0 {
		p.low = v
	}
	p.high = v
	p.Count += count
	p.Sum += v * count
}
