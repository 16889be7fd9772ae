package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
)

// eventLane is the kind of the lanes of events that wait for their function. Each event has one of its own, as they do not wait for each other.
const eventLane = "event"

// What holds for a function without a configuration of its own: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
const (
	defaultRetries = 2
	defaultAge     = 6 * time.Hour
)

// queuedEvent is a parcel: an event that a function is to be invoked with.
type queuedEvent struct {
	Function, Qualifier string    // as it was asked for
	Made                time.Time // when the function was: one of the same name that was made later is another
	ID                  string    // of the request
	Body                []byte    // a queuedBody, sealed
}

// means reports whether a function is the one that the event was accepted for. Events that an earlier version accepted go by the name alone.
func (q *queuedEvent) means(f *functionRecord) bool {
	return q.Made.IsZero() || q.Made.Equal(f.Created)
}

// queuedBody is what the caller gave.
type queuedBody struct {
	Payload       []byte
	ClientContext []byte `json:",omitempty"`
}

// accept puts an event into the queue, in the call's transaction: from its commit on, the function is invoked with it at least once.
func (s *Service) accept(c *call.Call, o *order) error {
	if len(o.payload) > maxQueuedPayload {
		return tooLarge(fmt.Sprintf("%d byte payload is too large for the Event invocation type (limit %d bytes)", len(o.payload), maxQueuedPayload))
	}
	body, err := json.Marshal(queuedBody{o.payload, o.clientContext})
	if err != nil {
		return err
	}
	q := queuedEvent{Function: o.function.Name, Qualifier: o.qualifier, Made: o.function.Created, ID: o.id}
	if q.Body, err = s.box.Wrap(q.name(), body); err != nil {
		return err
	}
	payload, err := json.Marshal(q)
	if err != nil {
		return err
	}
	c.Tx().OnCommitted(func() { s.measure(o, "AsyncEventsReceived", 1) })
	return c.Post(&delivery.Parcel{Lane: delivery.Lane{Account: o.account, Region: o.region, Kind: eventLane, Subject: o.id}, Payload: payload})
}

// name is what the body is sealed for.
func (q *queuedEvent) name() string { return "event/" + q.ID }

// open reads a parcel.
func (s *Service) open(p *delivery.Parcel) (*queuedEvent, *queuedBody, error) {
	q, b := new(queuedEvent), new(queuedBody)
	if err := json.Unmarshal(p.Payload, q); err != nil {
		return nil, nil, fmt.Errorf("reading a queued event: %w", err)
	}
	body, err := s.box.Unwrap(q.name(), q.Body)
	if err != nil {
		return nil, nil, err
	}
	return q, b, json.Unmarshal(body, b)
}

// retrying is how a function is invoked with events.
type retrying struct {
	retries              int
	age                  time.Duration
	onSuccess, onFailure string // ARNs, or ""
}

// retrying reads how events are tried, of the function, version or alias as it was asked for.
func (t *target) retrying(c *call.Call) (r retrying, err error) {
	r = retrying{retries: defaultRetries, age: defaultAge}
	qualifier := t.qualifier
	if qualifier == "" {
		qualifier = latest
	}
	i, err := get(c, invocationTable, t.name, t.name.function, qualifier)
	if err != nil || i == nil {
		return r, err
	}
	if i.Retries != nil {
		r.retries = int(*i.Retries)
	}
	if i.Age != nil {
		r.age = time.Duration(*i.Age) * time.Second
	}
	r.onSuccess, r.onFailure = i.OnSuccess, i.OnFailure
	return r, nil
}

// Why an event is given up, as records of it say.
const (
	retriesExhausted        = "RetriesExhausted"
	eventAgeExceeded        = "EventAgeExceeded"
	zeroReservedConcurrency = "ZeroReservedConcurrency"
	success                 = "Success"
)

// failure is why an attempt failed. Its text may be kept and logged, so it tells nothing of what the function has said.
type failure struct {
	condition string // "" where the event is tried again
	result    *result
	version   string // that ran
	attempts  int    // so far
}

func (f *failure) Error() string {
	switch {
	case f.condition != "":
		return f.condition
	case f.result != nil:
		return "the function failed: " + f.result.Failure
	}
	return "the function was not run"
}

// judge tells what becomes of an event after an attempt, whose function has failed: it waits for a minute, then for two, and so on, as long as it has attempts and time left.
func (r *retrying) judge(f *failure, accepted, now time.Time) error {
	wait := time.Minute << min(f.attempts-1, 10)
	switch {
	case f.attempts > r.retries:
		f.condition = retriesExhausted
	case now.Add(wait).After(accepted.Add(r.age)):
		f.condition = eventAgeExceeded
	default:
		return delivery.After(wait, f)
	}
	return delivery.Permanent(f)
}

// wait is when an event is tried again that could not be given to its function, which is no attempt: soon at first, and then after about as long as it has waited already, up to
// five minutes.
func wait(accepted, now time.Time) time.Time {
	waited := now.Sub(accepted)
	return now.Add(min(max(waited, time.Second), 5*time.Minute).Round(time.Second))
}

// failureOf is the failure that gave an event up, for the cause that the door tells.
func failureOf(cause error) *failure {
	if f, ok := errors.AsType[*failure](cause); ok {
		return f
	}
	return nil
}

// seconds is a duration in milliseconds, as metrics and reports have it.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)*10) / 10000
}
