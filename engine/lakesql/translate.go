package lakesql

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// translator makes the engine's SQL of a statement. Of the user's text nothing enters it: literals become parameters, and every name is made here.
// Its methods panic with *Error.
type translator struct {
	params   []any // of ?1 and on: literals, or nowParameter
	interned map[any]int
	scans    []*scan
	names    int
	steps    int // expressions translated
	parts    int // queries translated, WITH's once for each reference
	try      int // depth in TRY
}

// nowParameter stands for the time at which the query runs, in milliseconds.
type nowParameter struct{}

// val is an expression in the engine's SQL.
type val struct {
	sql     string
	typ     *typ
	place   place
	literal any         // what it is, if it's known: bool, int64, float64, string
	fixed   bool        // depends on no column
	path    *path       // a field of a record; sql is empty until it's needed
	free    *expr       // a column in it that is in no aggregate
	test    *test       // the same condition for a single record, if there is one
	within  []timeBound // what the condition says about the records' time
	scan    *scan       // of within
}

// path is a field of the records of a scan.
type path struct {
	scan  *scan
	steps []string
}

func (p *path) key() string { return p.scan.name + "\x00" + strings.Join(p.steps, "\x00") }

// Some expressions stand several times in the engine's SQL, and so do the queries of WITH. These bound what they multiply into.
const (
	maxParts = 200
	maxSteps = 100_000
	maxSQL   = 1 << 20
)

// output is what a translated query yields, in columns c0, c1, ...
type output struct {
	sql     string
	columns []outputColumn
}

type outputColumn struct {
	name string
	typ  *typ
}

func (t *translator) name(prefix string) string {
	t.names++
	return prefix + strconv.Itoa(t.names)
}

// param is the parameter that stands for a value.
func (t *translator) param(value any) string {
	n, ok := t.interned[value]
	if !ok {
		t.params = append(t.params, value)
		n = len(t.params)
		t.interned[value] = n
	}
	return "?" + strconv.Itoa(n)
}

func (t *translator) literal(at place, typ *typ, value any) val {
	bound := value
	if b, ok := value.(bool); ok {
		bound = int64(0)
		if b {
			bound = int64(1)
		}
	}
	return val{sql: t.param(bound), typ: typ, place: at, literal: value, fixed: true}
}

// sql is the engine's expression of a value.
func (t *translator) sql(v val) string {
	if v.sql == "" && v.path != nil {
		return v.path.scan.name + ".c" + strconv.Itoa(v.path.scan.column(v.path.steps, v.typ))
	}
	return v.sql
}

// environment is the WITH queries that can be named.
type environment struct {
	outer *environment
	cte   cte
	named bool
}

func (env *environment) find(name string) *environment {
	for ; env != nil; env = env.outer {
		if strings.EqualFold(env.cte.name, name) {
			return env
		}
	}
	return nil
}

// query translates a query. kept says that the engine may have to hold all its rows.
func (t *translator) query(q *query, env *environment, outer *scope, kept bool) output {
	if t.parts++; t.parts > maxParts {
		panic(q.place.errorf("the statement has too many parts, or names the queries of WITH too often"))
	}
	var with []*environment
	for _, c := range q.with {
		env = &environment{outer: env, cte: c}
		with = append(with, env)
	}
	out := t.limited(q, env, outer, kept)
	for _, w := range slices.Backward(with) {
		if !w.named { // it is read by nothing, but what is wrong in it is told, and its stores are asked for
			t.derived(&scope{outer: outer, env: env}, &relation{columns: w.cte.columns, place: q.place}, &rel{alias: w.cte.name}, w.cte.query, w.outer)
		}
	}
	return out
}

// limited is a query behind its WITH.
func (t *translator) limited(q *query, env *environment, outer *scope, kept bool) output {
	if q.body.sel != nil {
		return t.selection(q.body.sel, q, env, outer, kept)
	}
	out := t.body(q.body, env, outer, kept || q.order != nil || q.offset != 0)
	if q.order == nil && q.limit < 0 && q.offset == 0 {
		return out
	}
	name := t.name("q")
	out.sql = "SELECT * FROM (" + out.sql + ") AS " + name
	if q.order != nil {
		r := &rel{name: name, columns: relColumns(name, out.columns)}
		s := &scope{outer: outer, rels: []*rel{r}, env: env}
		out.sql += " ORDER BY " + t.orderBy(s, q.order, out.columns, nil)
	}
	out.sql += limits(q)
	return out
}

