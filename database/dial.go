package database

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/outbound"
)

// places bounds the connections, as a whole and to each server.
type places struct {
	whole chan struct{}
	each  int

	mu    sync.Mutex
	hosts map[string]*host // guarded by mu; those that somebody uses or waits for
}

type host struct {
	taken chan struct{}
	users int
}

func newPlaces(whole, each int) *places {
	return &places{whole: make(chan struct{}, whole), each: each, hosts: map[string]*host{}}
}

// take waits for a place. Who waits for one at a busy server takes none of the whole, so that others are served.
func (p *places) take(ctx context.Context, address string) (release func(), err error) {
	p.mu.Lock()
	h := p.hosts[address]
	if h == nil {
		h = &host{taken: make(chan struct{}, p.each)}
		p.hosts[address] = h
	}
	h.users++
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(p.hosts, address)
		}
	}
	select {
	case h.taken <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
	select {
	case p.whole <- struct{}{}:
	case <-ctx.Done():
		<-h.taken
		leave()
		return nil, ctx.Err()
	}
	return func() {
		<-p.whole
		<-h.taken
		leave()
	}, nil
}

// maxRead is how much a server may send on one connection: grants and settings of a user are the most there is to read.
const maxRead = 1 << 20

// bounded is a connection that ends when a server has sent too much.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the server sends too much")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// address is where the server listens.
func (c *Credentials) address() string {
	port := c.Port
	if port == 0 {
		port = c.Engine.port()
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(port))
}

// dial connects, and says which TLS is to be spoken on the connection; nil is none.
func (d *Dialer) dial(ctx context.Context, c *Credentials) (net.Conn, *tls.Config, error) {
	dialer := &net.Dialer{Control: d.cfg.Guard.Control}
	conn, err := dialer.DialContext(ctx, "tcp", c.address())
	if err != nil {
		return nil, nil, unreachable(reason(ctx, err))
	}
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	plain := c.SSL == nil && ok && remote.IP.IsLoopback()
	if c.SSL != nil {
		plain = !*c.SSL
	}
	if plain {
		return &bounded{conn, maxRead}, nil, nil
	}
	return &bounded{conn, maxRead}, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.Host, RootCAs: d.cfg.Roots}, nil
}

// unreachable is the error of a connection that did not come about, or broke.
func unreachable(err error) error { return fmt.Errorf("%w: %w", ErrUnreachable, err) }

// reason is the innermost of errors, which says what went wrong on the wire: those around it, of drivers, tell whom they connected as, and how.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, outbound.ErrAddress) {
		return err
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return bad
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

// open takes a place, connects and logs in.
func (d *Dialer) open(ctx context.Context, c *Credentials) (s session, release func(), err error) {
	release, err = d.places.take(ctx, c.address())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: waiting for a connection: %w", ErrUnreachable, err)
	}
	err = d.step(ctx, func(ctx context.Context) error {
		s, err = d.login(ctx, c)
		return err
	})
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("logging in to %s: %w", c, err)
	}
	return s, release, nil
}

func (d *Dialer) login(ctx context.Context, c *Credentials) (s session, err error) {
	conn, secure, err := d.dial(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if s == nil { // after a panic as well
			_ = conn.Close()
		}
	}()
	switch c.Engine {
	case PostgreSQL:
		return loginPostgreSQL(ctx, c, conn, secure)
	case MySQL, MariaDB:
		return loginMySQL(ctx, c, conn, secure)
	case Redis:
		return loginRedis(ctx, c, conn, secure)
	}
	return nil, invalid("engine")
}

// closing is how long a server is told that a connection ends.
const closing = time.Second
