//go:build pkcs11 && cgo

package kms

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
	"github.com/holdfast-cloud/holdfast/wire"
)

const hsmPassword = "kmsuser's password"

// tokenBench is a bench with a CloudHSM key store, which is connected.
type tokenBench struct {
	*bench
	soft     *hsmtest.SoftHSM
	place    storePlace
	reported []string
}

func newTokenBench(t *testing.T) *tokenBench {
	t.Helper()
	b := &tokenBench{bench: newBench(t), soft: hsmtest.New(t), place: storePlace{ownAccount, "us-east-1", "cks-11112222333344445"}}
	b.soft.Init("one", hsmPassword)
	b.cfg.CloudHSM = map[string]CloudHSM{"cluster-onetokenabc": {Token: b.soft.URI("one")}}
	b.cfg.Report = func(err error) { b.reported = append(b.reported, err.Error()) }
	b.must(kms.OpCreateCustomKeyStore, func(c *call.Call) error {
		r := &storeRecord{ID: b.place.id, Name: "one", Type: kms.CustomKeyStoreTypeAwsCloudhsm, Cluster: "cluster-onetokenabc", State: kms.ConnectionStateTypeConnected}
		return b.saveStore(c.Tx(), b.place, r, []byte(hsmPassword))
	})
	t.Cleanup(b.logins.closeAll)
	return b
}

func (b *tokenBench) must(op *wire.Operation, fn func(*call.Call) error) {
	b.t.Helper()
	if err := b.call(op, fn); err != nil {
		b.t.Fatal(err)
	}
}

// make makes the key of a KMS key in the token, in a call that ends with an error.
func (b *tokenBench) make() (id string) {
	b.t.Helper()
	id = uuid.NewString()
	late := errors.New("the commit fails")
	err := b.call(kms.OpCreateKey, func(c *call.Call) error {
		st, err := b.stores.Get(c.Context, b.place)
		if err != nil {
			return err
		}
		k := &key{place: place{b.place.account, b.place.region, id}, keyRecord: &keyRecord{ID: id, Store: b.place.id}}
		if err := st.link.create(c, k, nil); err != nil {
			return err
		}
		return late
	})
	if !errors.Is(err, late) {
		b.t.Fatal(err)
	}
	return id
}

func (b *tokenBench) wantInToken(ids ...string) {
	b.t.Helper()
	var got []string
	for _, k := range b.soft.Keys("one", hsmPassword) {
		got = append(got, k.ID)
	}
	if strings.Join(got, " ") != strings.Join(ids, " ") {
		b.t.Errorf("the token has the keys %v, want %v", got, ids)
	}
}

// unmade is what the timer of a key does an hour later.
func (b *tokenBench) unmade(id string) {
	b.t.Helper()
	b.must(kms.OpCreateKey, func(c *call.Call) error {
		return b.unmadeDue(c, id, []byte(`{"Store":"`+b.place.id+`","Outside":"`+id+`"}`))
	})
}

// What a call made in the token for nothing is destroyed, by the process that knows that it was for nothing, once the call has ended for certain.
func TestUnmadeKey(t *testing.T) {
	b := newTokenBench(t)
	id := b.make()
	b.unmade(id)
	b.wantInToken(id)                     // the call may yet commit, for all the timer knows
	b.making.keys[id] = clock.Stopwatch{} // since long ago
	b.unmade(id)
	b.wantInToken()
}

// The state of a backup that was taken while a key was being made has no KMS key for it; a later state has one. So a process destroys nothing that another one made.
func TestUnmadeByAnotherProcess(t *testing.T) {
	b := newTokenBench(t)
	id := b.make()
	b.making = making{} // a new process
	b.unmade(id)
	b.wantInToken(id)
	if said := strings.Join(b.reported, "\n"); !strings.Contains(said, id) || !strings.Contains(said, b.place.id) {
		t.Errorf("reported %q, want the key and its store", said)
	}
}

// A handler runs again when its transaction conflicts. The token hears a wrong password once a request, and again when somebody asks again.
func TestWrongPasswordIsTriedOnceARequest(t *testing.T) {
	ls, tried := newHSMLogins(), 0
	refuse := func(request string, want int) {
		t.Helper()
		code, _ := ls.once(storePlace{id: "cks-1"}, request, func() (kms.ConnectionErrorCodeType, error) {
			tried++
			return kms.ConnectionErrorCodeTypeInvalidCredentials, hsm.ErrPINIncorrect
		})
		if code != kms.ConnectionErrorCodeTypeInvalidCredentials || tried != want {
			t.Errorf("%s: %q after %d attempts, want %d", request, code, tried, want)
		}
	}
	refuse("one", 1)
	refuse("one", 1)
	refuse("two", 2)
	refuse("two", 2)
}

// While a token hangs, each call waits as long as it wants to, however many wait.
func TestLoginsWaitForNoOther(t *testing.T) {
	login := newHSMLogins().of(storePlace{id: "cks-1"})
	login.turn <- struct{}{} // somebody logs in, and the token hangs
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := login.get(ctx, hsm.URI{}, nil); !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("get: %v, want ErrUnavailable", err)
	}
}
