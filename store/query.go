package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"github.com/holdfast-cloud/holdfast/store/pagetoken"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// Query selects records of a table. The zero value is all, in order of their primary keys.
type Query struct {
	// Index orders and selects by the entries of this index; "" is the primary key. A record with several entries comes once for each.
	Index string
	// Prefix is what the keys begin with.
	Prefix Key
	// From and To narrow the parts after Prefix to From <= parts < To; nil means no bound.
	From, To Key
	// Reverse is descending order.
	Reverse bool
	// Limit is the largest number of records; 0 means no limit.
	Limit int
}

// bounds returns the keys that the query spans, and what they have in common.
func (w Rows[R]) bounds(q Query) (prefix, from, to []byte) {
	prefix = w.encode(q.Index, q.Prefix)
	from, to = prefix, PrefixEnd(prefix)
	if q.From != nil {
		from = tuple.Append(bytes.Clone(prefix), q.From...)
	}
	if q.To != nil {
		to = tuple.Append(bytes.Clone(prefix), q.To...)
	}
	return prefix, from, to
}

// Scan iterates over the records that q selects, until an error, which comes with a nil record.
func (w Rows[R]) Scan(rd Reader, q Query) iter.Seq2[*R, error] {
	return func(yield func(*R, error) bool) {
		_, from, to := w.bounds(q)
		for row, err := range w.scan(rd, q, from, to, q.Limit) {
			if !yield(row.record, err) || err != nil {
				return
			}
		}
	}
}

// found is a record and the key in the scanned order under which it was found.
type found[R any] struct {
	key    []byte
	record *R
}

// Count returns how many entries q selects, without reading the records.
func (w Rows[R]) Count(rd Reader, q Query) (n int, err error) {
	_, from, to := w.bounds(q)
	for _, err := range rd.Scan(from, to, ScanOptions{Limit: q.Limit}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (w Rows[R]) scan(rd Reader, q Query, from, to []byte, limit int) iter.Seq2[found[R], error] {
	return func(yield func(found[R], error) bool) {
		for kv, err := range rd.Scan(from, to, ScanOptions{Reverse: q.Reverse, Limit: limit}) {
			if err != nil {
				yield(found[R]{}, err)
				return
			}
			var r *R
			if q.Index == "" {
				r, err = decodeRecord[R](kv.Key, kv.Value)
			} else if r, err = w.t.load(rd, kv.Value); errors.Is(err, ErrNotFound) {
				// In a scan of a transaction the loop's body may have deleted the record since.
				continue
			}
			if !yield(found[R]{kv.Key, r}, err) || err != nil {
				return
			}
		}
	}
}

// Page returns the next records of a listing, at most q.Limit, which must be set, and a token to go on with, "" at the end. The first page's
// token is "". Records changed between two pages come as they are then; none that stays is skipped or comes
// twice. keep, if not nil, drops records before they count; filters names what it depends on, so that a token is
// refused for another filter. A token that is not from this listing gets ErrBadToken.
func (w Rows[R]) Page(rd Reader, q Query, token string, filters string, keep func(*R) bool) (records []*R, next string, err error) {
	if q.Limit <= 0 {
		return nil, "", fmt.Errorf("store: a page of %d records", q.Limit)
	}
	prefix, from, to := w.bounds(q)
	listing := fmt.Sprintf("%q %q %q %t %q", prefix, from, to, q.Reverse, filters)
	if token != "" {
		position, err := pagetoken.Decode(listing, token)
		if err != nil {
			return nil, "", err
		}
		at := append(bytes.Clone(prefix), position...)
		if bytes.Compare(at, from) < 0 || to != nil && bytes.Compare(at, to) >= 0 {
			return nil, "", ErrBadToken // a made-up token must not lead out of the listing
		}
		if q.Reverse {
			to = at
		} else {
			from = append(at, 0)
		}
	}
	var last []byte
	for f, err := range w.scan(rd, q, from, to, 0) {
		if err != nil {
			return nil, "", err
		}
		if keep != nil && !keep(f.record) {
			continue
		}
		if len(records) == q.Limit {
			return records, pagetoken.Encode(listing, last[len(prefix):]), nil
		}
		records, last = append(records, f.record), f.key
	}
	return records, "", nil
}
