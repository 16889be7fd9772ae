package lakesql

import (
	"context"
	"database/sql/driver"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite/vtab"
)

// scan is one reading of a store: a table in FROM. The engine sees it as a virtual table of the fields that the query uses.
type scan struct {
	index    int
	name     string // in the engine's SQL
	store    string
	columns  []scanColumn
	columnOf map[string]int
	tests    []func(*record) truth
	bounds   []timeBound
	single   bool // the only table of its SELECT
	counted  bool // its rows are counted behind all conditions, by seen
}

type scanColumn struct {
	steps []string
	typ   *typ
}

// column is the number of a field, which is wanted from now on.
func (s *scan) column(steps []string, typ *typ) int {
	key := strings.Join(steps, "\x00")
	n, ok := s.columnOf[key]
	if !ok {
		n = len(s.columns)
		s.columns = append(s.columns, scanColumn{steps, typ})
		s.columnOf[key] = n
	}
	return n
}

// declaration is the virtual table's. Its columns have no types, so that the engine converts nothing.
func (s *scan) declaration() string {
	columns := make([]string, max(1, len(s.columns)))
	for i := range columns {
		columns[i] = "c" + strconv.Itoa(i)
	}
	return "CREATE TABLE x(" + strings.Join(columns, ", ") + ")"
}

// table is a scan in an execution. It implements vtab.Table.
type table struct {
	engine *engine
	scan   *scan
	run    *execution
	span   span
	passes int
	rows   [][]any // all rows, once they were needed twice
	loaded bool
	hashes map[int]map[string][]int32 // by the columns that are looked up, as a bit set
	width  int64                      // bytes of the rows given so far
	count  int64
}

// BestIndex implements vtab.Table: equality with columns is looked up.
func (t *table) BestIndex(info *vtab.IndexInfo) error {
	used, args := 0, 0
	for i := range info.Constraints {
		c := &info.Constraints[i]
		if c.Usable && c.Op == vtab.OpEQ && c.Column >= 0 && c.Column < 30 && used&(1<<c.Column) == 0 {
			used |= 1 << c.Column
		}
	}
	for column := range 30 { // the arguments come in the order of the columns
		if used&(1<<column) == 0 {
			continue
		}
		for i := range info.Constraints {
			if c := &info.Constraints[i]; c.Usable && c.Op == vtab.OpEQ && c.Column == column {
				c.ArgIndex = args
				args++
				break
			}
		}
	}
	info.IdxNum = int64(used)
	info.EstimatedCost, info.EstimatedRows = 1e6, 1e6
	if used != 0 {
		info.EstimatedCost, info.EstimatedRows = 10, 5
	}
	return nil
}

func (t *table) Open() (vtab.Cursor, error) { return &cursor{table: t}, nil }
func (t *table) Disconnect() error          { return nil }
func (t *table) Destroy() error             { return nil }

// width of a row on average, for what the engine holds of it.
func (t *table) rowWidth() int64 {
	if t.count == 0 {
		return 0
	}
	return t.width / t.count
}

