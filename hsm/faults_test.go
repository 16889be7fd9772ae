//go:build pkcs11 && cgo

package hsm

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
)

// fake is a library with one token, which fails on demand. It encrypts by prepending zeros.
type fake struct {
	library // what is not below panics

	mu       sync.Mutex
	calls    map[string]int
	failures map[string][]uint // by function, the codes that it returns next; 0 is success
	flags    uint
	pin      string
	keys     int
	in       bool
	block    chan struct{} // if not nil, Encrypt waits for it
	blocked  chan struct{} // is told that it waits

	extractable bool // what it makes, whatever it was told
}

func newFake() *fake {
	return &fake{calls: make(map[string]int), failures: make(map[string][]uint), pin: "pin", flags: pkcs11.CKF_TOKEN_INITIALIZED | pkcs11.CKF_USER_PIN_INITIALIZED}
}

// enter counts a call and fails if that is demanded.
func (f *fake) enter(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[name]++
	if next := f.failures[name]; len(next) > 0 {
		f.failures[name] = next[1:]
		if next[0] != pkcs11.CKR_OK {
			return pkcs11.Error(next[0])
		}
	}
	return nil
}

func (f *fake) fail(name string, codes ...uint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[name] = codes
}

func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

func (f *fake) Initialize(...pkcs11.InitializeOption) error { return f.enter("Initialize") }
func (f *fake) Finalize() error                             { f.in = false; return f.enter("Finalize") }
func (f *fake) GetSlotList(bool) ([]uint, error)            { return []uint{7}, f.enter("GetSlotList") }
func (f *fake) GetTokenInfo(uint) (pkcs11.TokenInfo, error) {
	return pkcs11.TokenInfo{Label: "fake", SerialNumber: "1\x00\x00", Flags: f.flags}, f.enter("GetTokenInfo")
}
func (f *fake) OpenSession(uint, uint) (pkcs11.SessionHandle, error) {
	return 1, f.enter("OpenSession")
}
func (f *fake) CloseSession(pkcs11.SessionHandle) error { return f.enter("CloseSession") }
func (f *fake) CloseAllSessions(uint) error             { f.in = false; return f.enter("CloseAllSessions") }
func (f *fake) Login(_ pkcs11.SessionHandle, _ uint, pin string) error {
	switch err := f.enter("Login"); {
	case err != nil:
		return err
	case f.in:
		return pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)
	case pin != f.pin:
		return pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)
	}
	f.in = true
	return nil
}
func (f *fake) FindObjectsInit(pkcs11.SessionHandle, []*pkcs11.Attribute) error {
	return f.enter("FindObjectsInit")
}
func (f *fake) FindObjects(pkcs11.SessionHandle, int) ([]pkcs11.ObjectHandle, bool, error) {
	return make([]pkcs11.ObjectHandle, f.keys), false, f.enter("FindObjects")
}
func (f *fake) FindObjectsFinal(pkcs11.SessionHandle) error { return f.enter("FindObjectsFinal") }
func (f *fake) GenerateKey(pkcs11.SessionHandle, []*pkcs11.Mechanism, []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return 1, f.enter("GenerateKey")
}
func (f *fake) GetAttributeValue(_ pkcs11.SessionHandle, _ pkcs11.ObjectHandle, a []*pkcs11.Attribute) ([]*pkcs11.Attribute, error) {
	for _, a := range a {
		a.Value = []byte{0}
		if a.Type == pkcs11.CKA_SENSITIVE || f.extractable {
			a.Value[0] = 1
		}
	}
	return a, f.enter("GetAttributeValue")
}
func (f *fake) DestroyObject(pkcs11.SessionHandle, pkcs11.ObjectHandle) error {
	return f.enter("DestroyObject")
}
func (f *fake) EncryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error {
	return f.enter("EncryptInit")
}
func (f *fake) Encrypt(_ pkcs11.SessionHandle, text []byte) ([]byte, error) {
	if f.block != nil {
		select {
		case f.blocked <- struct{}{}:
		default:
		}
		<-f.block
	}
	return append(make([]byte, tagSize), text...), f.enter("Encrypt")
}

