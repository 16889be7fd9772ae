package door

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// inside is the way to an operation for a call that comes from no network. Its input is checked.
func (d *Door) inside(op *wire.Operation, in wire.Shape) (route, error) {
	room := d.rooms[op.Service.Package]
	if room == nil {
		return route{}, wire.NotImplemented(op.Service.ActionPrefix, op.Name)
	}
	rt, err := d.router.byService[op.Service.Package].route(op.Name, op.Service.Protocols[0])
	if err == nil && !room.Validates {
		err = wire.ValidateInside(in)
	}
	return rt, err
}

// Invoke carries a call of one service to another one in this process. It is authorized and recorded like any other. It joins the
// transaction of the calling handler; what it wrote before it failed is taken back.
func (d *Door) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	rt, err := d.inside(op, in)
	if err != nil {
		return nil, err
	}
	inner := &call.Call{
		Context: c.Context, Op: op, Scope: c.Scope, Caller: c.Caller, Time: c.Time, Source: c.Source,
		RequestID: c.RequestID, EventID: newID(), Rand: c.Rand, Via: c.Via,
	}
	host := d.rooms[c.Service()].Service.EventSource
	if c.Service() != op.Service.Package || c.OwnRights() { // otherwise it is the caller's own call still: one of the things that it asks for at once
		inner.Source.Service = host
		// Services call each other over no network of their caller's: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-aws.html
		inner.Source.VPCEndpoint, inner.Source.VPC, inner.Source.Endpoint = "", "", nil
	}
	// A service that calls for itself, or by a role that it was given, passes nobody's call on.
	if c.Service() != op.Service.Package && c.Caller.Kind != policy.Service && !c.OwnRights() && (len(c.Via) == 0 || c.Via[len(c.Via)-1] != host) {
		inner.Via = append(slices.Clone(c.Via), host)
	}
	var mark store.Mark
	marked := false
	inner.Bind(op.Service.Package, d.cfg.Organizations, func() (store.Tx, error) {
		tx := c.Tx()
		mark, marked = tx.Mark(), true
		return tx, nil
	}).WithRoles(d.cfg.Directory)
	inner.Traced(d.cfg.Evidence, nil)
	out, err := d.run(inner, rt.endpoint, in)
	c.Join(inner)
	if err != nil {
		if marked {
			c.Tx().Reset(mark)
		}
		if errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	c.Record(d.records(new(recording), inner, rt.endpoint, in, out, endedWith(err, &rt))...)
	if err != nil {
		if _, ok := errors.AsType[*call.Denied](err); ok {
			return nil, err // the outer call's protocol has its own words for it
		}
		visible, hide := answerable(err, &rt)
		if hide {
			return nil, fmt.Errorf("calling %s: %w", op.Action, err)
		}
		return nil, visible
	}
	return out, nil
}
