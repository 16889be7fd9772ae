package call

import (
	"context"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
)

// Traced has the call collect why it is allowed or denied. It writes to buf, see evidence.Trace. Only the door does this.
func (c *Call) Traced(r *evidence.Recorder, buf []byte) { c.trace.Begin(r, c.Time, buf) }

// Trace is what was collected.
func (c *Call) Trace() *evidence.Trace { return &c.trace }

// tracer is the trace that the call's decisions belong to: what a service asks with rights of its own stands in the record of the call that it does so for.
func (c *Call) tracer() *evidence.Trace { return &c.outermost().trace }

func (c *Call) outermost() *Call {
	for {
		switch {
		case c.outer != nil:
			c = c.outer
		case c.home != nil:
			c = c.home
		default:
			return c
		}
	}
}

// Join takes over what an inner call needs kept before anything is answered. Only the door does this.
func (c *Call) Join(inner *Call) { c.tracer().Join(&inner.trace) }

// decideTraced decides for the caller, and notes what policies look up.
func (c *Call) decideTraced(action string, r *Resource) (policy.Decision, error) {
	t := c.tracer()
	t.Ask()
	c.tracing = t.On()
	d, err := c.decide(c.Caller, action, r)
	c.tracing = false
	return d, err
}

// decided puts the decision into the trace, and returns what a denied caller could be told of it.
func (c *Call) decided(d policy.Decision, sentence string) *failure {
	b := c.tracer().Decided(&c.request, d, sentence, c.outer != nil)
	if d.Allowed || b == nil {
		return nil
	}
	q, err := evidence.ParseQuestion(b)
	if err != nil {
		return nil // it was written just now
	}
	f := &failure{by: c.Caller, question: q}
	if d.Policy != nil {
		switch d.Kind {
		case policy.Identity, policy.Boundary, policy.Session:
			for s := range d.Policy.Statements() {
				if s.Index == d.Statement {
					f.statement = &s
				}
			}
		}
	}
	return f
}

// Lookup implements policy.Context.
func (x *callContext) Lookup(key string) ([]string, bool) {
	values, ok := x.lookup(key)
	if x.c.tracing {
		x.c.tracer().Saw(key, values, ok)
	}
	return values, ok
}

// failure is what policies decided against a caller.
type failure struct {
	by        *identity.Principal
	question  *evidence.Question
	statement *policy.Statement // of a policy of the caller's own
}

// readsPolicies is the action by which a principal finds out what its policies say. Whoever may do that to themselves may know why they were denied.
const readsPolicies = "iam:SimulatePrincipalPolicy"

// MayKnowWhy reports whether the caller may read what its own policies say: whether it is allowed iam:SimulatePrincipalPolicy on itself, which is what asks
// the engine the same questions.
func (c *Call) MayKnowWhy() bool {
	p := c.Caller
	switch p.Kind {
	case policy.Root, policy.User, policy.Role:
	default:
		return false // nobody else has policies of their own in IAM
	}
	self := p.ARN
	if p.Kind == policy.Role {
		self = p.Issuer
	}
	return self != "" && c.Would(p, readsPolicies, &Resource{ARN: self, Account: p.Account})
}

// Failure is what may be told to the caller of a denial, for evidence.Encode. A refusal that names no policy, and one of somebody else's, is told as what was asked alone. What another
// account's policies look at, and whether they deny or say nothing, is not the caller's business: it would tell that there are some.
func (c *Call) Failure(d *Denied) *evidence.Failure {
	p := c.Caller
	f := &evidence.Failure{ID: p.UserID(), Name: p.UserName, ARN: p.ARN, Action: d.Action}
	x := d.failure
	if x == nil || x.by != p {
		return f
	}
	q := x.question
	f.Resource, f.Statement = q.Resource, x.statement
	switch q.Kind {
	case policy.Trust: // services do not tell roles that are there from others
	case policy.Resource, policy.RCP:
		f.Explicit = d.Explicit && q.Owner == ""
	default:
		f.Explicit = d.Explicit
	}
	if q.Owner == "" {
		f.Values = q.Values
	}
	return f
}

// KeepTrace makes durable what the trace needs to be read later.
func (c *Call) KeepTrace() error { return c.trace.Keep(context.WithoutCancel(c.Context)) }
