package lambda

import (
	"context"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/meter"
)

// carrier invokes functions with the events that are queued for them.
type carrier struct{ *Service }

// maxBackground is how many events run at once: the dispatcher has places for more, which others need, too.
const maxBackground = delivery.Outside * 3 / 4

// Patience implements door.Patient: functions may take as long as they are given, and a while to start.
func (carrier) Patience() time.Duration { return 16 * time.Minute }

// Deliver implements door.Carrier. An event whose function is no more is dropped.
func (k carrier) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	q, body, err := k.open(p)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	o, r, err := k.queued(c, q, body)
	if err != nil || o == nil {
		return nil, err
	}
	o.again = p.Attempts
	switch {
	case o.function.Reserved != nil && *o.function.Reserved == 0:
		return nil, delivery.Permanent(&failure{condition: zeroReservedConcurrency, attempts: p.Attempts})
	case c.Time.After(p.Created.Add(r.age)):
		return nil, delivery.Permanent(&failure{condition: eventAgeExceeded, attempts: p.Attempts})
	}
	return func(ctx context.Context) error { return k.attempt(ctx, o, r, p.Created) }, nil
}

// queued is the order that an event stands for, or nil if its function is not there any more.
func (s *Service) queued(c *call.Call, q *queuedEvent, body *queuedBody) (*order, *retrying, error) {
	n := name{account: c.Scope.Account, region: c.Scope.Region, function: q.Function, qualifier: q.Qualifier}
	t, err := s.look(c, n)
	if err != nil || t.version == nil || !q.means(t.function) {
		return nil, nil, err
	}
	if t, err = t.routed(c); err != nil {
		return nil, nil, err
	}
	r, err := t.retrying(c)
	return &order{target: t, id: q.ID, payload: body.Payload, clientContext: body.ClientContext}, &r, err
}

// attempt runs the function with an event.
func (k carrier) attempt(ctx context.Context, o *order, r *retrying, accepted time.Time) error {
	if k.background.Add(1) > maxBackground {
		k.background.Add(-1)
		return delivery.Later(wait(accepted, k.cfg.Clock.Now()))
	}
	defer k.background.Add(-1)
	k.measureUnit(o, "AsyncEventAge", meter.Milliseconds, milliseconds(k.cfg.Clock.Now().Sub(accepted)))
	out, err := k.run(ctx, o)
	now := k.cfg.Clock.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return delivery.Later(wait(accepted, now)) // throttled, or something that the function has no part in
	case out.Failure != "":
		return r.judge(&failure{result: out, version: o.version.qualifier(), attempts: o.again + 1}, accepted, now)
	case r.onSuccess == "":
		return nil
	}
	return k.cfg.Perform(ctx, lambda.Service.Package, o.account, o.region, func(c *call.Call) error {
		return k.tell(c, o, r.onSuccess, &outcome{condition: success, attempts: o.again + 1, result: out, version: o.version.qualifier()})
	})
}

// GiveUp implements door.Carrier: the function's dead-letter queue, and its destination for failures, are told of the event.
func (k carrier) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	f := failureOf(cause)
	q, body, err := k.open(p)
	if err != nil || f == nil {
		return nil // nobody can read it
	}
	o, r, err := k.queued(c, q, body)
	if err != nil || o == nil {
		return err
	}
	told := false
	if o.version.DeadLetters != "" {
		if told, err = k.bury(c, o, f); err != nil {
			return err
		}
	}
	if r.onFailure != "" {
		if err := k.tell(c, o, r.onFailure, &outcome{condition: f.condition, attempts: f.attempts, result: f.result, version: f.version}); err != nil {
			return err
		}
		told = true
	}
	if !told {
		c.Tx().OnCommitted(func() { k.measure(o, "AsyncEventsDropped", 1) })
	}
	return nil
}
