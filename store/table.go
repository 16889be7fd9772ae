package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/holdfast-cloud/holdfast/store/pagetoken"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// Key is the parts of a key within a table or an index: strings, non-negative integers, times and byte slices. See package tuple.
type Key = tuple.Key

// Begin is the last part of a Query's Prefix that stands for all strings that begin with it.
type Begin = tuple.Begin

// ErrBadToken: the page token is not from this listing.
var ErrBadToken = pagetoken.ErrInvalid

// Table keeps records of type R, as JSON, under their primary keys, and secondary indexes beside them. All
// of it lives in the transaction it is used with. In the store (parts of a tuple with slashes between):
//
//	service / account / region / table       / key...             -> the record
//	service / account / region / table.index / entry... / key...  -> the record's full key (encoded)
//	service / account / region / table.index / entry...           -> the same, if the index is unique
//
// A global index has an empty account and region in that place.
//
// A Table is immutable and safe for concurrent use. Fields may be added to R at any time: records written before have
// them zero, and a field that R no longer has is ignored. A new index does not contain records written before it.
type Table[R any] struct {
	service, name string
	key           func(*R) Key
	indexes       []Index[R]
}

// Index is a secondary index of a table.
type Index[R any] struct {
	// Name is unique in the table.
	Name string
	// Entries returns the entries under which a record is found: none, one or several.
	Entries func(*R) []Key
	// Unique lets an entry belong to one record only.
	Unique bool
	// Global makes one index over all accounts and regions. Records found through it should say where they live.
	Global bool
}

// NewTable returns the table called name of a service; key returns a record's primary key. Names may not
// contain dots. It panics on a wrong layout, as layouts are written by hand.
func NewTable[R any](service, name string, key func(*R) Key, indexes ...Index[R]) *Table[R] {
	seen := map[string]bool{"": true}
	for _, ix := range indexes {
		if seen[ix.Name] || ix.Entries == nil {
			panic(fmt.Sprintf("store: table %s.%s: index %q", service, name, ix.Name))
		}
		seen[ix.Name] = true
	}
	if service == "" || name == "" || strings.Contains(name, ".") || key == nil {
		panic(fmt.Sprintf("store: table %q.%q", service, name))
	}
	return &Table[R]{service, name, key, indexes}
}

// In returns the table's rows of one account and region. Either may be empty for what belongs to no region, or to no account.
func (t *Table[R]) In(account, region string) Rows[R] { return Rows[R]{t, account, region} }

// Watch has fn called for each record that a commit wrote or deleted, with where it lives and the parts of its primary
// key as text, under the rules of Store.OnCommit.
func (t *Table[R]) Watch(s Store, fn func(account, region string, key []string)) {
	s.OnCommit(tuple.Encode(t.service), func(keys [][]byte) {
		for _, k := range keys {
			if parts, err := tuple.Split(k); err == nil && len(parts) > 4 && parts[3] == t.name {
				fn(parts[1], parts[2], parts[4:])
			}
		}
	})
}

// Row is a record and where it lives.
type Row[R any] struct {
	Account, Region string
	Record          *R
}

// All iterates over the records of all accounts and regions. It skips from one account and region to the next, so
// it costs nothing for other tables; but in a transaction all of the service's keys count as read.
func (t *Table[R]) All(rd Reader) iter.Seq2[Row[R], error] {
	return func(yield func(Row[R], error) bool) {
		for h, err := range t.Homes(rd) {
			if err != nil {
				yield(Row[R]{}, err)
				return
			}
			for r, err := range t.In(h.Account, h.Region).Scan(rd, Query{}) {
				if !yield(Row[R]{h.Account, h.Region, r}, err) || err != nil {
					return
				}
			}
		}
	}
}

// Home is an account and region.
type Home struct{ Account, Region string }

// Homes iterates over the accounts and regions in which the table's service has anything, as All does.
func (t *Table[R]) Homes(rd Reader) iter.Seq2[Home, error] {
	return func(yield func(Home, error) bool) {
		from := tuple.Encode(t.service)
		end := PrefixEnd(from)
		for {
			var h Home
			found := false
			for kv, err := range rd.Scan(from, end, ScanOptions{Limit: 1}) {
				if err != nil {
					yield(Home{}, err)
					return
				}
				parts, err := tuple.Split(kv.Key)
				if err != nil || len(parts) < 4 {
					yield(Home{}, fmt.Errorf("store: key %s: %w", tuple.Format(kv.Key), tuple.ErrMalformed))
					return
				}
				h, found = Home{parts[1], parts[2]}, true
			}
			if !found || !yield(h, nil) {
				return
			}
			from = PrefixEnd(tuple.Encode(t.service, h.Account, h.Region))
		}
	}
}

