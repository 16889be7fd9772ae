package door

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/store"
)

// Carrier hands over the parcels of a service's lanes of one kind. c is a call of the service's own principal, in the lane's account and region.
type Carrier interface {
	// Deliver hands a parcel over. To a receiver in this cloud it does so in c's transaction and returns nil, nil. For one in the world outside it reads in c's transaction what it needs, and
	// returns a function that does it while no transaction is open, and ends in the time of its context; the parcel is delivered when that has returned nil. What Deliver wrote before it
	// failed is taken back. See delivery.Permanent and delivery.Later for errors that are more than a reason to try again.
	Deliver(c *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error)

	// GiveUp is called in the transaction that removes a parcel which will not be tried again: its last attempt has failed, for the cause given, its time is over
	// (delivery.ErrExpired), or no attempt would help.
	GiveUp(c *call.Call, p *delivery.Parcel, cause error) error
}

// Patient is a Carrier whose deliveries to the world outside may take longer than others.
type Patient interface {
	Carrier
	Patience() time.Duration
}

// outsideTime is how long a delivery to the world outside may take, but for that of a Patient.
const outsideTime = 30 * time.Second

func (h *handing) patience() time.Duration {
	if p, ok := h.carrier.(Patient); ok {
		return p.Patience()
	}
	return outsideTime
}

// Carry hands over parcels of one lane, the oldest first: as many as can be delivered in one transaction. It is what a delivery.Dispatcher is made with.
func (d *Door) Carry(ctx context.Context, batch []*delivery.Parcel) (delivery.Outcome, error) {
	l := batch[0].Lane
	room := d.rooms[l.Service]
	if room == nil || room.Carriers[l.Kind] == nil {
		return delivery.Outcome{}, fmt.Errorf("%w: kind %s of service %s", delivery.ErrNobody, l.Kind, l.Service)
	}
	h := handing{door: d, carrier: room.Carriers[l.Kind], lane: l}
	err := h.inside(ctx, batch)
	if errors.Is(err, store.ErrTooLarge) && len(batch) > 1 {
		err = h.inside(ctx, batch[:1])
	}
	switch {
	case errors.Is(err, store.ErrTooLarge):
		err = h.settle(ctx, batch[0], delivery.Permanent(err))
	case err == nil && h.outside != nil:
		return delivery.Outcome{Outside: func(ctx context.Context) (delivery.Outcome, error) { return h.beyond(ctx, batch[0]) }}, nil
	}
	return h.outcome, err
}

// beyond brings a parcel to a receiver outside.
func (h *handing) beyond(ctx context.Context, p *delivery.Parcel) (delivery.Outcome, error) {
	within, cancel := context.WithTimeout(ctx, h.patience())
	defer cancel()
	failure := h.guarded(func() error { return h.outside(within) })
	if ctx.Err() != nil {
		return delivery.Outcome{}, ctx.Err() // nobody knows whether it arrived
	}
	err := h.settle(ctx, p, failure)
	return h.outcome, err
}

// guarded is what a carrier does, with an error in place of a panic. What went wrong is for the log, as the error may be told to customers.
func (h *handing) guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.door.cfg.Log.Error("delivery failed", "service", h.lane.Service, "kind", h.lane.Kind, "subject", h.lane.Subject, "cause", panicked(p).Error())
			err = errInternal
		}
	}()
	return do()
}

var errInternal = errors.New("internal error")

// handing is the work on a batch of parcels.
type handing struct {
	door    *Door
	carrier Carrier
	lane    delivery.Lane
	outcome delivery.Outcome
	outside func(context.Context) error // what is left to do for the first parcel
}

// perform runs do in a transaction of its own, and again with a new outcome when that conflicts.
func (h *handing) perform(ctx context.Context, do func(*call.Call) error) error {
	return h.door.Perform(ctx, h.lane.Service, h.lane.Account, h.lane.Region, func(c *call.Call) error {
		h.outcome, h.outside = delivery.Outcome{}, nil
		return do(c)
	})
}

// inside does what can be done in one transaction: deliver to receivers in this cloud, or prepare the delivery of the first parcel to one outside.
func (h *handing) inside(ctx context.Context, batch []*delivery.Parcel) error {
	return h.perform(ctx, func(c *call.Call) error {
		if !h.door.serves(h.lane.Region, false) {
			return h.wait(c, h.door.cfg.Clock.Now().Add(notHere))
		}
		for i, p := range batch {
			there, err := delivery.Look(c.Tx(), p)
			if err != nil {
				return err
			}
			if !there {
				h.outcome.Delivered++ // by another node, or it was dropped
				continue
			}
			if p.Attempts > 0 && p.Expired(c.Time) {
				err = delivery.ErrExpired
			} else {
				mark := c.Tx().Mark()
				err = h.guarded(func() (err error) {
					h.outside, err = h.carrier.Deliver(c, p)
					return err
				})
				switch {
				case err != nil:
					c.Tx().Reset(mark)
				case h.outside != nil && i > 0:
					c.Tx().Reset(mark) // in a round of its own
					h.outside = nil
					return nil
				case h.outside != nil:
					return nil
				}
			}
			if err := h.end(c, p, err); err != nil || h.outcome.Waits {
				return err
			}
		}
		return nil
	})
}

// settle ends a parcel that was tried outside of a transaction.
func (h *handing) settle(ctx context.Context, p *delivery.Parcel, failure error) error {
	return h.perform(ctx, func(c *call.Call) error {
		there, err := delivery.Look(c.Tx(), p)
		if err != nil {
			return err
		}
		if !there {
			h.outcome.Delivered++
			return nil
		}
		return h.end(c, p, failure)
	})
}

// end is what comes of an attempt, in its transaction.
func (h *handing) end(c *call.Call, p *delivery.Parcel, failure error) error {
	if errors.Is(failure, store.ErrConflict) {
		return failure
	}
	if failure == nil {
		h.outcome.Delivered++
		return delivery.Remove(c.Tx(), p)
	}
	if at, ok := delivery.IsLater(failure); ok {
		return h.wait(c, at)
	}
	if !errors.Is(failure, delivery.ErrExpired) {
		h.outcome.Failed++
	}
	if delivery.IsPermanent(failure) || p.Spent(c.Time) {
		mark := c.Tx().Mark()
		err := h.guarded(func() error { return h.carrier.GiveUp(c, p, failure) })
		if err == nil {
			h.outcome.GivenUp++
			return delivery.Remove(c.Tx(), p)
		}
		if errors.Is(err, store.ErrConflict) {
			return err
		}
		c.Tx().Reset(mark)
		failure = fmt.Errorf("giving up after %w: %w", failure, err)
	}
	h.door.cfg.Log.Warn("delivery failed", "service", p.Service, "kind", p.Kind, "subject", p.Subject, "attempt", p.Attempts+1, "cause", failure.Error())
	if err := delivery.Failed(c.Tx(), p, failure); err != nil {
		return err
	}
	return h.wait(c, c.Time.Add(delivery.WaitAfter(failure, p.Attempts+1)))
}

// wait has the lane wait for a time.
func (h *handing) wait(c *call.Call, until time.Time) error {
	h.outcome.Waits = true
	return delivery.Wait(c.Tx(), h.lane, until)
}
