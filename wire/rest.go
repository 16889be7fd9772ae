package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rest is AWS REST-JSON, and with xml set REST-XML: members travel in the path, the query, headers and the
// body, as the model binds them.
type rest struct{ xml bool }

// IsREST reports whether a protocol binds operations to methods and paths.
func (id ProtocolID) IsREST() bool { return id == RESTJSON || id == RESTXML || id == XKS }

var (
	contentJSON        = []string{"application/json"}
	contentXML         = []string{"application/xml"}
	contentText        = []string{"text/plain"}
	contentOctetStream = []string{"application/octet-stream"}
)

func (p rest) ID() ProtocolID {
	if p.xml {
		return RESTXML
	}
	return RESTJSON
}

// isS3 reports whether the service answers as Amazon S3 does, whose errors have no element around them.
func isS3(svc *Service) bool { return svc.ID == "S3" }

// isUnwrapped reports whether the body of the response is the element of its only member, without one around
// it. The models have no word for it, and there is but this one.
func isUnwrapped(op *Operation) bool { return op.Name == "GetBucketLocation" && isS3(op.Service) }

// malformed is the error for a body that can not be read.
func (p rest) malformed(svc *Service) error {
	switch {
	case !p.xml:
		return serialization("")
	case isS3(svc):
		return &Error{Code: "MalformedXML", Status: 400,
			Message: "The XML you provided was not well-formed or did not validate against our published schema"}
	}
	return &Error{Code: "MalformedInput", Status: 400}
}

// unfit is the error for a value outside of the body that is not what its member wants.
func (p rest) unfit(svc *Service, m *Member, text string) error {
	switch {
	case !p.xml:
		return serialization(unfitText(m.Target.Kind))
	case isS3(svc):
		if m.Sensitive || m.Target.Sensitive {
			text = ""
		}
		return &Error{Code: "InvalidArgument", Status: 400, Message: "Provided argument " + m.WireName() + " is not valid: " + strconv.Quote(text)}
	}
	return &Error{Code: "InvalidInput", Status: 400}
}

func unfitText(k Kind) string {
	switch k {
	case Boolean:
		return "STRING_VALUE can not be converted to a Boolean"
	case Integer:
		return "STRING_VALUE can not be converted to an Integer"
	case Long, Float, Double:
		return "STRING_VALUE can not be converted to a " + numberName(k)
	case Timestamp:
		return "STRING_VALUE can not be converted to a Timestamp"
	}
	return ""
}

func (p rest) DecodeRequest(op *Operation, req *Request) (Shape, error) {
	in := op.NewInput()
	path, literals, _ := strings.Cut(op.URI, "?")
	labels := req.Labels
	if labels == nil {
		var ok bool
		if labels, ok = matchPath(parseTemplate(path), req.Path); !ok {
			return nil, &Error{Code: "UnknownOperationException", Status: 404}
		}
	}
	query, ok := parseParams(req.RawQuery)
	if !ok {
		return nil, malformedQuery()
	}
	r := &restReader{
		schema: in.Schema(), labels: labels, query: query, header: req.Header, raw: req.Body,
		bad: func(m *Member, text string) error { return p.unfit(op.Service, m, text) },
	}
	for pair := range strings.SplitSeq(literals, "&") {
		k, _, _ := strings.Cut(pair, "=")
		r.fixed = append(r.fixed, queryLiteral{key: k})
	}
	if err := p.read(in, r, func() error { return p.malformed(op.Service) }); err != nil {
		return nil, err
	}
	if s, ok := in.(Streamer); ok && req.Stream != nil {
		s.SetStream(req.Stream)
	}
	return in, nil
}

// read fills s from r, to which it adds the reader for the body.
func (p rest) read(s Shape, r *restReader, malformed func() error) error {
	structured := hasBody(r.schema)
	if pay := r.schema.Payload; pay != nil {
		switch pay.Target.Kind {
		case Blob, String, Enum:
			structured = false
		default:
			structured = true
		}
	}
	if !structured || len(r.raw) == 0 {
		s.ReadMembers(r)
		return r.Err()
	}
	if p.xml {
		root, err := parseXML(r.raw)
		if err != nil {
			return malformed()
		}
		n := xmlNaming{bad: malformed}
		if r.schema.Payload != nil {
			r.body = &treeReader{naming: n, cur: root}
		} else {
			r.body = newTreeReader(root, r.schema, n)
		}
		s.ReadMembers(r)
		return r.Err()
	}
	jr := newJSONReader(r.raw)
	defer jr.free()
	if r.schema.Payload == nil {
		jr.beginTop(r.schema)
	}
	r.body = jr
	s.ReadMembers(r)
	if err := r.Err(); err != nil {
		return err
	}
	return jr.end()
}

