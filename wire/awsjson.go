package wire

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// awsJSON is AWS JSON 1.0 and 1.1: everything is a JSON object in the body of a POST to "/", and the header
// X-Amz-Target names the operation.
type awsJSON struct{}

// Header values that are the same in every response, to be shared: a http.Header that holds one is only ever
// added to by copying, since none has room to grow.
var (
	contentJSON10 = []string{"application/x-amz-json-1.0"}
	contentJSON11 = []string{"application/x-amz-json-1.1"}
)

func jsonContentType(svc *Service) []string {
	if svc.JSONVersion == "1.0" {
		return contentJSON10
	}
	return contentJSON11
}

func (awsJSON) ID() ProtocolID { return AWSJSON }

func (awsJSON) DecodeRequest(op *Operation, req *Request) (Shape, error) {
	switch mediaType(req.Header) {
	case "application/x-amz-json-1.1", "application/x-amz-json-1.0": // either will do for any service
	default:
		return nil, &Error{Code: "UnknownOperationException", Status: 404}
	}
	in := op.NewInput()
	r := newJSONReader(req.Body)
	defer r.free()
	if err := r.readTop(in); err != nil {
		return nil, err
	}
	return in, nil
}

// mediaType is the Content-Type without its parameters, in lower case.
func mediaType(h http.Header) string {
	v := h["Content-Type"]
	if len(v) == 0 {
		return ""
	}
	t := v[0]
	if i := strings.IndexByte(t, ';'); i >= 0 {
		t = t[:i]
	}
	return strings.ToLower(strings.TrimSpace(t)) // neither copies what is spelt as usual
}

func (awsJSON) EncodeResponse(op *Operation, out Shape, requestID string, resp *Response) {
	resp.begin(200)
	resp.Header["Content-Type"] = jsonContentType(op.Service)
	resp.Header["X-Amzn-Requestid"] = []string{requestID}
	if len(out.Schema().Members) > 0 { // else AWS sends nothing at all
		resp.Body = appendJSON(resp.Body, out)
	}
}

func (awsJSON) EncodeError(svc *Service, op *Operation, err error, requestID string, resp *Response) {
	e := errorOnWire(err)
	resp.begin(e.status)
	resp.Header["Content-Type"] = jsonContentType(svc)
	resp.Header["X-Amzn-Requestid"] = []string{requestID}
	if svc.QueryCompatible {
		resp.Header["X-Amzn-Query-Error"] = []string{e.queryError()}
	}
	resp.Body = e.appendJSON(resp.Body)
}

func (awsJSON) EncodeRequest(op *Operation, in Shape, endpoint *url.URL) (*http.Request, []byte, error) {
	req, err := newRequest(op, in, endpoint, http.MethodPost, "/")
	if err != nil {
		return nil, nil, err
	}
	req.Header["Content-Type"] = jsonContentType(op.Service)
	req.Header["X-Amz-Target"] = []string{op.Service.TargetPrefix + "." + op.Name}
	body := appendJSON(nil, in)
	setBody(req, body)
	return req, body, nil
}

func (awsJSON) DecodeResponse(op *Operation, resp *http.Response) (Shape, error) {
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, decodeJSONError(op, resp, body)
	}
	out := op.NewOutput()
	if len(body) == 0 {
		return out, nil
	}
	r := newJSONReader(body)
	defer r.free()
	if err := r.readTop(out); err != nil {
		return nil, fmt.Errorf("reading the response of %s: %w", op.Name, err)
	}
	return out, nil
}

// decodeJSONError finds out which error a JSON response tells, from its headers or its members.
func decodeJSONError(op *Operation, resp *http.Response, body []byte) error {
	plain := &Error{Code: "UnknownError", Status: resp.StatusCode, Fault: resp.StatusCode >= 500}
	r := newJSONReader(body)
	defer r.free()
	code := resp.Header.Get("X-Amzn-Errortype")
	if r.value() == '{' {
		if doc, ok := r.any(0).(map[string]any); ok && r.end() == nil {
			for _, k := range [...]string{"__type", "code", "Code"} {
				if v, ok := doc[k].(string); ok && code == "" {
					code = v
				}
			}
			for _, k := range [...]string{"message", "Message", "errorMessage"} {
				if v, ok := doc[k].(string); ok && plain.Message == "" {
					plain.Message = v
				}
			}
		}
	}
	if code = bareCode(code); code != "" {
		plain.Code = code
	}
	if e := modeled(op, code, resp.Header); e != nil {
		er := newJSONReader(body)
		defer er.free()
		if er.value() == '{' && er.readTop(e) != nil {
			return modeled(op, code, resp.Header) // without what came of the rest
		}
		return e
	}
	return plain
}

// bareCode is the name of an error without the namespace before and the address behind it.
func bareCode(s string) string {
	if _, after, ok := strings.Cut(s, "#"); ok {
		s = after
	}
	s, _, _ = strings.Cut(s, ":")
	return strings.TrimSpace(s)
}

// modeled gives a new error of that code if op may answer with one.
func modeled(op *Operation, code string, h http.Header) ModeledError {
	query, _, _ := strings.Cut(h.Get("X-Amzn-Query-Error"), ";")
	for _, s := range op.Errors {
		t := s.Error
		if t == nil || t.New == nil {
			continue
		}
		if code != "" && (code == t.Code || code == s.Name || code == t.QueryCode) || query != "" && query == t.QueryCode {
			m, _ := t.New().(ModeledError)
			return m
		}
	}
	return nil
}

// maxClientBody bounds what a client reads of one response that is not a stream.
const maxClientBody = 64 << 20

// readBody reads and closes the body of a response.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxClientBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the body of a response: %w", err)
	}
	if len(body) > maxClientBody {
		return nil, fmt.Errorf("the body of a response is longer than %d bytes", maxClientBody)
	}
	return body, nil
}
