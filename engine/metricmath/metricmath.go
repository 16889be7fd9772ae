// Package metricmath is CloudWatch's metric math: expressions over time series, such as m1/m2*100 or IF(m1 > 5, m2, FILL(m3, 0)).
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
//
//	e, err := metricmath.Parse("100 * errors / requests")
//	v, err := e.Eval(&metricmath.Env{Lookup: func(id string) (metricmath.Value, bool) { ... }})
//
// What an expression costs is bounded: by its length, by how deep it nests, and by how many numbers it touches.
package metricmath

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Kind is what a Value is.
type Kind int

// The kinds of values: S, TS and TS[] in AWS's words.
const (
	Scalar Kind = iota
	TimeSeries
	Array
)

func (k Kind) String() string {
	return [...]string{"a scalar", "a time series", "an array of time series"}[k]
}

// Point is a number at a time, in seconds since 1970.
type Point struct {
	Time  int64
	Value float64
}

// Series is points in the order of time, each of another one. Nobody changes the points of a series.
type Series struct {
	Label  string
	Period time.Duration
	Points []Point
}

// Value is what a part of an expression comes to.
type Value struct {
	Kind   Kind
	Number float64  // of a Scalar
	Series []Series // one of a TimeSeries
}

// Of makes a value of a time series.
func Of(s Series) Value { return Value{Kind: TimeSeries, Series: []Series{s}} }

func scalar(v float64) Value { return Value{Number: v} }

// Env is what an expression is evaluated in.
type Env struct {
	// Lookup returns what an identifier stands for.
	Lookup func(id string) (Value, bool)

	// Metrics returns the metrics that there are, for METRICS; with a text only those that have it in their label or identifier.
	Metrics func(text string) []Series

	// From and To bound the times of series that are made of a number, which follow each other by Period.
	From, To time.Time
	Period   time.Duration

	work int // numbers touched so far
}

// maxWork is how many numbers an expression may touch.
const maxWork = 20_000_000

// ErrTooMuch: evaluating the expression would take too long.
var ErrTooMuch = errors.New("the expression needs too many datapoints")

func (e *Env) spend(n int) error {
	if e.work += n; e.work > maxWork {
		return ErrTooMuch
	}
	return nil
}

// Eval evaluates the expression. What cannot be computed, such as the quotient of 0 and 0, has no point.
func (x *Expr) Eval(env *Env) (Value, error) {
	v, err := x.root.eval(env)
	if err != nil {
		return Value{}, err
	}
	v.Series = slices.Clone(v.Series) // they may be those of env
	for i := range v.Series {
		v.Series[i].Points = finite(v.Series[i].Points)
	}
	return v, nil
}

// finite leaves out what is no number.
func finite(points []Point) []Point {
	bad := 0
	for _, p := range points {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			bad++
		}
	}
	if bad == 0 {
		return points
	}
	out := make([]Point, 0, len(points)-bad)
	for _, p := range points {
		if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			out = append(out, p)
		}
	}
	return out
}

// constant is a series with the same number at each period.
func (e *Env) constant(v float64) (Value, error) {
	times, err := e.times(e.Period)
	if err != nil {
		return Value{}, err
	}
	s := Series{Period: e.Period, Points: make([]Point, len(times))}
	for i, at := range times {
		s.Points[i] = Point{at, v}
	}
	return Of(s), nil
}

// times are those at which a series with a period could have points.
func (e *Env) times(period time.Duration) ([]int64, error) {
	step := int64(period / time.Second)
	if step <= 0 || !e.From.Before(e.To) {
		return nil, nil
	}
	n := (e.To.Unix() - e.From.Unix() + step - 1) / step
	if n > maxWork {
		return nil, ErrTooMuch
	}
	if err := e.spend(int(n)); err != nil {
		return nil, err
	}
	times := make([]int64, n)
	for i := range times {
		times[i] = e.From.Unix() + int64(i)*step
	}
	return times, nil
}

// Constant turns a scalar into a time series; other values stay what they are.
func (e *Env) Constant(v Value) (Value, error) {
	if v.Kind != Scalar {
		return v, nil
	}
	out, err := e.constant(v.Number)
	if err == nil {
		out.Series[0].Points = finite(out.Series[0].Points)
	}
	return out, err
}

// node is a part of an expression.
type node interface {
	eval(*Env) (Value, error)
}

type numberNode float64

func (n numberNode) eval(*Env) (Value, error) { return scalar(float64(n)), nil }

// textNode is a string, which only functions know what to do with.
type textNode string

func (n textNode) eval(*Env) (Value, error) {
	return Value{}, fmt.Errorf("unexpected string '%s'", string(n))
}

type nameNode string

func (n nameNode) eval(env *Env) (Value, error) {
	v, ok := env.Lookup(string(n))
	if !ok {
		return Value{}, fmt.Errorf("unknown identifier '%s'", string(n))
	}
	return v, nil
}

// listNode is [a, b, c].
type listNode []node

func (n listNode) eval(env *Env) (Value, error) {
	out := Value{Kind: Array}
	for _, m := range n {
		v, err := m.eval(env)
		if err != nil {
			return Value{}, err
		}
		if v.Kind == Scalar {
			if v, err = env.constant(v.Number); err != nil {
				return Value{}, err
			}
		}
		if out.Series = append(out.Series, v.Series...); len(out.Series) > maxSeries {
			return Value{}, ErrTooMuch
		}
	}
	return out, nil
}

// maxSeries is how many time series an array may have, as of SEARCH in CloudWatch.
const maxSeries = 500

type negNode struct{ of node }

func (n negNode) eval(env *Env) (Value, error) {
	v, err := n.of.eval(env)
	if err != nil {
		return Value{}, err
	}
	return each(env, v, func(x float64) float64 { return -x })
}

// each applies fn to each number of a value.
func each(env *Env, v Value, fn func(float64) float64) (Value, error) {
	if v.Kind == Scalar {
		return scalar(fn(v.Number)), nil
	}
	return eachSeries(env, v, func(s Series) []Point {
		out := make([]Point, len(s.Points))
		for i, p := range s.Points {
			out[i] = Point{p.Time, fn(p.Value)}
		}
		return out
	})
}

// eachSeries applies fn to each series of a value.
func eachSeries(env *Env, v Value, fn func(Series) []Point) (Value, error) {
	out := Value{Kind: v.Kind, Series: make([]Series, len(v.Series))}
	for i, s := range v.Series {
		if err := env.spend(len(s.Points)); err != nil {
			return Value{}, err
		}
		out.Series[i] = Series{s.Label, s.Period, fn(s)}
	}
	return out, nil
}
