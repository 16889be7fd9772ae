package lakesql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"

	"modernc.org/sqlite"
)

// rows is what an aggregate keeps of a group's rows.
type rows interface {
	// add takes a row's arguments, and says how many bytes it keeps of them.
	add(args []any) (int64, error)
	value() (any, error)
}

// grouping is an aggregate over one group. It implements sqlite.AggregateFunction.
type grouping struct {
	engine *engine
	rows   rows
	kept   int64
}

func (g *grouping) Step(_ *sqlite.FunctionContext, args []driver.Value) (err error) {
	defer g.engine.contain(&err)
	n, err := g.rows.add(owned(args))
	if err != nil {
		return g.engine.run.fail(evaluation(err))
	}
	g.kept += n
	return g.engine.run.charge(n)
}

func (g *grouping) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	return errors.New("not a window function")
}

func (g *grouping) WindowValue(*sqlite.FunctionContext) (_ driver.Value, err error) {
	defer g.engine.contain(&err)
	v, err := g.rows.value()
	if err != nil {
		return nil, g.engine.run.fail(evaluation(err))
	}
	if text, ok := v.(string); ok && len(text) > maxText {
		return nil, g.engine.run.fail(evaluation(errTooLong))
	}
	return v, nil
}

func (g *grouping) Final(*sqlite.FunctionContext) {
	if g.engine.run != nil {
		g.engine.run.charge(-g.kept)
	}
}

// rowFunctions are the aggregates that the engine does not have, by their names there.
func rowFunctions() map[string]func() rows {
	all := map[string]func() rows{
		"only_row":   func() rows { return &onlyRow{} },
		"max_by":     func() rows { return &extremeBy{sign: 1} },
		"min_by":     func() rows { return &extremeBy{sign: -1} },
		"map_agg":    func() rows { return &mapAgg{} },
		"histogram":  func() rows { return &histogram{counts: make(map[string]int64)} },
		"list_agg":   func() rows { return &listAgg{} },
		"percentile": func() rows { return &percentile{} },
		"stddev":     func() rows { return &moments{sample: true, root: true} },
		"stddev_pop": func() rows { return &moments{root: true} },
		"variance":   func() rows { return &moments{sample: true} },
		"var_pop":    func() rows { return &moments{} },
	}
	for k := kindUnknown; k <= kindRow; k++ {
		all[fmt.Sprintf("array_agg_%d", k)] = func() rows { return &arrayAgg{kind: k} }
	}
	return all
}

func sizeOf(v any) int64 {
	text, _ := v.(string)
	return int64(16 + len(text))
}

// onlyRow is the value of a scalar subquery.
type onlyRow struct {
	v   any
	any bool
}

func (r *onlyRow) add(args []any) (int64, error) {
	if r.any {
		return 0, errors.New("Scalar sub-query has returned multiple rows")
	}
	r.v, r.any = args[0], true
	return sizeOf(r.v), nil
}

func (r *onlyRow) value() (any, error) { return r.v, nil }

type arrayAgg struct {
	kind kind
	json []byte
}

func (r *arrayAgg) add(args []any) (int64, error) {
	had := len(r.json)
	if had == 0 {
		r.json = append(r.json, '[')
	} else {
		r.json = append(r.json, ',')
	}
	r.json = encoded(r.json, args[0], r.kind)
	if len(r.json) > maxText {
		return 0, errTooLong
	}
	return int64(len(r.json) - had), nil
}

func (r *arrayAgg) value() (any, error) {
	if r.json == nil {
		return nil, nil
	}
	return string(r.json) + "]", nil
}

type extremeBy struct {
	sign  int
	v, by any
	any   bool
}

func (r *extremeBy) add(args []any) (int64, error) {
	if args[1] == nil || r.any && r.sign*compareValues(args[1], r.by) <= 0 {
		return 0, nil
	}
	grown := sizeOf(args[0]) + sizeOf(args[1])
	if r.any {
		grown -= sizeOf(r.v) + sizeOf(r.by)
	}
	r.v, r.by, r.any = args[0], args[1], true
	return grown, nil
}

