//go:build pkcs11 && cgo

package hsm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/miekg/pkcs11"
)

// maxSessions is how many calls a token works on at a time. Others wait.
const maxSessions = 16

// connection is a token that parts of this process are logged in to, or were and want to be again.
type connection struct {
	module *module
	info   Info
	users  int // guarded by module.mu

	turns chan struct{}        // one for each call under way
	line  atomic.Pointer[line] // nil while the token is lost

	mu      sync.Mutex // held while logging in, so that one does; guards what follows
	uri     URI
	pin     []byte
	refused error // why the PIN is not tried any more
}

// line is one login to a token. When the token vanishes, the line is dropped, with everything that was learned over it.
type line struct {
	start uint64 // module.starts at the login
	slot  uint
	info  Info

	mu      sync.Mutex
	idle    []pkcs11.SessionHandle
	handles map[Key]pkcs11.ObjectHandle
}

// session is a session for one call at a time.
type session struct {
	library
	module *module
	line   *line
	handle pkcs11.SessionHandle
}

// open logs in to a token, or joins the parts of this process that did already.
func (ms *modules) open(u URI, pin []byte) (*connection, error) {
	m, err := ms.get(u.ModulePath)
	if err != nil {
		return nil, err
	}
	_, t, err := m.seek(u)
	if err != nil {
		return nil, err
	}
	info := infoOf(t)
	m.mu.Lock()
	c := m.connections[info]
	if c == nil {
		c = &connection{module: m, info: info, uri: u, pin: bytes.Clone(pin), turns: make(chan struct{}, maxSessions)}
		m.connections[info] = c
	}
	c.users++
	m.mu.Unlock()
	if err := c.join(u, pin); err != nil {
		c.leave()
		return nil, err
	}
	return c, nil
}

// join makes sure that the connection is logged in by pin. A second PIN is good only when the first is not any more.
func (c *connection) join(u URI, pin []byte) error {
	c.mu.Lock()
	mine, given := sha256.Sum256(c.pin), sha256.Sum256(pin)
	same := subtle.ConstantTimeCompare(mine[:], given[:]) == 1
	if !same && c.refused == nil {
		c.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrPINIncorrect, ErrUserLoggedIn)
	}
	// Whoever asks anew, asks the token anew, once.
	clear(c.pin)
	c.uri, c.pin, c.refused = u, bytes.Clone(pin), nil
	c.mu.Unlock()
	_, err := c.connect()
	return err
}

// leave ends the connection when its last user leaves, and the library with its last token.
func (c *connection) leave() {
	m := c.module
	m.mu.Lock()
	c.users--
	last := c.users == 0
	if last {
		delete(m.connections, c.info)
	}
	m.mu.Unlock()
	if !last {
		return
	}
	c.mu.Lock()
	clear(c.pin)
	c.refused = errClosed
	l := c.line.Swap(nil)
	c.mu.Unlock()
	if l != nil {
		m.use.RLock()
		if m.running && m.starts == l.start {
			_ = m.lib.CloseAllSessions(l.slot) // which logs out
		}
		m.use.RUnlock()
	}
	m.rest()
}

var errClosed = errors.New("hsm: the token was closed")

// connect returns the line, and logs in if there is none.
func (c *connection) connect() (*line, error) {
	if l := c.line.Load(); l != nil {
		return l, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.line.Load(); l != nil {
		return l, nil
	}
	if c.refused != nil {
		return nil, c.refused
	}
	l, err := c.module.login(c.uri, c.pin)
	if err != nil {
		if errors.Is(err, ErrPINIncorrect) || errors.Is(err, ErrPINLocked) {
			c.refused = err
		}
		return nil, err
	}
	c.line.Store(l)
	return l, nil
}

// login looks for a token and logs in. It tries the PIN once.
func (m *module) login(u URI, pin []byte) (*line, error) {
	slot, t, err := m.seek(u)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return nil, ErrPINLocked
	case t.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return nil, fmt.Errorf("%w: one more wrong PIN will lock it for good, so none is tried; log in by hand once, with the maker's tool", ErrPINLocked)
	case t.Flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0:
		return nil, ErrNoUser
	case len(pin) == 0:
		return nil, ErrPINIncorrect // some tokens take none to mean that somebody will type it
	}
	m.use.RLock()
	defer m.use.RUnlock()
	l := &line{start: m.starts, slot: slot, info: infoOf(t), handles: make(map[Key]pkcs11.ObjectHandle)}
	err = m.loginOnce(slot, pin)
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		// Sessions of a line that was dropped. Whoever still waits on one of them is told that it is gone, and comes here.
		_ = m.lib.CloseAllSessions(slot)
		err = m.loginOnce(slot, pin)
	}
	if err != nil {
		return nil, explain("logging in", err)
	}
	return l, nil
}

