package door

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// Fire carries out a timer: as a call of the service that set it, in one transaction with the timer's end. It is what a
// timer.Scheduler is made with.
func (d *Door) Fire(ctx context.Context, t *timer.Timer) error {
	err := d.Perform(ctx, t.Service, t.Account, t.Region, func(c *call.Call) error {
		taken, err := timer.Take(c.Tx(), t)
		if err != nil || !taken {
			return err
		}
		if !d.serves(t.Region, false) {
			// It belongs to the process that serves the region now. Should that be this one again, it is there.
			return timer.Set(c.Tx(), t.ID, d.cfg.Clock.Now().Add(notHere), t.Payload)
		}
		if t.Kind == delivery.Timer {
			lane, err := delivery.LaneOf(t)
			if err == nil {
				c.Tx().OnCommitted(func() { d.cfg.Deliveries.Wake(lane) })
			}
			return err
		}
		handle := d.rooms[t.Service].Timers[t.Kind]
		if handle == nil {
			return fmt.Errorf("no handler for timers of kind %s of service %s", t.Kind, t.Service)
		}
		return handle(c, t.Subject, t.Payload)
	})
	if err != nil && ctx.Err() == nil {
		d.cfg.Log.Error("timer failed", "service", t.Service, "kind", t.Kind, "subject", t.Subject, "attempt", t.Attempts+1, "cause", err.Error())
	}
	return err
}

// notHere is how long a timer waits whose region another process serves.
const notHere = 24 * time.Hour

// Perform has a service do something of its own accord: as a call of its own principal, in a transaction of its own, in an account and a region. do is run again when the
// transaction conflicts.
func (d *Door) Perform(ctx context.Context, service, account, region string, do func(*call.Call) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	room := d.rooms[service]
	if room == nil {
		return fmt.Errorf("there is no service %s", service)
	}
	for attempt := 0; ; attempt++ {
		err := d.performOnce(ctx, room, account, region, do)
		if errors.Is(err, store.ErrConflict) && attempt < maxAttempts && ctx.Err() == nil {
			d.metrics.conflicts.Inc()
			continue
		}
		return err
	}
}

func (d *Door) performOnce(ctx context.Context, room *Room, account, region string, do func(*call.Call) error) error {
	tx, err := d.cfg.Store.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Discard()
	host := room.Service.EventSource
	c := &call.Call{
		Context: ctx, Scope: call.Scope{Partition: d.cfg.Partition, Account: account, Region: region},
		Caller: identity.Service(host), Time: d.cfg.Clock.Now(), Source: call.Source{Service: host},
		RequestID: newID(), EventID: newID(), Rand: d.rand,
	}
	c.Bind(room.Service.Package, d.cfg.Organizations, func() (store.Tx, error) { return tx, nil }).WithRoles(d.cfg.Directory)
	c.Traced(d.cfg.Evidence, nil)
	if err := do(c); err != nil {
		return err
	}
	if err := c.KeepTrace(); err != nil {
		return err
	}
	if records := d.records(new(recording), c, nil, nil, nil, ended{}); len(records) > 0 {
		d.cfg.Trail.Commit(tx, records...)
	}
	return tx.Commit(ctx)
}
