package sqs

import (
	"context"
	"encoding/json"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
)

// maxPolicies is how many compiled queue policies are kept ready.
const maxPolicies = 1000

// policyKey is what a compiled queue policy is made of.
type policyKey struct{ text, pins string }

func keyOf(r *queueRecord) policyKey {
	if r.Pins == nil {
		return policyKey{r.Policy, "null"}
	}
	pins, _ := json.Marshal(r.Pins) // a map of strings always has a JSON form
	return policyKey{r.Policy, string(pins)}
}

// compile makes the policy of a key. It does not change, so nothing has to be forgotten.
func compile(_ context.Context, k policyKey) (*policy.Policy, error) {
	var pins identity.Pins
	if err := json.Unmarshal([]byte(k.pins), &pins); err != nil {
		return nil, err
	}
	p, err := policy.Parse([]byte(k.text), policy.Resource)
	if err != nil {
		return nil, err
	}
	return pins.Bind(p), nil
}

// setPolicy gives the queue a policy, or takes it away.
func (s *Service) setPolicy(q *queue, text string) error {
	if text == "" {
		q.Policy, q.Pins = "", nil
		return nil
	}
	p, err := policy.Parse([]byte(text), policy.Resource)
	if err != nil {
		return invalidAttribute("Policy")
	}
	pins, unknown, err := s.cfg.Principals.Pin(q.tx(), p)
	if err != nil {
		return err
	}
	if unknown != "" {
		return invalidAttribute("Policy")
	}
	q.Policy, q.Pins = text, pins
	return nil
}