// loginOnce opens a session that stays open, since the last to close would log out, and logs in.
func (m *module) loginOnce(slot uint, pin []byte) error {
	s, err := m.lib.OpenSession(slot, sessionFlags)
	if err != nil {
		return err
	}
	if err := m.lib.Login(s, pkcs11.CKU_USER, string(pin)); err != nil {
		_ = m.lib.CloseSession(s)
		return err
	}
	return nil
}

const sessionFlags = pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION

// do has f called with a session. A library cannot be interrupted, but its caller can go when ctx ends: so f keeps nothing that its caller may write to, and returns
// what it found. If the token vanished, f is called once again after a new login, provided that twice is as good as once.
func do[T any](ctx context.Context, c *connection, what string, twice bool, f func(*session) (T, error)) (T, error) {
	select {
	case c.turns <- struct{}{}:
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%w: %s: %w", ErrUnavailable, what, context.Cause(ctx))
	}
	return wait(ctx, what, func() (T, error) {
		defer func() { <-c.turns }()
		value, err := once(c, what, f)
		if twice && errors.Is(err, ErrUnavailable) {
			value, err = once(c, what, f)
		}
		return value, err
	}, func(T) {})
}

func once[T any](c *connection, what string, f func(*session) (T, error)) (value T, err error) {
	l, err := c.connect()
	if errors.Is(err, ErrNoToken) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err) // it was there
	}
	if err != nil {
		return value, err
	}
	m := c.module
	m.use.RLock()
	defer m.use.RUnlock()
	if !m.running || m.starts != l.start {
		c.line.CompareAndSwap(l, nil)
		return value, fmt.Errorf("%w: %s: the library was started anew", ErrUnavailable, what)
	}
	s, err := l.session(m)
	if err == nil {
		value, err = f(s)
	}
	if err == nil {
		l.mu.Lock()
		l.idle = append(l.idle, s.handle)
		l.mu.Unlock()
		return value, nil
	}
	if s != nil {
		_ = m.lib.CloseSession(s.handle) // something may be half done in it
	}
	err = explain(what, err)
	if errors.Is(err, ErrUnavailable) {
		c.line.CompareAndSwap(l, nil)
	}
	return value, err
}

// session returns a session that nobody uses. The library is in use already.
func (l *line) session(m *module) (*session, error) {
	s := &session{library: m.lib, module: m, line: l}
	l.mu.Lock()
	if n := len(l.idle); n > 0 {
		s.handle, l.idle = l.idle[n-1], l.idle[:n-1]
		l.mu.Unlock()
		return s, nil
	}
	l.mu.Unlock()
	var err error
	if s.handle, err = m.lib.OpenSession(l.slot, sessionFlags); err != nil {
		return nil, err
	}
	return s, nil
}

// explain says what an error of a library means. One that was explained stays.
func explain(what string, err error) error {
	code, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%w: %s: %w", meaning(uint(code)), what, code)
}

func meaning(code uint) error {
	switch code {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE:
		return ErrPINIncorrect
	case pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED:
		return ErrPINLocked
	case pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_USER_TYPE_INVALID:
		return ErrNoUser
	case pkcs11.CKR_USER_ALREADY_LOGGED_IN, pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, pkcs11.CKR_USER_TOO_MANY_TYPES:
		return ErrUserLoggedIn
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_DATA_LEN_RANGE,
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_ACTION_PROHIBITED,
		pkcs11.CKR_ATTRIBUTE_READ_ONLY, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCOMPLETE,
		pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_SESSION_READ_ONLY, pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_DEVICE_MEMORY:
		return ErrRefused
	}
	return ErrUnavailable
}
