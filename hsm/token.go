//go:build pkcs11 && cgo

package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// Built says whether this program has PKCS#11.
const Built = true

// Look tells which token u names, without logging in.
func Look(ctx context.Context, u URI) (Info, error) { return process.look(ctx, u) }

func (ms *modules) look(ctx context.Context, u URI) (Info, error) {
	return atModule(ctx, ms, u, "looking for it", func(m *module) (Info, error) {
		defer m.rest()
		_, t, err := m.seek(u)
		return infoOf(t), err
	}, func(Info) {})
}

// Token is a token that this process is logged in to. Its methods may be called concurrently. They return when their context ends, though the token may still
// work then.
type Token struct {
	connection *connection
	closed     atomic.Bool
}

// Open looks for the token that u names and logs in with pin, which is remembered for when the token has been away. Parts of the process that open the same
// token share one login. A PIN that the token refused this process before is not tried again: a few wrong ones lock it.
func Open(ctx context.Context, u URI, pin []byte) (*Token, error) {
	return process.token(ctx, u, pin, false)
}

// OpenAnew is Open for when somebody asks for the PIN to be tried: it is tried once, whatever the token said of it before.
func OpenAnew(ctx context.Context, u URI, pin []byte) (*Token, error) {
	return process.token(ctx, u, pin, true)
}

func (ms *modules) token(ctx context.Context, u URI, pin []byte, anew bool) (*Token, error) {
	pin = bytes.Clone(pin)
	c, err := atModule(ctx, ms, u, "opening it", func(m *module) (*connection, error) {
		defer clear(pin)
		return m.open(u, pin, anew)
	}, (*connection).leave)
	if err != nil {
		return nil, err
	}
	return &Token{connection: c}, nil
}

// atModule is wait for something that is done with a module, for which only so many can be waited at a time.
func atModule[T any](ctx context.Context, ms *modules, u URI, what string, f func(*module) (T, error), abandon func(T)) (value T, err error) {
	m, err := ms.get(u.ModulePath)
	if err != nil {
		return value, err
	}
	if err := turn(ctx, m.turns, what); err != nil {
		return value, err
	}
	return wait(ctx, what, func() (T, error) {
		defer func() { <-m.turns }()
		return f(m)
	}, abandon)
}

