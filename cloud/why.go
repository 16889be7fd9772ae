package cloud

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/evidence"
)

// ErrNoEvent is answered to an ID that no audit record has.
var ErrNoEvent = errors.New("no audit record has this event or request ID")

// Why explains the calls that an event or request ID leads to: those that services made in a request, and the request's own. A copy of a record for another
// account is told once.
func (c *Cloud) Why(ctx context.Context, id string) ([]*evidence.Explanation, error) {
	core, release := c.hold()
	defer release()
	found, damage := core.trail.Find(ctx, id)
	if damage != nil && !errors.Is(damage, audit.ErrAltered) {
		return nil, damage
	}
	if len(found) == 0 {
		return nil, errors.Join(ErrNoEvent, damage)
	}
	var out []*evidence.Explanation
	accounts := make(map[string]string) // that have the record of a call first
	for _, f := range found {
		x, err := core.evidence.Why(ctx, f.Record, f.Trace)
		if err != nil {
			return nil, err
		}
		if x.Kind == "AWSAccount" && len(found) > 1 {
			continue // a copy, which does not tell who called; the record of the caller's account does
		}
		call := x.Call + " " + x.Time + " " + string(f.Trace)
		if first, ok := accounts[call]; ok && first != x.Account {
			continue
		}
		accounts[call] = x.Account
		out = append(out, x)
	}
	return out, damage
}

// Used says which calls a generated policy is to allow.
type Used struct {
	Principal string // ARN of a user, the root user, or a role; a role's are the calls of all its sessions
	Since     time.Time
	Until     time.Time // zero is now
	Account   string    // only of records for this account; "" for all
	Denied    bool      // also what was denied
}

// GeneratePolicy returns identity-based policies that allow what a principal was recorded to do and nothing else, none if that is nothing.
// With an error that wraps audit.ErrAltered come those of what could be read.
func (c *Cloud) GeneratePolicy(ctx context.Context, u Used) ([]string, error) {
	core, release := c.hold()
	defer release()
	var usage evidence.Usage
	damage := core.trail.Each(ctx, audit.Filter{From: u.Since, To: u.Until, Account: u.Account}, func(r audit.Traced) error {
		if len(r.Trace) == 0 || !evidence.PrincipalOf(r.Record, u.Principal) {
			return nil
		}
		return usage.AddCall(r.Record, r.Trace, u.Denied)
	})
	if damage != nil && !errors.Is(damage, audit.ErrAltered) {
		return nil, damage
	}
	docs, err := usage.Policies()
	return docs, errors.Join(err, damage)
}
