package lambda

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxPage is how many a page has, whatever is asked for.
const maxPage = 50

// page returns the next records of a listing. See store.Rows.Page for filters and keep.
func page[R any](c *call.Call, t *store.Table[R], at name, q store.Query, marker *string, limit *int32, filters string, keep func(*R) bool) ([]*R, *string, error) {
	q.Limit = maxPage
	if limit != nil {
		q.Limit = min(int(*limit), maxPage)
	}
	records, next, err := t.In(at.account, at.region).Page(c.Tx(), q, optional.Value(marker), filters, keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, nil, invalid("Invalid Marker.")
	}
	return records, optional.NonZero(next), err
}
