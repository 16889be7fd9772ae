package wire

import (
	"net/http"
	"strings"
)

// xks is REST-JSON as the external key store proxies of AWS KMS speak it: an error is {"errorName": ..., "errorMessage": ...}, and no header tells it.
//
// https://github.com/aws/aws-kms-xksproxy-api-spec/blob/main/xks_proxy_api_spec.md#error-codes
type xks struct{ rest }

func (xks) ID() ProtocolID { return XKS }

// DecodeRequest implements Protocol. The API has no name of its own for what cannot be read.
func (p xks) DecodeRequest(op *Operation, req *Request) (Shape, error) {
	in, err := p.rest.DecodeRequest(op, req)
	if e, ok := err.(*Error); ok {
		return nil, &Error{Code: "ValidationException", Status: 400, Message: e.Message}
	}
	return in, err
}

func (p xks) EncodeError(svc *Service, _ *Operation, err error, requestID string, resp *Response) {
	e := errorOnWire(err)
	resp.begin(e.status)
	p.requestIDHeader(svc, resp.Header, requestID)
	resp.Header["Content-Type"] = contentJSON
	resp.Body = AppendJSONString(append(resp.Body, `{"errorName":`...), e.code)
	if text := xksMessage(e.text()); text != "" {
		resp.Body = AppendJSONString(append(resp.Body, `,"errorMessage":`...), text)
	}
	resp.Body = append(resp.Body, '}')
}

// xksMessage is a message as the API permits it: shorter than 512 characters, of printable ASCII.
func xksMessage(text string) string {
	const limit = 511
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), limit)]
}

func (p xks) DecodeResponse(op *Operation, resp *http.Response) (Shape, error) {
	if resp.StatusCode/100 == 2 {
		return p.rest.DecodeResponse(op, resp)
	}
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	plain := &Error{Code: "UnknownError", Status: resp.StatusCode, Fault: resp.StatusCode >= 500}
	r := newJSONReader(body)
	defer r.free()
	if r.value() != '{' {
		return nil, plain
	}
	doc, ok := r.any(0).(map[string]any)
	if !ok || r.end() != nil {
		return nil, plain
	}
	plain.Message, _ = doc["errorMessage"].(string)
	name, _ := doc["errorName"].(string)
	if name == "" {
		return nil, plain
	}
	plain.Code = name
	e := modeled(op, name, resp.Header)
	if e == nil {
		return nil, plain
	}
	er := newJSONReader(body)
	defer er.free()
	if er.value() == '{' && er.readTop(e) != nil {
		return nil, modeled(op, name, resp.Header) // without the rest, which is not what it should be
	}
	return nil, e
}
