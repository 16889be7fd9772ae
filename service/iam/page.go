package iam

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// defaultItems is how many items a page has of which the caller does not say it.
const defaultItems = 100

// page returns the next records of a listing: Marker, MaxItems and IsTruncated of the list operations. See store.Rows.Page for filters and keep.
func page[R any](c *call.Call, t *store.Table[R], q store.Query, marker *string, items *int32, filters string, keep func(*R) bool) (records []*R, next *string, truncated bool, err error) {
	q.Limit = defaultItems
	if items != nil {
		q.Limit = int(*items)
	}
	records, token, err := t.In(c.Scope.Account, "").Page(c.Tx(), q, deref(marker), filters, keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, nil, false, &iam.InvalidInputException{Message: "Invalid Marker."}
	}
	if err != nil || token == "" {
		return records, nil, false, err
	}
	return records, &token, true, nil
}
