package lakesql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// maxText bounds the texts that functions make.
	maxText = 4 << 20
	// maxPattern bounds regular expressions, LIKE patterns and JSON paths.
	maxPattern = 4096
	// maxElements bounds what a regular expression finds in one text.
	maxElements = 100_000
	// engineHeap bounds what all queries of the process together hold in the engine's own memory. Each query's own limit works before it; this is for what
	// their accounts miss.
	engineHeap = 2 << 30
)

var errTooLong = errors.New("the result of a function is too long")

// execution is a run of a query. The engine calls it from one goroutine at a time.
type execution struct {
	ctx      context.Context
	query    *Query
	source   Source
	limits   Limits
	stats    Stats
	held     int64
	failure  error // the first error of a source, a limit or a function, which the engine would only quote
	tables   []*table
	patterns map[string]pattern
	likes    map[string]likePattern
	paths    map[string][]step
}

// fail keeps the first error.
func (x *execution) fail(err error) error {
	if x.failure == nil {
		x.failure = err
	}
	return err
}

// check ends the query if its time is over.
func (x *execution) check() error {
	if err := x.ctx.Err(); err != nil {
		return x.fail(context.Cause(x.ctx))
	}
	return nil
}

// charge counts bytes that the query holds until its end.
func (x *execution) charge(n int64) error {
	if x.held += n; x.held > x.limits.Memory {
		return x.fail(fmt.Errorf("%w: it needs more than %d bytes of memory", ErrLimit, x.limits.Memory))
	}
	return nil
}

// Run answers the query. The result's statistics are there even if an error is returned. Errors of the statement's evaluation are of type *Error; those of
// limits wrap ErrLimit; the source's errors and those of ctx are wrapped.
func (q *Query) Run(ctx context.Context, source Source, limits Limits) (*Result, error) {
	if limits.Time <= 0 {
		limits.Time = 10 * time.Minute
	}
	if limits.Memory <= 0 {
		limits.Memory = 256 << 20
	}
	if limits.Rows <= 0 {
		limits.Rows = 1_000_000
	}
	// The limit is of real time, whatever the clock of the cloud says.
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, fmt.Errorf("%w: it ran longer than %s", ErrLimit, limits.Time))
	defer cancel()
	x := &execution{ctx: ctx, query: q, source: source, limits: limits,
		patterns: make(map[string]pattern), likes: make(map[string]likePattern), paths: make(map[string][]step)}
	result := &Result{}
	err := x.run(result)
	if err == nil {
		err = x.failure
	}
	result.Stats = x.stats
	if err == nil {
		return result, nil
	}
	result.Rows = nil
	return result, x.explain(err)
}

// explain says what an error of the engine is for the user.
func (x *execution) explain(err error) error {
	if x.failure != nil {
		return x.failure
	}
	if cause := context.Cause(x.ctx); cause != nil {
		return fmt.Errorf("running the query: %w", cause)
	}
	var engine *sqlite.Error
	if !errors.As(err, &engine) {
		return err
	}
	switch engine.Code() & 0xff {
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: the queries together need too much memory", ErrLimit)
	case sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: a value is too long", ErrLimit)
	}
	if text := err.Error(); strings.Contains(text, "integer overflow") {
		return &Error{Message: "bigint addition overflow"}
	} else if strings.Contains(text, "too large") || strings.Contains(text, "parser stack") || strings.Contains(text, "too many") ||
		strings.Contains(text, "Recursion limit") {
		return &Error{Message: "the statement is too complex"}
	}
	return fmt.Errorf("running the query: %w", err)
}

// connector opens the one connection of an execution. It implements driver.Connector.
type connector struct{ driver *sqlite.Driver }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(":memory:") }
func (c connector) Driver() driver.Driver                        { return c.driver }

