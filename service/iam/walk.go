package iam

import (
	"iter"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// walk makes pages of several listings that follow each other as if they were one. A marker holds the place of the last item: the number of its listing, and
// the key it has there.
type walk struct {
	what        string // names the listing and its filters
	limit       int
	taken       int
	from, last  place
	interrupted bool
}

type place struct {
	listing int
	key     string
}

func newWalk(what string, marker *string, items *int32) (*walk, error) {
	w := &walk{what: what, limit: defaultItems}
	if items != nil {
		w.limit = int(*items)
	}
	if marker == nil {
		return w, nil
	}
	position, err := pagetoken.Decode(what, *marker)
	if err != nil {
		return nil, badMarker()
	}
	number, key, _ := strings.Cut(string(position), "/")
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, badMarker()
	}
	w.from = place{n, key}
	return w, nil
}

// visit goes on with a listing. Its items come in the order of their keys, from the key given or from the beginning; those that keep, which may be nil, does
// not drop are added to the page.
func visit[T any](w *walk, listing int, items func(from string) iter.Seq2[T, error], key func(T) string, keep func(T) bool, add func(T) error) error {
	if w.interrupted || listing < w.from.listing {
		return nil
	}
	after := ""
	if listing == w.from.listing {
		after = w.from.key
	}
	for item, err := range items(after) {
		if err != nil {
			return err
		}
		k := key(item)
		if k <= after && after != "" || keep != nil && !keep(item) {
			continue
		}
		if w.taken == w.limit {
			w.interrupted = true
			return nil
		}
		if err := add(item); err != nil {
			return err
		}
		w.taken++
		w.last = place{listing, k}
	}
	return nil
}

// end is IsTruncated and the Marker.
func (w *walk) end() (truncated *bool, marker *string) {
	if !w.interrupted {
		return new(false), nil
	}
	return new(true), new(pagetoken.Encode(w.what, []byte(strconv.Itoa(w.last.listing)+"/"+w.last.key)))
}

// rowsFrom lists the records of a table, or of an index of it under an entry, by their names.
func rowsFrom[R any](c *call.Call, t *store.Table[R], index string, entry ...any) func(from string) iter.Seq2[*R, error] {
	return func(from string) iter.Seq2[*R, error] {
		q := store.Query{Index: index, Prefix: entry}
		if from != "" {
			q.From = store.Key{from}
		}
		return t.In(c.Scope.Account, "").Scan(c.Tx(), q)
	}
}

// sliceFrom lists what is sorted already.
func sliceFrom[T any](items iter.Seq[T]) func(string) iter.Seq2[T, error] {
	return func(string) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			for item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// under keeps what lies under a path.
func under(prefix *string, path string) bool {
	return strings.HasPrefix(pathOf(path), optional.Value(prefix))
}
