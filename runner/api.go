package runner

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxStream is how long a response may be that is streamed: 200 MB.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
const maxStream = 200 << 20

// api is the Runtime API of one instance.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (i *instance) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", i.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", i.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", i.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", i.serveInitError)
	mux.HandleFunc("/2020-01-01/extension/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "Extension.NotSupported", "extensions are not run")
	})
	for _, api := range []string{"/2020-08-15/logs", "/2022-07-01/telemetry"} {
		mux.HandleFunc(api, func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusForbidden, "Telemetry.NotSupported", "telemetry is not given to extensions")
		})
	}
	return mux
}

func (i *instance) serveNext(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	if i.asking == 0 {
		select {
		case <-i.ready:
		default:
			close(i.ready)
		}
	}
	i.asking++
	i.mu.Unlock()
	var next *work
	select {
	case next = <-i.next:
	case <-r.Context().Done():
	}
	i.mu.Lock()
	i.asking--
	if next != nil {
		i.current = next
	}
	i.mu.Unlock()
	if next == nil {
		return
	}
	h := w.Header()
	// As AWS spells them; Go's own spelling differs, which does not matter to HTTP.
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(next.in.Payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", next.in.RequestID)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(next.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", next.in.ARN)
	if next.in.TraceID != "" {
		h.Set("Lambda-Runtime-Trace-Id", next.in.TraceID)
	}
	if len(next.in.ClientContext) > 0 {
		h.Set("Lambda-Runtime-Client-Context", string(next.in.ClientContext))
	}
	_, _ = w.Write(next.in.Payload)
}

// answering takes the invocation of a request that answers it, so that a second answer finds none.
func (i *instance) answering(w http.ResponseWriter, r *http.Request) *work {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.current
	if c == nil || c.in.RequestID != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return nil
	}
	i.current = nil
	return c
}

func (i *instance) serveResponse(w http.ResponseWriter, r *http.Request) {
	c := i.answering(w, r)
	if c == nil {
		return
	}
	result := &Result{ContentType: r.Header.Get("Content-Type")}
	var err error
	if c.in.Stream != nil {
		c.kind = result.ContentType
		err = c.pass(r.Body)
	} else {
		result.Payload, err = readAll(r.Body, MaxPayload)
	}
	switch {
	case errors.Is(err, errTooLong):
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload)
		result = failure("Function.ResponseSizeTooLarge", "%s", message)
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxPayload))
	case err != nil:
		result = failure("Runtime.TruncatedResponse", "RequestId: %s Error: the response ended before its end", c.in.RequestID)
		refuse(w, http.StatusBadRequest, "Runtime.TruncatedResponse", "the response ended before its end")
	default:
		// A response that is streamed can fail after it has begun, and says so behind its end.
		if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
			body, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
			if err != nil || len(body) == 0 {
				result = failure(kind, "the function failed while it streamed its response")
			} else {
				result = &Result{Payload: body, Failure: "Unhandled", ErrorType: kind, ContentType: result.ContentType}
			}
		}
		accept(w)
	}
	i.finish(c, result)
}

func (i *instance) serveError(w http.ResponseWriter, r *http.Request) {
	c := i.answering(w, r)
	if c == nil {
		return
	}
	result := &Result{Failure: "Unhandled", ErrorType: r.Header.Get("Lambda-Runtime-Function-Error-Type")}
	body, err := readAll(r.Body, MaxPayload)
	if result.Payload = body; err != nil {
		result = failure("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload)
	}
	if result.ErrorType == "" {
		var e struct {
			ErrorType string `json:"errorType"`
		}
		_ = json.Unmarshal(body, &e) // whatever else it is has no type
		result.ErrorType = e.ErrorType
	}
	accept(w)
	i.finish(c, result)
}

// serveInitError keeps why the function could not start. The runtime ends then; if it does not it is ended.
func (i *instance) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := readAll(r.Body, MaxPayload)
	i.mu.Lock()
	select {
	case <-i.ready:
		i.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "State transition from Ready to InitError failed for runtime. Error: State transition is not allowed")
		return
	default:
	}
	if i.initBody == nil && err == nil {
		i.initBody, i.initType = body, r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	i.mu.Unlock()
	accept(w)
	_ = http.NewResponseController(w).Flush()
	i.stop()
}

// finish gives the answer to who waits. What the function wrote until now belongs to the request.
func (i *instance) finish(c *work, r *Result) {
	i.logs.drain(i.box.log)
	c.answer <- r // there is room for one, and one is sent
}

var errTooLong = errors.New("longer than allowed")

func readAll(r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(b)) > max {
		return nil, errTooLong
	}
	return b, err
}

// pass hands a response on while it comes. Only the goroutine that invokes writes to the caller's Stream, so that nothing is written after it has returned.
func (c *work) pass(body io.Reader) error {
	var sum int64
	for first := true; ; first = false {
		b := make([]byte, 32<<10)
		n, err := body.Read(b)
		if sum += int64(n); sum > maxStream {
			return errTooLong
		}
		if n > 0 || first {
			select {
			case c.chunks <- b[:n]:
			case <-c.gone:
				return errGone
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`+"\n")
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(errorType, "RequestEntity") {
		w.Header().Set("Connection", "close") // the rest is not read
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorMessage": message, "errorType": errorType})
}
