package lakesql

import (
	"cmp"
	"math"
)

// truth is the value of a condition: yes, no, or unknown (NULL). Negation is NOT.
type truth int8

const (
	no      truth = -1
	unknown truth = 0
	yes     truth = 1
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// test is a condition that a scan checks on its own, before the engine sees the record.
type test struct {
	scan  *scan
	check func(*record) truth
}

// combined is the AND or the OR of conditions, if all of them are tests of the same scan.
func combined(vals []val, or bool) *test {
	checks := make([]func(*record) truth, len(vals))
	for i, v := range vals {
		if v.test == nil || v.test.scan != vals[0].test.scan {
			return nil
		}
		checks[i] = v.test.check
	}
	if len(vals) == 0 {
		return nil
	}
	sign := truth(1)
	if or {
		sign = -1 // OR is AND of the opposites, turned round
	}
	return &test{vals[0].test.scan, func(r *record) truth {
		out := yes
		for _, check := range checks {
			if out = min(out, sign*check(r)); out == no {
				break
			}
		}
		return sign * out
	}}
}

// comparison is the test of a field against a literal, or nil.
func comparison(operator string, a, b val) *test {
	if a.path == nil {
		a, b, operator = b, a, mirrored(operator)
	}
	if a.path == nil || b.literal == nil {
		return nil
	}
	accepts := func(order int) bool {
		switch operator {
		case "=":
			return order == 0
		case "<>":
			return order != 0
		case "<":
			return order < 0
		case "<=":
			return order <= 0
		case ">":
			return order > 0
		}
		return order >= 0
	}
	sc := a.path.scan
	column := sc.column(a.path.steps, a.typ)
	switch want := b.literal.(type) {
	case string:
		if a.typ.kind != kindVarchar {
			return nil
		}
		return &test{sc, func(r *record) truth {
			text, ok := r.text(column)
			if !ok {
				return unknown
			}
			return truthOf(accepts(compareBytes(text, want)))
		}}
	case int64, bool:
		if a.typ.kind != kindBoolean && a.typ.kind != kindBigint && !a.typ.isTime() {
			return nil
		}
		n, ok := want.(int64)
		if !ok && want.(bool) {
			n = 1
		}
		return &test{sc, func(r *record) truth {
			got, ok := r.value(column).(int64)
			if !ok {
				return unknown
			}
			return truthOf(accepts(cmp.Compare(got, n)))
		}}
	}
	return nil
}

// mirrored is the operator with its sides exchanged.
func mirrored(operator string) string {
	switch operator[0] {
	case '=':
		return operator
	case '>':
		return "<" + operator[1:]
	}
	if operator == "<>" {
		return operator
	}
	return ">" + operator[1:]
}

func compareBytes(a []byte, b string) int {
	return cmp.Compare(string(a), b) // the compiler makes no copy
}

func nullTest(v val, negated bool) *test {
	if v.path == nil {
		return nil
	}
	sc := v.path.scan
	column := sc.column(v.path.steps, v.typ)
	return &test{sc, func(r *record) truth { return truthOf(r.isNull(column) != negated) }}
}

func likeTest(all []val) *test {
	if all[0].path == nil || all[0].typ.kind != kindVarchar {
		return nil
	}
	var texts []string
	for _, v := range all[1:] {
		text, ok := v.literal.(string)
		if !ok {
			return nil
		}
		texts = append(texts, text)
	}
	pattern, err := compileLike(texts[0], texts[1:]...)
	if err != nil {
		return nil // the engine tells it
	}
	sc := all[0].path.scan
	column := sc.column(all[0].path.steps, typVarchar)
	return &test{sc, func(r *record) truth {
		text, ok := r.text(column)
		if !ok {
			return unknown
		}
		return truthOf(pattern.match(string(text)))
	}}
}

// timeBound is a bound that a condition sets to the eventTime of a scan's records.
type timeBound struct {
	upper bool
	plus  int64  // milliseconds to add to the value, for the bound of a range whose end is not included
	sql   string // the value, which depends on no record
	ms    int64  // the value, if it is known
	known bool
}

// timeRange says what a comparison says about the time of a scan's records, if it does.
func timeRange(operator string, a, b val, t *translator) (*scan, []timeBound) {
	if a.path == nil {
		a, b, operator = b, a, mirrored(operator)
	}
	if a.path == nil || len(a.path.steps) != 1 || a.path.steps[0] != "eventTime" || !b.fixed || !b.typ.isTime() {
		return nil, nil
	}
	bound := timeBound{sql: t.sql(b)}
	bound.ms, bound.known = b.literal.(int64)
	lower, upper := bound, bound
	upper.upper = true
	switch operator {
	case ">", ">=":
		return a.path.scan, []timeBound{lower}
	case "<":
		return a.path.scan, []timeBound{upper}
	case "<=":
		upper.plus = 1
		return a.path.scan, []timeBound{upper}
	case "=":
		upper.plus = 1
		return a.path.scan, []timeBound{lower, upper}
	}
	return nil, nil
}

// span is a time range in milliseconds; the ends of int64 are no bounds.
type span struct{ from, to int64 }

var allTime = span{math.MinInt64, math.MaxInt64}

// narrowed is the range within a bound of a known value.
func (s span) narrowed(b timeBound, ms int64) span {
	if b.upper {
		if ms < math.MaxInt64-b.plus {
			s.to = min(s.to, ms+b.plus)
		}
	} else {
		s.from = max(s.from, ms)
	}
	return s
}