func start(t *testing.T) (*fake, *modules) {
	t.Helper()
	f := newFake()
	f.keys = 1
	return f, &modules{load: func(string) (library, error) { return f, nil }, loaded: make(map[string]*module)}
}

var fakeURI = URI{Token: "fake", Serial: "1", ModulePath: "/fake.so"}

func mustOpen(t *testing.T, ms *modules) *Token {
	t.Helper()
	token, err := ms.token(t.Context(), fakeURI, []byte("pin"), false)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestLostAndFound(t *testing.T) {
	for name, code := range map[string]uint{
		"DeviceRemoved": pkcs11.CKR_DEVICE_REMOVED, "DeviceError": pkcs11.CKR_DEVICE_ERROR, "TokenNotPresent": pkcs11.CKR_TOKEN_NOT_PRESENT,
		"SessionHandleInvalid": pkcs11.CKR_SESSION_HANDLE_INVALID, "SessionClosed": pkcs11.CKR_SESSION_CLOSED, "NotLoggedIn": pkcs11.CKR_USER_NOT_LOGGED_IN,
		"NotInitialized": pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, "GeneralError": pkcs11.CKR_GENERAL_ERROR, "Vendor": pkcs11.CKR_VENDOR_DEFINED + 5,
	} {
		t.Run(name, func(t *testing.T) {
			f, ms := start(t)
			token := mustOpen(t, ms)
			defer token.Close()
			f.fail("Encrypt", code)
			if _, err := token.Encrypt(t.Context(), Key{ID: "k"}, []byte("text"), nil); err != nil {
				t.Errorf("once lost: %v", err)
			}
			if n := f.count("Login"); n != 3 { // the second finds the old login and ends it
				t.Errorf("%d logins, want 3", n)
			}
			f.fail("Encrypt", code, code)
			_, err := token.Encrypt(t.Context(), Key{ID: "k"}, []byte("text"), nil)
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, pkcs11.Error(code)) {
				t.Errorf("twice lost: %v, want ErrUnavailable and the code", err)
			}
		})
	}
}

