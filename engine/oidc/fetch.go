package oidc

import (
	"context"
	"crypto/fips140"
	"crypto/sha1" // thumbprints are defined as SHA-1. Who could use a collision is who chooses both certificates: the provider itself.
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/outbound"
)

const (
	// defaultTimeout is how long AWS waits for a provider, for each of the two documents.
	defaultTimeout = 5 * time.Second
	// maxDocument is far above what providers publish: Microsoft's key set, one of the largest, has some 20 KiB.
	maxDocument  = 1 << 20
	maxRedirects = 3
)

// Config says what a Verifier may do. Its zero value reaches public https servers that the system's roots vouch for.
type Config struct {
	// Roots replaces the system's trusted roots.
	Roots *x509.CertPool
	// Allow are networks that providers may be in, beside the public internet: those of one's own house.
	Allow []netip.Prefix
	// PlainLoopback lets a provider be reached by http, at loopback addresses only. For development and tests.
	PlainLoopback bool
	// Timeout is for each document that is fetched; zero means 5 seconds.
	Timeout time.Duration
	// Uptime tells how long the process runs, in wall time. It ages the keys: they belong to servers outside, which do not follow a domain clock that
	// is moved. Nil means the clock package's stopwatch; tests move it.
	Uptime func() time.Duration
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Uptime == nil {
		c.Uptime = clock.Start().Elapsed
	}
	return c
}

// mayDial decides on the address that is about to be connected to. Names have been resolved by then, so a name that
// resolves to something else at the second look gains nothing.
func (c *Config) mayDial(secure bool, address string) error {
	if secure {
		return outbound.Guard{Allow: c.Allow}.Check(address)
	}
	ap, err := netip.ParseAddrPort(address)
	if err == nil && c.PlainLoopback && ap.Addr().Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %s", outbound.ErrAddress, address)
}

func (c *Config) dial(secure bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout: c.Timeout,
		Control: func(_, address string, _ syscall.RawConn) error { return c.mayDial(secure, address) },
	}
	return d.DialContext
}

// handshake connects by TLS and leaves the decision about the server's certificates to check.
func (c *Config) handshake(ctx context.Context, address string, check func(host string, chain []*x509.Certificate) error) (*tls.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(true)(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName: host,
		MinVersion: tls.VersionTLS12,
		// The check below takes the place of the usual one. It is not skipped: there is no session that could be resumed.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return check(host, cs.PeerCertificates) },
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

var errThumbprint = errors.New("server certificate has a chain neither to a trusted root nor to a configured thumbprint")

// trusts returns a check for handshake: the trusted roots vouch for the server, or else, outside FIPS mode, a certificate does whose thumbprint is given.
func (c *Config) trusts(thumbprints []string) func(host string, chain []*x509.Certificate) error {
	return func(host string, chain []*x509.Certificate) error {
		others := x509.NewCertPool()
		for _, cert := range chain[1:] {
			others.AddCert(cert)
		}
		// No CurrentTime: whether a server's certificate has expired is a matter of the real world, not of a clock that users move.
		_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: c.Roots, Intermediates: others})
		if err == nil {
			return nil
		}
		if fips140.Enabled() {
			return fmt.Errorf("%w, which in FIPS mode vouch for no one: they are SHA-1: %w", errThumbprint, err)
		}
		// That a pinned certificate is sent along proves nothing, anybody can send it. The server's own must be issued by it.
		pinned, found := x509.NewCertPool(), false
		for _, cert := range chain {
			if slices.ContainsFunc(thumbprints, func(t string) bool { return strings.EqualFold(t, thumbprint(cert)) }) {
				pinned.AddCert(cert)
				found = true
			}
		}
		if !found {
			return fmt.Errorf("%w: %w", errThumbprint, err)
		}
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: pinned, Intermediates: others}); err != nil {
			return fmt.Errorf("%w: %w", errThumbprint, err)
		}
		return nil
	}
}

