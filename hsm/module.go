//go:build pkcs11 && cgo

package hsm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"
)

// library is what is used of a PKCS#11 module. A *pkcs11.Ctx is one.
type library interface {
	Initialize(...pkcs11.InitializeOption) error
	Finalize() error
	GetSlotList(tokenPresent bool) ([]uint, error)
	GetTokenInfo(slot uint) (pkcs11.TokenInfo, error)
	OpenSession(slot, flags uint) (pkcs11.SessionHandle, error)
	CloseSession(pkcs11.SessionHandle) error
	CloseAllSessions(slot uint) error
	Login(s pkcs11.SessionHandle, user uint, pin string) error
	FindObjectsInit(pkcs11.SessionHandle, []*pkcs11.Attribute) error
	FindObjects(s pkcs11.SessionHandle, limit int) ([]pkcs11.ObjectHandle, bool, error)
	FindObjectsFinal(pkcs11.SessionHandle) error
	GetAttributeValue(pkcs11.SessionHandle, pkcs11.ObjectHandle, []*pkcs11.Attribute) ([]*pkcs11.Attribute, error)
	GenerateKey(pkcs11.SessionHandle, []*pkcs11.Mechanism, []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)
	DestroyObject(pkcs11.SessionHandle, pkcs11.ObjectHandle) error
	EncryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	Encrypt(pkcs11.SessionHandle, []byte) ([]byte, error)
	DecryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	Decrypt(pkcs11.SessionHandle, []byte) ([]byte, error)
	GenerateRandom(s pkcs11.SessionHandle, n int) ([]byte, error)
}

// modules are the libraries that were loaded. None is ever unloaded: some have threads of their own.
type modules struct {
	load func(path string) (library, error)

	mu     sync.Mutex
	loaded map[string]*module // by path
}

// process is what this process has loaded. A library is initialised once a process and its tokens are logged in to once a process, whichever parts of it use
// them, so this is state of the process by its nature.
var process = &modules{load: loadLibrary, loaded: make(map[string]*module)}

func (ms *modules) get(path string) (*module, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.loaded[path]; m != nil {
		return m, nil
	}
	lib, err := ms.load(path)
	if err != nil {
		return nil, err
	}
	m := &module{lib: lib, turns: make(chan struct{}, maxSessions), connections: make(map[Info]*connection)}
	ms.loaded[path] = m
	return m, nil
}

// module is one library.
type module struct {
	lib library

	// use is held for reading during every call into the library, and for writing while it is started and ended, which is the end of every session.
	use     sync.RWMutex
	running bool
	foreign bool   // somebody else in this process started it, and will end it
	starts  uint64 // how often it was started: a session is of one of them

	turns chan struct{} // one for whoever looks for a token, or logs in to one as a new user

	mu          sync.Mutex // guards connections and their users; held for moments
	connections map[Info]*connection
}

// begin starts the library unless it runs.
func (m *module) begin() error {
	m.use.RLock()
	running := m.running
	m.use.RUnlock()
	if running {
		return nil
	}
	m.use.Lock()
	defer m.use.Unlock()
	return m.beginLocked()
}

func (m *module) beginLocked() error {
	if m.running {
		return nil
	}
	err := m.lib.Initialize()
	m.foreign = errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED))
	if err != nil && !m.foreign {
		return fmt.Errorf("%w: starting its PKCS#11 module: %w", ErrUnavailable, err)
	}
	m.running = true
	m.starts++
	return nil
}

// restart ends the library and starts it anew. Some look for tokens only then, and those that failed may recover. While another of its tokens is in use it stays.
func (m *module) restart() error {
	// A call that never returns would keep us here, and everybody who came after us. The library stays then, too.
	if m.busy() || !m.use.TryLock() {
		return errBusy
	}
	defer m.use.Unlock()
	m.endLocked()
	return m.beginLocked()
}

var errBusy = errors.New("hsm: the module is in use for another token")

func (m *module) endLocked() {
	if m.running && !m.foreign {
		_ = m.lib.Finalize() // an error says that it does not run
	}
	m.running = false
}

// rest ends the library if none of its tokens is in use.
func (m *module) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.connections {
		if c.users > 0 {
			return
		}
	}
	if m.use.TryLock() {
		m.endLocked()
		m.use.Unlock()
	}
}

// busy reports whether a token that this process is logged in to is there.
func (m *module) busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.connections {
		if l := c.line.Load(); l != nil && m.present(l) {
			return true
		}
	}
	return false
}

// present reports whether the token of a line is still there.
func (m *module) present(l *line) bool {
	m.use.RLock()
	defer m.use.RUnlock()
	return m.presentLocked(l)
}

func (m *module) presentLocked(l *line) bool {
	if !m.running || m.starts != l.start {
		return false
	}
	t, err := m.lib.GetTokenInfo(l.slot)
	return err == nil && infoOf(t) == l.info
}

// find returns the one token that u names.
func (m *module) find(u URI) (slot uint, found pkcs11.TokenInfo, err error) {
	if err := m.begin(); err != nil {
		return 0, found, err
	}
	m.use.RLock()
	defer m.use.RUnlock()
	slots, err := m.lib.GetSlotList(true)
	if err != nil {
		return 0, found, fmt.Errorf("%w: listing the tokens of its PKCS#11 module: %w", ErrUnavailable, err)
	}
	matches := 0
	for _, s := range slots {
		t, err := m.lib.GetTokenInfo(s)
		if err != nil || t.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 || !u.names(infoOf(t)) {
			continue // a token that does not answer is none
		}
		slot, found = s, t
		matches++
	}
	switch matches {
	case 0:
		return 0, found, ErrNoToken
	case 1:
		return slot, found, nil
	}
	return 0, found, ErrManyTokens
}

// seek is find, and has the library look again if there is no such token.
func (m *module) seek(u URI) (slot uint, found pkcs11.TokenInfo, err error) {
	slot, found, err = m.find(u)
	if errors.Is(err, ErrNoToken) || errors.Is(err, ErrUnavailable) {
		if m.restart() == nil {
			return m.find(u)
		}
	}
	return slot, found, err
}

// infoOf is what a token says of itself. Whatever pads a text is cut off: some makers pad with zeros.
func infoOf(t pkcs11.TokenInfo) Info {
	cut := func(s string) string { return strings.TrimRight(s, " \x00") }
	return Info{Label: cut(t.Label), Serial: cut(t.SerialNumber), Manufacturer: cut(t.ManufacturerID), Model: cut(t.Model)}
}

// names reports whether u names the token.
func (u URI) names(t Info) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return same(u.Token, t.Label) && same(u.Serial, t.Serial) && same(u.Manufacturer, t.Manufacturer) && same(u.Model, t.Model)
}
