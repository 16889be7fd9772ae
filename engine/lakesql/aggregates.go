package lakesql

import (
	"fmt"
	"strings"
)

// aggregate is a function over the rows of a group.
type aggregate struct {
	params string // as those of function; n is any number, o anything with an order
	// sql makes the engine's SQL of the arguments, the first of them with DISTINCT if the statement says so.
	sql    string
	result func(args []val) *typ
}

func always(t *typ) func([]val) *typ { return func([]val) *typ { return t } }

func first(args []val) *typ { return args[0].typ }

// aggregates are by name. {0} is the first argument, {t0} its type's code.
var aggregates = map[string]aggregate{
	"count":             {"?x", "count({0})", always(typBigint)},
	"count_if":          {"b", "count(CASE WHEN {0} THEN 1 END)", always(typBigint)},
	"sum":               {"n", "sum({0})", first},
	"avg":               {"n", "avg({0})", always(typDouble)},
	"min":               {"o", "min({0})", first},
	"max":               {"o", "max({0})", first},
	"approx_distinct":   {"x?d", "count(DISTINCT {0})", always(typBigint)},
	"bool_and":          {"b", "min({0})", always(typBoolean)},
	"every":             {"b", "min({0})", always(typBoolean)},
	"bool_or":           {"b", "max({0})", always(typBoolean)},
	"arbitrary":         {"x", "min({0})", first},
	"any_value":         {"x", "min({0})", first},
	"max_by":            {"xo", "max_by({0}, {1})", first},
	"min_by":            {"xo", "min_by({0}, {1})", first},
	"array_agg":         {"x", "array_agg_{t0}({0})", func(args []val) *typ { return arrayOf(args[0].typ) }},
	"set_agg":           {"x", "array_agg_{t0}(DISTINCT {0})", func(args []val) *typ { return arrayOf(args[0].typ) }},
	"map_agg":           {"sx", "map_agg({0}, {1}, {t1})", func(args []val) *typ { return mapOf(typVarchar, args[1].typ) }},
	"histogram":         {"s", "histogram({0})", always(mapOf(typVarchar, typBigint))},
	"listagg":           {"s?s", "list_agg({0}, {1})", always(typVarchar)},
	"approx_percentile": {"nd", "percentile({0}, {1})", first},
	"stddev":            {"d", "stddev({0})", always(typDouble)},
	"stddev_samp":       {"d", "stddev({0})", always(typDouble)},
	"stddev_pop":        {"d", "stddev_pop({0})", always(typDouble)},
	"variance":          {"d", "variance({0})", always(typDouble)},
	"var_samp":          {"d", "variance({0})", always(typDouble)},
	"var_pop":           {"d", "var_pop({0})", always(typDouble)},
}

// windowable are the aggregates that can stand before OVER.
var windowable = wordSet("count count_if sum avg min max bool_and bool_or every")

func (t *translator) aggregate(s *scope, e *expr, a aggregate) val {
	switch {
	case s.noAggregates != "":
		panic(e.place.errorf("%s cannot contain aggregations, window functions or grouping operations: %s", s.noAggregates, e.text))
	case s.inAggregate:
		panic(e.place.errorf("Cannot nest aggregations inside aggregation '%s'", e.text))
	}
	s.aggregated = true
	s.inAggregate = true
	defer func() { s.inAggregate = false }()
	v := t.aggregated(s, e, a)
	if e.call.order != nil {
		if !strings.HasSuffix(v.sql, ")") || a.sql == "count(CASE WHEN {0} THEN 1 END)" {
			panic(e.place.errorf("ORDER BY is not supported in %s", e.text))
		}
		v.sql = strings.TrimSuffix(v.sql, ")") + " ORDER BY " + t.orderBy(s, e.call.order, nil, nil) + ")"
	}
	if e.call.filter != nil {
		f := t.boolean(s, e.call.filter, "FILTER")
		v.sql += " FILTER (WHERE " + f.sql + ")"
	}
	v.fixed, v.free = false, nil
	return v
}