func limits(q *query) string {
	if q.limit < 0 && q.offset == 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d OFFSET %d", q.limit, q.offset)
}

func (t *translator) body(b *body, env *environment, outer *scope, kept bool) output {
	switch {
	case b.sel != nil:
		return t.selection(b.sel, &query{limit: -1}, env, outer, kept)
	case b.nested != nil:
		return t.query(b.nested, env, outer, kept)
	case b.rows != nil:
		return t.values(b, env, outer)
	}
	kept = kept || b.operation != "UNION" || !b.all
	left, right := t.body(b.left, env, outer, kept), t.body(b.right, env, outer, kept)
	if len(left.columns) != len(right.columns) {
		panic(b.place.errorf("%s query has different number of fields: %d, %d", b.operation, len(left.columns), len(right.columns)))
	}
	columns := make([]outputColumn, len(left.columns))
	for i, l := range left.columns {
		r := right.columns[i]
		columns[i] = outputColumn{l.name, common(l.typ, r.typ)}
		if columns[i].typ == nil {
			panic(b.place.errorf("column %d in %s query has incompatible types: %s, %s", i+1, b.operation, l.typ, r.typ))
		}
	}
	operation := b.operation
	if b.all {
		operation += " ALL"
	}
	return output{sql: t.converted(left, columns) + " " + operation + " " + t.converted(right, columns), columns: columns}
}

// converted is a query's SQL, with its columns in other types.
func (t *translator) converted(out output, columns []outputColumn) string {
	name := t.name("q")
	items := make([]string, len(columns))
	for i, c := range columns {
		v := val{sql: fmt.Sprintf("%s.c%d", name, i), typ: out.columns[i].typ}
		items[i] = fmt.Sprintf("%s AS c%d", t.convert(v, c.typ).sql, i)
	}
	return "SELECT " + strings.Join(items, ", ") + " FROM (" + out.sql + ") AS " + name
}

func (t *translator) values(b *body, env *environment, outer *scope) output {
	s := &scope{outer: outer, env: env, noAggregates: "VALUES"}
	var out output
	rows := make([][]val, len(b.rows))
	for i, row := range b.rows {
		if len(row) != len(b.rows[0]) {
			panic(row[0].place.errorf("Values rows have mismatched sizes: %d vs %d", len(b.rows[0]), len(row)))
		}
		for j, e := range row {
			v := t.expr(s, e)
			rows[i] = append(rows[i], v)
			if i == 0 {
				out.columns = append(out.columns, outputColumn{fmt.Sprintf("_col%d", j), v.typ})
			} else if c := common(out.columns[j].typ, v.typ); c != nil {
				out.columns[j].typ = c
			} else {
				panic(e.place.errorf("Values rows have mismatched types: %s vs %s", out.columns[j].typ, v.typ))
			}
		}
	}
	selects := make([]string, len(rows))
	for i, row := range rows {
		items := make([]string, len(row))
		for j, v := range row {
			items[j] = fmt.Sprintf("%s AS c%d", t.sql(t.convert(v, out.columns[j].typ)), j)
		}
		selects[i] = "SELECT " + strings.Join(items, ", ")
	}
	if len(selects) > maxParts {
		panic(b.place.errorf("too many rows of VALUES"))
	}
	out.sql = strings.Join(selects, " UNION ALL ")
	return out
}

