package metricmath_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/metricmath"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// series reads the numbers of a series; - is none.
func series(label, text string) metricmath.Series {
	s := metricmath.Series{Label: label, Period: time.Minute}
	for i, f := range strings.Fields(text) {
		if v, err := strconv.ParseFloat(f, 64); err == nil {
			s.Points = append(s.Points, metricmath.Point{Time: noon.Unix() + int64(60*i), Value: v})
		}
	}
	return s
}

func env() *metricmath.Env {
	all := []metricmath.Series{series("a", "1 2 3 4 5"), series("b", "10 - 30 - 50"), series("z", "0 0 0 0 0"), series("none", "")}
	return &metricmath.Env{
		From: noon, To: noon.Add(5 * time.Minute), Period: time.Minute,
		Lookup: func(id string) (metricmath.Value, bool) {
			for _, s := range all {
				if s.Label == id {
					return metricmath.Of(s), true
				}
			}
			return metricmath.Value{}, false
		},
		Metrics: func(text string) (found []metricmath.Series) {
			for _, s := range all {
				if strings.Contains(s.Label, text) {
					found = append(found, s)
				}
			}
			return found
		},
	}
}

// text writes a value as the cases have it.
func text(v metricmath.Value) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	if v.Kind == metricmath.Scalar {
		return number(v.Number)
	}
	var all []string
	for _, s := range v.Series {
		slots := []string{"-", "-", "-", "-", "-"}
		for _, p := range s.Points {
			slots[(p.Time-noon.Unix())/60] = number(p.Value)
		}
		all = append(all, strings.Join(slots, " "))
	}
	if v.Kind == metricmath.Array {
		return "[" + strings.Join(all, "; ") + "]"
	}
	return all[0]
}

func eval(expression string) string {
	x, err := metricmath.Parse(expression)
	if err != nil {
		return err.Error()
	}
	v, err := x.Eval(env())
	if err != nil {
		return err.Error()
	}
	return text(v)
}

func cases(t testing.TB) (list [][2]string) {
	b, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if expression, want, ok := strings.Cut(strings.TrimSpace(line), " => "); ok && !strings.HasPrefix(line, "#") {
			list = append(list, [2]string{expression, want})
		}
	}
	return list
}

func TestCases(t *testing.T) {
	for _, c := range cases(t) {
		if got := eval(c[0]); got != c[1] {
			t.Errorf("%s is %s, want %s", c[0], got, c[1])
		}
	}
}

func TestBounds(t *testing.T) {
	for name, expression := range map[string]string{
		"TooLong": strings.Repeat("1+", 2000) + "1", "TooDeep": strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500), "TooManySigns": strings.Repeat("-", 500) + "1",
	} {
		if _, err := metricmath.Parse(expression); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	x, err := metricmath.Parse(strings.Repeat("TIME_SERIES(1)+", 100) + "1")
	if err != nil {
		t.Fatal(err)
	}
	e := env()
	e.To = e.From.Add(455 * 24 * time.Hour)
	if _, err := x.Eval(e); err != metricmath.ErrTooMuch {
		t.Errorf("a year of minutes a hundred times: %v", err)
	}
}

func FuzzEval(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(c[0])
	}
	f.Fuzz(func(t *testing.T, expression string) {
		x, err := metricmath.Parse(expression)
		if err != nil {
			return
		}
		v, err := x.Eval(env())
		if err == nil && v.Kind == metricmath.TimeSeries && len(v.Series) != 1 {
			t.Errorf("%s is a time series with %d parts", expression, len(v.Series))
		}
	})
}