// Rows is a table in one account and region.
type Rows[R any] struct {
	t               *Table[R]
	account, region string
}

// Get returns the record with a primary key, or ErrNotFound.
func (w Rows[R]) Get(rd Reader, key ...any) (*R, error) { return w.t.load(rd, w.encode("", key)) }

// Find returns the record with an entry in a unique index, or ErrNotFound.
func (w Rows[R]) Find(rd Reader, index string, entry ...any) (*R, error) {
	if !w.t.index(index).Unique {
		panic(fmt.Sprintf("store: Find in index %s.%s, which is not unique", w.t.name, index))
	}
	key, err := rd.Get(w.encode(index, entry))
	if err != nil {
		return nil, err
	}
	return w.t.load(rd, key)
}

// Put writes a record and its index entries, in place of the record with the same primary key, if there is
// one. It returns ErrExists, and has written nothing, if a unique entry belongs to another record.
func (w Rows[R]) Put(tx Tx, r *R) error { return w.put(tx, r, false) }

// Insert is Put, but returns ErrExists if there is a record with the same primary key.
func (w Rows[R]) Insert(tx Tx, r *R) error { return w.put(tx, r, true) }

func (w Rows[R]) put(tx Tx, r *R, insert bool) error {
	key := w.encode("", w.t.key(r))
	old, err := w.t.replaced(tx, key)
	switch {
	case err == nil && insert:
		return fmt.Errorf("%s: %w", w.t.name, ErrExists)
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	value, err := encodeRecord(r)
	if err != nil {
		return fmt.Errorf("store: encoding a record of %s.%s: %w", w.t.service, w.t.name, err)
	}
	entries := w.entries(r, key)
	for _, e := range entries {
		if !e.unique {
			continue
		}
		owner, err := tx.Get(e.key)
		switch {
		case err == nil && !bytes.Equal(owner, key):
			return fmt.Errorf("%s.%s: %w", w.t.name, e.index, ErrExists)
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
	}
	if old != nil {
		for _, e := range w.entries(old, key) {
			tx.Delete(e.key)
		}
	}
	for _, e := range entries {
		tx.Set(e.key, key)
	}
	tx.Set(key, value)
	return nil
}

// Delete removes the record with a primary key and its index entries, or returns ErrNotFound.
func (w Rows[R]) Delete(tx Tx, key ...any) error {
	k := w.encode("", key)
	old, err := w.t.replaced(tx, k)
	if err != nil {
		return err
	}
	for _, e := range w.entries(old, k) {
		tx.Delete(e.key)
	}
	tx.Delete(k)
	return nil
}

// replaced returns the record that a write replaces, for its index entries. Of a table that has no indexes it is not decoded, and has nothing in it.
func (t *Table[R]) replaced(rd Reader, key []byte) (*R, error) {
	if len(t.indexes) > 0 {
		return t.load(rd, key)
	}
	if _, err := rd.Get(key); err != nil {
		return nil, err
	}
	return new(R), nil
}

// entry is one index entry of a record.
type entry struct {
	index  string
	unique bool
	key    []byte
}

func (w Rows[R]) entries(r *R, key []byte) (entries []entry) {
	if len(w.t.indexes) == 0 {
		return nil
	}
	own := key[len(w.encode("", nil)):] // the primary key's own parts
	for _, ix := range w.t.indexes {
		for _, parts := range ix.Entries(r) {
			k := w.encode(ix.Name, parts)
			if !ix.Unique {
				if ix.Global {
					k = tuple.Append(k, w.account, w.region)
				}
				k = append(k, own...)
			}
			entries = append(entries, entry{ix.Name, ix.Unique, k})
		}
	}
	return entries
}

// encode returns a key in the table, or in the index if one is named.
func (w Rows[R]) encode(index string, parts []any) []byte {
	account, region, name := w.account, w.region, w.t.name
	if index != "" {
		name += "." + index
		if w.t.index(index).Global {
			account, region = "", ""
		}
	}
	return tuple.Append(tuple.Encode(w.t.service, account, region, name), parts...)
}

func (t *Table[R]) index(name string) *Index[R] {
	for i := range t.indexes {
		if t.indexes[i].Name == name {
			return &t.indexes[i]
		}
	}
	panic(fmt.Sprintf("store: table %s.%s has no index %q", t.service, t.name, name))
}

func (t *Table[R]) load(rd Reader, key []byte) (*R, error) {
	value, err := rd.Get(key)
	if err != nil {
		return nil, err
	}
	return decodeRecord[R](key, value)
}

func encodeRecord(r any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // for people
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeRecord does not quote the value in an error: it may hold what must not be logged.
func decodeRecord[R any](key, value []byte) (*R, error) {
	r := new(R)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("store: record %s does not decode", tuple.Format(key))
	}
	return r, nil
}
