package ssm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// policyTimer is the kind of timers of parameter policies. A parameter has one for each policy that waits, by its number.
const policyTimer = "policy"

func policySubject(n name, i int) string { return n.String() + "#" + strconv.Itoa(i) }

// schedule sets the timers of a parameter's policies, in place of those of the policies that it had.
func schedule(c *call.Call, p *parameterRecord, had int) error {
	for i := range max(had, len(p.Current.Policies)) {
		var err error
		if i < len(p.Current.Policies) && p.Current.Policies[i].Status == pending {
			err = c.At(p.Current.Policies[i].Due, c.Scope, policyTimer, policySubject(p.name(), i), nil)
		} else {
			err = c.Cancel(c.Scope, policyTimer, policySubject(p.name(), i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// policyDue carries out a policy.
func (s *Service) policyDue(c *call.Call, subject string, _ []byte) error {
	at := strings.LastIndexByte(subject, '#')
	i, err := strconv.Atoi(subject[at+1:])
	if at < 0 || err != nil {
		return fmt.Errorf("a timer of a policy of %q", subject)
	}
	n := splitName(subject[:at])
	rows := parameterTable.In(c.Scope.Account, c.Scope.Region)
	p, err := rows.Get(c.Tx(), n.dir, n.leaf)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("loading parameter %s: %w", n, err)
	}
	if i >= len(p.Current.Policies) || p.Current.Policies[i].Status != pending || p.Current.Policies[i].Due.After(c.Time) {
		return nil
	}
	r := &p.Current.Policies[i]
	if err := emitPolicy(c, p, r); err != nil {
		return err
	}
	if r.Type != expiration {
		r.Status = finished
		return rows.Put(c.Tx(), p)
	}
	details, err := json.Marshal(map[string]string{"name": p.Name})
	if err != nil {
		return err
	}
	c.ServiceEvent("ParameterExpired", details)
	return remove(c, p)
}
