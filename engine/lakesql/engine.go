package lakesql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"
	"modernc.org/sqlite/vtab"
)

// engine is SQLite with the functions and tables of queries. It serves one query at a time, each in a database of its own that is gone with it.
type engine struct {
	driver *sqlite.Driver
	run    *execution // the query being run
}

// idle are the engines that serve no query. The library never forgets the functions of a driver, so they are used again.
var idle = make(chan *engine, 256)

func takeEngine() (*engine, error) {
	select {
	case e := <-idle:
		return e, nil
	default:
		return newEngine()
	}
}

func (e *engine) release() {
	e.run = nil
	select {
	case idle <- e:
	default:
	}
}

// internals are the functions that only the translator names.
var internals = merged(arithmetic, timeInternals, collectionInternals, map[string]function{
	"concat": {"ss", typVarchar, func(_ *execution, a []any) (any, error) {
		if len(a[0].(string))+len(a[1].(string)) > maxText {
			return nil, errTooLong
		}
		return a[0].(string) + a[1].(string), nil
	}, false},
	"text_reverse": {"s", typVarchar, text1(reversed), false},
	"like_pattern": {"ss?s", typBoolean, like, false},
	"cast_value":   {"xii", nil, castValue, false},
})

func newEngine() (*engine, error) {
	e := &engine{driver: &sqlite.Driver{}}
	for _, table := range []map[string]function{functions, internals} {
		for name, f := range table {
			if err := e.function(name, f); err != nil {
				return nil, err
			}
		}
	}
	if err := e.driver.RegisterScalarFunction("seen", -1, e.seen); err != nil {
		return nil, err
	}
	for name, make := range rowFunctions() {
		impl := &sqlite.FunctionImpl{NArgs: -1, VolatileArgs: true, MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) {
			return &grouping{engine: e, rows: make()}, nil
		}}
		if err := e.driver.RegisterFunction(name, impl); err != nil {
			return nil, err
		}
	}
	if err := e.driver.RegisterModule("scan", scanModule{e}); err != nil {
		return nil, err
	}
	return e, e.driver.RegisterModule("each", eachModule{e})
}

// function registers a function, and its variant that makes NULL of an error.
func (e *engine) function(name string, f function) error {
	call := func(_ *sqlite.FunctionContext, args []driver.Value) (v driver.Value, err error) {
		defer e.contain(&err)
		if !f.nulls && slices.Contains(args, nil) {
			return nil, nil
		}
		values := owned(args)
		if err := e.run.check(); err != nil {
			return nil, err
		}
		return f.run(e.run, values)
	}
	strict := func(ctx *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		v, err := call(ctx, args)
		if err != nil {
			e.run.fail(evaluation(err))
		}
		return v, err
	}
	lenient := func(ctx *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		v, err := call(ctx, args)
		if err != nil && e.run.failure == nil {
			return nil, nil
		}
		return v, err
	}
	for name, call := range map[string]func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error){name: strict, "try_" + name: lenient} {
		impl := &sqlite.FunctionImpl{NArgs: -1, Deterministic: true, VolatileArgs: true, Scalar: call}
		if err := e.driver.RegisterFunction(name, impl); err != nil {
			return err
		}
	}
	return nil
}

// owned are copies of arguments that lie in the engine's memory. It is told to pass those (VolatileArgs), since its own copies of texts end at a zero byte.
func owned(args []driver.Value) []any {
	values := make([]any, len(args))
	for i, v := range args {
		if text, ok := v.(string); ok {
			v = strings.Clone(text)
		}
		values[i] = v
	}
	return values
}

// contain turns a panic of ours into an error: none may unwind the engine's own frames, which would leave it locked.
func (e *engine) contain(err *error) {
	if p := recover(); p != nil {
		*err = e.run.fail(fmt.Errorf("running the query: %v", p))
	}
}

// evaluation makes an *Error of what a function complained about.
func evaluation(err error) error {
	if errors.Is(err, ErrLimit) {
		return err
	}
	if errors.Is(err, errTooLong) {
		return fmt.Errorf("%w: %w", ErrLimit, err)
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	return &Error{Message: err.Error()}
}

// seen counts a row that passed the conditions of a SELECT, and charges for it if the engine holds it. Its arguments are: the scan, whether the row is held,
// and for each table the number of its scan, or -1, and a column that ties the call to the table.
func (e *engine) seen(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	x := e.run
	if err := x.check(); err != nil {
		return nil, err
	}
	if n, _ := args[0].(int64); n >= 0 && x.query.scans[n].counted {
		x.stats.Matched++
	}
	if args[1] == int64(0) {
		return int64(1), nil
	}
	size := int64(rowOverhead)
	for i := 2; i+1 < len(args); i += 2 {
		if n, _ := args[i].(int64); n >= 0 {
			size += x.tables[n].rowWidth()
		} else if width, ok := args[i+1].(int64); ok {
			size += width
		}
	}
	return int64(1), x.charge(size)
}

// rowOverhead is what the engine adds to a row that it holds.
const rowOverhead = 48

// allowed are the engine's own functions that the translator uses.
var allowed = wordSet(`count sum avg min max coalesce octet_length ifnull seen row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value
	nth_value`)

// authorize lets statements read tables and call the functions above and ours, and nothing else: no file, no other database, no setting.
func authorize(action sqlite.AuthorizerActionCode, _, name, _, _ string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRead:
		return sqlite.AuthorizerOK
	case sqlite.AuthFunction:
		_, plain := functions[trimTry(name)]
		_, internal := internals[trimTry(name)]
		_, row := rowFunctions()[name]
		if plain || internal || row || allowed[name] {
			return sqlite.AuthorizerOK
		}
	}
	return sqlite.AuthorizerDeny
}

