package events

import (
	"errors"
	"net/http"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// invalid is the error for inputs that the model does not refuse and EventBridge does.
func invalid(message string) error {
	return &wire.Error{Code: "ValidationException", Status: http.StatusBadRequest, Message: message}
}

// notDelivered is the error for what this EventBridge does not deliver to.
func notDelivered(what string) error { return wire.NotImplemented(events.Service.ActionPrefix, what) }

func limitExceeded() error {
	return &events.LimitExceededException{Message: "The requested resource exceeds the maximum number allowed."}
}

func noBus(name string) error {
	return &events.ResourceNotFoundException{Message: "Event bus " + name + " does not exist."}
}

// badToken is the error for a token that is not of the listing.
func badToken(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return invalid("Invalid nextToken")
	}
	return err
}

func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
