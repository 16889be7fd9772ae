package door

import (
	"context"
	"fmt"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Ask carries a call that a service makes to another one by its own principal and on behalf of a resource of it, as call.AsServiceFor has it, but in a transaction of the
// call's own: what the other service does may take long, as a function does that is waited for, and no transaction is open meanwhile. It is authorized and recorded like any
// other. What it changed stays, whatever the service makes of the answer.
//
// The error is one of the operation's model, a *wire.Error, or an internal one that is no customer's business.
func (d *Door) Ask(ctx context.Context, service, region, resourceARN string, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	asking := d.rooms[service]
	if asking == nil {
		return nil, fmt.Errorf("there is no service %s", service)
	}
	rt, err := d.inside(op, in)
	if err != nil {
		return nil, err
	}
	host := asking.Service.EventSource
	requestID := newID()
	_, out, err := d.conclude(&rt, in, func() *call.Call {
		c := &call.Call{
			Context: ctx, Op: op, Scope: call.Scope{Partition: d.cfg.Partition, Account: call.OwnAccount, Region: region}, Caller: identity.Service(host),
			Time: d.cfg.Clock.Now(), Source: call.Source{Service: host, ARN: resourceARN}, RequestID: requestID, EventID: newID(), Rand: d.rand,
		}
		c.Traced(d.cfg.Evidence, nil)
		return d.alone(c, op.Service)
	})
	if err != nil {
		visible, hide := answerable(err, &rt)
		if hide {
			return nil, fmt.Errorf("calling %s: %w", op.Action, err)
		}
		return nil, visible
	}
	return out, nil
}
