package events

import (
	"errors"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// failure is why an event did not reach a target, as dead-letter queues tell it:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html#eb-dlq-considerations
type failure struct {
	code, message string
	permanent     bool // no other attempt would help
}

func (f *failure) Error() string { return f.code + ": " + f.message }

// failureOf finds out what an error of a target means. What is wrong with the target itself, no other attempt mends.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if d, ok := errors.AsType[*call.Denied](err); ok {
		return &failure{"NO_PERMISSIONS", d.Message, true}
	}
	if errors.Is(err, call.ErrRole) {
		return &failure{"FAILED_TO_ASSUME_ROLE", "The role of the target cannot be assumed.", true}
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		e := m.Schema().Error
		f := &failure{"SDK_CLIENT_ERROR", wire.Message(m), !e.Fault}
		switch code := e.Code; {
		case strings.Contains(code, "NonExistent"), strings.Contains(code, "NotFound"), strings.Contains(code, "DoesNotExist"):
			f.code = "NO_RESOURCE"
		case strings.Contains(code, "Throttl"), strings.Contains(code, "TooManyRequests"), strings.Contains(code, "OverLimit"):
			f.code, f.permanent = "THROTTLING", false
		case strings.Contains(code, "LimitExceeded"):
			f.code, f.permanent = "RESOURCE_LIMIT_EXCEEDED", false
		case strings.Contains(code, "AccessDenied"), strings.Contains(code, "KmsAccessDenied"), strings.Contains(code, "Authorization"):
			f.code = "NO_PERMISSIONS"
		case strings.Contains(code, "Invalid"), strings.Contains(code, "Validation"):
			f.code = "INVALID_PARAMETER"
		case e.Fault:
			f.code = "ERROR_FROM_TARGET"
		}
		return f
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return &failure{"SDK_CLIENT_ERROR", e.Message, e.Status < 500 || e.Status == 501}
	}
	if errors.Is(err, store.ErrTooLarge) {
		return &failure{"SDK_CLIENT_ERROR", "The event is too large for the target.", true}
	}
	return &failure{"INTERNAL_ERROR", "The event could not be delivered.", false}
}

// undecrypted is the error of an event that cannot be decrypted. It is not the target's fault, and may pass: the key may be enabled again, or its policy changed.
func undecrypted(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	f := *failureOf(err)
	f.permanent = false
	return &f
}

// failed is the error of a delivery that did not succeed. c is nil outside of a transaction.
func (s *Service) failed(c *call.Call, t *targetRecord, h *heard, err error) error {
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if _, later := delivery.IsLater(err); later {
		return err
	}
	f := failureOf(err)
	if f.permanent || delivery.IsPermanent(err) {
		return delivery.Permanent(f)
	}
	return f
}

// GiveUp sends an event that did not reach its target to the target's dead-letter queue, if it has one, with the reason.
func (x carrier) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	s := x.s
	t, err := targetOf(c, p)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.count(c, t.bus(), t.Rule, "FailedInvocations", 1)
	f := failureOf(cause)
	attributes := map[string]string{
		"RULE_ARN": t.ruleARN(c.Scope.Partition), "TARGET_ARN": t.ARN, "ERROR_CODE": f.code, "ERROR_MESSAGE": f.message, "RETRY_ATTEMPTS": strconv.Itoa(p.Attempts),
	}
	switch {
	case errors.Is(cause, delivery.ErrExpired) || !delivery.IsPermanent(cause) && p.Expired(c.Time):
		attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumEventAgeInSeconds"
		if p.Failure != "" && errors.Is(cause, delivery.ErrExpired) {
			attributes["ERROR_CODE"], attributes["ERROR_MESSAGE"], _ = strings.Cut(p.Failure, ": ")
		}
	case !delivery.IsPermanent(cause):
		attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumRetryAttempts"
	}
	_, event, err := s.unwrap(c, p.Payload)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	h := &heard{Bus: t.bus(), JSON: event}
	if err := s.note(c, t.bus(), step{Type: "INVOCATION_FAILURE", Failed: true, Event: h, Rule: attributes["RULE_ARN"], Target: t, Err: f}); err != nil {
		return err
	}
	if t.DeadLetter == "" || event == nil {
		return nil
	}
	return s.bury(c, c.AsServiceFor(attributes["RULE_ARN"]), t.DeadLetter, event, attributes, t.bus(), t.Rule)
}

// bury sends an event to a dead-letter queue. One that takes nothing keeps nobody waiting.
func (s *Service) bury(c, own *call.Call, queueARN string, event []byte, attributes map[string]string, bus busKey, rule string) error {
	for name, value := range attributes {
		if value == "" {
			delete(attributes, name) // a message has no empty attributes
		}
	}
	mark := c.Tx().Mark()
	err := s.toQueue(own, queueARN, "", event, "", attributes)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if err != nil {
		c.Tx().Reset(mark)
		s.count(c, bus, rule, "InvocationsFailedToBeSentToDlq", 1)
		return nil
	}
	s.count(c, bus, rule, "InvocationsSentToDlq", 1)
	s.count(c, bus, rule, "DeadLetterInvocations", 1)
	return nil
}
