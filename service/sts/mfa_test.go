package sts_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/engine/totp"
	"github.com/holdfast-cloud/holdfast/identity"
)

const (
	wrongCode   = "MultiFactorAuthentication failed with invalid MFA one time pass code."
	wrongDevice = "MultiFactorAuthentication failed, unable to validate MFA code."
)

// device gives a user an MFA device, and returns its serial number and seed.
func (h *house) device(user, name string) (serial string, seed totp.Seed) {
	h.t.Helper()
	seed = totp.Seed("01234567890123456789" + name)
	wrapped, err := h.directory.WrapSeed(home, name, seed)
	if err != nil {
		h.t.Fatal(err)
	}
	d := identity.MFADevice{Account: home, Name: name, Seed: wrapped, User: user, Enabled: h.clock.Now()}
	put(h, identity.MFADevices, home, d)
	return d.ARN("aws"), seed
}

func mfa(serial, code string) *sts.GetSessionTokenInput {
	return &sts.GetSessionTokenInput{SerialNumber: &serial, TokenCode: &code}
}

func TestMFA(t *testing.T) {
	h := build(t)
	ann, root := h.user(home, "ann"), h.user(home, "")
	serial, seed := h.device("ann", "ann")
	bobs, bobSeed := h.device("bob", "bob")
	free, freeSeed := h.device("", "free")
	roots, rootSeed := h.device(identity.RootUser, "root-account-mfa-device")
	now := h.clock.Now()

	t.Run("Refused", func(t *testing.T) {
		for name, tt := range map[string]struct {
			in      *sts.GetSessionTokenInput
			message string
		}{
			"SerialAlone": {&sts.GetSessionTokenInput{SerialNumber: &serial}, "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."},
			"CodeAlone":   {&sts.GetSessionTokenInput{TokenCode: aws.String("123456")}, "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."},
			"NoDevice":    {mfa("arn:aws:iam::111122223333:mfa/none", "123456"), wrongDevice},
			"NoARN":       {mfa("GAHT12345678", "123456"), wrongDevice},
			"AnothersOne": {mfa(bobs, bobSeed.Code(now)), wrongDevice},
			"NotEnabled":  {mfa(free, freeSeed.Code(now)), wrongDevice},
			"WrongCode":   {mfa(serial, seed.Code(now.Add(-time.Hour))), wrongCode},
		} {
			_, err := ann.GetSessionToken(t.Context(), tt.in)
			if err == nil {
				t.Errorf("%s succeeded", name)
				continue
			}
			wantError(t, err, "AccessDenied", tt.message)
		}
	})
	out, err := ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(now)))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("Replay", func(t *testing.T) {
		_, err := ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(now)))
		wantError(t, err, "AccessDenied", wrongCode)
		_, err = ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(now.Add(-totp.Period))))
		wantError(t, err, "AccessDenied", wrongCode)
	})
	t.Run("PresentInContext", func(t *testing.T) {
		arn := h.role(home, "careful", trust(`{"AWS":"arn:aws:iam::`+home+`:user/ann"}`, `{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"600"}}`))
		if _, err := h.with(out.Credentials).AssumeRole(t.Context(), role(arn)); err != nil {
			t.Errorf("with a session that has MFA: %v", err)
		}
		plain, err := ann.GetSessionToken(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, as := range map[string]*sts.Client{"Session": h.with(plain.Credentials), "Key": ann} {
			if _, err := as.AssumeRole(t.Context(), role(arn)); code(err) != "AccessDenied" {
				t.Errorf("%s without MFA: %v", name, err)
			}
		}
		h.advance(11 * time.Minute)
		if _, err := h.with(out.Credentials).AssumeRole(t.Context(), role(arn)); code(err) != "AccessDenied" {
			t.Errorf("with MFA too long ago: %v", err)
		}
		// With the code at hand it goes at once.
		in := role(arn)
		in.SerialNumber, in.TokenCode = &serial, aws.String(seed.Code(h.clock.Now()))
		if _, err := ann.AssumeRole(t.Context(), in); err != nil {
			t.Errorf("with a code: %v", err)
		}
		if _, err := ann.AssumeRole(t.Context(), in); err == nil || !strings.Contains(err.Error(), wrongCode) {
			t.Errorf("with the same code: %v", err)
		}
	})
	t.Run("Root", func(t *testing.T) {
		out, err := root.GetSessionToken(t.Context(), mfa(roots, rootSeed.Code(h.clock.Now())))
		if err != nil {
			t.Fatal(err)
		}
		h.advance(time.Second) // records of one instant have no order
		h.whoami(out.Credentials)
		if r := h.last(home); !strings.Contains(r, `"mfaAuthenticated":"true"`) {
			t.Errorf("the record is %s", r)
		}
	})
}

// Of many calls with one code, one wins.
func TestMFACodeCountsOnce(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann")
	serial, seed := h.device("ann", "ann")
	in := mfa(serial, seed.Code(h.clock.Now()))
	var mu sync.Mutex
	won := 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := ann.GetSessionToken(t.Context(), in); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d calls had the same code", won)
	}
}

// A code cannot be found by trying.
func TestMFAGuessing(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann")
	serial, seed := h.device("ann", "ann")
	right := seed.Code(h.clock.Now())
	for range 5 {
		_, err := ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(h.clock.Now().Add(-time.Hour))))
		wantError(t, err, "AccessDenied", wrongCode)
	}
	_, err := ann.GetSessionToken(t.Context(), mfa(serial, right))
	wantError(t, err, "AccessDenied", wrongCode)
	h.advance(totp.Period)
	if _, err := ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(h.clock.Now()))); err != nil {
		t.Errorf("in the next step: %v", err)
	}
}

// Who goes on guessing waits longer and longer, and as long for many guesses at the same time as for many in a row.
func TestMFAGuessingGoesSlower(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann")
	serial, seed := h.device("ann", "ann")
	right := func() error {
		_, err := ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(h.clock.Now())))
		return err
	}
	wrong := func(n int) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				_, err := ann.GetSessionToken(t.Context(), mfa(serial, seed.Code(h.clock.Now().Add(-time.Hour))))
				wantError(t, err, "AccessDenied", wrongCode)
			})
		}
		all.Wait()
	}
	// Without the pauses, twenty wrong codes at once would count as twenty.
	wrong(20)
	for i, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
		h.advance(pause - time.Second)
		wantError(t, right(), "AccessDenied", wrongCode)
		h.advance(time.Second)
		if i < 2 {
			wrong(5)
		}
	}
	if err := right(); err != nil {
		t.Errorf("after the pauses: %v", err)
	}
	h.advance(totp.Period)
	wrong(4)
	if err := right(); err != nil {
		t.Errorf("a right code has not made good the wrong ones: %v", err)
	}
}
