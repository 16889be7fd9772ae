package door

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// kind is a sort of answer that every service can give and that each protocol has its own code for.
type kind uint8

const (
	accessDenied kind = iota
	unknownOperation
	tooLarge
	invalid
	internal
	kinds
)

// code is how a protocol spells a kind.
type code struct {
	code   string
	status int
}

// codes by kind and style:
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html and the common errors of each API reference; those of key stores stand in package wire.
var codes = [kinds][sigv4.XKS + 1]code{
	accessDenied: {
		sigv4.JSON: {"AccessDeniedException", 400}, sigv4.RESTJSON: {"AccessDeniedException", 403}, sigv4.Query: {"AccessDenied", 403},
		sigv4.EC2: {"UnauthorizedOperation", 403}, sigv4.S3: {"AccessDenied", 403}, sigv4.XKS: {"AccessDeniedException", 403},
	},
	unknownOperation: {
		sigv4.JSON: {"UnknownOperationException", 400}, sigv4.RESTJSON: {"UnknownOperationException", 404}, sigv4.Query: {"InvalidAction", 400},
		sigv4.EC2: {"InvalidAction", 400}, sigv4.S3: {"MethodNotAllowed", 405}, sigv4.XKS: {"InvalidUriPathException", 404},
	},
	tooLarge: {
		sigv4.JSON: {"RequestEntityTooLargeException", 413}, sigv4.RESTJSON: {"RequestEntityTooLargeException", 413}, sigv4.Query: {"RequestEntityTooLarge", 413},
		sigv4.EC2: {"RequestEntityTooLarge", 413}, sigv4.S3: {"MaxMessageLengthExceeded", 400}, sigv4.XKS: {"UnsupportedOperationException", 501},
	},
	invalid: {
		sigv4.JSON: {"ValidationException", 400}, sigv4.RESTJSON: {"ValidationException", 400}, sigv4.Query: {"ValidationError", 400},
		sigv4.EC2: {"InvalidParameterValue", 400}, sigv4.S3: {"InvalidArgument", 400}, sigv4.XKS: {"ValidationException", 400},
	},
	internal: {
		sigv4.JSON: {"InternalFailure", 500}, sigv4.RESTJSON: {"InternalFailure", 500}, sigv4.Query: {"InternalFailure", 500},
		sigv4.EC2: {"InternalError", 500}, sigv4.S3: {"InternalError", 500}, sigv4.XKS: {"InternalException", 500},
	},
}

// generic is the error of a kind as the service's protocol spells it. Clients of a service that has left the query protocol go by the code of that.
func generic(k kind, s sigv4.Style, message string) *wire.Error {
	c := codes[k][s]
	e := &wire.Error{Code: c.code, Status: c.status, Message: message, Fault: c.status >= 500}
	if s == sigv4.JSON {
		e.QueryCode = codes[k][sigv4.Query].code
	}
	return e
}

// style is how a service spells its errors when it is spoken to in a protocol.
func style(svc *wire.Service, p wire.ProtocolID) sigv4.Style {
	switch p {
	case wire.RESTJSON:
		return sigv4.RESTJSON
	case wire.XKS:
		return sigv4.XKS
	case wire.Query:
		return sigv4.Query
	case wire.EC2Query:
		return sigv4.EC2
	case wire.RESTXML:
		if svc.SigningName == "s3" {
			return sigv4.S3
		}
		return sigv4.Query
	}
	return sigv4.JSON
}

// answerable turns any error into one that a caller may see: modelled errors and protocol errors as they are, a refusal as access denied, and
// everything else as the service's internal failure. hide reports that the text of err was withheld, and belongs into the log.
func answerable(err error, rt *route) (visible error, hide bool) {
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return m, m.Schema().Error.Fault
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e, e.Status >= 500 && e.Status != 501
	}
	if d, ok := errors.AsType[*call.Denied](err); ok {
		visible := generic(accessDenied, rt.style, sentence(d, rt.style))
		if rt.room != nil && rt.room.Denied != "" {
			visible.Code = rt.room.Denied
		}
		return visible, false
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		status, code, message := e.Answer(rt.style)
		visible := &wire.Error{Code: code, Status: status, Message: message, Fault: status >= 500}
		if rt.style == sigv4.JSON {
			_, visible.QueryCode, _ = e.Answer(sigv4.Query)
		}
		if e.Region != "" && rt.style == sigv4.S3 {
			visible.Details = []wire.Detail{{Name: "Region", Value: e.Region}}
		}
		return visible, false
	}
	if rt.room != nil && rt.room.Internal != nil {
		return rt.room.Internal, true
	}
	return generic(internal, rt.style, "An internal error occurred."), true
}

// told is the code and message of an answerable error.
func told(err error) (code, message string) {
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return m.Schema().Error.Code, wire.Message(m)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code, e.Message
	}
	return "InternalFailure", ""
}
