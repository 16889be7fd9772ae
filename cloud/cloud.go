// Package cloud assembles the rooms into one cloud: store, seal, trail, door and services, with their background work, behind one http.Handler.
package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/engine/attest"
	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/mail"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/service/kms"
)

// Version is the release, as holdfast version and the health page tell it.
const Version = "0.1.0-dev"

// Config says what cloud to make. Its zero value is a strict cloud in memory.
type Config struct {
	// Dir is the data directory. Empty keeps everything in memory.
	Dir string

	// Account and Region are the defaults: 000000000000 and us-east-1. The partition follows from the region.
	Account, Region string

	// Dev lets unknown access keys in, and opens the dev-only controls: reset and clock.
	Dev bool

	// Seal holds the root key. Nil is the file root.key in Dir, or a key that is forgotten with the cloud when Dir is empty.
	Seal seal.Provider
	// SealWait is called when the root key is out of reach for now, and returns when another try is worth it; see seal.Config. Nil has Open return the error.
	SealWait func(ctx context.Context, cause error) error

	// AuditSync is how long an audit record of a call that changed nothing may wait for its fsync; 0 makes each call wait.
	AuditSync time.Duration
	// AuditKeepOn has calls go on when they cannot be recorded. Otherwise they are refused.
	AuditKeepOn bool
	// AuditRetention is how long audit records are kept; 0 means 90 days.
	AuditRetention time.Duration

	// Clock replaces the machine's, for tests. With Dev set and no Clock, the cloud's clock can be moved.
	Clock clock.Clock

	// Idle keeps timers from firing and records from being forgotten: for tools that look into a cloud or mend it while it does not run.
	Idle bool

	// Attestation decides which enclaves KMS believes; its zero value trusts AWS's Nitro root.
	Attestation attest.Verifier

	// CloudHSM are the tokens that stand for CloudHSM clusters, by cluster ID. They need a build with PKCS#11.
	CloudHSM map[string]kms.CloudHSM

	// IdentityProviders says which OpenID Connect providers are reached for their keys; its zero value reaches public https servers. A cloud in dev mode
	// reaches loopback and private addresses as well.
	IdentityProviders oidc.Config

	// ExternalKeyStores says which external key store proxies KMS reaches, and how; its zero value reaches public ones. A cloud in dev mode reaches loopback and private addresses as
	// well.
	ExternalKeyStores xksproxy.Config

	// Webhooks says which HTTP servers are reached that customers name as targets, of SNS subscriptions and of EventBridge's API destinations, and how; its zero value reaches public
	// ones. A cloud in dev mode reaches loopback and private addresses as well.
	Webhooks outbound.ClientConfig

	// Databases says which databases are reached, for secrets whose rotation is managed, and how: those in the networks of its guard, and no others. A cloud in dev mode reaches
	// loopback and private addresses.
	Databases database.Config

	// RotationGrace is how long those have to log in who have read a password just before it changes in a database that takes one at a time; zero is 300 ms.
	RotationGrace time.Duration

	// Functions says how functions run, and what they reach.
	Functions Functions

	// Mail sends e-mail to subscribers of topics; nil is that none is sent.
	Mail *mail.Server

	// SNSURL is where others reach SNS in a region, with {region} in place of its name, e.g. https://sns.{region}.example.com: links in messages begin with it, those to the
	// certificates that signatures are verified with among them. Empty is PublicURL.
	SNSURL string

	// PublicURL is where others reach the cloud: the issuers of its web identity tokens lie below it. Empty is http://127.0.0.1:4566.
	PublicURL string

	// Peers are the processes that serve other regions of this cloud; nil is that this one serves all. Regions, where empty, is Region alone, and Caller is filled in.
	Peers *remote.PeersConfig

	// Log takes structured lines; nil discards them.
	Log *slog.Logger
}

const (
	defaultAccount   = "000000000000"
	defaultRegion    = "us-east-1"
	defaultURL       = "http://127.0.0.1:4566"
	defaultRetention = 90 * 24 * time.Hour
)

// private are the networks of a house, where a developer's identity provider, key store or webhook may be: RFC 1918, RFC 4193 and loopback.
func private() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	}
}

// Cloud is a running cloud.
type Cloud struct {
	cfg Config

	// mu guards core, which Reset replaces; who uses core holds it for reading, see hold. Nothing under it may ask for it again: that would wait for a Reset which waits
	// for it. Calls to a strict cloud do without it.
	mu   sync.RWMutex
	core *core

	moving sync.Mutex // held while the clock is moved
}

// hold returns the core, which is not replaced before release is called.
func (c *Cloud) hold() (_ *core, release func()) {
	c.mu.RLock()
	return c.core, c.mu.RUnlock
}