func (r *extremeBy) value() (any, error) { return r.v, nil }

type mapAgg struct {
	json []byte
	has  map[string]bool
}

func (r *mapAgg) add(args []any) (int64, error) {
	key, ok := args[0].(string)
	if !ok || r.has[key] {
		return 0, nil
	}
	if r.has == nil {
		r.has = make(map[string]bool)
	}
	r.has[key] = true
	had := len(r.json)
	r.json = append(r.json, ',')
	r.json = append(appendQuoted(r.json, key), ':')
	r.json = encoded(r.json, args[1], kind(args[2].(int64)))
	if len(r.json) > maxText {
		return 0, errTooLong
	}
	return int64(len(r.json)-had) + sizeOf(key) + 32, nil
}

func (r *mapAgg) value() (any, error) {
	if r.json == nil {
		return nil, nil
	}
	return "{" + string(r.json[1:]) + "}", nil
}

type histogram struct{ counts map[string]int64 }

func (r *histogram) add(args []any) (int64, error) {
	key, ok := args[0].(string)
	if !ok {
		return 0, nil
	}
	r.counts[key]++
	if r.counts[key] > 1 {
		return 0, nil
	}
	return sizeOf(key) + 48, nil
}

func (r *histogram) value() (any, error) {
	if len(r.counts) == 0 {
		return nil, nil
	}
	keys := make([]string, 0, len(r.counts))
	for key := range r.counts {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := []byte{'{'}
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Append(append(appendQuoted(out, key), ':'), r.counts[key])
	}
	return string(append(out, '}')), nil
}

type listAgg struct {
	text []byte
	any  bool
}

func (r *listAgg) add(args []any) (int64, error) {
	text, ok := args[0].(string)
	if !ok {
		return 0, nil
	}
	had := len(r.text)
	if separator, ok := args[1].(string); ok && r.any {
		r.text = append(r.text, separator...)
	}
	r.any = true
	if r.text = append(r.text, text...); len(r.text) > maxText {
		return 0, errTooLong
	}
	return int64(len(r.text) - had), nil
}

func (r *listAgg) value() (any, error) {
	if !r.any {
		return nil, nil
	}
	return string(r.text), nil
}

// percentile is exact, and therefore keeps all values.
type percentile struct {
	values []float64
	whole  bool // only integers were met
	at     float64
}

func (r *percentile) add(args []any) (int64, error) {
	if args[0] == nil {
		return 0, nil
	}
	_, whole := args[0].(int64)
	r.whole = whole && (r.whole || len(r.values) == 0)
	if r.at = number(args[1]); r.at < 0 || r.at > 1 {
		return 0, errors.New("percentile must be between 0 and 1")
	}
	r.values = append(r.values, number(args[0]))
	return 8, nil
}

func (r *percentile) value() (any, error) {
	if len(r.values) == 0 {
		return nil, nil
	}
	slices.Sort(r.values)
	v := r.values[min(int(r.at*float64(len(r.values))), len(r.values)-1)]
	if r.whole {
		return int64(v), nil
	}
	return v, nil
}

// moments is the variance or its root, by Welford's method.
type moments struct {
	sample, root bool
	n            float64
	mean, sum    float64
}

func (r *moments) add(args []any) (int64, error) {
	if args[0] == nil {
		return 0, nil
	}
	r.n++
	delta := number(args[0]) - r.mean
	r.mean += delta / r.n
	r.sum += delta * (number(args[0]) - r.mean)
	return 0, nil
}

func (r *moments) value() (any, error) {
	n := r.n
	if r.sample {
		n--
	}
	if n <= 0 {
		return nil, nil
	}
	v := r.sum / n
	if r.root {
		v = math.Sqrt(v)
	}
	return v, nil
}
