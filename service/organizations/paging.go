package organizations

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// pageSize is how much a page holds unless less is asked for.
const pageSize = 20

// limit is the page size asked for, or the usual one.
func limit(asked *int32) int {
	if asked == nil {
		return pageSize
	}
	return int(*asked)
}

// badToken turns a page token that is not from the listing into what Organizations says of it.
func badToken(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return invalid(organizations.InvalidInputExceptionReasonInvalidNextToken, "You provided an invalid NextToken. You must get the value from the response to a previous call.")
	}
	return err
}

// more is the token of the next page, nil on the last.
func more(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

// page lists records as a page of the API's own type.
func page[R, T any](rows store.Rows[R], rd store.Reader, q store.Query, token *string, filters string, keep func(*R) bool, show func(*R) (T, error)) ([]T, *string, error) {
	found, next, err := rows.Page(rd, q, optional.Value(token), filters, keep)
	if err != nil {
		return nil, nil, badToken(err)
	}
	out := make([]T, 0, len(found))
	for _, r := range found {
		t, err := show(r)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, t)
	}
	return out, more(next), nil
}