// Open opens the cloud that lies in cfg.Dir, or founds one, and starts its background work. The caller closes it.
func Open(ctx context.Context, cfg Config) (*Cloud, error) {
	if cfg.Account == "" {
		cfg.Account = defaultAccount
	}
	if cfg.Region == "" {
		cfg.Region = defaultRegion
	}
	if cfg.PublicURL == "" {
		cfg.PublicURL = defaultURL
	}
	if cfg.Dev {
		cfg.IdentityProviders.PlainLoopback = true
		cfg.IdentityProviders.Allow = append(slices.Clone(cfg.IdentityProviders.Allow), private()...)
		cfg.ExternalKeyStores.Allow = append(slices.Clone(cfg.ExternalKeyStores.Allow), private()...)
		cfg.Webhooks.Guard.Allow = append(slices.Clone(cfg.Webhooks.Guard.Allow), private()...)
		cfg.Databases.Guard.Allow = append(slices.Clone(cfg.Databases.Guard.Allow), private()...)
	}
	cfg.Databases.Guard.Only = true
	if cfg.AuditRetention == 0 {
		cfg.AuditRetention = defaultRetention
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !identity.IsAccount(cfg.Account) {
		return nil, fmt.Errorf("account %q does not have twelve digits", cfg.Account)
	}
	if !door.ValidRegion(door.PartitionOf(cfg.Region), cfg.Region) {
		return nil, fmt.Errorf("region %q does not look like us-east-1", cfg.Region)
	}
	core, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Cloud{cfg: cfg, core: core}, nil
}

// Close ends the background work and closes the store. Calls must have ended.
func (c *Cloud) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.close()
}

// EndPolls has calls answered that wait for something to happen, and others not wait any more: the cloud is about to be closed, and waits for its calls.
func (c *Cloud) EndPolls() {
	core, release := c.hold()
	defer release()
	core.queues.EndPolls()
}

// RootKey makes an access key for the root user of the default account if that has none, which is so at the first start. The secret
// is told this once.
func (c *Cloud) RootKey(ctx context.Context) (accessKeyID, secret string, made bool, err error) {
	core, release := c.hold()
	defer release()
	has, err := core.directory.HasRootKey(ctx, c.cfg.Account)
	if err != nil || has {
		return "", "", false, err
	}
	accessKeyID, secret, err = core.directory.CreateKey(ctx, c.cfg.Account, "", core.clock.Now())
	return accessKeyID, secret, err == nil, err
}

// CreateKey makes an access key for a user of an account, or for its root user if user is empty.
func (c *Cloud) CreateKey(ctx context.Context, account, user string) (accessKeyID, secret string, err error) {
	core, release := c.hold()
	defer release()
	return core.directory.CreateKey(ctx, account, user, core.clock.Now())
}

// CreateProxyKey is CreateKey for an access key that another KMS uses this one with, as its external key store proxy.
func (c *Cloud) CreateProxyKey(ctx context.Context, account, user string) (accessKeyID, secret string, err error) {
	core, release := c.hold()
	defer release()
	return core.directory.CreateProxyKey(ctx, account, user, core.clock.Now())
}

// PutUser creates a user or replaces its tags and policies.
func (c *Cloud) PutUser(ctx context.Context, u identity.User) error {
	core, release := c.hold()
	defer release()
	return core.directory.PutUser(ctx, u, core.clock.Now())
}

// PutRole creates a role or replaces its trust policy, its tags and its policies.
func (c *Cloud) PutRole(ctx context.Context, role identity.Role) error {
	core, release := c.hold()
	defer release()
	return core.directory.PutRole(ctx, role, core.clock.Now())
}

// Events returns audit records, oldest first: all of them at once. With an error that wraps audit.ErrAltered come all that could be read.
func (c *Cloud) Events(ctx context.Context, f audit.Filter) ([][]byte, error) {
	core, release := c.hold()
	defer release()
	found, err := core.trail.Events(ctx, f)
	out := make([][]byte, len(found))
	for i := range found {
		out[i] = found[i]
	}
	return out, err
}

// StreamEvents yields audit records, oldest first, as audit.Trail.Stream has them.
func (c *Cloud) StreamEvents(ctx context.Context, f audit.Filter) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		core, release := c.hold()
		defer release()
		core.trail.Stream(ctx, f)(yield)
	}
}

// Rewrap puts the keyring under another root key while everything runs. From then on the cloud starts with that one.
func (c *Cloud) Rewrap(ctx context.Context, p seal.Provider) error {
	core, release := c.hold()
	defer release()
	return core.keyring.Rewrap(ctx, p)
}

// A Seal tells what seals a cloud.
type Seal struct {
	Kind     string            // of the root key's provider
	File     string            // that the root key lies in, if it does
	Versions []seal.KeyVersion // of the key-encryption key, oldest first; the last one wraps
}

