package kms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/store"
)

// hsmLogins are the tokens that CloudHSM key stores are logged in to. A login is made when it is first needed, and given back when the record of its store changes:
// the store is disconnected then, or about to be connected with another password.
type hsmLogins struct {
	mu      sync.Mutex // guards the maps; held for moments
	open    map[storePlace]*hsmLogin
	closing map[storePlace]chan struct{} // closed when a login is given back
	refused map[storePlace]refusal       // why the last attempts to connect failed
}

// refusal is why a token did not let in who connected a store, in the request named.
type refusal struct {
	request string
	code    kms.ConnectionErrorCodeType
}

type hsmLogin struct {
	turn    chan struct{} // holds one while somebody logs in or out, and guards what follows: a mutex that nobody has to wait for, since tokens may hang
	token   *hsm.Token    // nil when there is none yet
	refused error         // why the password is not tried again: a few wrong ones lock the user out
}

var errDisconnected = errors.New("the custom key store is not connected")

func newHSMLogins() *hsmLogins {
	return &hsmLogins{open: make(map[storePlace]*hsmLogin), closing: make(map[storePlace]chan struct{}), refused: make(map[storePlace]refusal)}
}

func (ls *hsmLogins) of(p storePlace) *hsmLogin {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.open[p] == nil {
		ls.open[p] = &hsmLogin{turn: make(chan struct{}, 1)}
	}
	return ls.open[p]
}

// drop gives the login of a store back, in the background.
func (ls *hsmLogins) drop(p storePlace) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	login := ls.open[p]
	if login == nil {
		return
	}
	delete(ls.open, p)
	before, done := ls.closing[p], make(chan struct{})
	ls.closing[p] = done
	go func() {
		if before != nil {
			<-before
		}
		login.close()
		ls.mu.Lock()
		if ls.closing[p] == done {
			delete(ls.closing, p)
		}
		ls.mu.Unlock()
		close(done)
	}()
}

// settle waits until what was dropped has been given back.
func (ls *hsmLogins) settle(ctx context.Context, p storePlace) {
	ls.mu.Lock()
	done := ls.closing[p]
	ls.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// closeAll gives all logins back.
func (ls *hsmLogins) closeAll() {
	ls.mu.Lock()
	open := ls.open
	ls.open = make(map[storePlace]*hsmLogin)
	ls.mu.Unlock()
	var all sync.WaitGroup
	for _, login := range open {
		all.Go(login.close)
	}
	all.Wait()
}

// once calls connect, unless it was refused in the same request before: a handler runs again when its transaction conflicts, and each wrong password counts.
func (ls *hsmLogins) once(p storePlace, request string, connect func() (refused kms.ConnectionErrorCodeType, err error)) (kms.ConnectionErrorCodeType, error) {
	ls.mu.Lock()
	before, ok := ls.refused[p]
	delete(ls.refused, p)
	ls.mu.Unlock()
	var err error
	if !ok || before.request != request {
		before = refusal{request: request}
		before.code, err = connect()
	}
	if before.code != "" {
		ls.mu.Lock()
		ls.refused[p] = before
		ls.mu.Unlock()
	}
	return before.code, err
}

func (l *hsmLogin) close() {
	l.turn <- struct{}{} // who has it goes when its patience ends
	defer func() { <-l.turn }()
	if l.token != nil {
		l.token.Close()
	}
	l.token, l.refused = nil, errDisconnected // for whoever still has the login
}

// get returns the token, and logs in if that has not been done.
func (l *hsmLogin) get(ctx context.Context, u hsm.URI, password []byte) (*hsm.Token, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for another login: %w", hsm.ErrUnavailable, context.Cause(ctx))
	}
	defer func() { <-l.turn }()
	if l.refused != nil || l.token != nil {
		return l.token, l.refused
	}
	token, err := hsm.Open(ctx, u, password)
	if credentialCode(err) != "" {
		l.refused = err
	}
	l.token = token
	return token, err
}

// withToken calls f with the token of a connected store.
func withToken[T any](ctx context.Context, l *cloudHSM, f func(context.Context, *hsm.Token) (T, error)) (value T, err error) {
	cluster, ok := l.s.cfg.CloudHSM[l.Cluster]
	if !ok || l.State != kms.ConnectionStateTypeConnected {
		return value, errDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, hsmPatience)
	defer cancel()
	token, err := l.s.logins.of(l.storePlace).get(ctx, cluster.Token, l.password)
	if err == nil {
		value, err = f(ctx, token)
	}
	if code := credentialCode(err); code != "" {
		l.s.lockedOut(ctx, l.storePlace, l.Secret, code)
	}
	return value, err
}

// lockedOut notes that a token that let us in before does not any more. The store has failed then, in a transaction of its own, for the call that found out fails. That
// it is on record keeps the next start from trying the password again. secret is the wrapped password that was refused: the store may have another one by now.
func (s *Service) lockedOut(ctx context.Context, p storePlace, secret []byte, code kms.ConnectionErrorCodeType) {
	err := s.cfg.Store.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		r, err := storeTable.In(p.account, p.region).Get(tx, p.id)
		if missing(err) || err == nil && (r.State != kms.ConnectionStateTypeConnected || !bytes.Equal(r.Secret, secret)) {
			return nil
		}
		if err != nil {
			return err
		}
		r.State, r.Error = kms.ConnectionStateTypeFailed, code
		return storeTable.In(p.account, p.region).Put(tx, r)
	})
	if err != nil {
		s.cfg.Report(err)
	}
}
