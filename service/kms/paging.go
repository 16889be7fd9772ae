package kms

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/store"
)

// limit is the page size asked for, or the operation's own.
func limit(asked *int32, otherwise int) int {
	if asked == nil {
		return otherwise
	}
	return int(*asked)
}

// marker turns a page token that is not from the listing into what KMS says of it.
func marker(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return &kms.InvalidMarkerException{Message: "Could not deserialize marker"}
	}
	return err
}

// truncated is how a page ends: with a marker when there is more.
func truncated(next string) (marker *string, more *bool) {
	if next == "" {
		return nil, new(false)
	}
	return &next, new(true)
}
