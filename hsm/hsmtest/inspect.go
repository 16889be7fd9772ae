//go:build pkcs11 && cgo

package hsmtest

import (
	"errors"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/holdfast-cloud/holdfast/hsm"
)

// A look of somebody else at a token: what is in it, whatever the code under test says of it.

// KeyState is a key and what its token says of how well it is kept.
type KeyState struct {
	hsm.Key
	Sensitive, Extractable, Modifiable, Copyable bool
}

// Keys lists the AES keys of a token, by label.
func (s *SoftHSM) Keys(label, pin string) []KeyState {
	s.t.Helper()
	var all []KeyState
	s.session(label, pin, func(p *pkcs11.Ctx, h pkcs11.SessionHandle) error {
		if err := p.FindObjectsInit(h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY)}); err != nil {
			return err
		}
		found, _, err := p.FindObjects(h, 10_000)
		if err != nil {
			return err
		}
		if err := p.FindObjectsFinal(h); err != nil {
			return err
		}
		for _, o := range found {
			a, err := p.GetAttributeValue(h, o, []*pkcs11.Attribute{
				{Type: pkcs11.CKA_LABEL}, {Type: pkcs11.CKA_ID}, {Type: pkcs11.CKA_SENSITIVE}, {Type: pkcs11.CKA_EXTRACTABLE}, {Type: pkcs11.CKA_MODIFIABLE}, {Type: pkcs11.CKA_COPYABLE},
			})
			if err != nil {
				return err
			}
			is := func(i int) bool { return a[i].Value[0] == 1 }
			all = append(all, KeyState{hsm.Key{Label: string(a[0].Value), ID: string(a[1].Value)}, is(2), is(3), is(4), is(5)})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b KeyState) int { return slices.Compare([]byte(a.Label), []byte(b.Label)) })
	return all
}

// SetPIN gives the user of a token another PIN.
func (s *SoftHSM) SetPIN(label, pin, next string) {
	s.t.Helper()
	s.session(label, pin, func(p *pkcs11.Ctx, h pkcs11.SessionHandle) error { return p.SetPIN(h, pin, next) })
}

// session calls f with a session of its own, in a process that may use the library otherwise as well.
func (s *SoftHSM) session(label, pin string, f func(*pkcs11.Ctx, pkcs11.SessionHandle) error) {
	s.t.Helper()
	p := pkcs11.New(s.Module)
	err := p.Initialize()
	if err == nil {
		defer p.Finalize()
	} else if !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		s.t.Fatalf("hsmtest: %v", err)
	}
	slots, err := p.GetSlotList(true)
	if err != nil {
		s.t.Fatalf("hsmtest: %v", err)
	}
	for _, slot := range slots {
		if info, err := p.GetTokenInfo(slot); err != nil || info.Label != label {
			continue
		}
		h, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err == nil {
			defer p.CloseSession(h)
			if err = p.Login(h, pkcs11.CKU_USER, pin); err == nil || errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
				err = f(p, h)
			}
		}
		if err != nil {
			s.t.Fatalf("hsmtest: token %s: %v", label, err)
		}
		return
	}
	s.t.Fatalf("hsmtest: there is no token %s", label)
}