// wait has f called in a goroutine of its own, and returns without its result when ctx ends first: then abandon is given it.
func wait[T any](ctx context.Context, what string, f func() (T, error), abandon func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done, abandoned := make(chan result), make(chan struct{})
	go func() {
		value, err := f()
		select {
		case done <- result{value, err}:
		case <-abandoned:
			if err == nil {
				abandon(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		close(abandoned)
		var none T
		return none, fmt.Errorf("%w: %s: %w", ErrUnavailable, what, context.Cause(ctx))
	}
}

// Close logs out, unless another part of the process uses the token. Calls that are under way end first. If one does not, Close returns all the same.
func (t *Token) Close() {
	if t.closed.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_, _ = wait(ctx, "closing it", func() (any, error) {
		t.connection.leave()
		return nil, nil
	}, func(any) {})
}

// closePatience is how long Close waits for calls that are under way, by the real clock.
const closePatience = time.Second

// Info tells which token it is.
func (t *Token) Info() Info { return t.connection.info }

// Check asks the token whether it is there, and logs in again if it has been away.
func (t *Token) Check(ctx context.Context) error {
	_, err := do(ctx, t, "looking whether it is there", true, func(s *session) (any, error) {
		if !s.module.presentLocked(s.line) {
			return nil, ErrUnavailable
		}
		return nil, nil
	})
	return err
}

// GenerateKey makes an AES key of 256 bits that stays in the token: it is sensitive, and cannot be extracted, nor, where the token knows of that,
// changed or copied. k has both parts. It returns [ErrKeyExists] if there is a key of that ID. After [ErrUnavailable] there may be one.
func (t *Token) GenerateKey(ctx context.Context, k Key) error {
	if k.ID == "" || k.Label == "" {
		return errors.New("hsm: a key that is made has a label and an ID")
	}
	_, err := do(ctx, t, "making a key", false, func(s *session) (any, error) {
		switch _, err := s.find(Key{ID: k.ID}); {
		case err == nil, errors.Is(err, ErrManyKeys):
			return nil, ErrKeyExists
		case !errors.Is(err, ErrNoKey):
			return nil, err
		}
		return nil, s.generate(k)
	})
	return err
}

// generate makes a key that cannot be read, nor be copied past its destruction. Tokens that do not know how to say the latter make one without: a copy is kept as well as the
// key. Whatever the token says it did, it is asked for what it made.
func (s *session) generate(k Key) error {
	t := append(template(k),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false),
	)
	fixed := append(slices.Clip(t), pkcs11.NewAttribute(pkcs11.CKA_MODIFIABLE, false), pkcs11.NewAttribute(pkcs11.CKA_COPYABLE, false))
	h, err := s.GenerateKey(s.handle, mechanism(pkcs11.CKM_AES_KEY_GEN, nil), fixed)
	if code, _ := errors.AsType[pkcs11.Error](err); err != nil && meaning(uint(code)) == ErrRefused {
		h, err = s.GenerateKey(s.handle, mechanism(pkcs11.CKM_AES_KEY_GEN, nil), t)
	}
	if err != nil {
		return err
	}
	is, err := s.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{{Type: pkcs11.CKA_SENSITIVE}, {Type: pkcs11.CKA_EXTRACTABLE}})
	if err != nil {
		return err
	}
	if !bytes.Equal(is[0].Value, []byte{1}) || !bytes.Equal(is[1].Value, []byte{0}) {
		_ = s.DestroyObject(s.handle, h)
		return fmt.Errorf("%w: it made a key that can be read", ErrRefused)
	}
	return nil
}

// FindKey returns the one key that k names, with both its parts, or [ErrNoKey] or [ErrManyKeys].
func (t *Token) FindKey(ctx context.Context, k Key) (Key, error) {
	return do(ctx, t, "looking for a key", true, func(s *session) (found Key, err error) {
		h, err := s.find(k)
		if err != nil {
			return found, err
		}
		values, err := s.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{{Type: pkcs11.CKA_LABEL}, {Type: pkcs11.CKA_ID}})
		if err != nil {
			return found, err
		}
		return Key{Label: string(values[0].Value), ID: string(values[1].Value)}, nil
	})
}

// DestroyKey destroys a key. It returns [ErrNoKey] if there is none.
func (t *Token) DestroyKey(ctx context.Context, k Key) error {
	_, err := do(ctx, t, "destroying a key", true, func(s *session) (any, error) {
		h, err := s.find(k)
		if err != nil {
			return nil, err
		}
		defer s.line.forget() // the handle may become another key's
		return nil, s.DestroyObject(s.handle, h)
	})
	return err
}

// Encrypt encrypts and authenticates plaintext, and authenticates aad with it. The result is [Overhead] bytes longer.
func (t *Token) Encrypt(ctx context.Context, k Key, plaintext, aad []byte) ([]byte, error) {
	plaintext, aad = bytes.Clone(plaintext), bytes.Clone(aad)
	return do(ctx, t, "encrypting", true, func(s *session) ([]byte, error) {
		return withKey(s, k, func(h pkcs11.ObjectHandle) ([]byte, error) { return s.encrypt(h, plaintext, aad) })
	})
}

// Decrypt reverses Encrypt, or returns [ErrDamaged].
func (t *Token) Decrypt(ctx context.Context, k Key, ciphertext, aad []byte) ([]byte, error) {
	if len(ciphertext) < Overhead {
		return nil, ErrDamaged
	}
	ciphertext, aad = bytes.Clone(ciphertext), bytes.Clone(aad)
	return do(ctx, t, "decrypting", true, func(s *session) ([]byte, error) {
		return withKey(s, k, func(h pkcs11.ObjectHandle) ([]byte, error) {
			plain, err := s.decrypt(h, ciphertext, aad)
			if err != nil && s.blames(h, err) {
				err = ErrDamaged
			}
			return plain, err
		})
	})
}

// Random returns n random bytes of the token's own source.
func (t *Token) Random(ctx context.Context, n int) ([]byte, error) {
	return do(ctx, t, "drawing random bytes", true, func(s *session) ([]byte, error) { return s.GenerateRandom(s.handle, n) })
}

