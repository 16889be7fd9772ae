package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	maxPayload       = 6 << 20 // bytes of an event that is waited for
	maxQueuedPayload = 1 << 20 // and of one that is not
	maxContext       = 3583    // bytes of a client context, in Base64
)

// order is an invocation: what is to run, and what it is given.
type order struct {
	*target
	id            string // of the request
	payload       []byte // JSON
	clientContext []byte // JSON, or nil
	again         int    // attempts that failed before

	stream io.Writer                // takes the response while it comes; nil if it is wanted as a whole
	start  func(contentType string) // is told that it begins
}

// Invoke runs a function, at once or later.
func (s *Service) Invoke(c *call.Call, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	if in.DurableExecutionName != nil || in.TenantId != nil {
		return nil, wire.NotImplemented(lambda.Service.Package, "Invoke with a durable execution or a tenant")
	}
	o, err := s.order(c, in.FunctionName, in.Qualifier, in.ClientContext, in.Payload)
	if err != nil {
		return nil, err
	}
	switch in.InvocationType {
	case lambda.InvocationTypeDryRun:
		return &lambda.InvocationResponse{StatusCode: new(int32(204))}, nil
	case lambda.InvocationTypeEvent:
		return &lambda.InvocationResponse{StatusCode: new(int32(202))}, s.accept(c, o)
	}
	if len(in.Payload) > maxPayload {
		return nil, tooLarge(fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxPayload))
	}
	if !c.Release() {
		return nil, wire.NotImplemented(lambda.Service.Package, "Invoke with InvocationType RequestResponse as a part of another call")
	}
	r, err := s.run(c.Context, o)
	if err != nil {
		return nil, err
	}
	out := &lambda.InvocationResponse{StatusCode: new(int32(200)), FunctionError: optional.NonZero(r.Failure), Payload: r.Payload, ExecutedVersion: new(o.version.qualifier())}
	if in.LogType == lambda.LogTypeTail {
		out.LogResult = new(base64.StdEncoding.EncodeToString(r.Tail))
	}
	return out, nil
}

// InvokeAsync is Invoke of the type Event, as it was called before there were types. AWS has it for who still calls it.
func (s *Service) InvokeAsync(c *call.Call, in *lambda.InvokeAsyncRequest) (*lambda.InvokeAsyncResponse, error) {
	args, ok := in.InvokeArgs.(*arguments)
	if !ok && in.InvokeArgs != nil {
		// Kept in the input, for when the handler is run again.
		text, err := io.ReadAll(io.LimitReader(in.InvokeArgs, maxQueuedPayload+1))
		if err != nil {
			return nil, err
		}
		args = &arguments{text: text}
		in.InvokeArgs = args
	}
	var payload []byte
	if args != nil {
		payload = args.text
	}
	o, err := s.order(c, in.FunctionName, nil, nil, payload)
	if err != nil {
		return nil, err
	}
	return &lambda.InvokeAsyncResponse{Status: new(int32(202))}, s.accept(c, o)
}

// arguments are a body that was read.
type arguments struct{ text []byte }

func (*arguments) Read([]byte) (int, error) { return 0, io.EOF }
func (*arguments) Close() error             { return nil }

// order takes an order for a function, if the caller may invoke it.
func (s *Service) order(c *call.Call, function, qualifier, clientContext *string, payload []byte) (*order, error) {
	t, r, err := s.located(c, function, qualifier)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if t.version == nil {
		n := t.name
		if n.qualifier == "" {
			n.qualifier = latest // which is what AWS has looked for
		}
		return nil, noFunction(n.arn(c))
	}
	o := &order{id: c.RequestID, payload: payload}
	if c.Source.Service != "" {
		o.id = c.UUID() // a call may invoke several
	}
	if len(payload) == 0 {
		o.payload = []byte("{}")
	} else if err := checkJSON(payload); err != nil {
		return nil, badContent("Could not parse request body into json: Could not parse payload into json: " + err.Error())
	}
	if clientContext != nil {
		o.clientContext, err = base64.StdEncoding.DecodeString(*clientContext)
		if err != nil || len(*clientContext) > maxContext || !json.Valid(o.clientContext) {
			return nil, badContent("Client context must be a valid Base64-encoded JSON object.")
		}
	}
	o.target, err = t.routed(c)
	return o, err
}

func badContent(message string) error {
	return &lambda.InvalidRequestContentException{Type: new("User"), Message: message}
}

// tooLarge is the error of a payload; the model's own is not what AWS answers.
func tooLarge(message string) error {
	return &wire.Error{Code: "RequestEntityTooLargeException", Status: 413, Message: message}
}

// checkJSON tells in which line and column JSON goes wrong.
func checkJSON(text []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(text, &v)
	if err == nil {
		return nil
	}
	offset := len(text)
	what := "Unexpected end-of-input"
	if e, ok := errors.AsType[*json.SyntaxError](err); ok && e.Offset > 0 && int(e.Offset) <= len(text) && !bytes.Contains([]byte(e.Error()), []byte("unexpected end")) {
		offset = int(e.Offset) - 1
		what = fmt.Sprintf("Unexpected character (%s): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", character(text[offset]))
	}
	line := 1 + bytes.Count(text[:offset], []byte("\n"))
	column := offset - bytes.LastIndexByte(text[:offset], '\n')
	return fmt.Errorf("%s\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]", what, line, column)
}

func character(b byte) string {
	if b < ' ' || b > '~' {
		return fmt.Sprintf("(CTRL-CHAR, code %d)", b)
	}
	return fmt.Sprintf("'%c' (code %d)", b, b)
}

// run runs a function and waits for it. Its error is one that the caller may be told: that the function failed is a result, and none.
func (s *Service) run(ctx context.Context, o *order) (*result, error) {
	if err := s.cfg.Isolated(); err != nil {
		return nil, wire.NotImplemented(lambda.Service.Package, "Invoke on this host ("+err.Error()+")")
	}
	at := place{o.account, o.region}
	now, end, err := s.limits.begin(at, o.function.Name, o.function.Reserved, func() (int, error) { return s.unreserved(ctx, at) })
	if err != nil {
		s.measure(o, "Throttles", 1)
		return nil, err
	}
	defer end()
	s.measureRunning(o, now)
	f, err := s.prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	return s.perform(ctx, o, f)
}
