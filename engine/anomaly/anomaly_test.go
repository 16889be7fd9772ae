package anomaly_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/anomaly"
)

// baseline is one of windows with the numbers given, and zeros.
func baseline(windows int, numbers ...float64) anomaly.Baseline {
	b := anomaly.Baseline{Windows: windows}
	for _, n := range numbers {
		b.Add(n)
	}
	return b
}

// naive adds up the negative binomial distribution term by term.
func naive(sum float64, windows, x int) float64 {
	r, p, below := sum+0.5, float64(windows)/float64(windows+1), 0.0
	gr, _ := math.Lgamma(r)
	for k := range x {
		a, _ := math.Lgamma(float64(k) + r)
		b, _ := math.Lgamma(float64(k) + 1)
		below += math.Exp(a - b - gr + r*math.Log(p) + float64(k)*math.Log1p(-p))
	}
	return 1 - below
}

func TestTail(t *testing.T) {
	for _, windows := range []int{1, 10, 288, 2016} {
		for _, sum := range []int{0, 1, 7, 2016} {
			// All windows alike, or one occurrence in some: no more than a Poisson process varies.
			b := anomaly.Baseline{Windows: windows, Sum: float64(sum), Squares: float64(sum) * max(1, float64(sum)/float64(windows))}
			for _, x := range []int{1, 2, 3, 5} {
				if got, want := b.Tail(float64(x)), naive(float64(sum), windows, x); math.Abs(got-want) > 1e-9 {
					t.Errorf("Tail(%d) with %d in %d windows = %g, want %g", x, sum, windows, got, want)
				}
			}
		}
	}
}

func TestTailIsAProbability(t *testing.T) {
	for windows := 0; windows < 5000; windows = windows*3 + 1 {
		for sum := 0.0; sum < 1e9; sum = sum*5 + 1 {
			b := anomaly.Baseline{Windows: windows, Sum: sum, Squares: sum * sum / 2}
			last := 1.0
			for x := 0.0; x < 1e9; x = x*4 + 1 {
				p := b.Tail(x)
				if math.IsNaN(p) || p < 0 || p > last+1e-9 {
					t.Fatalf("Tail(%g) with %g in %d windows = %g, after %g", x, sum, windows, p, last)
				}
				last = p
			}
		}
	}
}

func TestExcess(t *testing.T) {
	for name, c := range map[string]struct {
		b    anomaly.Baseline
		want float64
	}{
		"Nothing":  {anomaly.Baseline{}, 1},
		"Even":     {baseline(4, 5, 5, 5, 5), 1},
		"OneBurst": {baseline(100, 100), 100},
	} {
		if got := c.b.Excess(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: Excess = %g, want %g", name, got, c.want)
		}
	}
}

// detector is one as a trail has it: five minutes a window.
var detector = anomaly.Detector{Least: 5, Start: 1e-6, End: 1e-3}

const week = 7 * 288

// poisson draws a number.
func poisson(r *rand.Rand, mean float64) float64 {
	n, p, limit := 0.0, r.Float64(), math.Exp(-mean)
	for ; p > limit; n++ {
		p *= r.Float64()
	}
	return n
}

// traffic is a sort of generated traffic: the number in a window.
type traffic func(r *rand.Rand, window int) float64

func steady(mean float64) traffic {
	return func(r *rand.Rand, _ int) float64 { return poisson(r, mean) }
}

// daily goes up and down with the day.
func daily(mean float64) traffic {
	return func(r *rand.Rand, w int) float64 { return poisson(r, mean*(1+0.9*math.Sin(2*math.Pi*float64(w)/288))) }
}

// deploys does many things at once, now and then.
func deploys(size, each float64) traffic {
	return func(r *rand.Rand, _ int) float64 {
		if r.Float64() < 1/each {
			return poisson(r, size)
		}
		return 0
	}
}

// TestFalseAlarms counts those in 20 weeks of usual traffic, each against the week before.
func TestFalseAlarms(t *testing.T) {
	for name, c := range map[string]struct {
		traffic traffic
		most    int // alarms in the 20 weeks
	}{
		"Rare":       {steady(0.01), 0},
		"Steady1":    {steady(1), 0},
		"Steady20":   {steady(20), 0},
		"Steady200":  {steady(200), 0},
		"Daily":      {daily(20), 0},
		"Deploys":    {deploys(20, 48), 0},
		"RareDeploy": {deploys(20, 288), 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var numbers []float64
			b := anomaly.Baseline{Windows: week}
			alarms := 0
			for w := range 21 * week {
				x := c.traffic(r, w)
				if w >= week {
					if detector.Begins(b, x) {
						alarms++
					}
					old := numbers[w-week]
					b.Sum, b.Squares = b.Sum-old, b.Squares-old*old
				}
				numbers = append(numbers, x)
				b.Add(x)
			}
			if alarms > c.most {
				t.Errorf("%d false alarms in 20 weeks, want %d at most", alarms, c.most)
			}
		})
	}
}

// TestDetection counts how often an increase is found in its first window.
func TestDetection(t *testing.T) {
	for _, c := range []struct {
		name          string
		usual, attack traffic
		least         float64 // share that is found
	}{
		{"Never", steady(0), steady(12), 0.98},
		{"Rare", steady(0.01), steady(12), 0.95},
		{"TenTimes", steady(2), steady(20), 0.95},
		{"ThreeTimes", steady(20), steady(60), 0.97},
		{"DailyTenTimes", daily(20), steady(200), 0.95},
		{"DeploysTenTimes", deploys(20, 48), steady(400), 0.95},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, rounds := 0, 200
			for seed := range rounds {
				r := rand.New(rand.NewPCG(uint64(seed), 3))
				b := anomaly.Baseline{Windows: week}
				for w := range week {
					b.Add(c.usual(r, w))
				}
				if x := c.attack(r, 0); detector.Begins(b, x) && !detector.Ends(b, x) {
					found++
				}
			}
			if share := float64(found) / float64(rounds); share < c.least {
				t.Errorf("%.2f were found, want %.2f", share, c.least)
			}
		})
	}
}

func ExampleDetector() {
	usual := anomaly.Baseline{Windows: 2016} // a week, five minutes each
	for range 30 {
		usual.Add(1)
	}
	d := anomaly.Detector{Least: 5, Start: 1e-6, End: 1e-3}
	fmt.Println(d.Begins(usual, 2), d.Begins(usual, 12))
	// Output: false true
}