// selection translates a SELECT, with the ORDER BY and LIMIT of q.
func (t *translator) selection(sel *selection, q *query, env *environment, outer *scope, kept bool) output {
	s := &scope{outer: outer, env: env}
	from := ""
	if sel.from != nil {
		from = " FROM " + t.from(s, sel.from)
	}
	where := t.where(s, sel.where)
	var group []string
	items := t.items(s, sel)
	for _, e := range sel.group {
		v := t.groupExpr(s, e, items)
		s.group = append(s.group, v)
	}
	for _, v := range s.group {
		group = append(group, t.sql(v))
	}
	var out output
	columns := make([]string, len(items))
	for i, it := range items {
		if it.val.typ == nil {
			it.val = t.expr(s, it.expr)
		}
		items[i] = it
		out.columns = append(out.columns, outputColumn{it.name(i), it.val.typ})
		columns[i] = fmt.Sprintf("%s AS c%d", t.sql(it.val), i)
	}
	having := ""
	if sel.having != nil {
		v := t.condition(s, sel.having, "HAVING clause")
		s.aggregated = true
		t.grouped(s, v)
		having = " HAVING " + v.sql
	}
	order := ""
	if q.order != nil {
		order = " ORDER BY " + t.orderBy(s, q.order, out.columns, items)
	}
	for _, it := range items {
		if sel.group != nil || s.aggregated {
			t.grouped(s, it.val)
		}
	}
	small := q.order != nil && q.limit >= 0 && q.limit+q.offset <= 10000 && !s.windowed // the engine keeps only so many rows
	holds := sel.distinct || len(group) > 0 || s.windowed || (kept || q.order != nil) && !small
	if holds && (s.aggregated && len(group) == 0 && !s.windowed) {
		holds = false
	}
	where = t.counted(s, where, holds)
	out.sql = "SELECT "
	if sel.distinct {
		out.sql += "DISTINCT "
	}
	out.sql += strings.Join(columns, ", ") + from
	if where != "" {
		out.sql += " WHERE " + where
	}
	if len(group) > 0 {
		out.sql += " GROUP BY " + strings.Join(group, ", ")
	}
	out.sql += having + order + limits(q)
	return out
}

// selected is an item of a SELECT's list.
type selected struct {
	expr  *expr
	alias string
	val   val
}

func (it selected) name(i int) string {
	switch {
	case it.alias != "":
		return it.alias
	case it.expr != nil && (it.expr.op == opName || it.expr.op == opField):
		return it.expr.text
	}
	return fmt.Sprintf("_col%d", i)
}

// items are the SELECT's list, with * spelled out. Expressions are translated later, when the groups are known.
func (t *translator) items(s *scope, sel *selection) []selected {
	var items []selected
	for _, it := range sel.items {
		if it.expr != nil {
			items = append(items, selected{expr: it.expr, alias: it.alias})
			continue
		}
		found := false
		for _, r := range s.rels {
			if it.qualifier != "" && !strings.EqualFold(it.qualifier, r.alias) {
				continue
			}
			found = true
			for _, c := range r.columns {
				v := t.column(s, r, c, &expr{op: opName, text: c.name, place: it.place})
				if merged := s.merged[strings.ToLower(c.name)]; merged != nil && it.qualifier == "" {
					if merged.rel != r {
						continue // a column of USING stands once
					}
					v = merged.val
				}
				items = append(items, selected{alias: c.name, val: v})
			}
		}
		switch {
		case !found && it.qualifier != "":
			panic(it.place.errorf("Unable to resolve reference %s", it.qualifier))
		case !found:
			panic(it.place.errorf("SELECT * not allowed in queries without FROM clause"))
		}
	}
	return items
}

// groupExpr translates an expression of GROUP BY: a column's number, or an expression over the tables' columns.
func (t *translator) groupExpr(s *scope, e *expr, items []selected) val {
	v := val{}
	s.noAggregates = "GROUP BY clause"
	defer func() { s.noAggregates = "" }()
	if e.op == opInteger {
		n, err := strconv.Atoi(e.text)
		if err != nil || n < 1 || n > len(items) {
			panic(e.place.errorf("GROUP BY position %s is not in select list", e.text))
		}
		if v = items[n-1].val; v.typ == nil {
			v = t.expr(s, items[n-1].expr)
		}
	} else {
		v = t.expr(s, e)
	}
	if v.fixed { // the engine would take a constant for a column's number
		v.sql = "(" + t.sql(v) + " || '')"
	}
	return v
}

// grouped fails if a value uses a column that is neither grouped by nor in an aggregate.
func (t *translator) grouped(s *scope, v val) {
	if v.free != nil {
		panic(v.free.place.errorf("'%s' must be an aggregate expression or appear in GROUP BY clause", v.free.written()))
	}
}

// written is a name as it stood in the statement.
func (e *expr) written() string {
	if e.op == opField {
		return e.args[0].written() + "." + e.text
	}
	return e.text
}

