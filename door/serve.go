package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// exchange is one request on its way through the door. Its buffers are used again for later requests.
type exchange struct {
	route
	request  *http.Request
	id       string
	auth     *sigv4.Authorization // nil for an unsigned request
	authErr  error                // of parsing the signature; told once the route says in which words
	caller   *identity.Principal
	scope    call.Scope
	body     []byte // as it was sent
	unpacked []byte // see unpack
	stream   io.ReadCloser
	in       wire.Shape
	decoding wire.Request // what the protocol is given; kept here so that it costs no allocation
	response wire.Response
	trace    []byte // room for the decision trace
	why      why
}

// defaultBodyLimit holds until the operation is known.
const defaultBodyLimit = 2 << 20

// maxAttempts bounds how often a call is run again after its transaction conflicted.
const maxAttempts = 100

// ServeHTTP takes a request through the door.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s, id, path := d.visited(r); s != nil {
		d.visit(w, r, s, id, path)
		return
	}
	watch := clock.Start()
	x := d.scratch.Get().(*exchange)
	*x = exchange{
		// Who speaks until the request says what it wants.
		route: unknownService(wire.RESTJSON), body: x.body, response: wire.Response{Header: w.Header(), Body: x.response.Body}, request: r, id: newID(),
		trace: x.trace,
	}
	out, err := d.serve(x)
	if err == nil {
		x.protocol.EncodeResponse(x.endpoint.Op, out, x.id, &x.response)
		if d.cfg.Dev && x.response.Stream != nil {
			cage(x.response.Header)
		}
	} else {
		visible, hide := answerable(err, &x.route)
		d.log(x, visible, err, hide)
		x.protocol.EncodeError(x.service, operation(x), visible, x.id, &x.response)
		x.why.set(x.response.Header)
		err = visible
	}
	cut := x.send(w)
	d.metrics.observe(&x.route, err, watch.Elapsed())
	// Nothing of a request outlives it in the pool but three buffers, and those not if they are large.
	*x = exchange{body: x.body[:0], response: wire.Response{Body: x.response.Body[:0]}, trace: x.trace[:0]}
	if cap(x.body) <= keptBuffer && cap(x.response.Body) <= keptBuffer && cap(x.trace) <= keptBuffer {
		d.scratch.Put(x)
	}
	if cut != nil {
		// The answer broke off in its middle: the connection must too, or the caller would take it for the whole.
		panic(http.ErrAbortHandler)
	}
}

// keptBuffer is the largest buffer that is kept for later requests.
const keptBuffer = 256 << 10

func operation(x *exchange) *wire.Operation {
	if x.endpoint == nil {
		return nil
	}
	return x.endpoint.Op
}

// send writes the answer. Its error is one of the answer's stream.
func (x *exchange) send(w http.ResponseWriter) error {
	s := x.response.Stream
	if s != nil {
		defer s.Close()
	}
	w.WriteHeader(x.response.Status)
	switch {
	case x.request.Method == http.MethodHead:
	case s != nil && x.response.Header.Get("Content-Type") == wire.ContentEventStream:
		return flow(w, s)
	case s != nil:
		_, err := io.Copy(w, s)
		return err
	default:
		if _, err := w.Write(x.response.Body); err != nil { // who has gone away needs no answer
			// HTTP/2 may be about to copy the bytes of a stream that was reset: nobody else's answer may come in their place.
			x.response.Body = nil
		}
	}
	return nil
}

// serve does everything but the answer. A panic becomes an error: it is a mistake of ours, and not worth the other callers' connections.
func (d *Door) serve(x *exchange) (out wire.Shape, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, panicked(p)
		}
	}()
	if err := d.find(x); err != nil {
		return nil, err
	}
	if err := d.authenticate(x); err != nil {
		return nil, err
	}
	if x.endpoint == nil {
		return nil, wire.NotImplemented(x.service.ActionPrefix, x.name)
	}
	if x.stream != nil && !x.endpoint.Op.StreamingInput {
		if err := x.read(x.stream, limit(x.endpoint.Op)); err != nil {
			return nil, err
		}
		x.stream = nil
	}
	if err := x.unpack(); err != nil {
		return nil, d.refuse(x, err)
	}
	if x.in, err = x.protocol.DecodeRequest(x.endpoint.Op, x.wireRequest()); err != nil {
		return nil, d.refuse(x, err)
	}
	if x.room.Addressed != nil {
		x.room.Addressed(x.in, x.request.URL.EscapedPath())
	}
	if err := x.validate(); err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok {
			err = generic(invalid, x.style, e.Message)
			if x.room.Invalid != nil {
				if own := x.room.Invalid(e); own != nil {
					err = own
				}
			}
		}
		return nil, d.refuse(x, err)
	}
	return d.handle(x)
}

// validate holds the input against the constraints of the model.
func (x *exchange) validate() error {
	if x.room.Validates {
		return nil
	}
	return wire.Validate(x.in)
}

func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