// records yields the records that pass the scan's tests.
func (t *table) records(ctx context.Context) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		r := &record{layout: &layout{}, whole: -1, fields: make([][]byte, len(t.scan.columns))}
		for i, c := range t.scan.columns {
			r.types = append(r.types, c.typ)
			if len(c.steps) == 1 && c.steps[0] == eventJSON {
				r.whole = i
			} else {
				r.layout.add(c.steps, i)
			}
		}
		stats := &t.run.stats
		for raw, err := range t.run.source.Records(ctx, t.scan.store, t.span.time(t.span.from), t.span.time(t.span.to)) {
			if err == nil {
				err = t.run.check()
			}
			if err != nil {
				yield(nil, t.run.fail(err))
				return
			}
			stats.Scanned++
			stats.Bytes += int64(len(raw))
			r.read(raw)
			if !t.accepts(r) {
				continue
			}
			if !t.scan.counted {
				stats.Matched++
			}
			t.count++
			for _, field := range r.fields {
				t.width += int64(len(field))
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (t *table) accepts(r *record) bool {
	for _, check := range t.scan.tests {
		if check(r) != yes {
			return false
		}
	}
	return true
}

func (s span) time(ms int64) time.Time {
	if ms == math.MinInt64 || ms == math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// load keeps all rows, since they are read again.
func (t *table) load() error {
	if t.loaded {
		return nil
	}
	stats := t.run.stats
	for r, err := range t.records(t.run.ctx) {
		if err != nil {
			return err
		}
		row := make([]any, len(t.scan.columns))
		size := int64(64 + 16*len(row))
		for i := range row {
			row[i] = r.value(i)
			if text, ok := row[i].(string); ok {
				size += int64(len(text))
			}
		}
		if err := t.run.charge(size); err != nil {
			return err
		}
		t.rows = append(t.rows, row)
	}
	if t.passes > 0 { // the records were counted in the pass before
		t.run.stats = stats
	}
	t.loaded = true
	return nil
}

// hash is the rows by the values of columns.
func (t *table) hash(columns int) (map[string][]int32, error) {
	if h := t.hashes[columns]; h != nil {
		return h, nil
	}
	if err := t.load(); err != nil {
		return nil, err
	}
	h := make(map[string][]int32)
	var key []byte
	for i, row := range t.rows {
		key = key[:0]
		for column := range 30 {
			if columns&(1<<column) != 0 {
				key = appendKey(key, row[column])
			}
		}
		if err := t.run.charge(int64(len(key)) + 48); err != nil {
			return nil, err
		}
		h[string(key)] = append(h[string(key)], int32(i))
	}
	if t.hashes == nil {
		t.hashes = make(map[int]map[string][]int32)
	}
	t.hashes[columns] = h
	return h, nil
}

// appendKey appends a value so that equal ones look alike.
func appendKey(key []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return strconv.AppendFloat(append(key, 'n'), float64(v), 'g', -1, 64)
	case float64:
		return strconv.AppendFloat(append(key, 'n'), v, 'g', -1, 64)
	case string:
		key = strconv.AppendInt(append(key, 's'), int64(len(v)), 10)
		return append(append(key, ':'), v...)
	}
	return append(key, '0')
}

// cursor reads a table: as a stream in the first pass, then from memory. It implements vtab.Cursor.
type cursor struct {
	table  *table
	next   func() (*record, error, bool)
	stop   func()
	record *record
	found  []int32 // the rows looked up
	all    bool    // all rows in memory
	at     int
	rows   int
	end    bool
}

func (c *cursor) Filter(columns int, _ string, args []driver.Value) (err error) {
	defer c.table.engine.contain(&err)
	c.Close()
	*c = cursor{table: c.table}
	t := c.table
	switch {
	case columns != 0:
		h, err := t.hash(columns)
		if err != nil {
			return t.run.fail(err)
		}
		var key []byte
		for _, v := range args {
			if v == nil {
				c.end = true // nothing equals NULL
				return nil
			}
			key = appendKey(key, v)
		}
		c.found = h[string(key)]
		c.rows = len(c.found)
	case t.passes == 0 && !t.loaded:
		t.passes++
		c.next, c.stop = iter.Pull2(t.records(t.run.ctx))
		return c.Next()
	default:
		if err := t.load(); err != nil {
			return t.run.fail(err)
		}
		c.all, c.rows = true, len(t.rows)
	}
	c.end = c.rows == 0
	return nil
}

func (c *cursor) Next() (err error) {
	defer c.table.engine.contain(&err)
	if c.next == nil {
		c.at++
		c.end = c.at >= c.rows
		return c.table.run.check()
	}
	r, err, ok := c.next()
	if c.record, c.end = r, !ok; err != nil {
		return err
	}
	c.at++
	return nil
}

func (c *cursor) Eof() bool { return c.end }

func (c *cursor) Rowid() (int64, error) {
	switch {
	case c.found != nil:
		return int64(c.found[c.at]) + 1, nil
	case c.all:
		return int64(c.at) + 1, nil
	}
	return int64(c.at), nil
}

func (c *cursor) Column(n int) (_ driver.Value, err error) {
	defer c.table.engine.contain(&err)
	t := c.table
	if n >= len(t.scan.columns) {
		return nil, nil
	}
	switch {
	case c.found != nil:
		return t.rows[c.found[c.at]][n], nil
	case c.all:
		return t.rows[c.at][n], nil
	case c.record == nil:
		return nil, nil
	}
	return c.record.value(n), nil
}

func (c *cursor) Close() error {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	return nil
}
