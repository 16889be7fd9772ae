package lakesql

import (
	"fmt"
	"maps"
	"strings"
)

// function is one of Trino's scalar functions, of arguments of given types.
type function struct {
	// params are the arguments' types: s varchar, i bigint, d double, b boolean, t a time, j JSON or varchar, a an array, m a map, x any; those behind a ?
	// can be left out, and the last one before a * is repeated.
	params string
	result *typ
	run    scalar
	nulls  bool // is called with NULLs, too; all others make NULL of NULL
}

// scalar computes a function of values as the engine holds them: nil, int64, float64 or string.
type scalar func(x *execution, a []any) (any, error)

// functions are all plain functions by name; those of the engine's own SQL, which no statement can name, stand in internals.
var functions = merged(stringFunctions, mathFunctions, timeFunctions, jsonFunctions, collectionFunctions)

func merged(tables ...map[string]function) map[string]function {
	all := make(map[string]function)
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

// callOf translates a call.
func (t *translator) callOf(s *scope, e *expr) val {
	if e.call.over != nil {
		return t.windowed(s, e)
	}
	if a, ok := aggregates[e.text]; ok {
		return t.aggregate(s, e, a)
	}
	if e.call.filter != nil || e.call.distinct || e.call.order != nil {
		panic(e.place.errorf("'%s' is not an aggregate function", e.text))
	}
	if special := specialFunctions(e.text); special != nil {
		return special(t, s, e)
	}
	f, ok := functions[e.text]
	if !ok {
		if _, window := windowFunctions[e.text]; window {
			panic(e.place.errorf("Window function %s requires an OVER clause", e.text))
		}
		panic(e.place.errorf("Function '%s' not registered", e.text))
	}
	return t.apply(e, e.text, f, t.exprs(s, e.args))
}

// apply is a call of a plain function.
func (t *translator) apply(e *expr, name string, f function, args []val) val {
	params, optional, _ := strings.Cut(f.params, "?")
	all := params + optional
	repeated := strings.HasSuffix(all, "*")
	all = strings.TrimSuffix(all, "*")
	ok := len(args) >= len(strings.TrimSuffix(params, "*")) && (repeated || len(args) <= len(all))
	sqls := make([]string, len(args))
	for i, v := range args {
		if !ok {
			break
		}
		if v, ok = t.argument(v, all[min(i, len(all)-1)]); ok {
			sqls[i] = t.sql(v)
		}
	}
	if !ok {
		types := make([]string, len(args))
		for i, v := range args {
			types[i] = v.typ.String()
		}
		panic(e.place.errorf("Unexpected parameters (%s) for function %s", strings.Join(types, ", "), name))
	}
	t.few(e, sqls)
	return t.of(t.function(name, sqls...), f.result, args...)
}

// argument makes a value of the type that a parameter wants.
func (t *translator) argument(v val, param byte) (val, bool) {
	if v.typ.kind == kindUnknown {
		return v, true
	}
	switch param {
	case 's':
		return v, v.typ.kind == kindVarchar
	case 'i':
		return v, v.typ.kind == kindBigint
	case 'd':
		if !v.typ.isNumber() {
			return v, false
		}
		return t.coerce(v, typDouble), true
	case 'b':
		return v, v.typ.kind == kindBoolean
	case 't':
		if v.typ.kind == kindVarchar {
			return t.coerce(v, typTimestamp), true
		}
		return v, v.typ.isTime()
	case 'j':
		return v, v.typ.kind == kindJSON || v.typ.kind == kindVarchar
	case 'a':
		return v, v.typ.kind == kindArray
	case 'm':
		return v, v.typ.kind == kindMap
	}
	return v, true
}

// specialFunctions are those whose result's type depends on their arguments', or that compute no more than they must.
func specialFunctions(name string) func(*translator, *scope, *expr) val {
	switch name {
	case "coalesce":
		return (*translator).coalesce
	case "nullif":
		return (*translator).nullIf
	case "if":
		return (*translator).ifElse
	case "try":
		return (*translator).trying
	case "greatest", "least":
		return (*translator).extreme
	case "concat":
		return (*translator).concatAll
	case "now", "current_timestamp", "current_date", "localtimestamp":
		return (*translator).now
	case "date_add", "date_trunc":
		return (*translator).sameTime
	case "typeof":
		return func(t *translator, s *scope, e *expr) val {
			t.count(e, 1)
			v := t.expr(s, e.args[0])
			return t.literal(e.place, typVarchar, v.typ.String())
		}
	case "abs", "mod", "sign", "round", "ceil", "ceiling", "floor":
		return (*translator).numeric
	case "reverse":
		return func(t *translator, s *scope, e *expr) val {
			t.count(e, 1)
			v := t.expr(s, e.args[0])
			if v.typ.kind == kindArray {
				return t.of(t.function("array_reverse", t.sql(v)), v.typ, v)
			}
			return t.apply(e, "text_reverse", function{"s", typVarchar, nil, false}, []val{v})
		}
	}
	return collectionSpecial(name)
}

// count checks the number of a call's arguments.
func (t *translator) count(e *expr, n int) {
	if len(e.args) != n {
		panic(e.place.errorf("Unexpected number of parameters for function %s: %d, expected: %d", e.text, len(e.args), n))
	}
}

// unified are values of one type.
func (t *translator) unified(e *expr, all []val) ([]val, *typ) {
	typ := typUnknown
	for _, v := range all {
		c := common(typ, v.typ)
		if c == nil {
			panic(e.place.errorf("All %s operands must be the same type: %s, %s", strings.ToUpper(e.text), typ, v.typ))
		}
		typ = c
	}
	out := make([]val, len(all))
	for i, v := range all {
		out[i] = t.coerce(v, typ)
	}
	return out, typ
}

func (t *translator) sqls(all []val) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = t.sql(v)
	}
	return out
}

