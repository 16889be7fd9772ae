package sqs

import (
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

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