func (x *exchange) wireRequest() *wire.Request {
	r := x.request
	x.decoding = wire.Request{
		Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header, Body: x.plain(), Stream: x.stream, Labels: x.labels,
	}
	if x.stream == nil && x.endpoint.Op.StreamingInput {
		x.decoding.Stream = io.NopCloser(bytes.NewReader(x.plain()))
	}
	return &x.decoding
}

// find parses the signature, routes, and reads the body unless it is to stream. An operation that is known and not built is found without
// an error: who may not call must not learn what is built.
func (d *Door) find(x *exchange) error {
	r := x.request
	x.auth, x.authErr = sigv4.Parse(r)
	signing := ""
	if x.authErr == nil {
		signing = x.auth.Service
	}
	form := isForm(r) && !streaming(x.auth)
	if form {
		x.route = unknownService(wire.Query)
		if err := x.read(r.Body, defaultBodyLimit); err != nil {
			return err
		}
		if err := x.unpack(); err != nil {
			return err
		}
	}
	var err error
	x.route, err = d.router.find(r, signing, x.plain())
	if x.peers && d.peer(x.auth) == nil {
		x.route, err = x.route.hidden()
	}
	switch {
	case err != nil && !x.known:
		return err
	case form:
		return nil
	case x.endpoint == nil && x.auth != nil && x.auth.PayloadHash != "":
		x.stream = r.Body // the signature covers the hash, so nobody needs to read it
	case x.endpoint != nil && x.endpoint.Op.StreamingInput && x.auth != nil && x.auth.PayloadHash == "":
		return x.read(r.Body, limit(x.endpoint.Op)) // what the signature covers shows when all is there
	case x.endpoint != nil && x.endpoint.Op.StreamingInput, streaming(x.auth):
		if r.ContentLength < 0 && x.style == sigv4.S3 && !streaming(x.auth) {
			return lengthMissing()
		}
		x.stream = r.Body
	default:
		return x.read(r.Body, limit(operation(x)))
	}
	return nil
}

// limit is how large a body may be that is read as a whole.
func limit(op *wire.Operation) int64 {
	if op != nil && op.BodyLimit > 0 {
		return op.BodyLimit
	}
	return defaultBodyLimit
}

func streaming(a *sigv4.Authorization) bool { return a != nil && a.Payload.Streaming() }

// read reads a whole body into the exchange's buffer.
func (x *exchange) read(src io.Reader, limit int64) error {
	if x.request.ContentLength > limit {
		return generic(tooLarge, x.style, "The request body is too large.")
	}
	// One byte more than announced is where the end shows itself. Callers may announce what they do not send, so not all is taken at once.
	x.body = slices.Grow(x.body[:0], int(min(max(x.request.ContentLength, 0), keptBuffer))+1)
	src = io.LimitReader(src, limit+1)
	for {
		if len(x.body) == cap(x.body) {
			x.body = slices.Grow(x.body, len(x.body))
		}
		n, err := src.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		if int64(len(x.body)) > limit {
			return generic(tooLarge, x.style, "The request body is too large.")
		}
		if err == io.EOF {
			return nil
		}
		if _, ok := errors.AsType[*sigv4.Error](err); ok {
			return err // of a stream that is verified while it is read
		}
		if err != nil {
			return &wire.Error{Code: "RequestTimeout", Status: 400, Message: "The request body could not be read."}
		}
	}
}

// source tells where the request came from.
func (x *exchange) source() call.Source {
	r := x.request
	s := call.Source{UserAgent: r.UserAgent(), Referer: r.Referer()}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		s.IP = ap.Addr().Unmap()
	}
	if e := through(r.Context()); e != nil {
		s.VPCEndpoint, s.VPC, s.Endpoint = e.ID, e.VPC, e.Policy
	}
	if t := r.TLS; t != nil {
		s.TLS = &audit.TLS{Version: tlsVersion(t.Version), Cipher: cipherName(t.CipherSuite), Host: r.Host}
	}
	return s
}

// newCall begins a call for one run of a handler.
func (d *Door) newCall(x *exchange, src call.Source) *call.Call {
	c := &call.Call{
		Context: x.request.Context(), Op: x.endpoint.Op, Scope: x.scope, Caller: x.caller, Time: d.cfg.Clock.Now(), Source: src,
		RequestID: x.id, EventID: newID(), Rand: d.rand,
	}
	c.Traced(d.cfg.Evidence, x.trace)
	return d.alone(c, x.service)
}

// alone binds a call to the service whose handler gets it, and to a transaction of its own.
func (d *Door) alone(c *call.Call, s *wire.Service) *call.Call {
	return c.Bind(s.Package, d.cfg.Organizations, func() (store.Tx, error) {
		tx, err := d.cfg.Store.Begin(c.Context)
		if err != nil {
			return nil, err
		}
		return &watchedTx{Tx: tx}, nil
	}).WithRoles(d.cfg.Directory).Alone()
}

// refuse records a request that did not get as far as its handler.
func (d *Door) refuse(x *exchange, cause error) error {
	c := d.newCall(x, x.source())
	s := recordings.Get().(*recording)
	defer s.free()
	if err := d.cfg.Trail.Append(d.records(s, c, x.endpoint, nil, nil, endedWith(cause, &x.route))...); err != nil {
		return err
	}
	return cause
}