func (t *translator) coalesce(s *scope, e *expr) val {
	if len(e.args) < 2 {
		panic(e.place.errorf("The 'coalesce' function must have at least two arguments"))
	}
	all, typ := t.unified(e, t.exprs(s, e.args))
	sqls := t.sqls(all)
	t.few(e, sqls)
	return t.of("coalesce("+strings.Join(sqls, ", ")+")", typ, all...)
}

func (t *translator) nullIf(s *scope, e *expr) val {
	t.count(e, 2)
	all := t.exprs(s, e.args)
	equal := t.compare(e, "=", all[0], all[1])
	return t.of("CASE WHEN "+equal.sql+" THEN NULL ELSE "+t.sql(all[0])+" END", all[0].typ, all...)
}

func (t *translator) ifElse(s *scope, e *expr) val {
	if len(e.args) != 2 && len(e.args) != 3 {
		t.count(e, 3)
	}
	return t.cases(s, &expr{op: opCase, place: e.place, args: e.args})
}

func (t *translator) trying(s *scope, e *expr) val {
	t.count(e, 1)
	t.try++
	defer func() { t.try-- }()
	v := t.expr(s, e.args[0])
	v.sql, v.path, v.literal = t.sql(v), nil, nil
	return v
}

func (t *translator) extreme(s *scope, e *expr) val {
	if len(e.args) == 0 {
		t.count(e, 2)
	}
	all, typ := t.unified(e, t.exprs(s, e.args))
	if !typ.orderable() {
		panic(e.place.errorf("Unexpected parameters (%s) for function %s", typ, e.text))
	}
	sqls := t.sqls(all)
	if t.few(e, sqls); len(sqls) == 1 {
		return all[0]
	}
	name := map[string]string{"greatest": "max", "least": "min"}[e.text]
	return t.of(name+"("+strings.Join(sqls, ", ")+")", typ, all...) // of several arguments: the engine's functions, not its aggregates
}

func (t *translator) concatAll(s *scope, e *expr) val {
	if len(e.args) < 2 {
		panic(e.place.errorf("There must be two or more concatenation arguments"))
	}
	all := t.exprs(s, e.args)
	out := all[0]
	for _, v := range all[1:] {
		out = t.concat(e, out, v)
	}
	return out
}

func (t *translator) now(_ *scope, e *expr) val {
	t.count(e, 0)
	v := val{sql: t.param(nowParameter{}), typ: typZoned, fixed: true}
	switch e.text {
	case "current_date":
		v.typ, v.sql = typDate, t.function("date_trunc", "'day'", v.sql)
	case "localtimestamp":
		v.typ = typTimestamp
	}
	return v
}

// sameTime translates the functions of times whose result is of their last argument's type.
func (t *translator) sameTime(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	params := map[string]string{"date_add": "sit", "date_trunc": "st"}[e.text]
	result := typTimestamp
	if n := len(all); n == len(params) && all[n-1].typ.isTime() {
		result = all[n-1].typ
	}
	return t.apply(e, e.text, function{params, result, nil, false}, all)
}

// numeric translates the functions of numbers whose result is of their arguments' type.
func (t *translator) numeric(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	prefix, params, result := "i", map[string]string{"mod": "ii", "round": "i?i"}[e.text], typBigint
	if params == "" {
		params = "i"
	}
	for _, v := range all[:min(len(all), len(strings.ReplaceAll(params, "?i", "")))] {
		if v.typ.kind == kindDouble {
			prefix, params, result = "f", strings.Replace(strings.Replace(params, "ii", "dd", 1), "i", "d", 1), typDouble
			break
		}
	}
	name := e.text
	if name == "ceiling" {
		name = "ceil"
	}
	return t.apply(e, prefix+name, function{params, result, nil, false}, all)
}

// cast translates CAST. A lenient one makes NULL of what cannot be converted.
func (t *translator) cast(e *expr, v val, to *typ, lenient bool) val {
	from := v.typ
	name := "cast_value"
	if lenient {
		name = "try_cast_value"
	} else if t.try > 0 {
		name = "try_" + name
	}
	convert := t.of(fmt.Sprintf("%s(%s, %s, %s)", name, t.sql(v), t.param(from.code()), t.param(to.code())), to, v)
	switch {
	case from.kind == kindUnknown:
		return t.of("NULL", to, v)
	case from.kind == to.kind && !from.isText():
		v.typ = to
		return v
	case from.kind == kindJSON && (to.kind == kindArray || to.kind == kindMap || to.kind == kindRow || to.kind == kindJSON), to.kind == kindJSON:
		return convert
	case from.kind == to.kind && to.isText():
		return t.of(t.sql(v), to, v)
	case from.isTime() && to.isTime():
		if to.kind == kindDate {
			return t.of(t.function("date_trunc", "'day'", t.sql(v)), to, v)
		}
		return t.of(t.sql(v), to, v)
	case from.kind == kindJSON && !to.isText(), from.kind == kindVarchar && !to.isText() && to.kind != kindDays && to.kind != kindMonths,
		to.kind == kindVarchar && !from.isText(), (from.isNumber() || from.kind == kindBoolean) && (to.isNumber() || to.kind == kindBoolean):
		return convert
	}
	panic(e.place.errorf("Cannot cast %s to %s", from, to))
}
