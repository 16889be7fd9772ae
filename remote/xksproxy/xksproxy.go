// Package xksproxy reaches external key store proxies: servers outside, at addresses that customers name, which speak the API of package xks.
//
// What goes wrong with reaching one, or with what it answers, is an [Error] that says of which kind it is. The errors of the API come as they are.
package xksproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	// Limit is how long a proxy may take for an answer, the way there and back included:
	// https://docs.aws.amazon.com/kms/latest/developerguide/keystore-external.html
	Limit = 250 * time.Millisecond

	// maxAnswer is far above the largest answer there is, some 8 KiB of a decryption.
	maxAnswer = 64 << 10
	// maxIdle is how many connections to one proxy are kept for later, and idleFor how long.
	maxIdle = 64
	idleFor = 90 * time.Second
)

// Config says which proxies are reached, and how. Its zero value reaches those on the public internet, at port 443, that the system's roots vouch for.
type Config struct {
	// Roots replaces the system's trusted roots.
	Roots *x509.CertPool
	// Allow are networks that proxies may be in, beside the public internet.
	Allow []netip.Prefix
	// Connect gives addresses, with ports, to connect to in place of what a name resolves to: by the host of a proxy's endpoint, in lower case, or by the name of the VPC endpoint service that
	// leads to it. Whoever runs the cloud has named them, so they may be anywhere. There is no VPC endpoint service but those named here.
	Connect map[string]string
	// Limit is how long a proxy may take for an answer; zero is the constant of the name.
	Limit time.Duration
}

// Target is one proxy.
type Target struct {
	Endpoint   string // https://proxy.example.com
	Prefix     string // of the path, before /kms/xks/v1
	VPCService string // the VPC endpoint service that leads there, or ""
	sigv4.Credentials
}

// HasService reports whether there is a VPC endpoint service of the name.
func (c *Config) HasService(name string) bool { return c.Connect[name] != "" }

// Transport carries calls to one proxy. It keeps connections for later ones, and may be used by many calls at once. It is a call.Transport.
type Transport struct {
	remote.Transport
	limit time.Duration
}

var _ call.Transport = (*Transport)(nil)

// New returns the transport to a proxy. It touches no network.
func (c *Config) New(t Target) (*Transport, error) {
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("xksproxy: the endpoint is no https URL")
	}
	u.Path = t.Prefix
	limit := c.Limit
	if limit <= 0 {
		limit = Limit
	}
	host := strings.ToLower(u.Hostname())
	d := &dialer{
		guard: outbound.Guard{Allow: c.Allow}, service: t.VPCService, fixed: c.Connect[cmp.Or(t.VPCService, host)], limit: limit,
		tls: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: c.Roots},
	}
	return &Transport{limit: limit, Transport: remote.Transport{
		Endpoint: u, Credentials: t.Credentials, Signer: new(sigv4.Signer),
		HTTP: &http.Client{
			Transport: repeatable{&http.Transport{
				// No proxy from the environment: it would resolve names in our place.
				DialTLSContext: d.dial, DisableCompression: true, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleFor, MaxResponseHeaderBytes: 16 << 10,
			}},
			// What is signed for one server is sent to no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}}, nil
}

// Invoke implements call.Transport.
func (t *Transport) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	ctx, cancel := context.WithTimeout(c.Context, t.limit)
	defer cancel()
	out, err := t.Transport.Invoke(&call.Call{Context: ctx, Scope: c.Scope}, op, in)
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	switch {
	case err == nil && late: // a proxy that is hung up on may answer nothing, with status 200
		return nil, &Error{Kind: TimedOut, Cause: fmt.Errorf("%s: no answer in time", op.Name)}
	case err == nil:
		return out, nil
	}
	err = classify(op, err)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Malformed && late {
		return nil, &Error{Kind: TimedOut, Cause: e.Cause} // or end its answer in the middle
	}
	return nil, err
}

// dialer connects to one proxy.
type dialer struct {
	guard   outbound.Guard
	service string // the VPC endpoint service that leads there, or ""
	fixed   string // the address to connect to; empty is what the name resolves to
	limit   time.Duration
	tls     *tls.Config
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	to := &net.Dialer{Control: d.guard.Control}
	switch {
	case d.fixed != "":
		to.Control, address = nil, d.fixed
	case d.service != "": // its private name may be somebody else's in public
		return nil, &Error{Kind: Unreachable, Cause: errors.New("there is no VPC endpoint service " + d.service)}
	}
	conn, err := to.DialContext(ctx, network, address)
	if err != nil {
		return nil, &Error{Kind: Unreachable, Cause: err}
	}
	secure := tls.Client(conn, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, &Error{Kind: TimedOut, Cause: err}
		}
		return nil, &Error{Kind: Untrusted, Cause: err}
	}
	return secure, nil
}

// repeatable has a request sent again when the connection that was kept for it turns out to be closed: nothing changes with a proxy by asking it twice. It bounds
// answers, too.
type repeatable struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r repeatable) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header["X-Idempotency-Key"] = nil // net/http takes note, and sends none
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &bounded{resp.Body, maxAnswer}
	return resp, nil
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// bounded is a body of which no more than some bytes are read.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// Kind says what went wrong with a proxy.
type Kind int

const (
	// Unreachable: there is no connection to it.
	Unreachable Kind = iota + 1
	// Untrusted: TLS could not be agreed on, or its certificate is not one to trust.
	Untrusted
	// TimedOut: it did not answer in time.
	TimedOut
	// Malformed: what it answered is not what the API has it answer.
	Malformed
)

// Error is what went wrong with reaching a proxy.
type Error struct {
	Kind Kind
	// Name is what a proxy calls an error that the API does not have for the operation, of those that are Malformed.
	Name string
	// Cause is for the log. It holds nothing of what was sent or answered.
	Cause error
}

func (e *Error) Error() string { return "external key store proxy: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// classify says what kind an error is of, unless it is one of the API, or the caller's who has gone away.
func classify(op *wire.Operation, err error) error {
	var own *Error
	var network net.Error
	var sending *url.Error
	var unmodelled *wire.Error
	var modelled interface {
		error
		wire.Shape
	}
	switch {
	case errors.As(err, &modelled), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &unmodelled):
		return &Error{Kind: Malformed, Name: unmodelled.Code, Cause: fmt.Errorf("%s: status %d", op.Name, unmodelled.Status)}
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return &Error{Kind: TimedOut, Cause: fmt.Errorf("%s: no answer in time", op.Name)}
	case errors.As(err, &sending):
		return &Error{Kind: Unreachable, Cause: fmt.Errorf("%s: %w", op.Name, sending.Err)}
	}
	return &Error{Kind: Malformed, Cause: fmt.Errorf("%s: %w", op.Name, err)}
}

// Prefix is the part of a proxy's path before /kms/xks/v1. It reports false for the path of another version of the API, or of none.
func Prefix(path string) (prefix string, ok bool) { return strings.CutSuffix(path, "/kms/xks/v1") }
