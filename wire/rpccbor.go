package wire

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/holdfast-cloud/holdfast/wire/internal/cbor"
)

// rpcCBOR is Smithy RPC v2 CBOR: a CBOR map in the body of a POST to /service/NAME/operation/NAME.
type rpcCBOR struct{}

var (
	contentCBOR    = []string{"application/cbor"}
	smithyProtocol = []string{"rpc-v2-cbor"}
)

func (rpcCBOR) ID() ProtocolID { return RPCv2CBOR }

func (rpcCBOR) DecodeRequest(op *Operation, req *Request) (Shape, error) {
	in := op.NewInput()
	if len(req.Body) == 0 {
		return in, nil // how an operation without input is called
	}
	if mediaType(req.Header) != "application/cbor" {
		return nil, &Error{Code: "UnsupportedMediaTypeException", Status: 415}
	}
	if err := newCBORReader(req.Body).readTop(in); err != nil {
		return nil, err
	}
	return in, nil
}

func (rpcCBOR) begin(svc *Service, status int, requestID string, resp *Response) {
	resp.begin(status)
	resp.Header["Content-Type"] = contentCBOR
	resp.Header["Smithy-Protocol"] = smithyProtocol
	resp.Header["X-Amzn-Requestid"] = []string{requestID}
}

// appendCBOR appends the shape as a map.
func appendCBOR(b []byte, s Shape) []byte {
	w := cborWriter{b: cbor.AppendIndefinite(b, cbor.Map)}
	s.WriteMembers(&w)
	return cbor.AppendBreak(w.b)
}

func (p rpcCBOR) EncodeResponse(op *Operation, out Shape, requestID string, resp *Response) {
	p.begin(op.Service, 200, requestID, resp)
	resp.Body = appendCBOR(resp.Body, out)
}

func (p rpcCBOR) EncodeError(svc *Service, op *Operation, err error, requestID string, resp *Response) {
	e := errorOnWire(err)
	p.begin(svc, e.status, requestID, resp)
	if svc.QueryCompatible {
		resp.Header["X-Amzn-Query-Error"] = []string{e.queryError()}
	}
	w := cborWriter{b: cbor.AppendIndefinite(resp.Body, cbor.Map)}
	w.text("__type")
	w.text(e.code)
	if e.shape != nil {
		e.shape.WriteMembers(&w)
	} else if e.message != "" {
		w.text("message")
		w.text(e.message)
	}
	resp.Body = cbor.AppendBreak(w.b)
}

func (rpcCBOR) EncodeRequest(op *Operation, in Shape, endpoint *url.URL) (*http.Request, []byte, error) {
	path := "/service/" + escapeURI(op.Service.TargetPrefix, false) + "/operation/" + escapeURI(op.Name, false)
	req, err := newRequest(op, in, endpoint, http.MethodPost, path)
	if err != nil {
		return nil, nil, err
	}
	req.Header["Content-Type"] = contentCBOR
	req.Header["Accept"] = contentCBOR
	req.Header["Smithy-Protocol"] = smithyProtocol
	body := appendCBOR(nil, in)
	setBody(req, body)
	return req, body, nil
}

func (rpcCBOR) DecodeResponse(op *Operation, resp *http.Response) (Shape, error) {
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, decodeCBORError(op, resp, body)
	}
	out := op.NewOutput()
	if len(body) == 0 {
		return out, nil
	}
	if err := newCBORReader(body).readTop(out); err != nil {
		return nil, fmt.Errorf("reading the response of %s: %w", op.Name, err)
	}
	return out, nil
}

func decodeCBORError(op *Operation, resp *http.Response, body []byte) error {
	plain := &Error{Code: "UnknownError", Status: resp.StatusCode, Fault: resp.StatusCode >= 500}
	doc, _ := newCBORReader(body).any(maxDepth).(map[string]any)
	if v, ok := doc["__type"].(string); ok {
		plain.Code = bareCode(v)
	}
	for _, k := range [...]string{"message", "Message"} {
		if v, ok := doc[k].(string); ok && plain.Message == "" {
			plain.Message = v
		}
	}
	if e := modeled(op, plain.Code, resp.Header); e != nil && newCBORReader(body).readTop(e) == nil {
		return e
	}
	return plain
}
