package door

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// Fire carries out a timer: as a call of the service that set it, in one transaction with the timer's end. It is what a
// timer.Scheduler is made with.
func (d *Door) Fire(ctx context.Context, t *timer.Timer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Error("timer failed", "service", t.Service, "kind", t.Kind, "subject", t.Subject, "attempt", t.Attempts+1, "cause", err.Error())
		}
	}()
	room := d.rooms[t.Service]
	if room == nil || room.Timers[t.Kind] == nil {
		return fmt.Errorf("no handler for timers of kind %s of service %s", t.Kind, t.Service)
	}
	for attempt := 0; ; attempt++ {
		err := d.fireOnce(ctx, room, t)
		if errors.Is(err, store.ErrConflict) && attempt < maxAttempts && ctx.Err() == nil {
			d.metrics.conflicts.Inc()
			continue
		}
		return err
	}
}

func (d *Door) fireOnce(ctx context.Context, room *Room, t *timer.Timer) error {
	tx, err := d.cfg.Store.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Discard()
	taken, err := timer.Take(tx, t)
	if err != nil || !taken {
		return err
	}
	host := room.Service.EventSource
	c := &call.Call{
		Context: ctx, Scope: call.Scope{Partition: d.cfg.Partition, Account: t.Account, Region: t.Region},
		Caller: identity.Service(host), Time: d.cfg.Clock.Now(), Source: call.Source{Service: host},
		RequestID: newID(), EventID: newID(), Rand: d.rand,
	}
	c.Bind(t.Service, d.cfg.Organizations, func() (store.Tx, error) { return tx, nil })
	c.Traced(d.cfg.Evidence, nil)
	if err := room.Timers[t.Kind](c, t.Subject, t.Payload); err != nil {
		return err
	}
	if err := c.KeepTrace(); err != nil {
		return err
	}
	if records := d.records(c, nil, nil, nil, ended{}); len(records) > 0 {
		d.cfg.Trail.Commit(tx, records...)
	}
	return tx.Commit(ctx)
}
