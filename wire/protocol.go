package wire

import (
	"io"
	"net/http"
	"net/url"
)

// Protocol is one of the AWS protocols, from both sides. It holds no state and may be used concurrently.
//
// Errors of DecodeRequest are of type *Error: what the bytes did wrong, in the words that AWS uses.
type Protocol interface {
	ID() ProtocolID

	// DecodeRequest reads the input of op out of req. The shape does not alias req.Body; the body of a
	// streaming operation becomes the shape's stream, unread.
	DecodeRequest(op *Operation, req *Request) (Shape, error)

	// EncodeResponse fills resp with out. It appends to resp.Body[:0] and sets headers in resp.Header,
	// making it when it is nil, so that a caller may use a Response again. Values in the header are shared
	// between responses: replace them, but do not write into them.
	EncodeResponse(op *Operation, out Shape, requestID string, resp *Response)

	// EncodeError fills resp with err, a ModeledError or an *Error; anything else is told as an internal
	// failure without its text. op is nil when the request named none.
	EncodeError(svc *Service, op *Operation, err error, requestID string, resp *Response)

	// EncodeRequest gives the unsigned request of a client to the service at endpoint. The body is returned
	// as well, for signing; it is nil when the request streams.
	EncodeRequest(op *Operation, in Shape, endpoint *url.URL) (*http.Request, []byte, error)

	// DecodeResponse reads the output of op out of resp, and closes its body unless that became the
	// output's stream. An error of the service is returned as the modelled error, or else an *Error.
	DecodeResponse(op *Operation, resp *http.Response) (Shape, error)
}

// Request is what a server hands to a Protocol.
type Request struct {
	Method   string
	Path     string // escaped, as it stood in the request line
	RawQuery string
	Header   http.Header
	Body     []byte
	Stream   io.ReadCloser     // the body of an operation with a streaming input, instead of Body
	Labels   map[string]string // of the URI template, as Router.Match gave them; nil means: match Path here
}

// Response is what a Protocol hands to a server. Stream, when not nil, is the body instead of Body, and is the
// server's to close.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Stream io.ReadCloser
}

// For gives the protocol of that name, or nil.
func For(id ProtocolID) Protocol {
	switch id {
	case RESTJSON:
		return rest{}
	case RESTXML:
		return rest{xml: true}
	case XKS:
		return xks{}
	case RPCv2CBOR:
		return rpcCBOR{}
	case Query:
		return query{}
	case EC2Query:
		return query{ec2: true}
	case AWSJSON:
		return awsJSON{}
	}
	return nil
}

// begin readies resp for an answer of that status, with fresh headers and an empty body.
func (resp *Response) begin(status int) {
	resp.Status = status
	resp.Body = resp.Body[:0]
	resp.Stream = nil
	if resp.Header == nil {
		resp.Header = make(http.Header, 4)
	} else {
		clear(resp.Header)
	}
}
