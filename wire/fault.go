package wire

import (
	"errors"
	"strings"
)

// wireError is an error on its way out: what all protocols need of either sort.
type wireError struct {
	code    string
	message string // of an error without a shape
	status  int
	fault   bool
	shape   ModeledError // nil for an error that is in no model

	details, header []Detail

	queryCode   string
	queryStatus int
}

func errorOnWire(err error) wireError {
	var m ModeledError
	if errors.As(err, &m) {
		if t := m.Schema().Error; t != nil {
			e := wireError{code: t.Code, status: t.Status, fault: t.Fault, shape: m, queryCode: t.QueryCode, queryStatus: t.QueryStatus}
			if e.code == "" {
				e.code = m.Schema().Name
			}
			if e.status == 0 {
				e.status = 400
				if e.fault {
					e.status = 500
				}
			}
			return e.withQuery()
		}
	}
	if p, ok := errors.AsType[*Error](err); ok {
		e := wireError{code: p.Code, message: p.Message, status: p.Status, fault: p.Fault, details: p.Details, header: p.Header, queryCode: p.QueryCode}
		if e.status == 0 {
			e.status = 400
			if e.fault {
				e.status = 500
			}
		}
		return e.withQuery()
	}
	// The text of an error that nobody modelled is for the log only.
	return wireError{code: "InternalFailure", status: 500, fault: true}.withQuery()
}

func (e wireError) withQuery() wireError {
	if e.queryCode == "" {
		e.queryCode = e.code
	}
	if e.queryStatus == 0 {
		e.queryStatus = e.status
	}
	return e
}

// blame says whose fault it is, in the words of the query protocol.
func (e *wireError) blame() string {
	if e.fault {
		return "Receiver"
	}
	return "Sender"
}

// queryError is the header x-amzn-query-error.
func (e *wireError) queryError() string { return e.queryCode + ";" + e.blame() }

func (e *wireError) appendJSON(b []byte) []byte {
	w := newJSONWriter(append(b, '{'))
	w.b = append(w.b, `"__type":`...)
	w.b = AppendJSONString(w.b, e.code)
	if e.shape != nil {
		e.shape.WriteMembers(w)
	} else if e.message != "" {
		// The errors of the serialization layer itself write it with a capital.
		if e.code == "SerializationException" {
			w.b = append(w.b, `,"Message":`...)
		} else {
			w.b = append(w.b, `,"message":`...)
		}
		w.b = AppendJSONString(w.b, e.message)
	}
	return append(w.free(), '}')
}

// text is the message of an error of either sort.
func (e *wireError) text() string {
	if e.shape == nil {
		return e.message
	}
	var w messageWriter
	e.shape.WriteMembers(&w)
	return w.message
}

// messageWriter is a Writer that keeps the message of an error.
type messageWriter struct {
	hostLabels
	message string
}

func (w *messageWriter) String(m *Member, v string) {
	if w.depth == 0 && strings.EqualFold(m.Name, "message") {
		w.message = v
	}
}
