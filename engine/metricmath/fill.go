package metricmath

import "time"

// fill gives time series points where they have none: a number, the last one again, what lies on the line between its neighbours, or that of another time series.
func fill(env *Env, args []argument) (Value, error) {
	with := args[1]
	if args[0].isText || args[0].Kind == Scalar || with.Kind == Array || with.isText && with.text != "REPEAT" && with.text != "LINEAR" {
		return Value{}, errArgument
	}
	out := Value{Kind: args[0].Kind}
	for _, s := range args[0].Series {
		period := s.Period
		if period < time.Second {
			period = env.Period
		}
		times, err := env.times(period)
		if err != nil {
			return Value{}, err
		}
		out.Series = append(out.Series, Series{s.Label, s.Period, fillSeries(s.Points, times, with)})
	}
	return out, nil
}

func fillSeries(points []Point, times []int64, with argument) []Point {
	out := make([]Point, 0, len(times))
	next := points
	others := Series{}
	if with.Kind == TimeSeries {
		others = with.Series[0]
	}
	for _, at := range times {
		for len(next) > 0 && next[0].Time < at {
			if len(out) == 0 || out[len(out)-1].Time < next[0].Time {
				out = append(out, next[0])
			}
			next = next[1:]
		}
		if len(next) > 0 && next[0].Time == at {
			out = append(out, next[0])
			next = next[1:]
			continue
		}
		for len(others.Points) > 0 && others.Points[0].Time < at {
			others.Points = others.Points[1:]
		}
		switch {
		case with.text == "REPEAT":
			if len(out) > 0 {
				out = append(out, Point{at, out[len(out)-1].Value})
			}
		case with.text == "LINEAR":
			if len(out) > 0 && len(next) > 0 {
				a, b := out[len(out)-1], next[0]
				out = append(out, Point{at, a.Value + (b.Value-a.Value)*float64(at-a.Time)/float64(b.Time-a.Time)})
			}
		case with.Kind == TimeSeries:
			if len(others.Points) > 0 && others.Points[0].Time == at {
				out = append(out, others.Points[0])
			}
		default:
			out = append(out, Point{at, with.Number})
		}
	}
	return append(out, next...)
}

// choose is IF: at each time of its condition one of two values, or none where there is no second one.
func choose(env *Env, args []argument) (Value, error) {
	for _, a := range args {
		if a.isText || a.Kind == Array {
			return Value{}, errArgument
		}
	}
	condition := args[0]
	if condition.Kind == Scalar {
		switch {
		case condition.Number != 0:
			return args[1].Value, nil
		case len(args) == 3:
			return args[2].Value, nil
		}
		return Of(Series{Period: env.Period}), nil
	}
	return eachSeries(env, condition.Value, func(s Series) []Point {
		var out []Point
		branches := []*cursor{cursorOf(args[1])}
		if len(args) == 3 {
			branches = append(branches, cursorOf(args[2]))
		}
		for _, p := range s.Points {
			n := 0
			if p.Value == 0 {
				n = 1
			}
			if n == len(branches) {
				continue
			}
			if v, ok := branches[n].at(p.Time); ok {
				out = append(out, Point{p.Time, v})
			}
		}
		return out
	})
}

// cursor finds the points of a value at times that only grow.
type cursor struct {
	constant bool
	number   float64
	points   []Point
}

func cursorOf(a argument) *cursor {
	if a.Kind == Scalar {
		return &cursor{constant: true, number: a.Number}
	}
	return &cursor{points: a.Series[0].Points}
}

func (c *cursor) at(t int64) (float64, bool) {
	if c.constant {
		return c.number, true
	}
	for len(c.points) > 0 && c.points[0].Time < t {
		c.points = c.points[1:]
	}
	if len(c.points) == 0 || c.points[0].Time != t {
		return 0, false
	}
	return c.points[0].Value, true
}
