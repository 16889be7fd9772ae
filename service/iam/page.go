package iam

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// defaultItems is how many items a page has of which the caller does not say it.
const defaultItems = 100

// page returns the next records of a listing: Marker, MaxItems and IsTruncated of the list operations. See store.Rows.Page for filters and keep.
func page[R any](c *call.Call, t *store.Table[R], q store.Query, marker *string, items *int32, filters string, keep func(*R) bool) (records []*R, next *string, truncated bool, err error) {
	return pageOf(c, t.In(c.Scope.Account, ""), q, marker, items, filters, keep)
}

func pageOf[R any](c *call.Call, rows store.Rows[R], q store.Query, marker *string, items *int32, filters string, keep func(*R) bool) (records []*R, next *string, truncated bool, err error) {
	q.Limit = defaultItems
	if items != nil {
		q.Limit = int(*items)
	}
	records, token, err := rows.Page(c.Tx(), q, optional.Value(marker), filters, keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, nil, false, badMarker()
	}
	if err != nil || token == "" {
		return records, nil, false, err
	}
	return records, &token, true, nil
}

func badMarker() error { return validation("Invalid Marker.") }

// validation is an error of the protocol's, which the model does not have.
func validation(format string, args ...any) error {
	return &wire.Error{Code: "ValidationError", Status: 400, Message: fmt.Sprintf(format, args...)}
}