// hasBody reports whether a member of the structure is in the body.
func hasBody(s *Schema) bool {
	return slices.ContainsFunc(s.Members, func(m Member) bool { return m.Location == InBody })
}

// write puts s into w and gives the structured body, if there is one. root is the name of an XML body's root.
func (p rest) write(s Shape, w *restWriter, body []byte, root, namespace string) []byte {
	schema := s.Schema()
	w.payload = schema.Payload
	whole := schema.Payload == nil && hasBody(schema)
	if !p.xml {
		jw := newJSONWriter(body)
		jw.unnamed = !whole
		w.body = jw
		if whole {
			jw.b = append(jw.b, '{')
		}
		s.WriteMembers(w)
		body = jw.free()
		if whole {
			body = append(body, '}')
		}
		return body
	}
	xw := &xmlWriter{b: body}
	w.body = xw
	if whole {
		xw.start(root, "", namespace)
	}
	if schema.Payload != nil {
		xw.root = namespace
	}
	s.WriteMembers(w)
	if whole {
		xw.close(root)
	}
	return xw.b
}

func (p rest) contentType() []string {
	if p.xml {
		return contentXML
	}
	return contentJSON
}

// setContentType sets the type of a body unless a member has done so.
func (p rest) setContentType(h http.Header, payload *Member, empty bool) {
	if _, ok := h["Content-Type"]; ok {
		return
	}
	switch {
	case payload != nil && payload.Target.Kind == Blob:
		if !empty || payload.Target.Streaming {
			h["Content-Type"] = contentOctetStream
		}
	case empty:
	case payload != nil && (payload.Target.Kind == String || payload.Target.Kind == Enum):
		h["Content-Type"] = contentText
	default:
		h["Content-Type"] = p.contentType()
	}
}

func (p rest) requestIDHeader(svc *Service, h http.Header, id string) {
	if p.xml && isS3(svc) {
		h["X-Amz-Request-Id"] = []string{id}
		h["X-Amz-Id-2"] = []string{id}
		return
	}
	h["X-Amzn-Requestid"] = []string{id}
}

func (p rest) EncodeResponse(op *Operation, out Shape, requestID string, resp *Response) {
	resp.begin(200)
	if op.ResponseCode != 0 {
		resp.Status = op.ResponseCode
	}
	p.requestIDHeader(op.Service, resp.Header, requestID)
	w := &restWriter{header: resp.Header, asWritten: isS3(op.Service)}
	schema := out.Schema()
	start := resp.Body
	if p.xml && (schema.Payload == nil && hasBody(schema) || schema.Payload != nil && nests(schema.Payload.Target)) {
		start = append(start, xmlDeclaration...)
	}
	var body []byte
	if isUnwrapped(op) {
		xw := &xmlWriter{b: start, root: rootNamespace(op, schema)}
		out.WriteMembers(xw)
		if len(xw.b) == len(start) { // us-east-1, which has no name here
			xw.start(schema.Members[0].WireName(), "", xw.root)
			xw.close(schema.Members[0].WireName())
		}
		body = xw.b
	} else {
		body = p.write(out, w, start, rootName(schema), rootNamespace(op, schema))
	}
	if w.hasRaw {
		body = append(body[:0], w.raw...)
	}
	if len(body) == len(start) && len(start) > 0 {
		body = body[:0] // a declaration, and no payload behind it
	}
	if w.status != 0 {
		resp.Status = w.status
	}
	resp.Body = body
	if s, ok := out.(Streamer); ok {
		resp.Stream = s.Stream()
	}
	if _, part := resp.Header["Content-Range"]; part && isS3(op.Service) {
		resp.Status = http.StatusPartialContent // the models have no word for it
	}
	p.setContentType(resp.Header, schema.Payload, len(body) == 0 && resp.Stream == nil)
}

func rootName(s *Schema) string {
	if s.LocationName != "" {
		return s.LocationName
	}
	return s.Name
}

func rootNamespace(op *Operation, s *Schema) string {
	if s.XMLNamespace != "" {
		return s.XMLNamespace
	}
	return op.Service.XMLNamespace
}