// thumbprint names a certificate. FIPS mode allows that, and not to trust the name: see trusts.
func thumbprint(c *x509.Certificate) string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(c.Raw) })
	return hex.EncodeToString(sum[:])
}

// statusError is an answer that is not 200.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("answered with status %d", int(s)) }

var errTooLarge = fmt.Errorf("answer is larger than %d bytes", maxDocument)

// get fetches a document.
func (c *Config) get(ctx context.Context, from *url.URL, check func(string, []*x509.Certificate) error) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	client := &http.Client{
		// No proxy from the environment: it would resolve names in our place.
		Transport: &http.Transport{
			DialContext: c.dial(false),
			DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return c.handshake(ctx, address, check)
			},
			DisableKeepAlives:      true, // a transport lives for one document
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			if _, err := c.checkURL(to.URL.String()); err != nil {
				return fmt.Errorf("redirect: %w", err)
			}
			if to.URL.Scheme != via[0].URL.Scheme {
				return errors.New("redirect from https to http or back")
			}
			return nil
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching %s: %w", from, statusError(response.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", from, err)
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("fetching %s: %w", from, errTooLarge)
	}
	return body, nil
}

// discover returns where a provider's key set is.
func (c *Config) discover(ctx context.Context, issuer string, check func(string, []*x509.Certificate) error) (*url.URL, error) {
	if err := c.checkIssuer(issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	at, err := c.checkURL(strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration")
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	body, err := c.get(ctx, at, check)
	if err != nil {
		return nil, err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	// OpenID Connect Discovery, section 4.3. Providers are not of one mind about the last slash.
	if strings.TrimSuffix(document.Issuer, "/") != strings.TrimSuffix(issuer, "/") {
		return nil, errors.New("discovery document is of another issuer")
	}
	keys, err := c.checkURL(document.Keys)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	if keys.Scheme != at.Scheme {
		return nil, errors.New("jwks_uri: neither from https to http nor back")
	}
	return keys, nil
}

// Thumbprint returns the SHA-1 thumbprint, in lower-case hexadecimal, of the topmost certificate that the server of a provider's keys presents. It
// believes whoever answers: the result is for a person, or for a first registration to write down what it saw. It is empty for a provider without TLS.
func (v *Verifier) Thumbprint(ctx context.Context, issuer string) (string, error) {
	c := &v.config
	anyone := func(string, []*x509.Certificate) error { return nil }
	keys, err := c.discover(ctx, issuer, anyone)
	if err != nil {
		return "", classify(err)
	}
	if keys.Scheme != "https" {
		return "", nil
	}
	port := keys.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := c.handshake(ctx, net.JoinHostPort(keys.Hostname(), port), anyone)
	if err != nil {
		return "", classify(err)
	}
	defer func() { _ = conn.Close() }()
	chain := conn.ConnectionState().PeerCertificates
	return thumbprint(chain[len(chain)-1]), nil
}

// classify turns what went wrong with fetching into an Error: a server that did not answer may later, one that answered wrongly has spoken.
func classify(err error) error {
	var status statusError
	var network net.Error
	switch {
	case errors.Is(err, errThumbprint):
		return &Error{Kind: Invalid, Message: wrongThumbprint, Cause: err}
	case errors.Is(err, outbound.ErrAddress):
		return &Error{Kind: Invalid, Message: noKeyFromIssuer, Cause: err}
	case errors.As(err, &status):
		if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
			return &Error{Kind: Unreachable, Message: noKeyFromIssuer, Cause: err}
		}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded), isOp(err), errors.As(err, &network) && network.Timeout():
		return &Error{Kind: Unreachable, Message: noKeyFromIssuer, Cause: err}
	}
	return &Error{Kind: Invalid, Message: noKeyFromIssuer, Cause: err}
}

// isOp tells errors of the network (refused, reset, no such host) from those of what was said over it. A url.Error is a net.Error too, whatever it wraps.
func isOp(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, io.EOF)
}
