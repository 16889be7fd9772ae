//go:build pkcs11 && cgo

package hsm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/miekg/pkcs11"
)

// maxSessions is how many calls a token works on at a time. Others wait.
const maxSessions = 16

// connection is a token that parts of this process are logged in to, or were and may be again.
type connection struct {
	module *module
	info   Info
	users  int // guarded by module.mu

	turns chan struct{}        // one for each call under way
	line  atomic.Pointer[line] // nil while the token is lost

	// calls is held for reading while a call uses a session, and for writing while all sessions are closed or the first is opened. A module may give a new session the handle
	// of one that is closed, and a call that had the old one would then encrypt in the midst of another, under the key of that.
	calls sync.RWMutex

	mu      sync.Mutex // held while logging in, so that one does; taken before calls; guards what follows
	uri     URI
	pin     []byte           // nil while nobody uses the connection
	refused map[digest]error // what the token said of PINs that it refused, so that it is not asked again
}

// digest tells PINs apart without keeping them.
type digest [sha256.Size]byte

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

// open logs in to a token, or joins the parts of this process that did already. A PIN that the token refused before is tried only if anew says so.
func (m *module) open(u URI, pin []byte, anew bool) (*connection, error) {
	_, t, err := m.seek(u)
	if err != nil {
		return nil, err
	}
	c := m.connection(infoOf(t))
	if err := c.join(u, pin, anew); err != nil {
		c.leave()
		return nil, err
	}
	return c, nil
}

// connection returns the connection to a token with one user more. There is one for each token that was ever used.
func (m *module) connection(token Info) *connection {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.connections[token]
	if c == nil {
		c = &connection{module: m, info: token, turns: make(chan struct{}, maxSessions), refused: make(map[digest]error)}
		m.connections[token] = c
	}
	c.users++
	return c
}

// join makes sure that the connection is logged in by pin. A second PIN is good only when the first is not any more.
func (c *connection) join(u URI, pin []byte, anew bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	given := digest(sha256.Sum256(pin))
	if has := digest(sha256.Sum256(c.pin)); c.pin != nil && has != given && c.refused[has] == nil {
		return fmt.Errorf("%w: %w", ErrPINIncorrect, ErrUserLoggedIn)
	}
	if anew {
		delete(c.refused, given)
	}
	clear(c.pin)
	c.uri, c.pin = u, append([]byte{}, pin...)
	_, err := c.connectLocked()
	return err
}

// leave ends the connection when its last user leaves, and the library with its last token.
func (c *connection) leave() {
	m := c.module
	c.mu.Lock()
	defer m.rest()
	defer c.mu.Unlock()
	m.mu.Lock()
	c.users--
	last := c.users == 0
	m.mu.Unlock()
	if !last {
		return
	}
	clear(c.pin)
	c.pin = nil
	l := c.line.Swap(nil)
	if l == nil {
		return
	}
	c.calls.Lock()
	defer c.calls.Unlock()
	m.use.RLock()
	defer m.use.RUnlock()
	if m.running && m.starts == l.start {
		_ = m.lib.CloseAllSessions(l.slot) // which logs out
	}
}

var errClosed = errors.New("hsm: the token was closed")

// connect returns the line, and logs in if there is none.
func (c *connection) connect() (*line, error) {
	if l := c.line.Load(); l != nil {
		return l, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connectLocked()
}

func (c *connection) connectLocked() (*line, error) {
	if l := c.line.Load(); l != nil {
		return l, nil
	}
	if c.pin == nil {
		return nil, errClosed
	}
	pin := digest(sha256.Sum256(c.pin))
	if err := c.refused[pin]; err != nil {
		return nil, err
	}
	c.calls.Lock()
	defer c.calls.Unlock()
	l, err := c.module.login(c.uri, c.pin)
	if err != nil {
		// The word of the token itself. That one more wrong PIN would lock it is looked up each time, and costs no attempt.
		if _, word := errors.AsType[pkcs11.Error](err); word && (errors.Is(err, ErrPINIncorrect) || errors.Is(err, ErrPINLocked)) {
			c.refused[pin] = err
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
	if !m.presentLocked(l) { // the PIN is for no other token, which may be in the slot by now
		return nil, fmt.Errorf("%w: logging in", ErrUnavailable)
	}
	err = m.loginOnce(slot, pin)
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		// Sessions of a line that was dropped, which nobody uses any more.
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
func do[T any](ctx context.Context, t *Token, what string, twice bool, f func(*session) (T, error)) (value T, err error) {
	if t.closed.Load() {
		return value, errClosed
	}
	c := t.connection
	if err := turn(ctx, c.turns, what); err != nil {
		return value, err
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

// turn waits for a turn.
func turn(ctx context.Context, turns chan<- struct{}, what string) error {
	select {
	case turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, context.Cause(ctx))
	}
}

func once[T any](c *connection, what string, f func(*session) (T, error)) (value T, err error) {
	l, err := c.enter()
	if err != nil {
		return value, err
	}
	defer c.calls.RUnlock()
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

// enter returns the line with c.calls held for reading.
func (c *connection) enter() (*line, error) {
	for {
		l, err := c.connect()
		if errors.Is(err, ErrNoToken) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err) // it was there
		}
		if err != nil {
			return nil, err
		}
		c.calls.RLock()
		if c.line.Load() == l {
			return l, nil
		}
		c.calls.RUnlock()
	}
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
