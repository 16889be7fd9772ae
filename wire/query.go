package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// query is AWS Query, and with ec2 set EC2 Query: a form in, XML out.
type query struct{ ec2 bool }

var contentTextXML = []string{"text/xml"}

func (p query) ID() ProtocolID {
	if p.ec2 {
		return EC2Query
	}
	return Query
}

func (p query) naming() naming {
	if p.ec2 {
		return ec2Naming{}
	}
	return queryNaming{}
}

func (p query) DecodeRequest(op *Operation, req *Request) (Shape, error) {
	var root node
	if err := root.parseForm(req.RawQuery); err != nil {
		return nil, err
	}
	if ct := mediaType(req.Header); ct == "" || ct == "application/x-www-form-urlencoded" {
		if err := root.parseForm(string(req.Body)); err != nil {
			return nil, err
		}
	}
	in := op.NewInput()
	r := newTreeReader(&root, in.Schema(), p.naming())
	in.ReadMembers(r)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return in, nil
}

func (p query) EncodeResponse(op *Operation, out Shape, requestID string, resp *Response) {
	resp.begin(200)
	resp.Header["Content-Type"] = contentTextXML
	resp.Header["X-Amzn-Requestid"] = []string{requestID}
	w := xmlWriter{b: resp.Body}
	root := op.Name + "Response"
	w.start(root, "", op.Service.XMLNamespace)
	switch {
	case p.ec2:
		w.element("requestId", requestID)
		out.WriteMembers(&w)
	default:
		if op.ResultWrapper != "" {
			w.start(op.ResultWrapper, "", "")
			out.WriteMembers(&w)
			w.close(op.ResultWrapper)
		} else {
			out.WriteMembers(&w)
		}
		w.start("ResponseMetadata", "", "")
		w.element("RequestId", requestID)
		w.close("ResponseMetadata")
	}
	w.close(root)
	resp.Body = w.b
}

func (p query) EncodeError(svc *Service, op *Operation, err error, requestID string, resp *Response) {
	e := errorOnWire(err)
	resp.begin(e.queryStatus)
	resp.Header["Content-Type"] = contentTextXML
	resp.Header["X-Amzn-Requestid"] = []string{requestID}
	w := xmlWriter{b: resp.Body}
	if p.ec2 {
		w.b = append(w.b, xmlDeclaration...)
		w.start("Response", "", "")
		w.start("Errors", "", "")
		e.writeXML(&w, false, false)
		w.close("Errors")
		w.element("RequestID", requestID)
		w.close("Response")
	} else {
		w.start("ErrorResponse", "", svc.XMLNamespace)
		e.writeXML(&w, true, true)
		w.element("RequestId", requestID)
		w.close("ErrorResponse")
	}
	resp.Body = w.b
}

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// writeXML writes the element Error, with or without saying whose fault it is, and with the members the error's
// shape has beyond its message or without.
func (e *wireError) writeXML(w *xmlWriter, blame, members bool) {
	w.start("Error", "", "")
	if blame {
		w.element("Type", e.blame())
	}
	w.element("Code", e.queryCode)
	if e.shape == nil || !members {
		w.element("Message", e.text())
	} else {
		w.push(xmlFrame{kind: Struct, inner: true})
		e.shape.WriteMembers(w)
		w.pop()
	}
	w.close("Error")
}

func (p query) EncodeRequest(op *Operation, in Shape, endpoint *url.URL) (*http.Request, []byte, error) {
	req, err := newRequest(op, in, endpoint, http.MethodPost, "/")
	if err != nil {
		return nil, nil, err
	}
	req.Header["Content-Type"] = []string{"application/x-www-form-urlencoded; charset=utf-8"}
	w := formWriter{ec2: p.ec2, b: fmt.Appendf(nil, "Action=%s&Version=%s", op.Name, op.Service.APIVersion)}
	in.WriteMembers(&w)
	setBody(req, w.b)
	return req, w.b, nil
}

var errResponse = errors.New("the response is not of the form that its operation has")

func badResponse() error { return errResponse }

func (p query) DecodeResponse(op *Operation, resp *http.Response) (Shape, error) {
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	root, err := parseXML(body)
	if resp.StatusCode/100 != 2 {
		return nil, decodeXMLError(op, resp, root)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the response of %s: %w", op.Name, err)
	}
	if op.ResultWrapper != "" && !p.ec2 {
		if root = root.child(op.ResultWrapper); root == nil {
			root = &node{}
		}
	}
	out := op.NewOutput()
	r := newTreeReader(root, out.Schema(), xmlNaming{bad: badResponse})
	out.ReadMembers(r)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reading the response of %s: %w", op.Name, err)
	}
	return out, nil
}

// decodeXMLError finds out which error an XML response tells. root is nil when there was no XML.
func decodeXMLError(op *Operation, resp *http.Response, root *node) error {
	plain := &Error{Code: "UnknownError", Status: resp.StatusCode, Fault: resp.StatusCode >= 500}
	if root == nil {
		plain.Message = strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
		return plain
	}
	at := root
	if e := root.child("Errors"); e != nil {
		at = e
	}
	if e := at.child("Error"); e != nil {
		at = e
	}
	for _, k := range at.kids {
		switch k.name {
		case "Code":
			plain.Code = k.text
		case "Message", "message":
			plain.Message = k.text
		}
	}
	e := modeled(op, plain.Code, resp.Header)
	if e == nil {
		return plain
	}
	r := newTreeReader(at, e.Schema(), errorNaming{xmlNaming{bad: badResponse}})
	e.ReadMembers(r)
	if r.Err() != nil {
		return plain
	}
	return e
}

// errorNaming finds the message of an error, however it is spelt in the model.
type errorNaming struct{ xmlNaming }

func (x errorNaming) member(n *node, m *Member) *node {
	if k := x.xmlNaming.member(n, m); k != nil {
		return k
	}
	switch m.Name {
	case "message":
		return n.child("Message")
	case "Message":
		return n.child("message")
	}
	return nil
}
