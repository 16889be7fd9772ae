// Package lakesql answers the queries of CloudTrail Lake: SELECT statements in Trino's SQL over the records of event data stores.
//
// [Parse] reads a statement, says which event data stores it reads and to which time range it is limited, and finds every error that
// does not depend on the records. [Query.Run] answers it from a [Source], within [Limits].
package lakesql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Query is a statement that was understood. It can be run many times, and by many at once.
type Query struct {
	stores   []string
	from, to time.Time
}

// Stores are the IDs of the event data stores that the query reads, each once, in the order of the statement.
func (q *Query) Stores() []string { return q.stores }

// Range is the time range of the records that can matter to the query: from is included, to is not. A zero time is no bound.
func (q *Query) Range() (from, to time.Time) { return q.from, q.to }

// Source gives the records of event data stores.
type Source interface {
	// Records yields the JSON records of a store whose eventTime lies in the range: from is included, to is not, a zero time is no bound.
	// It may yield others too, and in any order. A record is valid until the next one is asked for. The first error ends the query.
	Records(ctx context.Context, store string, from, to time.Time) iter.Seq2[[]byte, error]
}

// Limits bound what a query may use. A zero member is its default.
type Limits struct {
	// Time is how long a query may run: 10 minutes.
	Time time.Duration
	// Memory is how many bytes the query may hold at once, its result included: 256 MiB.
	Memory int64
	// Rows is how many rows the result may have: 1,000,000.
	Rows int
	// Now is the query's current time; it must be given if the statement asks for it.
	Now time.Time
}

// Value is a field of a result: a string, or NULL.
type Value struct {
	String string
	Null   bool
}

// Result is the answer to a query.
type Result struct {
	Columns []string
	Rows    [][]Value
	Stats   Stats
}

// Stats is what a query did. They are told of a query that failed, too.
type Stats struct {
	Scanned int64 // records read
	Matched int64 // records that the query's conditions on single records let through
	Bytes   int64 // bytes of the records read
}

// Error is an error in a statement, or one that a statement's evaluation raised.
type Error struct {
	Line, Column int // from 1; 0 if no place is to blame
	Message      string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d:%d: %s", e.Line, e.Column, e.Message)
}

// ErrLimit is wrapped by the errors of queries that needed more than their limits.
var ErrLimit = errors.New("query exceeded a limit")

// Parse reads a statement. Its errors are of type *Error.
func Parse(statement string) (*Query, error) {
	return nil, &Error{Line: 1, Column: 1, Message: "queries are not understood yet"}
}

// Run answers the query. The result's statistics are there even if an error is returned. Errors of the statement's evaluation are of type *Error; those of
// limits wrap ErrLimit; the source's errors and those of ctx are wrapped.
func (q *Query) Run(ctx context.Context, source Source, limits Limits) (*Result, error) {
	return &Result{}, &Error{Message: "queries are not understood yet"}
}
