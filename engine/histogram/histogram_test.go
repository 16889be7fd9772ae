package histogram_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/histogram"
)

func of(values ...float64) *histogram.Histogram {
	h := new(histogram.Histogram)
	for _, v := range values {
		h.Add(v)
	}
	return h
}

func TestFewAreExact(t *testing.T) {
	h := of(10, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	for name, c := range map[string]struct{ got, want float64 }{
		"Count": {h.Count, 10}, "Sum": {h.Sum, 55}, "Min": {h.Min, 1}, "Max": {h.Max, 10}, "Average": {h.Average(), 5.5},
		"p0": {h.Quantile(0), 1}, "p50": {h.Quantile(0.5), 5}, "p90": {h.Quantile(0.9), 9}, "p95": {h.Quantile(0.95), 10}, "p100": {h.Quantile(1), 10},
		"TrimmedMean": {h.Between(0.1, 0.9).Mean(), 5.5}, "Lowest": {h.Between(0, 0.2).Sum, 3}, "Winsorized": {h.Between(0, 0.8).Winsorized(), (36 + 2*8) / 10.0},
		"WithinCount": {h.Within(2, 5).Count, 3}, "WithinSum": {h.Within(2, 5).Sum, 12},
	} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s is %g, want %g", name, c.got, c.want)
		}
	}
}

func TestManyAreNear(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var all []float64
	parts := make([]histogram.Histogram, 4)
	for i := range 20_000 {
		v := 3 * math.Exp(r.NormFloat64())
		all = append(all, v)
		parts[i%4].Add(v)
	}
	h := new(histogram.Histogram)
	for i := range parts {
		h.Merge(&parts[i])
	}
	slices.Sort(all)
	for _, p := range []float64{0.01, 0.1, 0.5, 0.9, 0.99} {
		want := all[int(p*float64(len(all)))]
		if got := h.Quantile(p); math.Abs(got-want) > 0.1*want {
			t.Errorf("the %g quantile is %g, want %g", p, got, want)
		}
	}
	if !h.Known() || h.Min != all[0] || h.Max != all[len(all)-1] || h.Count != 20_000 {
		t.Errorf("got %+v", h)
	}
	if n := len(h.AppendBinary(nil)); n > 600 {
		t.Errorf("it takes %d bytes", n)
	}
}

func TestSetsHideTheirDistribution(t *testing.T) {
	h := of(1)
	h.AddSet(10, 40, 4, 4)
	if !h.Known() || h.Quantile(0.5) != 4 {
		t.Errorf("numbers that are all the same are known: %+v", h)
	}
	h.AddSet(10, 50, 1, 9)
	if h.Known() || h.Count != 21 || h.Sum != 91 || h.Max != 9 {
		t.Errorf("got %+v", h)
	}
}

func TestAnyNumber(t *testing.T) {
	h := of(0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64)
	for i := range 1000 {
		h.Add(math.Ldexp(1, i-500))
		h.Add(-math.Ldexp(1, i-500))
	}
	if h.Count != 2007 || h.Quantile(0) != math.Inf(-1) || h.Quantile(1) != math.Inf(1) {
		t.Errorf("got %+v", h)
	}
}

func FuzzCut(f *testing.F) {
	wide := new(histogram.Histogram)
	for i := range 500 {
		wide.Add(float64(i*i - 1000))
	}
	set := of(1, 2)
	set.AddSet(3, 9, 1, 5)
	for _, h := range []*histogram.Histogram{{}, of(1), of(0, 1, -1.5, math.Inf(1)), wide, set} {
		f.Add(h.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, err := histogram.Cut(b)
		if err != nil {
			return
		}
		h.Quantile(0.5)
		h.Merge(wide)
		// What was added to is written as it is read.
		out := h.AppendBinary(nil)
		again, rest, err := histogram.Cut(out)
		if err != nil || len(rest) != 0 || !bytes.Equal(again.AppendBinary(nil), out) {
			t.Errorf("%x is read as %x, %v", out, again.AppendBinary(nil), err)
		}
	})
}
