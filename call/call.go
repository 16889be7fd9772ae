// Package call is what a handler is given: who calls, from where, when, the transaction, and the means to
// authorize, to emit events, to set timers and to call other services.
package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Scope is where in the cloud something is.
type Scope struct {
	Partition string // aws, aws-cn, aws-us-gov
	Account   string // twelve digits
	Region    string // eu-central-1
}

// ARN names a resource of a service in the scope.
func (s Scope) ARN(service, resource string) string {
	return "arn:" + s.Partition + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// Source is where a call came from.
type Source struct {
	IP        netip.Addr // invalid for calls from inside
	UserAgent string
	Referer   string
	TLS       *audit.TLS // nil off TLS

	// Service is the service that calls, for calls from inside, e.g. secretsmanager.amazonaws.com, and ARN the resource on whose behalf it calls with
	// rights of its own: aws:SourceArn, and with the resource's account aws:SourceAccount. Account is that account where the ARN names none, as a bucket's.
	Service, ARN, Account string

	// VPCEndpoint and VPC are the endpoint that the call came through, and Endpoint is its policy.
	VPCEndpoint, VPC string
	Endpoint         *policy.Policy
}

// Members tells which organization an account is in.
type Members interface {
	// Member returns nil for an account that is in none.
	Member(ctx context.Context, account string) (*organization.Member, error)
}

// Call is one call of one operation, from its authentication to its answer. A handler uses it in its own goroutine, and
// not after it has returned. A handler may be run several times for one call, with a new Call each time, when its
// transaction conflicts.
type Call struct {
	Context context.Context
	Op      *wire.Operation // nil while a timer fires
	Scope   Scope           // of the caller's account and the region called
	Caller  *identity.Principal
	Time    time.Time // when the call began, by the domain clock
	Source  Source

	// RequestID is told to the caller; EventID names the audit record.
	RequestID, EventID string

	// Rand is the source of everything random that a handler stores or answers.
	Rand io.Reader

	// Via lists the services that have passed the call on, in order, as host names: kms:ViaService is the last.
	Via []string

	service string // whose handler has the call, e.g. "kms"
	members Members
	roles   Roles
	begin   func() (store.Tx, error)
	tx      store.Tx
	outer   *Call // the call that AsService was asked of
	home    *Call // the call that In was asked of

	asked     bool // some resource was authorized, or the handler said why none has to be
	denied    error
	resources []audit.Resource
	room      [1]audit.Resource // for resources: most calls touch one
	events    []Event
	more      []byte  // see AdditionalEventData
	elsewhere []*Call // see In
	request   policy.Request
	context   callContext
	pending   []*audit.Record // of the calls that the handler made to other services
	trace     evidence.Trace
	tracing   bool // what is decided belongs into the trace
	alone     bool // see Alone
}

// Bind ties a call to the service whose handler gets it, to the organizations, of which there are none if m is nil, and to where its transaction comes
// from. Only the door does this.
func (c *Call) Bind(service string, m Members, begin func() (store.Tx, error)) *Call {
	c.service, c.members, c.begin = service, m, begin
	return c
}

// Service is the package name of the service that has the call, e.g. "kms".
func (c *Call) Service() string { return c.service }

// Tx is the call's transaction, begun when it is first asked for. What the handler writes commits together with its audit record
// after it has returned without an error, and not at all otherwise.
func (c *Call) Tx() store.Tx {
	if c.tx == nil {
		tx, err := c.begin()
		if err != nil {
			tx = failedTx{err}
		}
		c.tx = tx
	}
	return c.tx
}

// Begun returns the transaction if the handler asked for one, or nil.
func (c *Call) Begun() store.Tx { return c.tx }

// Alone says that nothing but its own operation goes on in the call's transaction, so that Release may end it. Only the door does this.
func (c *Call) Alone() *Call {
	c.alone = true
	return c
}

// ErrAgain ends the run of a handler that has done something which takes long, such as taking in a body, and has put what came of it into its input: the door runs it again, in a
// new transaction. See Release.
var ErrAgain = errors.New("to be run again")

// Release ends the call's transaction before something that takes long, so that it does not stay open meanwhile. Nothing was written in it; the handler returns ErrAgain when it is
// done, or an answer that owes nothing to what was read. It reports false, and does nothing, for a call that is a part of another one, in whose transaction it goes on.
func (c *Call) Release() bool {
	if !c.alone || c.outermost() != c {
		return false
	}
	if c.tx != nil {
		c.tx.Discard()
		c.tx = nil
	}
	return true
}

// ARN names a resource of the service that has the call, in the caller's account and the region called.
func (c *Call) ARN(resource string) string { return c.Scope.ARN(c.service, resource) }

// At sets a timer in the call's transaction: at the time given, the service's own timer handler for the kind is called. There is one timer of a
// kind for a subject in an account and region; setting it again replaces it.
func (c *Call) At(due time.Time, s Scope, kind, subject string, payload []byte) error {
	return timer.Set(c.Tx(), timer.ID{Service: c.service, Account: s.Account, Region: s.Region, Kind: kind, Subject: subject}, due, payload)
}

// Cancel removes a timer in the call's transaction; that there is none is no error.
func (c *Call) Cancel(s Scope, kind, subject string) error {
	return timer.Cancel(c.Tx(), timer.ID{Service: c.service, Account: s.Account, Region: s.Region, Kind: kind, Subject: subject})
}

// Event is an event of a service's own in the audit trail.
type Event struct {
	Name    string
	Details []byte // serviceEventDetails, a JSON object, or nil

	// Some services tell in other members what they have to tell: Additional is additionalEventData, a JSON object, ErrorMessage what failed, and RequestID what events have in common
	// that belong together. Empty ones are those of the call.
	Additional              []byte
	ErrorMessage, RequestID string
}

// ServiceEvent puts an event of the service's own into the audit trail, such as the rotation of a key. It commits with the call's transaction.
// Such events are the only records that a timer leaves, and stand beside that of an operation.
func (c *Call) ServiceEvent(name string, details []byte) {
	c.Raise(Event{Name: name, Details: details})
}

// Raise is ServiceEvent for events that tell more.
func (c *Call) Raise(e Event) { c.events = append(c.events, e) }

// AdditionalEventData is a JSON object that the call's audit record has beside parameters and response, as additionalEventData.
func (c *Call) AdditionalEventData(object []byte) { c.more = object }

// Touch puts a resource into the audit record that the call does not authorize.
func (c *Call) Touch(r audit.Resource) {
	if !slices.Contains(c.resources, r) {
		if c.resources == nil {
			c.resources = c.room[:0]
		}
		c.resources = append(c.resources, r)
	}
}

// Emit puts an event into the outbox of the call's transaction: it is delivered at least once after the commit, and not at
// all if there is none.
func (c *Call) Emit(e outbox.Event) error {
	if e.ID == "" {
		e.ID = c.UUID()
	}
	return outbox.Put(c.Tx(), &e, c.Time)
}

// UUID is a random one of the call's random source: RFC 9562, version 4.
func (c *Call) UUID() string { return uuid.Must(uuid.NewRandomFromReader(c.Rand)).String() } // the source does not fail

// Post puts a parcel at the end of one of the service's lanes, in the call's transaction: it is delivered at least once after the commit, and not at all if there is none.
func (c *Call) Post(p *delivery.Parcel) error {
	p.Service, p.Created = c.service, c.Time
	return delivery.Put(c.Tx(), p)
}

// Record adds the audit record of a call that the handler made to another service. Only the door does this.
func (c *Call) Record(records ...*audit.Record) {
	c = c.outermost()
	c.pending = append(c.pending, records...)
}

// In is the call as it goes on in another region of this process, where it is the operation op, e.g. that of a replica which a key gets there. What is asked there
// is asked of the same caller, with that region as the one called; what it writes belongs to c's transaction. A refusal there is one of c, and once c
// succeeds, op is on record in the other region, too.
func (c *Call) In(region string, op *wire.Operation) *Call {
	there := &Call{
		Context: c.Context, Op: op, Scope: c.Scope, Caller: c.Caller, Time: c.Time, Source: c.Source,
		RequestID: c.RequestID, EventID: c.EventID, Rand: c.Rand, Via: c.Via, service: c.service, members: c.members, roles: c.roles, home: c,
	}
	there.Scope.Region = region
	there.begin = func() (store.Tx, error) { return c.Tx(), nil }
	c.elsewhere = append(c.elsewhere, there)
	return there
}

// OwnAccount is where services keep what is theirs and no customer's, such as AWS owned keys.
const OwnAccount = "aws"

// AsService is the call as the service itself makes it, in its own account: for calling other services with rights of its own and not its caller's. What
// they do belongs to the transaction and the audit records of c.
func (c *Call) AsService() *Call { return c.AsServiceFor("") }

// AsServiceFor is AsService on behalf of a resource of the service, e.g. a trail that delivers: policies that let the service in can then ask for whom,
// with aws:SourceArn and aws:SourceAccount, which is what keeps one customer from using the service against another:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func (c *Call) AsServiceFor(resourceARN string) *Call {
	own := c.as(identity.Service(c.host()), OwnAccount)
	own.Source.ARN = resourceARN
	return own
}

