package metricmath

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// ErrNotBuilt: the expression has a function of CloudWatch's that there is not here.
var ErrNotBuilt = errors.New("not implemented")

var unbuilt = []string{"SEARCH", "ANOMALY_DETECTION_BAND", "INSIGHT_RULE_METRIC", "DB_PERF_INSIGHTS", "LAMBDA", "SERVICE_QUOTA", "SELECT"}

// words are names that functions take and that stand for themselves.
var words = []string{"REPEAT", "LINEAR", "ASC", "DESC", "AVG", "MIN", "MAX", "SUM", "STDDEV"}

// function is one of the language. Its arguments come evaluated, but those that are words or strings.
type function struct {
	least, most int
	eval        func(env *Env, args []argument) (Value, error)
}

type argument struct {
	Value
	text   string
	isText bool
}

type callNode struct {
	name string
	function
	args []node
}

func (n callNode) eval(env *Env) (Value, error) {
	args := make([]argument, len(n.args))
	for i, a := range n.args {
		if t, ok := a.(textNode); ok {
			args[i] = argument{text: string(t), isText: true}
			continue
		}
		v, err := a.eval(env)
		if err != nil {
			return Value{}, err
		}
		args[i].Value = v
	}
	v, err := n.function.eval(env, args)
	if errors.Is(err, errArgument) {
		err = fmt.Errorf("wrong argument of function '%s'", n.name)
	}
	return v, err
}

var errArgument = errors.New("wrong argument")

// functions is the language's vocabulary.
var functions = vocabulary()

func vocabulary() map[string]function {
	f := map[string]function{
		"METRICS": {0, 1, metrics}, "METRIC_COUNT": {1, 1, metricCount}, "DATAPOINT_COUNT": {1, 1, datapointCount}, "PERIOD": {1, 1, periodOf}, "FILL": {2, 2, fill}, "IF": {2, 3, choose},
		"FIRST": {1, 1, pick(func(n int) int { return 0 })}, "LAST": {1, 1, pick(func(n int) int { return n - 1 })},
		"REMOVE_EMPTY": {1, 1, removeEmpty}, "SLICE": {2, 3, slice}, "SORT": {3, 4, sort}, "TIME_SERIES": {1, 1, timeSeries},
		"DIFF": {1, 1, pairs(func(a, b Point) float64 { return b.Value - a.Value })}, "DIFF_TIME": {1, 1, pairs(func(a, b Point) float64 { return float64(b.Time - a.Time) })},
		"RATE": {1, 1, pairs(func(a, b Point) float64 { return (b.Value - a.Value) / float64(b.Time-a.Time) })}, "RUNNING_SUM": {1, 1, runningSum},
	}
	for name, fn := range map[string]func(float64) float64{"ABS": math.Abs, "CEIL": math.Ceil, "FLOOR": math.Floor, "LOG": math.Log, "LOG10": math.Log10} {
		f[name] = function{1, 1, func(env *Env, args []argument) (Value, error) {
			if args[0].isText {
				return Value{}, errArgument
			}
			return each(env, args[0].Value, fn)
		}}
	}
	for name, fn := range aggregates {
		f[name] = function{1, 1, func(env *Env, args []argument) (Value, error) { return aggregate(env, args[0], fn) }}
	}
	for name, fn := range map[string]func(time.Time) int64{
		"MINUTE": func(t time.Time) int64 { return int64(t.Minute()) }, "HOUR": func(t time.Time) int64 { return int64(t.Hour()) },
		"DAY":  func(t time.Time) int64 { return int64(t.Weekday()+6)%7 + 1 }, // Monday is 1
		"DATE": func(t time.Time) int64 { return int64(t.Day()) }, "MONTH": func(t time.Time) int64 { return int64(t.Month()) },
		"YEAR": func(t time.Time) int64 { return int64(t.Year()) }, "EPOCH": time.Time.Unix,
	} {
		f[name] = function{1, 1, func(env *Env, args []argument) (Value, error) {
			return points(env, args[0], func(p Point) float64 { return float64(fn(time.Unix(p.Time, 0).UTC())) })
		}}
	}
	return f
}

// aggregates make one number of several; there is one at least.
var aggregates = map[string]func([]float64) float64{"SUM": sum, "AVG": mean, "MIN": slices.Min[[]float64], "MAX": slices.Max[[]float64], "STDDEV": deviation}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

func mean(v []float64) float64 { return sum(v) / float64(len(v)) }

func deviation(v []float64) float64 {
	m, s := mean(v), 0.0
	for _, x := range v {
		s += (x - m) * (x - m)
	}
	return math.Sqrt(s / float64(len(v)))
}

func values(points []Point) []float64 {
	out := make([]float64, len(points))
	for i, p := range points {
		out[i] = p.Value
	}
	return out
}

// aggregate makes a number of a time series, and a time series of an array: at each time, of those series that have a point there.
func aggregate(env *Env, a argument, fn func([]float64) float64) (Value, error) {
	switch {
	case a.isText:
		return Value{}, errArgument
	case a.Kind == Scalar:
		return scalar(fn([]float64{a.Number})), nil
	case a.Kind == TimeSeries:
		s := a.Series[0]
		if err := env.spend(len(s.Points)); err != nil || len(s.Points) == 0 {
			return scalar(math.NaN()), err
		}
		return scalar(fn(values(s.Points))), nil
	}
	at := make(map[int64][]float64)
	out := Series{Period: env.Period}
	for _, s := range a.Series {
		if err := env.spend(len(s.Points)); err != nil {
			return Value{}, err
		}
		for _, p := range s.Points {
			if at[p.Time] == nil {
				out.Points = append(out.Points, Point{Time: p.Time})
			}
			at[p.Time] = append(at[p.Time], p.Value)
		}
		out.Period = s.Period
	}
	slices.SortFunc(out.Points, func(a, b Point) int { return cmp.Compare(a.Time, b.Time) })
	for i, p := range out.Points {
		out.Points[i].Value = fn(at[p.Time])
	}
	return Of(out), nil
}

