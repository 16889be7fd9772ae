package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// flowing is an invocation whose response is passed on while it comes.
type flowing struct {
	contentType string    // that the function gave its response
	body        io.Reader // of the response; nil if it has ended before it began
	end         <-chan ended
}

// ended is how an invocation ended.
type ended struct {
	result *result
	err    error
}

// flow runs a function until it begins to respond, or ends without. The function is ended when ctx is, or when nobody reads what it says.
func (s *Service) flow(ctx context.Context, o *order) *flowing {
	read, write := io.Pipe()
	begun, end := make(chan string, 1), make(chan ended, 1)
	o.stream, o.start = write, func(contentType string) { begun <- contentType }
	go func() {
		r, err := s.guarded(ctx, o)
		if err == nil && r.Failure != "" {
			err = errBroken
		}
		if err != nil {
			write.CloseWithError(err)
		}
		if errors.Is(err, errBroken) {
			err = nil
		}
		end <- ended{r, err}
		close(begun)
		write.Close()
	}()
	contentType, ok := <-begun
	if !ok {
		return &flowing{end: end}
	}
	return &flowing{contentType: contentType, body: read, end: end}
}

// guarded is run, with an error in place of a panic: no call is there to catch it.
func (s *Service) guarded(ctx context.Context, o *order) (r *result, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.run(ctx, o)
}

// errBroken is the error of a response that broke off in its middle.
var errBroken = errors.New("the function failed while it responded")

// InvokeWithResponseStream runs a function, and passes its response on while it comes.
func (s *Service) InvokeWithResponseStream(c *call.Call, in *lambda.InvokeWithResponseStreamRequest) (*lambda.InvokeWithResponseStreamResponse, error) {
	if in.TenantId != nil {
		return nil, wire.NotImplemented(lambda.Service.Package, c.Op.Name+" with a tenant")
	}
	o, err := s.order(c, in.FunctionName, in.Qualifier, in.ClientContext, in.Payload)
	if err != nil {
		return nil, err
	}
	if in.InvocationType == lambda.ResponseStreamingInvocationTypeDryRun {
		return &lambda.InvokeWithResponseStreamResponse{StatusCode: new(int32(204))}, nil
	}
	if !c.Release() {
		return nil, wire.NotImplemented(lambda.Service.Package, c.Op.Name+" as a part of another call")
	}
	ctx, cancel := context.WithCancel(c.Context)
	f := s.flow(ctx, o)
	e := &eventStream{flowing: f, cancel: cancel, tail: in.LogType == lambda.LogTypeTail}
	if f.body == nil {
		x := <-f.end
		if x.err != nil {
			cancel()
			return nil, x.err
		}
		e.finish(x)
	}
	return &lambda.InvokeWithResponseStreamResponse{
		StatusCode: new(int32(200)), ExecutedVersion: new(o.version.qualifier()), ResponseStreamContentType: new(wire.ContentEventStream), EventStream: e,
	}, nil
}

// eventStream is a response as events, each as soon as there is something to tell.
type eventStream struct {
	*flowing
	cancel  context.CancelFunc
	tail    bool
	pending []byte // events that were not read yet
	over    bool
}

// chunk is how much of a response is one event at most, in bytes.
const chunk = 32 << 10

// Read implements io.Reader.
func (e *eventStream) Read(p []byte) (int, error) {
	for len(e.pending) == 0 && !e.over {
		buf := make([]byte, chunk)
		n, err := e.body.Read(buf)
		if n > 0 {
			e.pending = wire.AppendEvent(nil, "PayloadChunk", "application/octet-stream", buf[:n])
		}
		if err != nil {
			x := <-e.end
			if x.err != nil {
				return 0, x.err
			}
			e.finish(x)
		}
	}
	if len(e.pending) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.pending)
	e.pending = e.pending[n:]
	return n, nil
}

// finish tells how it ended.
func (e *eventStream) finish(x ended) {
	e.over = true
	last := lambdaComplete{}
	if x.result.Failure != "" {
		last.ErrorCode, last.ErrorDetails = x.result.Failure, string(x.result.Payload)
	} else if len(x.result.Payload) > 0 { // of a function that did not stream
		e.pending = wire.AppendEvent(e.pending, "PayloadChunk", "application/octet-stream", x.result.Payload)
	}
	if e.tail {
		last.LogResult = base64.StdEncoding.EncodeToString(x.result.Tail)
	}
	text, err := json.Marshal(last)
	if err != nil {
		return
	}
	e.pending = wire.AppendEvent(e.pending, "InvokeComplete", "application/json", text)
}

type lambdaComplete struct {
	ErrorCode    string `json:",omitempty"`
	ErrorDetails string `json:",omitempty"`
	LogResult    string `json:",omitempty"`
}

// Close implements io.Closer: what is not read ends.
func (e *eventStream) Close() error {
	e.cancel()
	if r, ok := e.body.(io.Closer); ok {
		return r.Close()
	}
	return nil
}
