package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// newRequest begins a client's request: method, address and host. The path is escaped, and is appended to the
// endpoint's; it may have a query part.
func newRequest(op *Operation, in Shape, endpoint *url.URL, method, path string) (*http.Request, error) {
	u := *endpoint
	if op.HostPrefix != "" {
		prefix, err := hostPrefix(op.HostPrefix, in)
		if err != nil {
			return nil, err
		}
		u.Host = prefix + u.Host
	}
	escaped, query, _ := strings.Cut(path, "?")
	full := strings.TrimSuffix(endpoint.EscapedPath(), "/") + escaped
	p, err := url.PathUnescape(full)
	if err != nil {
		return nil, fmt.Errorf("the path of %s: %w", op.Name, err)
	}
	u.Path, u.RawPath, u.RawQuery = p, full, query
	return &http.Request{
		Method: method, URL: &u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 8),
	}, nil
}

// setBody makes body the request's, so that it can be sent again.
func setBody(req *http.Request, body []byte) {
	req.ContentLength = int64(len(body))
	if len(body) == 0 {
		req.Body = http.NoBody
		req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// hostPrefix fills the labels of a host prefix like "{AccountId}.".
func hostPrefix(template string, in Shape) (string, error) {
	if !strings.Contains(template, "{") {
		return template, nil
	}
	var labels hostLabels
	in.WriteMembers(&labels)
	for name, v := range labels.values {
		// A label that could end the host would send the call elsewhere.
		for i := range len(v) {
			switch c := v[i]; {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-' && i > 0:
			default:
				return "", fmt.Errorf("the value of %s can not be a part of a host name", name)
			}
		}
		if v == "" || len(v) > 63 {
			return "", fmt.Errorf("the value of %s can not be a part of a host name", name)
		}
		template = strings.ReplaceAll(template, "{"+name+"}", v)
	}
	if strings.Contains(template, "{") {
		return "", fmt.Errorf("host prefix %s: a label is missing", template)
	}
	return template, nil
}

// hostLabels is a Writer that keeps the members marked as host labels.
type hostLabels struct {
	values map[string]string
	depth  int
}

func (w *hostLabels) String(m *Member, v string) {
	if w.depth == 0 && m.HostLabel {
		if w.values == nil {
			w.values = map[string]string{}
		}
		w.values[m.Name] = v
	}
}

func (w *hostLabels) BeginStruct(*Member)     { w.depth++ }
func (w *hostLabels) EndStruct()              { w.depth-- }
func (w *hostLabels) BeginList(*Member, int)  { w.depth++ }
func (w *hostLabels) EndList()                { w.depth-- }
func (w *hostLabels) BeginMap(*Member, int)   { w.depth++ }
func (w *hostLabels) MapKey(string)           {}
func (w *hostLabels) EndMap()                 { w.depth-- }
func (w *hostLabels) Blob(*Member, []byte)    {}
func (w *hostLabels) Bool(*Member, bool)      {}
func (w *hostLabels) Int(*Member, int64)      {}
func (w *hostLabels) Float(*Member, float64)  {}
func (w *hostLabels) Time(*Member, time.Time) {}
func (w *hostLabels) Document(*Member, any)   {}
func (w *hostLabels) Null(*Member)            {}