// As is the call as a principal makes it whose session the service has, e.g. of a service-linked role or of a role that was passed to it.
func (c *Call) As(p *identity.Principal) *Call { return c.as(p, p.Account) }

func (c *Call) as(p *identity.Principal, account string) *Call {
	own := &Call{
		Context: c.Context, Op: c.Op, Scope: c.Scope, Caller: p, Time: c.Time, Source: Source{Service: c.host()},
		RequestID: c.RequestID, EventID: c.EventID, Rand: c.Rand, service: c.service, members: c.members, roles: c.roles, outer: c,
	}
	own.Scope.Account = account
	own.begin = func() (store.Tx, error) { return c.Tx(), nil }
	return own
}

// OwnRights reports whether the service makes the call with rights of its own, see AsService, or with those of a session that it has, see As. It does not pass its
// caller's call on then, so that aws:ViaAWSService is false:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-viaawsservice
func (c *Call) OwnRights() bool { return c.outer != nil }

// host is the service that has the call, as a principal.
func (c *Call) host() string {
	if c.Op == nil {
		return c.Caller.ServiceName // while a timer fires
	}
	return c.Op.Service.EventSource
}

// Outcome is what the door has to know of a call whose handler has returned.
type Outcome struct {
	Asked      bool  // the handler authorized something, or said why it need not
	Denied     error // a refusal that the handler was given, whatever it made of it
	Resources  []audit.Resource
	Events     []Event         // see ServiceEvent
	Additional []byte          // see AdditionalEventData
	Pending    []*audit.Record // see Record
	Elsewhere  []*Call         // see In
}