// Seal returns what seals the cloud at present.
func (c *Cloud) Seal() Seal {
	core, release := c.hold()
	defer release()
	p := core.keyring.Provider()
	s := Seal{Kind: p.Kind(), Versions: core.keyring.Versions()}
	if f, ok := p.(*seal.File); ok {
		s.File = f.Path()
	}
	return s
}

// RotateSeal makes a new key-encryption key, under which everything is wrapped from now on.
func (c *Cloud) RotateSeal(ctx context.Context) (version uint32, err error) {
	core, release := c.hold()
	defer release()
	return core.keyring.Rotate(ctx)
}

// Endpoints are the operations of all services that have a room, those included that answer that they are not implemented. They are for looking at:
// calls go through the door.
func (c *Cloud) Endpoints() []call.Endpoint {
	core, release := c.hold()
	defer release()
	return slices.Clone(core.endpoints)
}

// Now is the time by the cloud's clock.
func (c *Cloud) Now() time.Time {
	core, release := c.hold()
	defer release()
	return core.clock.Now()
}

// ErrNotDev is answered where only a dev cloud obeys.
var ErrNotDev = errors.New("only a cloud in dev mode does this")

// ErrClock is answered to a move of the clock that cannot be made.
var ErrClock = errors.New("the clock cannot be moved there")

// lastMoment is how far a clock can be moved: times must fit into the nanoseconds of 64 bits wherever they are kept.
var lastMoment = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// MoveClock moves the clock forward to the time given. It returns when every timer due by then has fired.
func (c *Cloud) MoveClock(ctx context.Context, to time.Time) error {
	return c.moveClock(ctx, func(time.Time) time.Time { return to })
}

// AdvanceClock moves the clock on by d, as MoveClock does. Moves at the same time add up.
func (c *Cloud) AdvanceClock(ctx context.Context, d time.Duration) error {
	return c.moveClock(ctx, func(now time.Time) time.Time { return now.Add(d) })
}

func (c *Cloud) moveClock(ctx context.Context, target func(now time.Time) time.Time) error {
	core, release := c.hold()
	defer release()
	m, ok := core.clock.(*clock.Movable)
	if !ok {
		return ErrNotDev
	}
	c.moving.Lock()
	defer c.moving.Unlock()
	now := m.Now()
	to := target(now)
	switch {
	case to.Before(now):
		return fmt.Errorf("%w: it does not go back", ErrClock)
	case to.After(lastMoment):
		return fmt.Errorf("%w: it ends with %s", ErrClock, lastMoment.Format(time.DateOnly))
	}
	// Saved first: after a crash on the way, time must not be earlier than what has happened already.
	if err := core.saveOffset(ctx, m.Offset()+to.Sub(now)); err != nil {
		return err
	}
	defer core.post.Hold()()
	if err := core.scheduler.MoveTo(ctx, m, to); err != nil {
		return errors.Join(err, core.saveOffset(context.WithoutCancel(ctx), m.Offset()))
	}
	return nil
}

// Reset forgets all state, in dev mode.
func (c *Cloud) Reset(ctx context.Context) error {
	if !c.cfg.Dev {
		return ErrNotDev
	}
	c.EndPolls()
	if err := c.endFunctions(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.core.close(); err != nil {
		return err
	}
	if c.cfg.Dir != "" {
		// A store of which a crash leaves a part is none that opens. So it is out of the way before any of it is removed.
		err := durable.Rename(filepath.Join(c.cfg.Dir, storeDir), filepath.Join(c.cfg.Dir, forgottenDir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting all state: %w", err)
		}
		if err := forget(c.cfg.Dir); err != nil {
			return err
		}
	}
	fresh, err := open(ctx, c.cfg)
	if err != nil {
		return err
	}
	c.core = fresh
	return nil
}

// ServeHTTP answers a call, or one of the pages under /_holdfast/ and /metrics.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.page(w, r) {
		return
	}
	if !c.cfg.Dev {
		c.core.door.ServeHTTP(w, r) // nobody replaces it
		return
	}
	core, release := c.hold()
	defer release()
	core.door.ServeHTTP(w, r)
}

// EnsureUser makes a user of an account if there is none of the name, and gives it the policy document, if that is not empty, as its only one.
func (c *Cloud) EnsureUser(ctx context.Context, account, name, document string) error {
	core, release := c.hold()
	defer release()
	u := identity.User{Account: account, Name: name}
	if document != "" {
		u.Inline = map[string]string{"default": document}
	} else if there, err := core.directory.User(ctx, account, name); err == nil {
		u = *there
	} else if !errors.Is(err, identity.ErrNoUser) {
		return err
	}
	return core.directory.PutUser(ctx, u, core.clock.Now())
}