func (p rest) EncodeError(svc *Service, op *Operation, err error, requestID string, resp *Response) {
	e := errorOnWire(err)
	resp.begin(e.status)
	p.requestIDHeader(svc, resp.Header, requestID)
	w := &restWriter{header: resp.Header}
	if !p.xml {
		resp.Header["X-Amzn-Errortype"] = []string{e.code}
		if svc.QueryCompatible {
			resp.Header["X-Amzn-Query-Error"] = []string{e.queryError()}
		}
		jw := newJSONWriter(append(resp.Body, '{'))
		w.body = jw
		if e.shape != nil {
			e.shape.WriteMembers(w)
		} else if e.message != "" {
			name := `"message":`
			if e.code == "SerializationException" {
				name = `"Message":`
			}
			jw.b = AppendJSONString(append(jw.b, name...), e.message)
		}
		resp.Body = append(jw.free(), '}')
		resp.Header["Content-Type"] = contentJSON
		return
	}
	xw := &xmlWriter{b: append(resp.Body, xmlDeclaration...)}
	w.body = xw
	if !isS3(svc) {
		xw.start("ErrorResponse", "", svc.XMLNamespace)
	}
	xw.start("Error", "", "")
	if !isS3(svc) {
		xw.element("Type", e.blame())
	}
	xw.element("Code", e.code)
	if e.shape != nil {
		xw.push(xmlFrame{kind: Struct, inner: true})
		e.shape.WriteMembers(w)
		xw.pop()
	} else {
		xw.element("Message", e.message)
		for _, d := range e.details {
			xw.element(d.Name, d.Value)
		}
		for _, d := range e.header {
			resp.Header.Set(d.Name, d.Value)
		}
	}
	if isS3(svc) {
		xw.element("RequestId", requestID)
		xw.element("HostId", requestID)
		xw.close("Error")
	} else {
		xw.close("Error")
		xw.element("RequestId", requestID)
		xw.close("ErrorResponse")
	}
	resp.Body = xw.b
	resp.Header["Content-Type"] = contentXML
}

func errEmptyLabel(op *Operation, name string) error {
	return fmt.Errorf("%s needs %s for its path", op.Name, name)
}

func (p rest) EncodeRequest(op *Operation, in Shape, endpoint *url.URL) (*http.Request, []byte, error) {
	schema := in.Schema()
	w := &restWriter{header: http.Header{}}
	root, namespace := op.InputName, op.InputNamespace
	if root == "" {
		root = rootName(schema)
	}
	if namespace == "" {
		namespace = rootNamespace(op, schema)
	}
	body := p.write(in, w, nil, root, namespace)
	if w.hasRaw {
		body = w.raw
	}
	target, err := w.target(op)
	if err != nil {
		return nil, nil, err
	}
	req, err := newRequest(op, in, endpoint, op.Method, target)
	if err != nil {
		return nil, nil, err
	}
	req.Header = w.header
	var stream io.ReadCloser
	if s, ok := in.(Streamer); ok {
		stream = s.Stream()
	}
	p.setContentType(req.Header, schema.Payload, len(body) == 0 && stream == nil)
	if stream == nil {
		setBody(req, body)
		return req, body, nil
	}
	req.Body = stream
	req.ContentLength = -1
	if v := req.Header.Get("Content-Length"); v != "" {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			req.ContentLength = n
		}
	}
	return req, nil, nil
}

func (p rest) DecodeResponse(op *Operation, resp *http.Response) (Shape, error) {
	if resp.StatusCode/100 != 2 {
		body, err := readBody(resp)
		if err != nil {
			return nil, err
		}
		return nil, p.decodeError(op, resp, body)
	}
	out := op.NewOutput()
	r := &restReader{schema: out.Schema(), header: resp.Header, status: resp.StatusCode,
		bad: func(*Member, string) error { return errResponse }}
	if s, ok := out.(Streamer); ok {
		s.SetStream(resp.Body)
	} else {
		body, err := readBody(resp)
		if err != nil {
			return nil, err
		}
		r.raw = body
	}
	if isUnwrapped(op) {
		r.raw = append(append([]byte("<Body>"), withoutDeclaration(r.raw)...), "</Body>"...)
	}
	if err := p.read(out, r, badResponse); err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("reading the response of %s: %w", op.Name, err)
	}
	return out, nil
}

// withoutDeclaration is an XML text without what may only stand at its start.
func withoutDeclaration(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if bytes.HasPrefix(b, []byte("<?xml")) {
		_, b, _ = bytes.Cut(b, []byte("?>"))
	}
	return b
}

func (p rest) decodeError(op *Operation, resp *http.Response, body []byte) error {
	var err error
	if p.xml {
		root, _ := parseXML(body)
		err = decodeXMLError(op, resp, root)
	} else {
		err = decodeJSONError(op, resp, body)
	}
	m, ok := err.(ModeledError)
	if !ok || !slices.ContainsFunc(m.Schema().Members, func(m Member) bool { return m.Location != InBody }) {
		return err
	}
	// What is in the headers comes on top of what was in the body.
	r := &restReader{schema: m.Schema(), header: resp.Header, status: resp.StatusCode,
		bad: func(*Member, string) error { return errResponse }}
	m.ReadMembers(r)
	return err
}