func (x *execution) run(result *Result) error {
	engine, err := takeEngine()
	if err != nil {
		return fmt.Errorf("making an engine: %w", err)
	}
	engine.run = x
	defer engine.release()
	db := sql.OpenDB(connector{engine.driver})
	defer db.Close()
	conn, err := db.Conn(x.ctx)
	if err != nil {
		return fmt.Errorf("opening the engine: %w", err)
	}
	defer conn.Close()
	if err := x.prepare(conn); err != nil {
		return err
	}
	if err := x.spans(conn); err != nil {
		return err
	}
	params := x.params()
	rows, err := conn.QueryContext(x.ctx, x.query.sql, params...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return x.collect(rows, result)
}

// prepare makes the tables, then closes the engine to all but reading them.
func (x *execution) prepare(conn *sql.Conn) error {
	statements := []string{
		fmt.Sprintf("PRAGMA hard_heap_limit=%d", int64(engineHeap)),
		"PRAGMA temp_store=MEMORY", "PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=OFF", "CREATE VIRTUAL TABLE each USING each",
	}
	for i := range x.query.scans {
		statements = append(statements, fmt.Sprintf("CREATE VIRTUAL TABLE s%d USING scan(%d)", i, i))
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(x.ctx, statement); err != nil {
			return fmt.Errorf("preparing the engine: %w", err)
		}
	}
	for limit, value := range map[int]int{
		sqlite3.SQLITE_LIMIT_LENGTH: 4 * maxText, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 4 << 20, sqlite3.SQLITE_LIMIT_ATTACHED: 0,
		sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1, sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
	} {
		if _, err := sqlite.Limit(conn, limit, value); err != nil {
			return fmt.Errorf("limiting the engine: %w", err)
		}
	}
	return conn.Raw(func(c any) error {
		authorizer, ok := c.(sqlite.AuthorizerRegisterer)
		if !ok {
			return errors.New("the engine has no authorizer")
		}
		return authorizer.RegisterAuthorizer(authorize)
	})
}

// params are the values of the statement's parameters.
func (x *execution) params() []any {
	params := make([]any, len(x.query.params))
	for i, p := range x.query.params {
		if _, ok := p.(nowParameter); ok {
			p = x.limits.Now.UnixMilli()
		}
		params[i] = p
	}
	return params
}

// spans finds the scans' time ranges. Bounds such as now() - interval '7' day are computed by the engine.
func (x *execution) spans(conn *sql.Conn) error {
	for i, s := range x.query.scans {
		t := x.tables[i]
		for _, b := range s.bounds {
			ms := b.ms
			if !b.known {
				var v any
				if err := conn.QueryRowContext(x.ctx, "SELECT "+b.sql, x.params()...).Scan(&v); err != nil {
					return err
				}
				n, ok := v.(int64)
				if !ok {
					continue
				}
				ms = n
			}
			t.span = t.span.narrowed(b, ms)
		}
	}
	return nil
}

func (x *execution) collect(rows *sql.Rows, result *Result) error {
	types := make([]*typ, len(x.query.columns))
	for i, c := range x.query.columns {
		types[i] = c.typ
		result.Columns = append(result.Columns, c.name)
	}
	values := make([]any, len(types))
	pointers := make([]any, len(types))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		if len(result.Rows) >= x.limits.Rows {
			return x.fail(fmt.Errorf("%w: its result has more than %d rows", ErrLimit, x.limits.Rows))
		}
		row := make([]Value, len(types))
		size := int64(24 * (1 + len(row)))
		for i, v := range values {
			if v == nil {
				row[i].Null = true
				continue
			}
			row[i].String = render(v, types[i])
			size += int64(len(row[i].String))
		}
		if err := x.charge(size); err != nil {
			return err
		}
		result.Rows = append(result.Rows, row)
	}
	return rows.Err()
}

// render writes a value as results show it.
func render(v any, t *typ) string {
	switch v := v.(type) {
	case int64:
		switch t.kind {
		case kindBoolean:
			if v != 0 {
				return "true"
			}
			return "false"
		case kindTimestamp:
			return instant(v).Format("2006-01-02 15:04:05.000")
		case kindZoned:
			return instant(v).Format("2006-01-02 15:04:05.000 UTC")
		case kindDate:
			return instant(v).Format("2006-01-02")
		case kindDays:
			return renderDays(v)
		case kindMonths:
			sign, v := signed(v)
			return fmt.Sprintf("%s%d-%d", sign, v/12, v%12)
		case kindDouble:
			return formatDouble(float64(v))
		}
		return fmt.Sprint(v)
	case float64:
		return formatDouble(v)
	case []byte:
		return render(string(v), t)
	case string:
		if t.isText() && t.kind != kindJSON {
			return string(renderJSON(nil, []byte(v), t))
		}
		return v
	}
	return fmt.Sprint(v)
}

func signed(n int64) (string, int64) {
	if n < 0 && n != math.MinInt64 {
		return "-", -n
	}
	return "", n
}

func renderDays(ms int64) string {
	sign, ms := signed(ms)
	return fmt.Sprintf("%s%d %02d:%02d:%02d.%03d", sign, ms/dayMillis, ms/3_600_000%24, ms/60_000%60, ms/1000%60, ms%1000)
}

// renderJSON writes an array as [a, b], and a map or a row as {name=value, name=value}.
func renderJSON(to, raw []byte, t *typ) []byte {
	if isNull(raw) {
		return append(to, "null"...)
	}
	switch t.kind {
	case kindArray, kindMap, kindRow:
	case kindJSON, kindUnknown:
		return append(to, raw...)
	default:
		v := decoded(raw, t.kind)
		if v == nil {
			return append(to, "null"...)
		}
		return append(to, render(v, t)...)
	}
	open, end := byte('{'), byte('}')
	if t.kind == kindArray {
		open, end = '[', ']'
	}
	to = append(to, open)
	first := true
	for name, element := range elements(string(raw)) {
		if !first {
			to = append(to, ", "...)
		}
		first = false
		elem := t.elem
		if t.kind == kindRow {
			elem = typVarchar
			if f, ok := t.field(name); ok {
				elem = f.typ
			}
		}
		if t.kind != kindArray {
			to = append(append(to, name...), '=')
		}
		to = renderJSON(to, element, elem)
	}
	return append(to, end)
}
