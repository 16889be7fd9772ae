// Package database logs in to the databases of customers and changes passwords there: PostgreSQL, MySQL and MariaDB, Redis. It knows no API; who rotates a secret calls it.
//
// What a database is told about a password is its hash where the engine takes one, so that neither the database's statement log nor its replication log ever holds the password. No error
// of this package holds a password, a statement, or text of the server, which may quote either: errors tell the engine's code.
//
// The server at the other end is chosen by a customer, so it is not trusted: only networks that the operator names are dialed, TLS is verified, what a server may send is bounded in
// size and time, and it gets no password in the clear but over TLS.
package database

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/outbound"
)

// The errors of a Dialer. Others, which wrap none of these, are errors of the database with its code.
var (
	// ErrRefused: the database answers, and lets this user not in with this password.
	ErrRefused = errors.New("the database refuses the user name or the password")
	// ErrUnreachable: the database does not answer, takes no further connections, or must not be reached; the reason is wrapped where there is one to tell. It says nothing of the password.
	ErrUnreachable = errors.New("the database cannot be reached")
	// ErrDenied: the user is logged in, and has no right to do this.
	ErrDenied = errors.New("the database user has no right to do this")
	// ErrUser: the user whose password is to be changed does not exist, or its login does not depend on a password.
	ErrUser = errors.New("the database has no such user with a password")
	// ErrPassword: the database's rules do not allow the new password.
	ErrPassword = errors.New("the database does not allow this password")
	// ErrClone: the other one of two alternating users exists, and is not a twin of this one. Its password stays.
	ErrClone = errors.New("the other user is not a twin of this one")
)

// Config says how databases are reached.
type Config struct {
	// Guard says which addresses are reached. Its zero value is the public internet, hence no place for most databases; see outbound.Guard.Only.
	Guard outbound.Guard
	// Roots replaces the system's trusted roots.
	Roots *x509.CertPool
	// Timeout is for each step: connecting with logging in, preparing, committing. Zero is 15 seconds.
	Timeout time.Duration
	// MaxConnections is how many connections there are at once, zero 64; MaxPerHost is how many there are to one server, zero 16. Others wait for a place.
	MaxConnections, MaxPerHost int
}

const (
	defaultTimeout = 15 * time.Second
	defaultWhole   = 64
	defaultPerHost = 16

	// turns is how many rotations are under way at one server, for each connection that it may have: while one waits others connect, and none queues behind hundreds.
	turns = 2
)

// Dialer reaches databases. It may be used concurrently.
type Dialer struct {
	cfg    Config
	places *places // of connections
	turns  *places // of rotations, see Turn
}

// New returns a dialer.
func New(cfg Config) *Dialer {
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	whole, each := cmp.Or(cfg.MaxConnections, defaultWhole), cmp.Or(cfg.MaxPerHost, defaultPerHost)
	return &Dialer{cfg: cfg, places: newPlaces(whole, each), turns: newPlaces(turns*whole, turns*each)}
}

// Turn waits until it is one's turn to work at a server, which release ends: between the steps of a rotation somebody may wait for its end, who must not wait for those of everybody else.
// Its errors are ErrUnreachable, when the context ends first.
func (d *Dialer) Turn(ctx context.Context, at *Credentials) (release func(), err error) {
	if release, err = d.turns.take(ctx, at.address()); err != nil {
		return nil, fmt.Errorf("%w: waiting for one's turn: %w", ErrUnreachable, err)
	}
	return release, nil
}

// session is a connection on which somebody is logged in. It is used by one at a time.
type session interface {
	// prepare does what may fail of changing a user's password.
	prepare(ctx context.Context, user, password string) (*prepared, error)
	// settle takes all passwords of a user but this one.
	settle(ctx context.Context, user, password string) error
	// clone gives to a twin of from the password; it makes the twin if it does not exist.
	clone(ctx context.Context, from, to, password string) error
	// close ends the connection, and takes back what was prepared.
	close()
}

// prepared is a change of a password that is not made yet.
type prepared struct {
	commit   func(context.Context) error
	overlaps bool
}

// Login logs in and out again. It returns nil, ErrRefused, ErrUnreachable, or another error.
func (d *Dialer) Login(ctx context.Context, c *Credentials) error {
	return d.with(ctx, c, func(context.Context, session) error { return nil })
}

// Change is a change of a password that has been prepared.
type Change struct {
	d       *Dialer
	session session
	ready   *prepared
	release func()
}

// Change logs in as somebody and prepares to give a user, the same or another, a new password. What may fail is done by then, and nothing is changed. The caller commits the change or
// not, and closes it; until then it holds one of the connections that there may be.
func (d *Dialer) Change(ctx context.Context, as *Credentials, user, password string) (*Change, error) {
	s, release, err := d.open(ctx, as)
	if err != nil {
		return nil, err
	}
	ch := &Change{d: d, session: s, release: release}
	err = d.step(ctx, func(ctx context.Context) error {
		ch.ready, err = s.prepare(ctx, user, password)
		return err
	})
	if err != nil {
		ch.Close()
		return nil, fmt.Errorf("preparing the password of a user of %s: %w", as.Engine, err)
	}
	return ch, nil
}

// Overlaps reports whether the password before stays valid beside the new one after the commit, until Settle or the next change. Where it does not, a client that holds the one is refused
// from the commit on, and one that holds the other until then.
func (ch *Change) Overlaps() bool { return ch.ready.overlaps }

// Commit makes the change, once, and ends the connection. After an error, other than ErrDenied and ErrPassword, it is unknown whether the database made the change: Login tells.
func (ch *Change) Commit(ctx context.Context) error {
	if ch.session == nil {
		return errors.New("the change of a password is closed")
	}
	defer ch.Close()
	if err := ch.d.step(ctx, ch.ready.commit); err != nil {
		return fmt.Errorf("changing a password: %w", err)
	}
	return nil
}

// Close takes the change back unless it is committed. It may be called any number of times.
func (ch *Change) Close() {
	if ch.session != nil {
		ch.session.close()
		ch.release()
		ch.session = nil
	}
}

// Settle has this password be the only one of a user whose change overlapped. It is nothing where engines hold one password.
func (d *Dialer) Settle(ctx context.Context, as *Credentials, user, password string) error {
	return d.with(ctx, as, func(ctx context.Context, s session) error { return s.settle(ctx, user, password) })
}

// Clone gives `to` the password, which is one of two users that are used in turns. If it does not exist it is made, with the rights of from. If it exists it must be a twin: ErrClone is the error if
// it may more than from.
func (d *Dialer) Clone(ctx context.Context, as *Credentials, from, to, password string) error {
	return d.with(ctx, as, func(ctx context.Context, s session) error { return s.clone(ctx, from, to, password) })
}

// with logs in, does something, and logs out.
func (d *Dialer) with(ctx context.Context, as *Credentials, do func(context.Context, session) error) error {
	s, release, err := d.open(ctx, as)
	if err != nil {
		return err
	}
	defer release()
	defer s.close()
	return d.step(ctx, func(ctx context.Context) error { return do(ctx, s) })
}

// step does something within the time that a step may take. Clients of databases are written for servers that one trusts, and one that answers nonsense may make them panic.
func (d *Dialer) step(ctx context.Context, do func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: its answer makes no sense, or asks for an algorithm that this process may not use", ErrUnreachable)
		}
	}()
	return do(ctx)
}
