package sqs

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/wire"
)

// invalid is the error of a parameter that is wrong. The model has none for it.
func invalid(format string, args ...any) error {
	return &wire.Error{Code: "InvalidParameterValueException", QueryCode: "InvalidParameterValue", Status: 400, Message: fmt.Sprintf(format, args...)}
}

// invalidValue is invalid in the words that most parameters have in common.
func invalidValue(value any, parameter, reason string) error {
	return invalid("Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}

// missing is the error of a parameter that is not there.
func missing(parameter string) error {
	return &wire.Error{
		Code: "MissingRequiredParameterException", QueryCode: "MissingParameter", Status: 400, Message: "The request must contain the parameter " + parameter + ".",
	}
}

func noQueue() error { return &sqs.QueueDoesNotExist{Message: "The specified queue does not exist."} }

func noSource() error {
	return &sqs.ResourceNotFoundException{Message: "The resource that you specified for the SourceArn parameter doesn't exist."}
}