func trimTry(name string) string {
	if len(name) > 4 && name[:4] == "try_" {
		return name[4:]
	}
	return name
}

// scanModule makes the virtual tables of scans. It implements vtab.Module.
type scanModule struct{ engine *engine }

func (m scanModule) Create(ctx vtab.Context, args []string) (vtab.Table, error) {
	x := m.engine.run
	if x == nil || len(args) != 4 {
		return nil, errors.New("no query runs")
	}
	n, err := strconv.Atoi(args[3])
	if err != nil || n < 0 || n >= len(x.query.scans) {
		return nil, errors.New("no such scan")
	}
	s := x.query.scans[n]
	t := &table{engine: m.engine, scan: s, run: x, span: allTime}
	x.tables = append(x.tables, t)
	return t, ctx.Declare(s.declaration())
}

// VolatileArgs implements vtab.VolatileArgsOpter: see owned.
func (m scanModule) VolatileArgs() bool { return true }

func (m scanModule) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	return m.Create(ctx, args)
}

// eachModule makes the table whose rows are the elements of an array or a map: each(JSON, code). It implements vtab.Module.
type eachModule struct{ engine *engine }

func (m eachModule) Create(ctx vtab.Context, _ []string) (vtab.Table, error) {
	return eachTable(m), ctx.Declare("CREATE TABLE x(v, k, n, json HIDDEN, code HIDDEN)")
}

// VolatileArgs implements vtab.VolatileArgsOpter: see owned.
func (m eachModule) VolatileArgs() bool { return true }

func (m eachModule) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	return m.Create(ctx, args)
}

type eachTable struct{ engine *engine }

func (t eachTable) BestIndex(info *vtab.IndexInfo) error {
	found := 0
	for i := range info.Constraints {
		c := &info.Constraints[i]
		if c.Op != vtab.OpEQ || c.Column < 3 {
			continue
		}
		if !c.Usable {
			info.EstimatedCost = 1e12 // an order in which the array is not known yet
			return nil
		}
		c.ArgIndex, c.Omit = c.Column-3, true
		found++
	}
	info.IdxNum = int64(found)
	info.EstimatedCost, info.EstimatedRows = 10, 10
	return nil
}

func (t eachTable) Open() (vtab.Cursor, error) { return &eachCursor{engine: t.engine}, nil }
func (t eachTable) Disconnect() error          { return nil }
func (t eachTable) Destroy() error             { return nil }

// eachCursor implements vtab.Cursor.
type eachCursor struct {
	engine *engine
	next   func() (string, []byte, bool)
	stop   func()
	name   string
	raw    []byte
	kind   kind
	n      int64
	end    bool
}

func (c *eachCursor) Filter(found int, _ string, args []driver.Value) (err error) {
	defer c.engine.contain(&err)
	c.Close()
	*c = eachCursor{engine: c.engine}
	if found != 2 || len(args) != 2 {
		return c.engine.run.fail(errors.New("the engine found no order for UNNEST"))
	}
	text, ok := args[0].(string)
	code, known := args[1].(int64)
	if c.end = !ok || !known; c.end {
		return nil
	}
	c.kind = kind(code)
	c.next, c.stop = iter.Pull2(elements(text)) // which copies the text
	return c.Next()
}

func (c *eachCursor) Next() (err error) {
	defer c.engine.contain(&err)
	name, raw, ok := c.next()
	c.name, c.raw, c.end = name, raw, !ok
	c.n++
	return c.engine.run.check()
}

func (c *eachCursor) Eof() bool             { return c.end }
func (c *eachCursor) Rowid() (int64, error) { return c.n, nil }

func (c *eachCursor) Column(n int) (driver.Value, error) {
	switch n {
	case 0:
		return decoded(c.raw, c.kind), nil
	case 1:
		return c.name, nil
	case 2:
		return c.n, nil
	}
	return nil, nil
}

func (c *eachCursor) Close() error {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	return nil
}
