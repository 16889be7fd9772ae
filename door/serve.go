package door

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"

	"github.com/google/uuid"

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
	body     []byte
	stream   io.ReadCloser
	in       wire.Shape
	request2 wire.Request
	response wire.Response
}

// defaultBodyLimit holds until the operation is known.
const defaultBodyLimit = 2 << 20

// maxAttempts bounds how often a call is run again after its transaction conflicted.
const maxAttempts = 100

// ServeHTTP takes a request through the door.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	watch := clock.Start()
	x := d.scratch.Get().(*exchange)
	*x = exchange{body: x.body[:0], response: wire.Response{Body: x.response.Body[:0]}, request: r, id: uuid.NewString()}
	out, err := d.serve(x)
	if err != nil {
		var hide bool
		visible, hide := answerable(err, &x.route)
		d.log(x, visible, err, hide)
		x.response.Header = w.Header()
		x.protocol.EncodeError(x.service, operation(x), visible, x.id, &x.response)
		err = visible
	} else {
		x.response.Header = w.Header()
		x.protocol.EncodeResponse(x.endpoint.Op, out, x.id, &x.response)
	}
	x.send(w)
	d.metrics.observe(&x.route, err, watch.Elapsed())
	d.scratch.Put(x)
}

func operation(x *exchange) *wire.Operation {
	if x.endpoint == nil {
		return nil
	}
	return x.endpoint.Op
}

func (x *exchange) send(w http.ResponseWriter) {
	w.WriteHeader(x.response.Status)
	if x.request.Method == http.MethodHead {
		return
	}
	if s := x.response.Stream; s != nil {
		defer s.Close()
		_, _ = io.Copy(w, s) // the caller went away, and sees it
		return
	}
	_, _ = w.Write(x.response.Body)
}

// serve does everything but the answer. A panic becomes an error: it is a mistake of ours, and not worth the other callers' connections.
func (d *Door) serve(x *exchange) (out wire.Shape, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
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
	if x.in, err = x.protocol.DecodeRequest(x.endpoint.Op, x.wireRequest()); err != nil {
		return nil, d.refuse(x, err)
	}
	if err := wire.Validate(x.in); err != nil {
		return nil, d.refuse(x, err)
	}
	return d.handle(x)
}

func (x *exchange) wireRequest() *wire.Request {
	r := x.request
	x.request2 = wire.Request{
		Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header, Body: x.body, Stream: x.stream, Labels: x.labels,
	}
	return &x.request2
}

// find parses the signature, reads the body as far as needed, and routes. An operation that is known and not built is found without an
// error: who may not call must not learn what is built.
func (d *Door) find(x *exchange) (err error) {
	x.auth, x.authErr = sigv4.Parse(x.request)
	signing := ""
	if x.authErr == nil {
		signing = x.auth.Service
	}
	early := needsBody(x.request)
	if early && !streaming(x.auth) {
		err = x.read(defaultBodyLimit)
	}
	var ferr error
	x.route, ferr = d.router.find(x.request, signing, x.body)
	if err != nil {
		return err
	}
	if ferr != nil && !x.known {
		return ferr
	}
	switch {
	case x.endpoint != nil && x.endpoint.Op.StreamingInput, streaming(x.auth):
		x.stream = x.request.Body
	case !early:
		limit := int64(defaultBodyLimit)
		if x.endpoint != nil && x.endpoint.Op.BodyLimit > 0 {
			limit = x.endpoint.Op.BodyLimit
		}
		return x.read(limit)
	}
	return nil
}

func streaming(a *sigv4.Authorization) bool { return a != nil && a.Payload.Streaming() }

// read reads the whole body into the exchange's buffer.
func (x *exchange) read(limit int64) error {
	r := x.request
	if r.ContentLength > limit {
		return generic(tooLarge, x.style, "The request body is too large.")
	}
	if n := int(r.ContentLength); n > cap(x.body) {
		x.body = make([]byte, 0, n)
	}
	src := io.LimitReader(r.Body, limit+1)
	for {
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
		n, err := src.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		if int64(len(x.body)) > limit {
			return generic(tooLarge, x.style, "The request body is too large.")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &wire.Error{Code: "RequestTimeout", Status: 400, Message: "The request body could not be read."}
		}
	}
}

// authenticate finds out who calls, and from where to where.
func (d *Door) authenticate(x *exchange) error {
	x.scope = call.Scope{Partition: d.cfg.Partition, Account: d.cfg.Account, Region: d.cfg.Region}
	if errors.Is(x.authErr, sigv4.ErrAnonymous) && x.endpoint != nil && x.endpoint.Op.NoAuth {
		x.caller = identity.Anonymous("")
		return nil
	}
	if x.authErr != nil {
		return x.authErr
	}
	a := x.auth
	// One process serves all regions of its partition: any of them is right, and says which is called.
	want := sigv4.Expect{Now: d.cfg.Signatures.Now(), Region: d.cfg.Region, Service: x.service.SigningName}
	if ValidRegion(d.cfg.Partition, a.Region) {
		want.Region = a.Region
		x.scope.Region = a.Region
	}
	if err := a.Check(want); err != nil {
		return err
	}
	cred, err := d.cfg.Directory.Lookup(x.request.Context(), a.AccessKeyID)
	switch {
	case errors.Is(err, identity.ErrUnknownKey):
		if !d.cfg.Dev {
			return sigv4.Refuse(sigv4.UnknownAccessKey)
		}
		if x.caller, err = d.stranger(a.AccessKeyID); err != nil {
			return err
		}
	case err != nil:
		return err
	case a.SessionToken != "":
		return sigv4.Refuse(sigv4.InvalidToken) // a long-term key has none
	default:
		x.caller = cred.Principal
		if x.stream != nil {
			body, err := d.verifier.VerifyStream(x.request, a, cred.Secret)
			if err != nil {
				return err
			}
			x.stream = body
		} else if err := d.verifier.Verify(x.request, a, cred.Secret, x.body); err != nil {
			return err
		}
	}
	x.scope.Account = x.caller.Account
	return nil
}

