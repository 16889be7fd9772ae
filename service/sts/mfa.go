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
	if !totp.Approved() {
		return false, deny(c, "MultiFactorAuthentication failed, virtual MFA devices are not available in FIPS mode.")
	}
	seed, err := s.cfg.Directory.OpenSeed(device)
	if err != nil {
		return false, err
	}
	wrong := func() (bool, error) {
		return false, deny(c, "MultiFactorAuthentication failed with invalid MFA one time pass code. ")
	}
	if !s.codes.try(*serial, c.Time) {
		return wrong()
	}
	state, ok := totp.Seed(seed).Verify(totp.State{Last: device.Step, Drift: device.Drift}, *code, c.Time)
	if !ok {
		return wrong()
	}
	s.codes.hit(*serial)
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

// Six digits are guessed soon by whoever may try without end: RFC 6238, section 5.1, RFC 4226, section 7.3. So after maxMisses wrong codes a device takes
// none for firstPause, and after each further maxMisses in a row for twice as long, up to maxPause. That is some hundred guesses a day, of a million. Only
// its own user can try a device, so nobody can lock out another.
const (
	maxMisses  = 5
	firstPause = totp.Period
	maxPause   = time.Hour
	// forgiven is after what time without a try wrong codes count no more.
	forgiven = 24 * time.Hour
	// manyDevices is from how many on those are looked for that can be forgotten.
	manyDevices = 1024
)

// guesses counts wrong codes. It is in memory: that a restart forgives what came before lets nobody try faster than restarts come.
type guesses struct {
	mu      sync.Mutex // guards the fields below
	devices map[string]*misses
	swept   time.Time
}

// misses are the wrong codes of a device since the last right one.
type misses struct {
	n     int
	last  time.Time
	until time.Time // when the next may be tried
}

// try reports whether a code may be looked at, and counts it as a wrong one until hit says otherwise: of many at the same time no more are looked at than of
// many in a row.
func (g *guesses) try(serial string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.devices[serial]
	if m == nil || now.Sub(m.last) > forgiven {
		g.sweep(now)
		m = new(misses)
		g.devices[serial] = m
	}
	if now.Before(m.until) {
		return false
	}
	m.n++
	m.last = now
	if m.n%maxMisses == 0 {
		m.until = now.Add(min(maxPause, firstPause<<min(m.n/maxMisses-1, 10)))
	}
	return true
}

// hit says that a code was right.
func (g *guesses) hit(serial string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.devices, serial)
}

func (g *guesses) sweep(now time.Time) {
	if g.devices == nil {
		g.devices = make(map[string]*misses)
	}
	if len(g.devices) < manyDevices || now.Sub(g.swept) < firstPause {
		return
	}
	g.swept = now
	for serial, m := range g.devices {
		if now.Sub(m.last) > forgiven {
			delete(g.devices, serial)
		}
	}
}