// Outcome returns what the handler did.
func (c *Call) Outcome() Outcome {
	o := Outcome{c.asked, c.denied, c.resources, c.events, c.more, c.pending, c.elsewhere}
	for _, there := range c.elsewhere {
		if o.Denied == nil {
			o.Denied = there.denied
		}
	}
	return o
}

// failedTx answers every access with the error of a transaction that did not begin.
type failedTx struct{ err error }

var _ store.Tx = failedTx{}

func (f failedTx) Get([]byte) ([]byte, error) { return nil, f.err }
func (f failedTx) Scan(_, _ []byte, _ store.ScanOptions) iter.Seq2[store.KV, error] {
	return func(yield func(store.KV, error) bool) { yield(store.KV{}, f.err) }
}
func (f failedTx) Set(_, _ []byte)              {}
func (f failedTx) Delete([]byte)                {}
func (f failedTx) Mark() store.Mark             { return store.Mark{} }
func (f failedTx) Reset(store.Mark)             {}
func (f failedTx) OnCommitted(func())           {}
func (f failedTx) Commit(context.Context) error { return f.err }
func (f failedTx) Discard()                     {}

var errNoAsk = errors.New("the handler answered without asking for permission")

// Unasked is the door's error for a handler that answered without having authorized anything: a forgotten check must fail, not open a hole.
func Unasked(op *wire.Operation) error { return fmt.Errorf("%s: %w", op.Action, errNoAsk) }