// aggregated is the call itself, without ORDER BY, FILTER and OVER.
func (t *translator) aggregated(s *scope, e *expr, a aggregate) val {
	if len(e.args) == 1 && e.args[0].op == opStar {
		if e.text != "count" || e.call.distinct {
			panic(e.place.errorf("Unexpected parameters (*) for function %s", e.text))
		}
		return t.of("count(*)", typBigint)
	}
	args := t.exprs(s, e.args)
	if e.text == "count" && len(args) == 0 {
		return t.of("count(*)", typBigint)
	}
	if e.text == "listagg" && len(args) == 1 {
		args = append(args, t.literal(e.place, typVarchar, ""))
	}
	t.checkArguments(e, a, args)
	sql := a.sql
	for i, v := range args {
		arg := t.sql(v)
		if i == 0 && e.call.distinct && !strings.Contains(sql, "DISTINCT") {
			if len(args) > 1 || strings.Contains(sql, "CASE") {
				panic(e.place.errorf("DISTINCT is not supported in %s", e.text))
			}
			arg = "DISTINCT " + arg
		}
		sql = strings.ReplaceAll(sql, fmt.Sprintf("{t%d}", i), fmt.Sprint(v.typ.code()))
		sql = strings.ReplaceAll(sql, fmt.Sprintf("{%d}", i), arg)
	}
	return t.of(sql, a.result(args), args...)
}

func (t *translator) checkArguments(e *expr, a aggregate, args []val) {
	params, optional, _ := strings.Cut(a.params, "?")
	ok := len(args) >= len(params) && len(args) <= len(params+optional)
	for i := range args {
		if !ok {
			break
		}
		switch param := (params + optional)[i]; param {
		case 'n':
			ok = args[i].typ.isNumber() || args[i].typ.kind == kindUnknown
		case 'o':
			ok = args[i].typ.orderable()
		default:
			args[i], ok = t.argument(args[i], param)
		}
	}
	if !ok {
		types := make([]string, len(args))
		for i, v := range args {
			types[i] = v.typ.String()
		}
		panic(e.place.errorf("Unexpected parameters (%s) for function %s", strings.Join(types, ", "), e.text))
	}
}

// windowFunctions are those that stand before OVER only, with the engine's own of the same name behind them.
var windowFunctions = map[string]aggregate{
	"row_number":   {"", "", always(typBigint)},
	"rank":         {"", "", always(typBigint)},
	"dense_rank":   {"", "", always(typBigint)},
	"percent_rank": {"", "", always(typDouble)},
	"cume_dist":    {"", "", always(typDouble)},
	"ntile":        {"i", "", always(typBigint)},
	"lag":          {"x?ix", "", first},
	"lead":         {"x?ix", "", first},
	"first_value":  {"x", "", first},
	"last_value":   {"x", "", first},
	"nth_value":    {"xi", "", first},
}

func (t *translator) windowed(s *scope, e *expr) val {
	if s.noAggregates != "" || s.inAggregate {
		panic(e.place.errorf("%s cannot contain aggregations, window functions or grouping operations: %s", s.noAggregates, e.text))
	}
	s.windowed = true
	var v val
	if a, ok := windowFunctions[e.text]; ok {
		args := t.exprs(s, e.args)
		t.checkArguments(e, a, args)
		v = t.of(e.text+"("+strings.Join(t.sqls(args), ", ")+")", a.result(args), args...)
	} else if a, ok := aggregates[e.text]; ok && windowable[strings.ToUpper(e.text)] || ok && windowable[e.text] {
		v = t.aggregated(s, e, a)
	} else {
		panic(e.place.errorf("Function '%s' cannot be used with OVER", e.text))
	}
	if e.call.distinct || e.call.order != nil {
		panic(e.place.errorf("DISTINCT and ORDER BY are not supported in a window function's parameters"))
	}
	if e.call.filter != nil {
		f := t.boolean(s, e.call.filter, "FILTER")
		v = t.of(v.sql+" FILTER (WHERE "+f.sql+")", v.typ, v, f)
	}
	over, parts := t.over(s, e.call.over)
	out := t.of(v.sql+" OVER ("+over+")", v.typ, append(parts, v)...)
	out.fixed = false
	return out
}

func (t *translator) over(s *scope, w *window) (string, []val) {
	var clauses []string
	var parts []val
	if w.partition != nil {
		parts = t.exprs(s, w.partition)
		clauses = append(clauses, "PARTITION BY "+strings.Join(t.sqls(parts), ", "))
	}
	if w.order != nil {
		var terms []string
		for _, o := range w.order {
			v := t.expr(s, o.expr)
			parts = append(parts, v)
			terms = append(terms, t.ordered(v, o))
		}
		clauses = append(clauses, "ORDER BY "+strings.Join(terms, ", "))
	}
	if f := w.frame; f != nil {
		clauses = append(clauses, f.unit+" BETWEEN "+t.bound(f.start)+" AND "+t.bound(f.end))
	}
	return strings.Join(clauses, " "), parts
}

func (t *translator) bound(b bound) string {
	if b.offset == nil {
		return b.kind
	}
	v := t.expr(&scope{}, b.offset)
	if v.typ.kind != kindBigint {
		panic(b.offset.place.errorf("Window frame offset value type must be BIGINT (actual %s)", v.typ))
	}
	return t.sql(v) + " " + b.kind
}