// watchedTx knows whether something was written.
type watchedTx struct {
	store.Tx
	wrote bool
}

func (t *watchedTx) Set(key, value []byte) { t.wrote = true; t.Tx.Set(key, value) }
func (t *watchedTx) Delete(key []byte)     { t.wrote = true; t.Tx.Delete(key) }

// handle runs the handler of a request.
func (d *Door) handle(x *exchange) (wire.Shape, error) {
	src := x.source()
	c, out, err := d.conclude(&x.route, x.in, func() *call.Call { return d.newCall(x, src) })
	x.trace = c.Trace().Buffer()
	if err != nil {
		d.tell(x, c, err)
	}
	return out, err
}

// conclude runs a handler, again while its transaction conflicts, and records how it ended. It returns the call of the last run.
func (d *Door) conclude(rt *route, in wire.Shape, begin func() *call.Call) (*call.Call, wire.Shape, error) {
	for attempt := 0; ; attempt++ {
		c := begin()
		out, recorded, err := d.attempt(c, rt.endpoint, in)
		if errors.Is(err, store.ErrConflict) && attempt < maxAttempts && c.Context.Err() == nil {
			d.metrics.conflicts.Inc()
			continue
		}
		if errors.Is(err, call.ErrAgain) && attempt < maxAttempts {
			continue
		}
		if !recorded {
			if rerr := d.record(c, rt, in, out, err); rerr != nil {
				unread(out)
				return c, nil, rerr
			}
		}
		return c, out, err
	}
}

// record puts a call on record that changed nothing.
func (d *Door) record(c *call.Call, rt *route, in, out wire.Shape, err error) error {
	if err := c.KeepTrace(); err != nil {
		return err
	}
	s := recordings.Get().(*recording)
	defer s.free()
	return d.cfg.Trail.Append(d.records(s, c, rt.endpoint, in, out, endedWith(err, rt))...)
}

// unread closes the stream of an answer that nobody will read.
func unread(out wire.Shape) {
	if s, ok := out.(wire.Streamer); ok && s.Stream() != nil {
		s.Stream().Close()
	}
}

// attempt runs the handler once, and commits. What changed something is recorded in its own transaction, also where the operation is one that
// mostly reads (kms:DescribeKey makes a managed key that is not there yet); recorded reports that.
func (d *Door) attempt(c *call.Call, e *call.Endpoint, in wire.Shape) (out wire.Shape, recorded bool, err error) {
	defer func() {
		if tx := c.Begun(); tx != nil {
			tx.Discard()
		}
	}()
	if out, err = d.run(c, e, in); err != nil {
		return nil, false, err
	}
	answer := out
	defer func() {
		if err != nil {
			unread(answer)
		}
	}()
	tx := c.Begun()
	if w, ok := tx.(*watchedTx); e.Op.ReadOnly && !(ok && w.wrote) {
		if tx != nil {
			err = tx.Commit(c.Context)
		}
		return out, false, err
	}
	if err := c.KeepTrace(); err != nil {
		return nil, false, err
	}
	s := recordings.Get().(*recording)
	d.cfg.Trail.Commit(c.Tx(), d.records(s, c, e, in, out, ended{})...)
	s.free()
	// The caller may hang up now; what was decided is carried through.
	if err := c.Tx().Commit(context.WithoutCancel(c.Context)); err != nil {
		return nil, false, err
	}
	return out, true, nil
}

// run runs a handler once, behind the guard. A panic ends as an error, so that it is recorded as one.
func (d *Door) run(c *call.Call, e *call.Endpoint, in wire.Shape) (out wire.Shape, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, panicked(p)
		}
	}()
	out, err = e.Handle(c, in)
	if err != nil {
		return nil, err
	}
	switch o := c.Outcome(); {
	case o.Denied != nil:
		err = o.Denied // a handler must not answer past a refusal
	case !o.Asked:
		err = call.Unasked(e.Op)
	}
	if err != nil {
		unread(out)
		return nil, err
	}
	return out, nil
}

// log says once what became of a request that was refused or failed.
func (d *Door) log(x *exchange, visible, cause error, hide bool) {
	code, message := told(visible)
	args := []any{"request", x.id, "service", x.service.Package, "operation", x.name, "code", code}
	// What is no key of ours and does not look like one may be a secret that was sent in its place.
	if x.auth != nil && (x.caller != nil || strings.Trim(x.auth.AccessKeyID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "") {
		args = append(args, "accessKey", x.auth.AccessKeyID)
	}
	if e, ok := errors.AsType[*sigv4.Error](cause); ok {
		message = e.Error() // without what the caller sent
	}
	switch {
	case hide && x.request.Context().Err() != nil:
		d.cfg.Log.Info("caller went away", append(args, "cause", cause.Error())...)
		return
	case hide:
		d.cfg.Log.Error("call failed", append(args, "cause", cause.Error())...)
		return
	}
	d.cfg.Log.Info("call refused", append(args, "message", message)...)
}