func (s *session) encrypt(h pkcs11.ObjectHandle, plaintext, aad []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	params := pkcs11.NewGCMParams(nonce, aad, 8*tagSize)
	defer params.Free()
	if err := s.EncryptInit(s.handle, mechanism(pkcs11.CKM_AES_GCM, params), h); err != nil {
		return nil, err
	}
	sealed, err := s.Encrypt(s.handle, plaintext)
	if err != nil {
		return nil, err
	}
	if used := params.IV(); len(used) == nonceSize { // the token's own, if it took another
		nonce = used
	}
	if len(sealed) != len(plaintext)+tagSize {
		return nil, fmt.Errorf("%w: it returned %d bytes for %d", ErrRefused, len(sealed), len(plaintext))
	}
	return append(nonce, sealed...), nil
}

func (s *session) decrypt(h pkcs11.ObjectHandle, ciphertext, aad []byte) ([]byte, error) {
	params := pkcs11.NewGCMParams(ciphertext[:nonceSize], aad, 8*tagSize)
	defer params.Free()
	if err := s.DecryptInit(s.handle, mechanism(pkcs11.CKM_AES_GCM, params), h); err != nil {
		return nil, err
	}
	return s.Decrypt(s.handle, ciphertext[nonceSize:])
}

// blames reports whether a decryption failed by fault of the ciphertext. Not every library says so: SoftHSM calls it a general error. If the key decrypts what it
// has just encrypted, then it was the ciphertext.
func (s *session) blames(h pkcs11.ObjectHandle, err error) bool {
	code, _ := errors.AsType[pkcs11.Error](err)
	switch code {
	case pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, pkcs11.CKR_DATA_INVALID, ckrAEADDecryptFailed:
		return true
	case pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_ARGUMENTS_BAD:
	default:
		return false
	}
	proof := []byte("proof")
	sealed, err := s.encrypt(h, proof, nil)
	if err != nil {
		return false
	}
	opened, err := s.decrypt(h, sealed, nil)
	return err == nil && bytes.Equal(opened, proof)
}

// ckrAEADDecryptFailed is of version 3.0 of the standard.
const ckrAEADDecryptFailed = 0x42

// withKey calls f with the handle of a key. A handle that is not valid any more, since somebody replaced the key, is looked for again.
func withKey(s *session, k Key, f func(pkcs11.ObjectHandle) ([]byte, error)) ([]byte, error) {
	s.line.mu.Lock()
	h, known := s.line.handles[k]
	s.line.mu.Unlock()
	if known {
		out, err := f(h)
		if !errors.Is(err, pkcs11.Error(pkcs11.CKR_KEY_HANDLE_INVALID)) && !errors.Is(err, pkcs11.Error(pkcs11.CKR_OBJECT_HANDLE_INVALID)) {
			return out, err
		}
		s.line.forget()
	}
	h, err := s.find(k)
	if err != nil {
		return nil, err
	}
	s.line.mu.Lock()
	s.line.handles[k] = h
	s.line.mu.Unlock()
	return f(h)
}

// forget forgets which handles the keys have.
func (l *line) forget() {
	l.mu.Lock()
	clear(l.handles)
	l.mu.Unlock()
}

// find looks for a key. That there is none is believed only of a token that is there: some answer so when it is not.
func (s *session) find(k Key) (pkcs11.ObjectHandle, error) {
	if err := s.FindObjectsInit(s.handle, template(k)); err != nil {
		return 0, err
	}
	found, _, err := s.FindObjects(s.handle, 2)
	if final := s.FindObjectsFinal(s.handle); err == nil {
		err = final
	}
	switch {
	case err != nil:
		return 0, err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, ErrManyKeys
	case !s.module.presentLocked(s.line):
		return 0, fmt.Errorf("%w: looking for a key", ErrUnavailable)
	}
	return 0, ErrNoKey
}

// template describes the AES keys of the token that k names.
func template(k Key) []*pkcs11.Attribute {
	t := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
	}
	if k.Label != "" {
		t = append(t, pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.Label))
	}
	if k.ID != "" {
		t = append(t, pkcs11.NewAttribute(pkcs11.CKA_ID, k.ID))
	}
	return t
}

func mechanism(kind uint, params any) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(kind, params)}
}
