// Package door is the one way into the cloud. Every call, from an SDK, a timer or another service, takes it:
//
//	route         which service and operation, in which protocol
//	authenticate  who signed it
//	decode        the protocol's bytes into the operation's input
//	validate      the input against the constraints of the model
//	handle        the service's handler, which authorizes each resource it touches
//	record        the audit record
//	commit        everything that the call changed, together
//	encode        the answer
//
// No service has a side entrance, and no service looks at HTTP.
package door

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Directory finds out who an access key belongs to.
type Directory interface {
	// Lookup returns identity.ErrUnknownKey for a key that nobody has, and identity.ErrInactive for one that must not be used.
	Lookup(ctx context.Context, accessKeyID string) (*identity.Credential, error)
	// Session is for temporary credentials. It returns identity.ErrUnknownKey or identity.ErrForged for a token that was not issued here for the key, and
	// identity.ErrGone if whom it stood for is no more.
	Session(ctx context.Context, accessKeyID, token string) (*identity.Credential, error)
	// Used is told of each call of a service, as actions name it, that a credential has signed. It must cost next to nothing.
	Used(c *identity.Credential, service, region string, now time.Time)
	call.Roles
}

// Config is what a door is made of. All fields are needed but Evidence, Signatures, Organizations, Dev, Catalog, Deliveries and Peers.
type Config struct {
	Store     store.Store
	Clock     clock.Clock
	Trail     *audit.Trail
	Directory Directory
	Log       *slog.Logger

	// Organizations says which policies of organizations bind a call; nil is that there are no organizations.
	Organizations call.Members

	// Evidence takes why calls are allowed or denied; nil is that nobody asks.
	Evidence *evidence.Recorder

	// Signatures is the clock that signatures are held against; nil is Clock. Clients sign by the time of the world, also where a user or a test
	// has moved the cloud's clock.
	Signatures clock.Clock

	Partition string
	Account   string // the default account
	Region    string // the default region

	// Dev lets unknown access keys in: a twelve-digit one as root of that account, any other as the user dev of
	// the default account. Known ones are checked as ever.
	Dev bool

	// Catalog lists services that have no room, so that they are answered by name.
	Catalog []*wire.Service

	// Deliveries is who hands over parcels, with Carry; its lanes wait for timers. Nil is that no service has any.
	Deliveries interface{ Wake(delivery.Lane) }

	// Peers serve the other regions; nil is that this process serves all.
	Peers Peers
}

// Room is a service as it stands behind the door.
type Room struct {
	Service   *wire.Service
	Endpoints []call.Endpoint

	// Peers are operations for the processes that serve other regions. To everybody else they are not there.
	Peers []call.Endpoint

	// Internal is what the service answers when something went wrong that is not the caller's business; nil is
	// the protocol's own error.
	Internal wire.ModeledError

	// Denied is the code of a refusal where the service has one of its own, such as AuthorizationError of SNS; empty is the protocol's.
	Denied string

	// Invalid makes the service's own error of what wire.Validate says about an input; nil, and an answer of nil, is the protocol's own.
	Invalid func(*wire.Error) wire.ModeledError

	// DataEvents names the operations that are done to what a resource holds, and not to the resource: their audit records are data events, which the event history
	// has not, and trails only where they ask for them.
	DataEvents map[string]bool

	// Recorded names the members of inputs and outputs in audit records where CloudTrail has names of its own for them, and gives "" for all others. It may be nil.
	Recorded func(*wire.Member) string

	// Validates is set for a service that holds its inputs against the constraints of its model itself: S3 has an error of its own for each parameter.
	Validates bool

	// Addressed completes an input by the path that its request was sent to, for a service whose resources have URLs of their own; nil is that paths say nothing.
	Addressed func(in wire.Shape, path string)

	// Timers are the handlers of the service's timers, by kind.
	Timers map[string]TimerHandler

	// Carriers hand over what the service delivers, by the kind of lane.
	Carriers map[string]Carrier

	// Site is what the service has at URLs of its own; nil is nothing.
	Site *Site
}

// TimerHandler does what a timer was set for. It is called as the service itself, in a transaction of its own, in the
// scope that the timer was set in.
type TimerHandler func(c *call.Call, subject string, payload []byte) error

// Door is an http.Handler and a call.Transport. Rooms are added before it is used.
type Door struct {
	cfg      Config
	rooms    map[string]*Room // by Service.Package
	router   router
	sites    []*site
	verifier sigv4.Verifier
	metrics  *metrics
	scratch  sync.Pool // of *exchange
	rand     io.Reader
}

// New returns a door with the rooms given.
func New(cfg Config, rooms ...Room) (*Door, error) {
	for name, missing := range map[string]bool{
		"Store": cfg.Store == nil, "Clock": cfg.Clock == nil, "Trail": cfg.Trail == nil, "Directory": cfg.Directory == nil, "Log": cfg.Log == nil,
	} {
		if missing {
			return nil, fmt.Errorf("door: Config.%s is missing", name)
		}
	}
	if cfg.Signatures == nil {
		cfg.Signatures = cfg.Clock
	}
	d := &Door{cfg: cfg, rooms: make(map[string]*Room), metrics: newMetrics(), rand: rand.Reader}
	d.scratch.New = func() any { return new(exchange) }
	for i := range rooms {
		room := &rooms[i]
		d.rooms[room.Service.Package] = room
	}
	d.router.build(d.rooms, cfg.Catalog, d.metrics)
	d.sites = sitesOf(d.rooms, d.metrics)
	return d, nil
}
