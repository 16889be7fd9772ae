package outbound

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ClientConfig says how a Client goes about it. Its zero value reaches the public internet, and servers whose certificates the system's roots vouch for.
type ClientConfig struct {
	Guard Guard
	// Roots replaces the system's trusted roots.
	Roots *x509.CertPool
	// Timeout is for a whole exchange, from resolving the name to the last byte of the answer that is read. Zero is 15 seconds, what SNS gives a server.
	Timeout time.Duration
	// MaxBody is how many bytes of an answer's body are read; zero is 64 KiB.
	MaxBody int64
	// Resolver resolves names; nil is the machine's.
	Resolver *net.Resolver
}

const (
	defaultTimeout = 15 * time.Second
	defaultBody    = 64 << 10
	maxHeader      = 64 << 10
)

// Client sends HTTP requests to servers whose addresses customers choose. Each connection passes the guard when its address is known; no proxy stands between, which would
// resolve names in our place; an answer that sends elsewhere is an error and not followed; time and size of an answer are bounded. It may be used concurrently.
type Client struct {
	http    http.Client
	timeout time.Duration
	maxBody int64
}

// Request is what is sent.
type Request struct {
	Method string
	// URL is http or https, with a host. A user and password in it are sent as basic authentication.
	URL    string
	Header map[string]string
	Body   []byte
}

// Response is an answer with a final status that is no redirect.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// Truncated is set for a body that was longer than what is read.
	Truncated bool
}

// The errors of a Client beside those of the network and ErrAddress. None of them, nor any other, has in it what the URL says after the host: there may be secrets in it.
var (
	// ErrURL: the address cannot be one.
	ErrURL = errors.New("not an address of an HTTP server")
	// ErrRedirect: the server sends elsewhere.
	ErrRedirect = errors.New("the server redirects, which is not followed")
	// ErrAnswer: the server wants to speak something else than HTTP.
	ErrAnswer = errors.New("the server does not answer the request")
)

// NewClient returns a client.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{timeout: cmp.Or(cfg.Timeout, defaultTimeout), maxBody: cmp.Or(cfg.MaxBody, defaultBody)}
	dialer := &net.Dialer{Control: cfg.Guard.Control, Resolver: cfg.Resolver}
	c.http = http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
			TLSHandshakeTimeout:    c.timeout,
			DisableCompression:     true, // a small answer must not become a large one
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    4,
			MaxIdleConns:           100,
			IdleConnTimeout:        30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Do sends a request and reads the answer. Answers of any status but a redirect are no error.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	u, err := parse(r.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", u.Host, unaddressed(err))
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", u.Host, unaddressed(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < 200 { // 101: what follows is a conversation without an end, which the context does not end either
		return nil, fmt.Errorf("request to %s: %w: status %d", u.Host, ErrAnswer, response.StatusCode)
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return nil, fmt.Errorf("request to %s: %w: status %d", u.Host, ErrRedirect, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, c.maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", u.Host, err)
	}
	out := &Response{Status: response.StatusCode, Header: response.Header, Body: body}
	if int64(len(body)) > c.maxBody {
		out.Body, out.Truncated = body[:c.maxBody], true
	}
	return out, nil
}

// Close ends the connections that are kept for later requests.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CheckURL reports whether something can be the URL of a Request, e.g. when a customer configures it. Whether it may be reached shows when it is.
func CheckURL(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return nil, ErrURL
	}
	return u, nil
}

// unaddressed is the error without the whole URL that net/http puts before it.
func unaddressed(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
