package wire

import "fmt"

// ModeledError is an error that the service model lists: a generated shape whose schema has an ErrorTrait.
type ModeledError interface {
	error
	Shape
}

// Error is an error that stands in no service's model: those that the way of a call has in common
// (AccessDeniedException, ValidationException, ...), under the code that the protocol at hand uses.
type Error struct {
	Code    string
	Message string
	Status  int  // HTTP status
	Fault   bool // the server's fault, not the sender's
	Broken  Rule // what Validate found first

	// QueryCode is the code in the query protocol, and in the header for clients that expect it, where it is another one: see ErrorTrait.
	QueryCode string

	// Details are elements that the error has beside its message, and Header is what stands in the answer's header: the few errors of REST-XML that have them
	// are told apart by these, such as a bucket's region.
	Details, Header []Detail
}

// Detail is a name and a value.
type Detail struct{ Name, Value string }

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// NotImplemented is what an operation answers that Holdfast knows and does not have.
func NotImplemented(service, operation string) *Error {
	return &Error{
		Code:    "NotImplemented",
		Message: fmt.Sprintf("Holdfast does not implement %s:%s.", service, operation),
		Status:  501,
		Fault:   true,
	}
}

// Message is the message of a modelled error, whose member may be spelled message or Message.
func Message(e ModeledError) string {
	var w messageWriter
	e.WriteMembers(&w)
	return w.message
}
