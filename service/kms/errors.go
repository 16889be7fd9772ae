package kms

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/wire"
)

// invalid is a ValidationException for what the model cannot say.
func invalid(format string, args ...any) error {
	return &wire.Error{Code: "ValidationException", Status: 400, Message: fmt.Sprintf(format, args...)}
}

// unsupported is an UnsupportedOperationException.
func unsupported(format string, args ...any) error {
	return &kms.UnsupportedOperationException{Message: fmt.Sprintf(format, args...)}
}