// stranger is who an unknown access key stands for in dev mode.
func (d *Door) stranger(accessKeyID string) (*identity.Principal, error) {
	if identity.IsAccount(accessKeyID) {
		return identity.Root(d.cfg.Partition, accessKeyID, accessKeyID), nil
	}
	return identity.Developer(d.cfg.Partition, d.cfg.Account, accessKeyID)
}

// source tells where the request came from.
func (x *exchange) source() call.Source {
	r := x.request
	s := call.Source{UserAgent: r.UserAgent()}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		s.IP = ap.Addr().Unmap()
	}
	if t := r.TLS; t != nil {
		s.TLS = &audit.TLS{Version: tlsVersion(t.Version), Cipher: cipherName(t.CipherSuite), Host: r.Host}
	}
	return s
}

// newCall begins a call for one run of a handler.
func (d *Door) newCall(x *exchange, src call.Source) *call.Call {
	ctx := x.request.Context()
	c := &call.Call{
		Context: ctx, Op: x.endpoint.Op, Scope: x.scope, Caller: x.caller, Time: d.cfg.Clock.Now(), Source: src,
		RequestID: x.id, EventID: uuid.NewString(), Rand: d.rand,
	}
	return c.Bind(x.service.Package, func() (store.Tx, error) { return d.cfg.Store.Begin(ctx) })
}

// refuse records a request that did not get as far as its handler.
func (d *Door) refuse(x *exchange, cause error) error {
	c := d.newCall(x, x.source())
	if err := d.cfg.Trail.Append(d.records(c, x.endpoint, nil, nil, d.outcome(c, x, cause))...); err != nil {
		return err
	}
	return cause
}

// handle runs the handler, again while its transaction conflicts, records, and commits.
func (d *Door) handle(x *exchange) (wire.Shape, error) {
	src := x.source()
	for attempt := 0; ; attempt++ {
		c := d.newCall(x, src)
		out, err := d.run(c, x.endpoint, x.in)
		var records []*audit.Record
		recorded := false
		if err == nil {
			records = d.records(c, x.endpoint, x.in, out, ended{})
			// An operation that only reads may have brought something into being all the same, such as the managed key of a service.
			if recorded = slices.ContainsFunc(records, changes); recorded {
				d.cfg.Trail.Commit(c.Tx(), records...)
			}
		}
		if tx := c.Begun(); tx != nil {
			if err == nil {
				// The caller may hang up now; what was decided is carried through.
				err = tx.Commit(context.WithoutCancel(c.Context))
			} else {
				tx.Discard()
			}
		}
		if errors.Is(err, store.ErrConflict) && attempt < maxAttempts && c.Context.Err() == nil {
			d.metrics.conflicts.Inc()
			continue
		}
		if err != nil {
			records, recorded = d.records(c, x.endpoint, x.in, nil, d.outcome(c, x, err)), false
		}
		if !recorded {
			if rerr := d.cfg.Trail.Append(records...); rerr != nil {
				return nil, rerr
			}
		}
		return out, err
	}
}

func changes(r *audit.Record) bool { return !r.ReadOnly }

// run runs a handler once, behind the guard.
func (d *Door) run(c *call.Call, e *call.Endpoint, in wire.Shape) (out wire.Shape, err error) {
	defer func() {
		if p := recover(); p != nil {
			if tx := c.Begun(); tx != nil {
				tx.Discard()
			}
			panic(p)
		}
	}()
	out, err = e.Handle(c, in)
	if err != nil {
		return nil, err
	}
	switch o := c.Outcome(); {
	case o.Denied != nil:
		return nil, o.Denied // a handler must not answer past a refusal
	case !o.Asked:
		return nil, call.Unasked(e.Op)
	}
	return out, nil
}

// log says once what became of a request that was refused or failed.
func (d *Door) log(x *exchange, visible, cause error, hide bool) {
	code, message := told(visible)
	args := []any{"request", x.id, "service", x.service.Package, "operation", x.name, "code", code}
	if x.auth != nil {
		args = append(args, "accessKey", x.auth.AccessKeyID)
	}
	if hide {
		d.cfg.Log.Error("call failed", append(args, "cause", cause.Error())...)
		return
	}
	d.cfg.Log.Info("call refused", append(args, "message", message)...)
}
