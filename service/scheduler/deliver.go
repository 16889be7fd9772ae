package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// invocation is what a parcel brings: the schedule's target as it was when the schedule was due, with its input sealed or encrypted as in the schedule.
type invocation struct {
	Group, Name, Version string // of the schedule
	ID                   string // of the first attempt's execution
	Due                  time.Time
	Last                 bool `json:",omitempty"` // the schedule is deleted when this is done

	Target  targetRecord
	Key     string `json:",omitempty"`
	DataKey []byte `json:",omitempty"`
}

func (i *invocation) arn(s call.Scope) string { return scheduleARN(s, i.Group, i.Name) }

// scheduled is the time for which the invocation was scheduled, as Scheduler writes it.
func (i *invocation) scheduled() string { return i.Due.UTC().Format("2006-01-02T15:04:05Z") }

// execution is the ID of an attempt; the first is 1.
func (i *invocation) execution(attempt int) string {
	if attempt <= 1 {
		return i.ID
	}
	sum := sha256.Sum256([]byte(i.ID + "#" + strconv.Itoa(attempt)))
	return hex.EncodeToString(sum[:8])
}

// filled is the input with its context attributes: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func (i *invocation) filled(s call.Scope, input string, attempt int) string {
	if !strings.Contains(input, "<aws.scheduler.") {
		return input
	}
	return strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", i.arn(s), "<aws.scheduler.scheduled-time>", i.scheduled(), "<aws.scheduler.execution-id>", i.execution(attempt),
		"<aws.scheduler.attempt-number>", strconv.Itoa(attempt),
	).Replace(input)
}

// splitSubject takes a schedule's group and name apart; neither has a slash.
func splitSubject(subject string) (group, name string) {
	group, name, _ = strings.Cut(subject, "/")
	return group, name
}

// carrier delivers invocations.
type carrier struct{ *Service }

// Deliver implements door.Carrier.
func (s carrier) Deliver(c *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error) {
	i, err := read(p)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	if err := s.invoke(c, i, p.Attempts+1); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return nil, err
		}
		f := failed(err)
		s.count(c, i, attempts, targetErrors)
		if f.throttled {
			s.count(c, i, throttled)
		}
		if f.retry {
			return nil, f
		}
		return nil, delivery.Permanent(f)
	}
	c.Tx().OnCommitted(func() { s.count(c, i, attempts) })
	return nil, s.complete(c, i)
}

func read(p *delivery.Parcel) (*invocation, error) {
	var i invocation
	if err := json.Unmarshal(p.Payload, &i); err != nil {
		return nil, fmt.Errorf("reading an invocation: %w", err)
	}
	return &i, nil
}

// invoke carries out the target's operation as its role.
func (s *Service) invoke(c *call.Call, i *invocation, attempt int) error {
	as, err := c.AsRole(i.Target.Role, groupARN(c.Scope, i.Group))
	if err != nil {
		return err
	}
	a, err := s.aim(c.Scope, i.Target.ARN)
	if err != nil {
		return err
	}
	text, err := s.text(as, i, &a, attempt)
	if err != nil {
		return err
	}
	in, err := decodeInput(a.op, []byte(text))
	if err != nil {
		return err
	}
	if a.Region != "" {
		as.Scope.Region = a.Region
	}
	out, err := s.cfg.Transport.Invoke(as, a.op, in)
	if err != nil {
		return err
	}
	if put, ok := out.(*events.PutEventsResponse); ok && optional.Value(put.FailedEntryCount) > 0 {
		for _, e := range put.Entries {
			if code := optional.Value(e.ErrorCode); code != "" {
				return &wire.Error{Code: code, Message: optional.Value(e.ErrorMessage), Status: 400, Fault: code == "InternalFailure" || code == "InternalException"}
			}
		}
	}
	return nil
}

// text is the request that the target is sent.
func (s *Service) text(as *call.Call, i *invocation, a *aim, attempt int) (string, error) {
	scope := as.Scope
	input, err := s.open(as, sealed{name: i.arn(scope), version: i.Version, key: i.Key, dataKey: i.DataKey, input: i.Target.Input})
	if err != nil {
		return "", err
	}
	return a.request(scope, i, i.filled(scope, input, attempt))
}

// complete deletes a schedule that has fired for the last time, if nobody has changed it since.
func (s *Service) complete(c *call.Call, i *invocation) error {
	if !i.Last {
		return nil
	}
	r, err := load(c, i.Group, i.Name)
	if err != nil || r == nil || r.Version != i.Version {
		return err
	}
	return remove(c, r)
}

// failure is the error of a target.
type failure struct {
	code, message    string
	retry, throttled bool
}

func (f *failure) Error() string { return f.code + ": " + f.message }

// failed tells what came of an attempt. A target that is busy or broken is asked again; one that refuses the request would refuse it again.
func failed(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		t := m.Schema().Error
		return newFailure(t.Code, wire.Message(m), t.Status, t.Fault)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return newFailure(e.Code, e.Message, e.Status, e.Fault && e.Status != 501)
	}
	if d, ok := errors.AsType[*call.Denied](err); ok {
		return &failure{code: "AccessDeniedException", message: d.Message}
	}
	if errors.Is(err, call.ErrRole) {
		return &failure{code: "AccessDeniedException", message: "Scheduler cannot assume the execution role of the target."}
	}
	return &failure{code: "InternalFailure", message: "An internal error occurred.", retry: true}
}

func newFailure(code, message string, status int, fault bool) *failure {
	throttled := status == 429 || strings.Contains(code, "Throttl") || strings.Contains(code, "TooManyRequests") || strings.Contains(code, "LimitExceeded") && status == 503
	return &failure{code: code, message: message, retry: fault || throttled, throttled: throttled}
}
