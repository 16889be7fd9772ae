package cloudwatch

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/wire"
)

// validation is the error of what the model has no error for.
func validation(format string, args ...any) error {
	return &wire.Error{Code: "ValidationError", Status: 400, Message: fmt.Sprintf(format, args...)}
}

func badValue(format string, args ...any) error {
	return &cloudwatch.InvalidParameterValueException{Message: fmt.Sprintf(format, args...)}
}

func badCombination(format string, args ...any) error {
	return &cloudwatch.InvalidParameterCombinationException{Message: fmt.Sprintf(format, args...)}
}

func missingParameter(format string, args ...any) error {
	return &cloudwatch.MissingRequiredParameterException{Message: fmt.Sprintf(format, args...)}
}

// notBuilt is what a request asks for that there is not.
func notBuilt(what string) error { return wire.NotImplemented(cloudwatch.Service.Package, what) }

func badToken() error { return &cloudwatch.InvalidNextToken{Message: "Invalid nextToken"} }