// A key that may have been made is not made a second time.
func TestGenerateOnce(t *testing.T) {
	f, ms := start(t)
	f.keys = 0
	token := mustOpen(t, ms)
	defer token.Close()
	f.fail("GenerateKey", pkcs11.CKR_DEVICE_REMOVED)
	if err := token.GenerateKey(t.Context(), Key{Label: "k", ID: "k"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("GenerateKey: %v, want ErrUnavailable", err)
	}
	if n := f.count("GenerateKey"); n != 1 {
		t.Errorf("%d keys were made", n)
	}
}

func TestGenerate(t *testing.T) {
	make := func(t *testing.T, f *fake, ms *modules) error {
		f.keys = 0
		token := mustOpen(t, ms)
		defer token.Close()
		return token.GenerateKey(t.Context(), Key{Label: "k", ID: "k"})
	}
	t.Run("OldToken", func(t *testing.T) { // of before version 2.40, or one that lets nobody say whether a key is copied
		for _, code := range []uint{pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_ATTRIBUTE_READ_ONLY} {
			f, ms := start(t)
			f.fail("GenerateKey", code)
			if err := make(t, f, ms); err != nil || f.count("GenerateKey") != 2 {
				t.Errorf("code %#x: GenerateKey: %v after %d attempts", code, err, f.count("GenerateKey"))
			}
		}
	})
	t.Run("Refused", func(t *testing.T) {
		f, ms := start(t)
		f.fail("GenerateKey", pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_TEMPLATE_INCONSISTENT)
		if err := make(t, f, ms); !errors.Is(err, ErrRefused) {
			t.Errorf("GenerateKey: %v, want ErrRefused", err)
		}
	})
	t.Run("Extractable", func(t *testing.T) {
		f, ms := start(t)
		f.extractable = true
		if err := make(t, f, ms); !errors.Is(err, ErrRefused) || f.count("DestroyObject") != 1 {
			t.Errorf("GenerateKey: %v, want ErrRefused; %d keys were destroyed", err, f.count("DestroyObject"))
		}
	})
}

func TestRefused(t *testing.T) {
	f, ms := start(t)
	token := mustOpen(t, ms)
	defer token.Close()
	f.fail("EncryptInit", pkcs11.CKR_MECHANISM_INVALID)
	if _, err := token.Encrypt(t.Context(), Key{ID: "k"}, nil, nil); !errors.Is(err, ErrRefused) {
		t.Errorf("Encrypt: %v, want ErrRefused", err)
	}
	if n := f.count("Login"); n != 1 {
		t.Errorf("%d logins after a refusal, want 1", n)
	}
}

// A few wrong PINs lock a token for good, so one is tried once.
func TestWrongPINIsTriedOnce(t *testing.T) {
	f, ms := start(t)
	token := mustOpen(t, ms)
	defer token.Close()
	f.pin = "changed"
	f.fail("Encrypt", pkcs11.CKR_DEVICE_REMOVED)
	f.in = false
	before := f.count("Login")
	for range 5 {
		if _, err := token.Encrypt(t.Context(), Key{ID: "k"}, nil, nil); !errors.Is(err, ErrPINIncorrect) {
			t.Errorf("Encrypt: %v, want ErrPINIncorrect", err)
		}
	}
	if n := f.count("Login") - before; n != 1 {
		t.Errorf("the PIN was tried %d times", n)
	}
	// Who knows the new one opens the token for all.
	again, err := ms.token(t.Context(), fakeURI, []byte("changed"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := token.Encrypt(t.Context(), Key{ID: "k"}, nil, nil); err != nil {
		t.Errorf("Encrypt: %v", err)
	}
}

func TestLocked(t *testing.T) {
	for name, c := range map[string]struct {
		set, unset uint
		code       uint
		logins     int
		want       error
	}{
		"Locked":     {set: pkcs11.CKF_USER_PIN_LOCKED, want: ErrPINLocked},
		"FinalTry":   {set: pkcs11.CKF_USER_PIN_FINAL_TRY, want: ErrPINLocked},
		"NoPIN":      {unset: pkcs11.CKF_USER_PIN_INITIALIZED, want: ErrNoUser},
		"LockedNow":  {code: pkcs11.CKR_PIN_LOCKED, logins: 1, want: ErrPINLocked},
		"NoUser":     {code: pkcs11.CKR_USER_PIN_NOT_INITIALIZED, logins: 1, want: ErrNoUser},
		"OtherUser":  {code: pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, logins: 1, want: ErrUserLoggedIn},
		"DeviceDead": {code: pkcs11.CKR_DEVICE_ERROR, logins: 1, want: ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f, ms := start(t)
			f.flags = f.flags&^c.unset | c.set
			f.fail("Login", c.code)
			if _, err := ms.token(t.Context(), fakeURI, []byte("pin"), false); !errors.Is(err, c.want) {
				t.Errorf("Open: %v, want %v", err, c.want)
			}
			if n := f.count("Login"); n != c.logins {
				t.Errorf("%d logins, want %d", n, c.logins)
			}
			if n := f.count("Finalize"); n != 1 {
				t.Errorf("the library was ended %d times", n)
			}
		})
	}
}

func TestInitializedOnce(t *testing.T) {
	f, ms := start(t)
	a, b := mustOpen(t, ms), mustOpen(t, ms)
	a.Close()
	b.Close()
	if i, e := f.count("Initialize"), f.count("Finalize"); i != 1 || e != 1 {
		t.Errorf("started %d times and ended %d times", i, e)
	}
	f.fail("Initialize", pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)
	mustOpen(t, ms).Close()
	if e := f.count("Finalize"); e != 1 {
		t.Error("a library that somebody else started was ended")
	}
}

// A library cannot be interrupted, but nobody has to wait for it: not who calls, nor who closes the token, nor who opens it again.
func TestHang(t *testing.T) {
	f, ms := start(t)
	token := mustOpen(t, ms)
	f.block = make(chan struct{})
	defer close(f.block)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for range maxSessions + 1 { // the last does not even begin
		go func() {
			_, err := token.Encrypt(ctx, Key{ID: "k"}, []byte("text"), nil)
			done <- err
		}()
	}
	cancel()
	wantHang := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
	}
	for range maxSessions + 1 {
		wantHang("Encrypt", <-done)
	}
	token.Close()
	before := runtime.NumGoroutine()
	for range 10 * maxSessions {
		_, err := ms.token(ctx, fakeURI, []byte("pin"), false)
		wantHang("Open", err)
	}
	if n := runtime.NumGoroutine() - before; n > maxSessions {
		t.Errorf("%d goroutines wait for the library", n)
	}
}

// A library may give a new session the handle of one that was closed. So none is closed while a call uses it.
func TestSessionsOutliveTheirCalls(t *testing.T) {
	for name, end := range map[string]func(f *fake, ms *modules, token *Token){
		"Close": func(_ *fake, _ *modules, token *Token) { token.Close() },
		"LoginAgain": func(f *fake, _ *modules, token *Token) {
			f.fail("EncryptInit", pkcs11.CKR_DEVICE_ERROR)
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(100*time.Millisecond, cancel)
			if _, err := token.Encrypt(ctx, Key{ID: "k"}, nil, nil); !errors.Is(err, ErrUnavailable) {
				t.Errorf("Encrypt: %v, want ErrUnavailable", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, ms := start(t)
			token := mustOpen(t, ms)
			f.block, f.blocked = make(chan struct{}), make(chan struct{}, 1)
			done := make(chan error)
			go func() {
				_, err := token.Encrypt(t.Context(), Key{ID: "k"}, []byte("text"), nil)
				done <- err
			}()
			<-f.blocked
			end(f, ms, token)
			if n := f.count("CloseAllSessions"); n != 0 {
				t.Error("the sessions were closed during a call")
			}
			close(f.block)
			if err := <-done; err != nil {
				t.Errorf("Encrypt: %v", err)
			}
			token.Close()
			again := mustOpen(t, ms)
			again.Close()
			if n := f.count("CloseAllSessions"); n == 0 {
				t.Error("the sessions were never closed")
			}
			if _, err := token.Encrypt(t.Context(), Key{ID: "k"}, nil, nil); !errors.Is(err, errClosed) {
				t.Errorf("Encrypt with a closed token: %v", err)
			}
		})
	}
}

// Many parts of the process may have been told the same wrong PIN. The token hears it once, until somebody asks for it.
func TestWrongPINOfMany(t *testing.T) {
	f, ms := start(t)
	f.pin = "changed"
	wrong := func(anew bool, logins int) {
		t.Helper()
		if _, err := ms.token(t.Context(), fakeURI, []byte("pin"), anew); !errors.Is(err, ErrPINIncorrect) {
			t.Errorf("Open: %v, want ErrPINIncorrect", err)
		}
		if n := f.count("Login"); n != logins {
			t.Errorf("%d logins, want %d", n, logins)
		}
	}
	wrong(false, 1)
	wrong(false, 1)
	wrong(true, 2)
	other, err := ms.token(t.Context(), fakeURI, []byte("changed"), false)
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	wrong(false, 3)
	f.pin = "pin"
	token, err := ms.token(t.Context(), fakeURI, []byte("pin"), true)
	if err != nil {
		t.Fatal(err)
	}
	token.Close()
	mustOpen(t, ms).Close()
}