// orderBy translates orderings. items are those of the SELECT that is ordered; without them only its columns can be named.
func (t *translator) orderBy(s *scope, all []ordering, columns []outputColumn, items []selected) string {
	terms := make([]string, len(all))
	s.aliases = items
	defer func() { s.aliases = nil }()
	for i, o := range all {
		var v val
		if n, err := strconv.Atoi(o.expr.text); o.expr.op == opInteger && (err != nil || n < 1 || n > len(columns)) {
			panic(o.expr.place.errorf("ORDER BY position %s is not in select list", o.expr.text))
		} else if o.expr.op == opInteger {
			v = val{sql: strconv.Itoa(n), typ: columns[n-1].typ, place: o.expr.place}
		} else {
			if v = t.expr(s, o.expr); v.fixed {
				v.sql = "(" + t.sql(v) + " || '')"
			}
			if len(s.group) > 0 || s.aggregated {
				t.grouped(s, v)
			}
		}
		terms[i] = t.ordered(v, o)
	}
	return strings.Join(terms, ", ")
}

func (t *translator) ordered(v val, o ordering) string {
	if !v.typ.orderable() && v.typ.kind != kindArray {
		panic(o.expr.place.errorf("Type %s is not orderable, and therefore cannot be used in ORDER BY", v.typ))
	}
	sql := t.sql(v)
	if o.descending {
		sql += " DESC"
	}
	if o.nullsFirst {
		return sql + " NULLS FIRST"
	}
	return sql + " NULLS LAST"
}

// where translates the conditions on the rows. Those that a scan can test on its own go there, and so do bounds of the time.
func (t *translator) where(s *scope, e *expr) string {
	if e == nil {
		return ""
	}
	var rest []string
	for _, c := range conjuncts(e) {
		v := t.condition(s, c, "WHERE clause")
		if v.scan != nil && s.owns(v.scan) {
			v.scan.bounds = append(v.scan.bounds, v.within...)
		}
		if v.test != nil && s.owns(v.test.scan) {
			v.test.scan.tests = append(v.test.scan.tests, v.test.check)
			continue
		}
		rest = append(rest, v.sql)
	}
	return joined(rest, " AND ")
}

// conjuncts are the conditions that must all hold.
func conjuncts(e *expr) []*expr {
	if e.op != opAnd {
		return []*expr{e}
	}
	var all []*expr
	for _, a := range e.args {
		all = append(all, conjuncts(a)...)
	}
	return all
}

// joined writes conditions as a balanced tree, since the engine bounds an expression's depth.
func joined(all []string, operator string) string {
	switch len(all) {
	case 0:
		return ""
	case 1:
		return all[0]
	}
	half := len(all) / 2
	return "(" + joined(all[:half], operator) + operator + joined(all[half:], operator) + ")"
}

// condition translates an expression that must be boolean, in a clause without aggregates if it is WHERE or ON.
func (t *translator) condition(s *scope, e *expr, clause string) val {
	if clause != "HAVING clause" {
		s.noAggregates = clause
		defer func() { s.noAggregates = "" }()
	}
	v := t.expr(s, e)
	if v.typ.kind != kindBoolean && v.typ.kind != kindUnknown {
		panic(e.place.errorf("%s must evaluate to a boolean: actual type %s", clause, v.typ))
	}
	v.sql = t.sql(v)
	return v
}

// counted adds to the conditions the call that counts the rows which pass them, and charges for them if the engine holds them.
func (t *translator) counted(s *scope, where string, holds bool) string {
	var single *scan
	for _, r := range s.rels {
		if r.scan != nil {
			r.scan.single = len(s.rels) == 1
			single = r.scan
		}
	}
	if len(s.rels) == 0 || where == "" && !holds || single == nil && !holds {
		return where
	}
	index := -1
	if single != nil {
		index, single.counted = single.index, single.single
	}
	args := []string{strconv.Itoa(index), map[bool]string{false: "0", true: "1"}[holds]}
	for _, r := range s.rels {
		if r.scan != nil {
			args = append(args, strconv.Itoa(r.scan.index), r.name+"."+r.probe)
		} else {
			args = append(args, "-1", r.width())
		}
	}
	count := "seen(" + strings.Join(args, ", ") + ")"
	switch {
	case where == "":
		return count
	case len(s.rels) == 1:
		return "CASE WHEN " + where + " THEN " + count + " ELSE 0 END"
	}
	return where + " AND " + count
}

var arnOfStore = regexp.MustCompile(`^arn:[^:]*:cloudtrail:[^:]*:[0-9]*:eventdatastore/(.+)$`)
