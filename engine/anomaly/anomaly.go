// Package anomaly tells when something happens unusually often, by how often it happened before.
//
// Time is cut into windows of equal length, and what is known is the number of occurrences in each. The windows before are the [Baseline]; a window is unusual when so many
// occurrences in it are all but impossible by them.
//
// The probability is that of a Poisson process of unknown rate: with Jeffreys' prior, and K occurrences in n windows before, the number in the next one has the negative binomial
// distribution with K + 1/2 and n/(n+1). So a short history tells little, and one without any occurrence does not make the first one unusual by itself. Real traffic
// comes in bursts: where the windows vary more than those of a Poisson process would, all numbers are divided by that excess (their variance over their mean) first, which makes many
// occurrences as much less surprising as they are less independent.
//
// All of it is arithmetic: the same numbers give the same answer.
package anomaly

import "math"

// Baseline is what is known of the windows before. Its zero value is that nothing is.
type Baseline struct {
	Windows      int     // also those in which nothing happened
	Sum, Squares float64 // of the numbers of occurrences in the windows
}

// Add takes in a window in which n occurrences were counted. The windows in which there were none need not be added one by one: Windows tells of all.
func (b *Baseline) Add(n float64) {
	b.Sum += n
	b.Squares += n * n
}

// Mean is the average number of occurrences in a window.
func (b Baseline) Mean() float64 {
	if b.Windows == 0 {
		return 0
	}
	return b.Sum / float64(b.Windows)
}

// Excess is how much more the windows vary than those of a Poisson process: variance over mean, and at least 1.
func (b Baseline) Excess() float64 {
	mean := b.Mean()
	if b.Windows < 2 || mean == 0 {
		return 1
	}
	n := float64(b.Windows)
	return max(1, (b.Squares-n*mean*mean)/(n-1)/mean)
}

// Tail is the probability that a window has x occurrences or more.
func (b Baseline) Tail(x float64) float64 {
	if x <= 0 {
		return 1
	}
	n, excess := float64(b.Windows), b.Excess()
	if n == 0 {
		return 1
	}
	return beta(x/excess, b.Sum/excess+0.5, 1/(n+1))
}

// Detector says when something unusual begins and when it ends. Its zero value never finds anything.
type Detector struct {
	Least float64 // occurrences in a window; with fewer nothing begins
	Start float64 // probability below which something unusual begins
	End   float64 // probability at and above which it has ended; above Start, so that it does not come and go
}

// Begins reports whether a window with x occurrences is unusual.
func (d Detector) Begins(b Baseline, x float64) bool { return x >= d.Least && b.Tail(x) < d.Start }

// Ends reports whether a window with x occurrences is as those before something unusual began.
func (d Detector) Ends(b Baseline, x float64) bool { return b.Tail(x) >= d.End }

// beta is the regularized incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22). That a negative binomial variable with r and p is k or more has the
// probability I_{1-p}(k, r) (DLMF 8.17.24).
func beta(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // where the fraction of the other side converges quickly
		return 1 - beta(b, a, 1-x)
	}
	ga, _ := math.Lgamma(a)
	gb, _ := math.Lgamma(b)
	gab, _ := math.Lgamma(a + b)
	front := math.Exp(gab-ga-gb+a*math.Log(x)+b*math.Log1p(-x)) / a
	return front * fraction(a, b, x)
}

// fraction evaluates the continued fraction from its front (Lentz's method, as modified by Thompson and Barnett).
func fraction(a, b, x float64) float64 {
	const tiny, enough = 1e-300, 1e-14
	away := func(v float64) float64 { // from zero
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	f := d
	for m := 1.0; m < 10_000; m++ {
		for _, term := range []float64{
			m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m)),
			-(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1)),
		} {
			d = 1 / away(1+term*d)
			c = away(1 + term/c)
			f *= c * d
		}
		if math.Abs(c*d-1) < enough {
			break
		}
	}
	return f
}
