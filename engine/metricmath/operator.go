package metricmath

import (
	"errors"
	"math"
)

// operators by how tightly they bind, the loosest first.
var operators = [][]string{{"||", "OR"}, {"&&", "AND"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/"}, {"^"}}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func operate(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "^":
		return math.Pow(a, b)
	case "==":
		return truth(a == b)
	case "!=":
		return truth(a != b)
	case "<":
		return truth(a < b)
	case ">":
		return truth(a > b)
	case "<=":
		return truth(a <= b)
	case ">=":
		return truth(a >= b)
	case "&&", "AND":
		return truth(a != 0 && b != 0)
	}
	return truth(a != 0 || b != 0)
}

// binaryNode is an operation on two values. Of two time series there is a result where both have a point.
type binaryNode struct {
	op   string
	a, b node
}

var errArrays = errors.New("an array of time series cannot be combined with another one")

func (n binaryNode) eval(env *Env) (Value, error) {
	a, err := n.a.eval(env)
	if err != nil {
		return Value{}, err
	}
	b, err := n.b.eval(env)
	if err != nil {
		return Value{}, err
	}
	switch {
	case a.Kind == Scalar:
		return each(env, b, func(x float64) float64 { return operate(n.op, a.Number, x) })
	case b.Kind == Scalar:
		return each(env, a, func(x float64) float64 { return operate(n.op, x, b.Number) })
	case a.Kind == Array && b.Kind == Array:
		return Value{}, errArrays
	case a.Kind == Array:
		return eachSeries(env, a, func(s Series) []Point { return join(n.op, s.Points, b.Series[0].Points) })
	}
	return eachSeries(env, b, func(s Series) []Point { return join(n.op, a.Series[0].Points, s.Points) })
}

func join(op string, a, b []Point) []Point {
	out := make([]Point, 0, min(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Time < b[0].Time:
			a = a[1:]
		case a[0].Time > b[0].Time:
			b = b[1:]
		default:
			out = append(out, Point{a[0].Time, operate(op, a[0].Value, b[0].Value)})
			a, b = a[1:], b[1:]
		}
	}
	return out
}
