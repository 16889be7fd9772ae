package lakesql

import (
	"fmt"
	"strings"
)

// scope is the tables whose columns an expression can name.
type scope struct {
	outer        *scope
	env          *environment
	rels         []*rel
	merged       map[string]*relRef // columns of USING, by lower-case name
	group        []val              // what is grouped by
	aliases      []selected         // in ORDER BY
	aggregated   bool               // an aggregate was met
	windowed     bool
	inAggregate  bool
	lambda       bool   // the parameters of a lambda, within the query of the outer scope
	noAggregates string // the clause, where they're not allowed
}

// relRef is a column of USING: the relation whose column stands for both, and the value.
type relRef struct {
	rel *rel
	val val
}

// rel is a table in FROM.
type rel struct {
	alias   string // as the statement names it
	name    string // as the engine's SQL names it
	scan    *scan  // of a store
	columns []relColumn
	probe   string // a column of it that is cheap to read
	outer   bool   // on the side of an outer join that may be missing
}

// width is the engine's expression of how much a row of a query's or of UNNEST's holds, by its texts.
func (r *rel) width() string {
	if r.probe == "n" {
		return "64 + 0 * " + r.name + ".n"
	}
	terms := []string{"32"}
	for i := range r.columns {
		terms = append(terms, fmt.Sprintf("ifnull(octet_length(%s.c%d), 0)", r.name, i))
	}
	return joined(terms, " + ")
}

type relColumn struct {
	name string
	sql  string // empty for a record's field
	typ  *typ
}

func relColumns(name string, columns []outputColumn) []relColumn {
	all := make([]relColumn, len(columns))
	for i, c := range columns {
		all[i] = relColumn{name: c.name, sql: fmt.Sprintf("%s.c%d", name, i), typ: c.typ}
	}
	return all
}

// owns says whether a scan is a table of this very scope, and its rows are never filled up by an outer join.
func (s *scope) owns(sc *scan) bool {
	for _, r := range s.rels {
		if r.scan == sc {
			return !r.outer
		}
	}
	return false
}

func (t *translator) column(s *scope, r *rel, c relColumn, e *expr) val {
	v := val{sql: c.sql, typ: c.typ, place: e.place}
	if r.scan != nil {
		v.path = &path{scan: r.scan, steps: []string{c.name}}
	}
	return s.freed(v, e)
}

// freed marks a column that stands outside of aggregates and that nothing groups by.
func (s *scope) freed(v val, e *expr) val {
	if !s.inAggregate && !s.isGrouped(v) {
		v.free = e
	}
	return v
}

func (s *scope) isGrouped(v val) bool {
	for _, g := range s.group {
		switch {
		case v.path != nil && g.path != nil:
			if v.path.key() == g.path.key() || strings.HasPrefix(v.path.key(), g.path.key()+"\x00") {
				return true
			}
		case v.path == nil && g.path == nil && v.sql == g.sql:
			return true
		}
	}
	return false
}

// resolve finds the column that a chain of names begins with, and returns how many of them name it.
func (t *translator) resolve(s *scope, parts []*expr) (v val, used int) {
	own := true
	defer func() {
		if v.free != nil && !own {
			v.free = nil // a query around this one gives it, the same for all rows of this one
		}
	}()
	level := s
	for level.lambda {
		level = level.outer
	}
	first := parts[0]
	if s.aliases != nil && len(parts) == 1 {
		for _, it := range s.aliases {
			if it.alias != "" && strings.EqualFold(it.alias, first.text) {
				return it.val, 1
			}
		}
	}
	for at := s; at != nil; at = at.outer {
		own = at == level || at.lambda
		if len(parts) > 1 {
			for _, r := range at.rels {
				if !strings.EqualFold(r.alias, first.text) {
					continue
				}
				for _, c := range r.columns {
					if strings.EqualFold(c.name, parts[1].text) {
						return t.column(at, r, c, parts[1]), 2
					}
				}
			}
		}
		if ref := at.merged[strings.ToLower(first.text)]; ref != nil {
			v := ref.val
			v.place = first.place
			return at.freed(v, first), 1
		}
		var found *rel
		var column relColumn
		for _, r := range at.rels {
			for _, c := range r.columns {
				if !strings.EqualFold(c.name, first.text) {
					continue
				}
				if found != nil {
					panic(first.place.errorf("Column '%s' is ambiguous", first.text))
				}
				found, column = r, c
			}
		}
		if found != nil {
			return t.column(at, found, column, first), 1
		}
	}
	panic(first.place.errorf("Column '%s' cannot be resolved", parts[len(parts)-1].written()))
}

// from translates a table or a join, and adds what it names to the scope.
func (t *translator) from(s *scope, r *relation) string {
	if r.join != "" {
		return t.join(s, r)
	}
	sql, rel := t.table(s, r)
	s.rels = append(s.rels, rel)
	return sql
}