func metrics(env *Env, args []argument) (Value, error) {
	text := ""
	if len(args) == 1 {
		if !args[0].isText {
			return Value{}, errArgument
		}
		text = args[0].text
	}
	if env.Metrics == nil {
		return Value{Kind: Array}, nil
	}
	return Value{Kind: Array, Series: env.Metrics(text)}, nil
}

func metricCount(_ *Env, args []argument) (Value, error) {
	if args[0].Kind != Array {
		return Value{}, errArgument
	}
	return scalar(float64(len(args[0].Series))), nil
}

func datapointCount(env *Env, args []argument) (Value, error) {
	switch args[0].Kind {
	case TimeSeries:
		return scalar(float64(len(args[0].Series[0].Points))), nil
	case Array:
		return aggregate(env, args[0], func(v []float64) float64 { return float64(len(v)) })
	}
	return Value{}, errArgument
}

func periodOf(_ *Env, args []argument) (Value, error) {
	if args[0].Kind != TimeSeries {
		return Value{}, errArgument
	}
	return scalar(args[0].Series[0].Period.Seconds()), nil
}

// points makes another number of each point.
func points(env *Env, a argument, fn func(Point) float64) (Value, error) {
	if a.Kind == Scalar {
		return Value{}, errArgument
	}
	return eachSeries(env, a.Value, func(s Series) []Point {
		out := make([]Point, len(s.Points))
		for i, p := range s.Points {
			out[i] = Point{p.Time, fn(p)}
		}
		return out
	})
}

// pairs makes a number of each point and the one before it.
func pairs(fn func(a, b Point) float64) func(*Env, []argument) (Value, error) {
	return func(env *Env, args []argument) (Value, error) {
		if args[0].Kind == Scalar {
			return Value{}, errArgument
		}
		return eachSeries(env, args[0].Value, func(s Series) []Point {
			var out []Point
			for i := 1; i < len(s.Points); i++ {
				out = append(out, Point{s.Points[i].Time, fn(s.Points[i-1], s.Points[i])})
			}
			return out
		})
	}
}

func runningSum(env *Env, args []argument) (Value, error) {
	if args[0].Kind == Scalar {
		return Value{}, errArgument
	}
	return eachSeries(env, args[0].Value, func(s Series) []Point {
		total := 0.0
		out := make([]Point, len(s.Points))
		for i, p := range s.Points {
			total += p.Value
			out[i] = Point{p.Time, total}
		}
		return out
	})
}

func pick(which func(n int) int) func(*Env, []argument) (Value, error) {
	return func(_ *Env, args []argument) (Value, error) {
		a := args[0]
		if a.Kind != Array || len(a.Series) == 0 {
			return Value{}, errArgument
		}
		return Of(a.Series[which(len(a.Series))]), nil
	}
}

func removeEmpty(_ *Env, args []argument) (Value, error) {
	if args[0].Kind == Scalar {
		return Value{}, errArgument
	}
	return Value{Kind: Array, Series: slices.DeleteFunc(slices.Clone(args[0].Series), func(s Series) bool { return len(s.Points) == 0 })}, nil
}

func slice(_ *Env, args []argument) (Value, error) {
	a, n := args[0], len(args[0].Series)
	bounds := []int{0, n}
	for i, b := range args[1:] {
		if b.Kind != Scalar || b.isText || b.Number != math.Trunc(b.Number) {
			return Value{}, errArgument
		}
		bounds[i] = int(min(max(b.Number, 0), float64(n)))
	}
	if a.Kind != Array {
		return Value{}, errArgument
	}
	return Value{Kind: Array, Series: a.Series[bounds[0]:max(bounds[0], bounds[1])]}, nil
}

func sort(env *Env, args []argument) (Value, error) {
	fn, ok := aggregates[strings.ToUpper(args[1].text)]
	order := strings.ToUpper(args[2].text)
	if args[0].Kind != Array || !ok || order != "ASC" && order != "DESC" {
		return Value{}, errArgument
	}
	type ranked struct {
		Series
		by float64
	}
	var all []ranked
	for _, s := range args[0].Series {
		if err := env.spend(len(s.Points)); err != nil {
			return Value{}, err
		}
		if len(s.Points) > 0 {
			all = append(all, ranked{s, fn(values(s.Points))})
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		if order == "DESC" {
			a, b = b, a
		}
		return cmp.Compare(a.by, b.by)
	})
	if len(args) == 4 {
		if args[3].Kind != Scalar || args[3].isText || args[3].Number < 1 {
			return Value{}, errArgument
		}
		all = all[:int(min(args[3].Number, float64(len(all))))]
	}
	out := Value{Kind: Array}
	for _, r := range all {
		out.Series = append(out.Series, r.Series)
	}
	return out, nil
}

func timeSeries(env *Env, args []argument) (Value, error) {
	if args[0].Kind != Scalar || args[0].isText {
		return Value{}, errArgument
	}
	return env.constant(args[0].Number)
}
