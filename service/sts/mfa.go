package sts

import (
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/totp"
	"github.com/holdfast-cloud/holdfast/identity"
)

// proveMFA checks the code of an MFA device of the caller, and reports whether there was one. A code counts once: the device remembers it in the call's
// transaction.
func (s *Service) proveMFA(c *call.Call, serial, code *string) (bool, error) {
	if serial == nil && code == nil {
		return false, nil
	}
	if serial == nil || code == nil {
		return false, deny(c, "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.")
	}
	device, err := s.device(c, *serial)
	if err != nil {
		return false, err
	}
	if device == nil {
		return false, deny(c, "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.")
	}
	seed, err := s.cfg.Directory.OpenSeed(device)
	if err != nil {
		return false, err
	}
	wrong := func() (bool, error) {
		return false, deny(c, "MultiFactorAuthentication failed with invalid MFA one time pass code. ")
	}
	if !s.codes.mayTry(*serial, c.Time) {
		return wrong()
	}
	state, ok := totp.Seed(seed).Verify(totp.State{Last: device.Step, Drift: device.Drift}, *code, c.Time)
	if !ok {
		s.codes.missed(*serial, c.Time)
		return wrong()
	}
	device.Step, device.Drift = state.Last, state.Drift
	return true, identity.MFADevices.In(device.Account, "").Put(c.Tx(), device)
}

// device returns the caller's device of a serial number, or nil if the caller has none of it.
func (s *Service) device(c *call.Call, serial string) (*identity.MFADevice, error) {
	owner := ""
	switch p := c.Caller; {
	case p.Temporary != nil: // only users have devices, and sessions of theirs have shown them already
	case p.Kind == policy.User:
		owner = p.UserName
	case p.Kind == policy.Root:
		owner = identity.RootUser
	}
	a, err := arn.Parse(serial)
	name, isDevice := strings.CutPrefix(a.Resource, "mfa/")
	if owner == "" || err != nil || !isDevice || a.Account != c.Caller.Account {
		return nil, nil
	}
	device, err := identity.MFADevices.In(a.Account, "").Get(c.Tx(), name)
	if missing(err) || err == nil && (device.User != owner || device.ARN(s.cfg.Partition) != serial) {
		return nil, nil
	}
	return device, err
}

// maxMisses is how many wrong codes a device may be tried with in one step of 30 seconds. Six digits are guessed soon by whoever may try without
// end, and a wrong code is no use to anybody else: RFC 6238, section 5.1, RFC 4226, section 7.3.
const maxMisses = 5

// guesses counts wrong codes. It is in memory: that a restart forgives what came before lets nobody try faster than restarts come.
type guesses struct {
	mu     sync.Mutex // guards the fields below
	step   int64
	misses map[string]int // by serial number, in this step
}

func (g *guesses) mayTry(serial string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.step != totp.Step(now) || g.misses[serial] < maxMisses
}

func (g *guesses) missed(serial string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if step := totp.Step(now); g.misses == nil || g.step != step {
		g.step, g.misses = step, make(map[string]int)
	}
	g.misses[serial]++
}