func (t *translator) table(s *scope, r *relation) (string, *rel) {
	rel := &rel{alias: r.alias}
	switch {
	case r.unnest != nil:
		return t.unnest(s, r, rel)
	case r.query != nil:
		return t.derived(s, r, rel, r.query, s.env)
	}
	if found := s.env.find(r.name); found != nil {
		found.named = true
		if rel.alias == "" {
			rel.alias = found.cte.name
		}
		named := *r
		if named.columns == nil {
			named.columns = found.cte.columns
		}
		return t.derived(s, &named, rel, found.cte.query, found.outer)
	}
	store := r.name
	if m := arnOfStore.FindStringSubmatch(store); m != nil {
		store = m[1]
	}
	if !validStore(store) {
		panic(r.place.errorf("Table '%s' does not exist: FROM takes the ID of an event data store", r.name))
	}
	if rel.alias == "" {
		rel.alias = store
	}
	rel.name, rel.probe = t.name("t"), "rowid"
	rel.scan = &scan{index: len(t.scans), name: rel.name, store: store, columnOf: make(map[string]int)}
	t.scans = append(t.scans, rel.scan)
	for _, f := range recordType.fields {
		rel.columns = append(rel.columns, relColumn{name: f.name, typ: f.typ})
	}
	rename(rel, r)
	return fmt.Sprintf("s%d AS %s", rel.scan.index, rel.name), rel
}

// validStore says whether a table's name can be the ID of an event data store.
func validStore(name string) bool {
	if len(name) < 3 || len(name) > 128 {
		return false
	}
	return strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func rename(rel *rel, r *relation) {
	if r.columns == nil {
		return
	}
	if len(r.columns) != len(rel.columns) || rel.scan != nil {
		panic(r.place.errorf("Column alias list has %d entries but '%s' has %d columns available", len(r.columns), rel.alias, len(rel.columns)))
	}
	for i, name := range r.columns {
		rel.columns[i].name = name
	}
}

func (t *translator) derived(s *scope, r *relation, rel *rel, q *query, env *environment) (string, *rel) {
	out := t.query(q, env, s.outer, true)
	rel.name, rel.probe = t.name("t"), "c0"
	rel.columns = relColumns(rel.name, out.columns)
	rename(rel, r)
	return "(" + out.sql + ") AS " + rel.name, rel
}

// unnest translates UNNEST of an array or a map: a table of its elements. The elements of an array of rows become the rows' fields.
func (t *translator) unnest(s *scope, r *relation, rel *rel) (string, *rel) {
	if len(r.unnest) != 1 {
		panic(r.place.errorf("UNNEST of several arrays is not supported"))
	}
	s.noAggregates = "UNNEST"
	v := t.expr(s, r.unnest[0])
	s.noAggregates = ""
	rel.name, rel.probe = t.name("t"), "n"
	column := func(name, sql string, typ *typ) {
		rel.columns = append(rel.columns, relColumn{name: name, sql: sql, typ: typ})
	}
	switch v.typ.kind {
	case kindMap:
		column("key", rel.name+".k", v.typ.key)
		column("value", rel.name+".v", v.typ.elem)
	case kindArray:
		if v.typ.elem.kind == kindRow {
			for _, f := range v.typ.elem.fields {
				element := val{sql: rel.name + ".v", typ: v.typ.elem, place: r.place}
				field := t.field(element, &expr{op: opField, text: f.name, place: r.place})
				column(f.name, field.sql, f.typ)
			}
		} else {
			column("value", rel.name+".v", v.typ.elem)
		}
	default:
		panic(r.unnest[0].place.errorf("Cannot unnest type: %s", v.typ))
	}
	if r.ordinality {
		column("ordinality", rel.name+".n", typBigint)
	}
	rename(rel, r)
	return fmt.Sprintf("each(%s, %s) AS %s", t.sql(v), t.param(v.typ.elem.code()), rel.name), rel
}

func (t *translator) join(s *scope, r *relation) string {
	begin := len(s.rels)
	left := t.from(s, r.left)
	middle := len(s.rels)
	right := t.from(s, r.right)
	if r.right.join != "" {
		right = "(" + right + ")"
	}
	mark := func(rels []*rel) {
		for _, one := range rels {
			one.outer = true
		}
	}
	if r.join == "LEFT" || r.join == "FULL" {
		mark(s.rels[middle:])
	}
	if r.join == "RIGHT" || r.join == "FULL" {
		mark(s.rels[begin:middle])
	}
	on := ""
	switch {
	case r.using != nil:
		on = " ON " + t.using(s, r, s.rels[begin:middle], s.rels[middle:])
	case r.on != nil:
		on = " ON " + t.condition(s, r.on, "JOIN ON clause").sql
	}
	join := r.join
	if join == "CROSS" {
		join = "INNER" // the engine would not choose the order
	}
	return left + " " + join + " JOIN " + right + on
}

// using equates the columns that both sides have, and makes one of them.
func (t *translator) using(s *scope, r *relation, left, right []*rel) string {
	var conditions []string
	for _, name := range r.using {
		e := &expr{op: opName, text: name, place: r.place}
		one := func(rels []*rel) val {
			v, _ := t.resolve(&scope{rels: rels, inAggregate: true}, []*expr{e})
			return v
		}
		l, rr := one(left), one(right)
		conditions = append(conditions, t.compare(e, "=", l, rr).sql)
		if s.merged == nil {
			s.merged = make(map[string]*relRef)
		}
		s.merged[strings.ToLower(name)] = &relRef{left[0], val{sql: fmt.Sprintf("coalesce(%s, %s)", t.sql(l), t.sql(rr)), typ: l.typ, place: r.place}}
	}
	return joined(conditions, " AND ")
}
