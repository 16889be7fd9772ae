package lakesql

type op int

const (
	opNull op = iota
	opBoolean
	opString
	opInteger
	opDecimal
	opTyped     // TIMESTAMP 'text', DATE 'text': text, name
	opInterval  // INTERVAL 'text' name
	opName      // text
	opField     // args[0].text
	opSubscript // args[0][args[1]]
	opCall
	opStar // of count(*)
	opNegate
	opNot
	opBinary // text: + - * / % || = <> < <= > >=
	opAnd    // of all args
	opOr
	opDistinct // args[0] IS DISTINCT FROM args[1]; negated: IS NOT
	opIsNull
	opBetween
	opIn      // args[0] IN (args[1:])
	opInQuery // args[0] IN (query)
	opLike    // args[0] LIKE args[1] ESCAPE args[2]
	opCase    // args: condition, value, ..., and the ELSE if their number is odd
	opMatch   // CASE args[0] WHEN args[1] THEN args[2] ...
	opCast    // CAST(args[0] AS typ); lenient: TRY_CAST
	opExists
	opSubquery
	opArray
	opRow
	opLambda // params -> args[0]
)

// expr is an expression. The members that an op uses stand with it.
type expr struct {
	op      op
	place   place
	text    string
	quoted  bool // of opName: written in quotes
	args    []*expr
	negated bool // of opDistinct ... opLike, opInQuery
	lenient bool
	typ     *typ
	query   *query
	params  []string
	call    *call
}

// call is what an opCall has beside its name and its arguments.
type call struct {
	distinct bool
	order    []ordering
	filter   *expr
	over     *window
}

type window struct {
	partition []*expr
	order     []ordering
	frame     *frame
}

type frame struct {
	unit       string // ROWS, RANGE, GROUPS
	start, end bound
}

type bound struct {
	kind   string // UNBOUNDED PRECEDING, PRECEDING, CURRENT ROW, FOLLOWING, UNBOUNDED FOLLOWING
	offset *expr
}

type ordering struct {
	expr       *expr
	descending bool
	nullsFirst bool
}

type query struct {
	place  place
	with   []cte
	body   *body
	order  []ordering
	limit  int64 // -1: none
	offset int64
}

type cte struct {
	name    string
	place   place
	columns []string
	query   *query
}

// body is one of: a SELECT, a set operation, rows of values, a query in parentheses.
type body struct {
	place       place
	sel         *selection
	operation   string // UNION, INTERSECT, EXCEPT
	all         bool
	left, right *body
	rows        [][]*expr
	nested      *query
}

type selection struct {
	place    place
	distinct bool
	items    []item
	from     *relation
	where    *expr
	group    []*expr
	having   *expr
}

type item struct {
	place     place
	expr      *expr // nil: *
	qualifier string
	alias     string
}

// relation is one of: a named table, a query, UNNEST, a join.
type relation struct {
	place      place
	name       string
	query      *query
	unnest     []*expr
	ordinality bool
	alias      string
	columns    []string

	join        string // CROSS, INNER, LEFT, RIGHT, FULL
	left, right *relation
	on          *expr
	using       []string
}
