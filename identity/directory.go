package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity/managed"
	"github.com/holdfast-cloud/holdfast/lastuse"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

var (
	// ErrUnknownKey: no access key has this ID, or the session token is not one of ours.
	ErrUnknownKey = errors.New("unknown access key")
	// ErrInactive: the access key is there, and was made inactive, or its user is not there.
	ErrInactive = errors.New("inactive access key")
	// ErrForged: the session token has the form of ours, and was altered, or cut, or goes with another access key or another root key.
	ErrForged = errors.New("forged session token")
	// ErrGone: the user or the role that a session stood for is no more.
	ErrGone = errors.New("the session's principal is gone")
	// ErrNoUser: the account has no user of this name.
	ErrNoUser = errors.New("no such user")
)

// Directory finds principals in the store. All methods may be called concurrently.
type Directory struct {
	store     store.Store
	keys      *seal.Keyring
	partition string
	guests    []string

	// What is asked for at every call. Credentials and sessions are dropped when any record changes that a principal is made of; compiled documents stay,
	// since they follow from their text, so that making principals anew is cheap.
	credentials *cache.Cache[string, *Credential]
	sessions    *cache.Cache[sessionKey, *Credential]
	documents   *cache.Cache[document, *policy.Policy]

	uses *lastuse.Recorder[useKey, used]
}

// Credential is an access key with its secret and its owner.
type Credential struct {
	Secret    string
	Principal *Principal
	Expires   time.Time // of temporary credentials, by the cloud's clock; zero for long-term ones

	noted noted
}

type document struct {
	kind policy.Kind
	text string
}

// What is kept ready, in bytes as it is weighed: callers choose how large policies, tags and tokens are, and how many of each there are. There is room for some
// tens of thousands of the usual ones.
const (
	credentialLimit = 128 << 20
	sessionLimit    = 128 << 20
	documentLimit   = 256 << 20
)

// compiledSize is how much larger a compiled document is than its text: some 17 times for usual ones, and at most twice that.
const compiledSize = 20

// weight is about how much memory a credential takes beside the managed policies that others have as well.
func (c *Credential) weight() int {
	p, n := c.Principal, 2<<10
	for _, list := range [...][]*policy.Policy{p.Identity, p.Groups, p.Session} {
		for _, doc := range list {
			n += 256
			if !strings.HasPrefix(doc.Name(), "arn:") {
				n += compiledSize * len(doc.Text())
			}
		}
	}
	for k, v := range p.Tags {
		n += len(k) + len(v)
	}
	return n
}

// New returns the directory that lies in s. Guests are the ARNs of principals that are there without a record, such as the user of dev mode.
func New(s store.Store, keys *seal.Keyring, partition string, guests ...string) *Directory {
	d := &Directory{store: s, keys: keys, partition: partition, guests: guests, uses: lastuse.New(s, writeUse)}
	d.credentials = cache.Weighed(credentialLimit, func(_ string, c *Credential) int { return c.weight() }, d.load).Owning(strings.Clone)
	d.sessions = cache.Weighed(sessionLimit, func(k sessionKey, c *Credential) int { return c.weight() + 4*len(k.token) }, d.loadSession).
		Owning(func(k sessionKey) sessionKey { return sessionKey{strings.Clone(k.accessKeyID), strings.Clone(k.token)} })
	d.documents = cache.Weighed(documentLimit, func(doc document, _ *policy.Policy) int { return 256 + compiledSize*len(doc.text) },
		func(_ context.Context, doc document) (*policy.Policy, error) {
			return policy.Parse([]byte(doc.text), doc.kind)
		})
	AccessKeys.Watch(s, func(_, _ string, key []string) { d.credentials.Forget(key[0]) })
	// A user may have several keys, a policy many users, and all of them change rarely.
	forget := func(string, string, []string) {
		d.credentials.Clear()
		d.sessions.Clear()
	}
	Users.Watch(s, forget)
	Groups.Watch(s, forget)
	Roles.Watch(s, forget)
	Policies.Watch(s, forget)
	return d
}

// CacheStats tells how the caches of credentials and sessions do.
func (d *Directory) CacheStats() cache.Stats {
	a, b := d.credentials.Stats(), d.sessions.Stats()
	return cache.Stats{Values: a.Values + b.Values, Loads: a.Loads + b.Loads}
}

// Lookup returns the credential of a long-term access key, ErrUnknownKey, or ErrInactive.
func (d *Directory) Lookup(ctx context.Context, accessKeyID string) (*Credential, error) {
	if len(accessKeyID) > 128 {
		return nil, ErrUnknownKey
	}
	return d.credentials.Get(ctx, accessKeyID)
}

func place(accessKeyID string) seal.Place { return seal.At("access key", accessKeyID) }

func (d *Directory) load(ctx context.Context, id string) (*Credential, error) {
	var key *AccessKey
	p := new(Principal)
	err := d.store.View(ctx, func(r store.Reader) (err error) {
		if key, err = AccessKeys.In("", "").Get(r, id); err != nil {
			return err
		}
		id = key.ID // the one given may be a part of something longer, which is not to be kept
		if key.Inactive {
			return ErrInactive
		}
		if key.User == "" {
			p = Root(d.partition, key.Account, id)
			return nil
		}
		user, err := Users.In(key.Account, "").Get(r, key.User)
		if missing(err) {
			return ErrInactive // it is nobody's
		}
		if err != nil {
			return err
		}
		if p, err = d.user(r, user, id); err != nil {
			return err
		}
		p.seal()
		return nil
	})
	switch {
	case errors.Is(err, ErrInactive):
		return nil, ErrInactive
	case errors.Is(err, store.ErrNotFound) && key == nil: // and not a policy or a group of the key's user
		return nil, ErrUnknownKey
	case err != nil:
		return nil, fmt.Errorf("loading an access key: %w", err)
	}
	secret, err := d.keys.Unwrap(place(id), key.Secret)
	if err != nil {
		return nil, fmt.Errorf("opening the secret of an access key: %w", err)
	}
	return &Credential{Secret: string(secret), Principal: p}, nil
}

// user makes the principal of a user, to be sealed.
func (d *Directory) user(r store.Reader, u *User, accessKeyID string) (p *Principal, err error) {
	p = ofUser(d.partition, u, accessKeyID)
	if p.Identity, p.Boundary, err = d.permissions(r, &u.Permissions); err != nil {
		return nil, err
	}
	for _, name := range u.Groups {
		group, err := Groups.In(u.Account, "").Get(r, name)
		if err != nil {
			return nil, fmt.Errorf("group %s of user %s: %w", name, u.Name, err)
		}
		policies, _, err := d.permissions(r, &group.Permissions)
		if err != nil {
			return nil, err
		}
		p.Groups = append(p.Groups, policies...)
	}
	return p, nil
}

// permissions compiles the policies of a user, a group or a role.
func (d *Directory) permissions(r store.Reader, p *Permissions) (identity []*policy.Policy, boundary *policy.Policy, err error) {
	for _, name := range slices.Sorted(maps.Keys(p.Inline)) {
		compiled, err := d.compile(p.Inline[name], policy.Identity, name)
		if err != nil {
			return nil, nil, err
		}
		identity = append(identity, compiled)
	}
	for _, name := range p.Attached {
		compiled, err := d.managedPolicy(r, name, policy.Identity)
		if err != nil {
			return nil, nil, err
		}
		identity = append(identity, compiled)
	}
	if p.Boundary != "" {
		if boundary, err = d.managedPolicy(r, p.Boundary, policy.Boundary); err != nil {
			return nil, nil, err
		}
	}
	return identity, boundary, nil
}

// Document returns the document in force of a managed policy, AWS's or a customer's, or store.ErrNotFound.
func (d *Directory) Document(r store.Reader, policyARN string) (string, error) {
	if p, ok := managed.Find(policyARN); ok {
		return p.Document, nil
	}
	kind, account, name, ok := d.split(policyARN)
	if !ok || kind != "policy" {
		return "", store.ErrNotFound
	}
	p, err := Policies.In(account, "").Get(r, name)
	if err != nil {
		return "", err
	}
	if p.ARN(d.partition) != policyARN {
		return "", store.ErrNotFound
	}
	return p.Version(p.Default).Document, nil
}

func (d *Directory) managedPolicy(r store.Reader, policyARN string, kind policy.Kind) (*policy.Policy, error) {
	text, err := d.Document(r, policyARN)
	if err != nil {
		return nil, fmt.Errorf("managed policy %s: %w", policyARN, err)
	}
	return d.compile(text, kind, policyARN)
}

func (d *Directory) compile(text string, kind policy.Kind, name string) (*policy.Policy, error) {
	p, err := d.documents.Get(context.Background(), document{kind, text})
	if err != nil {
		return nil, fmt.Errorf("compiling policy %s: %w", name, err)
	}
	return p.Named(name), nil
}

// split takes the ARN of a user, a role, a group or a managed policy apart.
func (d *Directory) split(name string) (kind, account, last string, ok bool) {
	a, err := arn.Parse(name)
	if err != nil || a.Partition != d.partition || a.Service != "iam" || !IsAccount(a.Account) {
		return "", "", "", false
	}
	kind, rest, ok := strings.Cut(a.Resource, "/")
	return kind, a.Account, rest[strings.LastIndexByte(rest, '/')+1:], ok
}

// PutUser creates a user or replaces its tags and policies. An ID is given to a new one.
func (d *Directory) PutUser(ctx context.Context, u User, now time.Time) error {
	for name, doc := range u.Inline {
		if _, err := policy.Parse([]byte(doc), policy.Identity); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	id := NewID("AIDA")
	return d.store.Update(ctx, func(tx store.Tx) error {
		rows := Users.In(u.Account, "")
		switch old, err := rows.Get(tx, u.Name); {
		case err == nil:
			u.ID, u.Created = old.ID, old.Created
		case errors.Is(err, store.ErrNotFound):
			u.ID, u.Created = id, now
		default:
			return err
		}
		return rows.Put(tx, &u)
	})
}

// PutRole creates a role or replaces its trust policy, its tags and its policies. An ID is given to a new one.
func (d *Directory) PutRole(ctx context.Context, role Role, now time.Time) error {
	for name, doc := range role.Inline {
		if _, err := policy.Parse([]byte(doc), policy.Identity); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	trust, err := policy.Parse([]byte(role.Trust), policy.Trust)
	if err != nil {
		return fmt.Errorf("trust policy: %w", err)
	}
	id := NewID("AROA")
	return d.store.Update(ctx, func(tx store.Tx) error {
		role.Bound = make(map[string]string)
		for ref := range trust.Principals() {
			if ref.Type != "AWS" {
				continue
			}
			_, id, err := d.Find(tx, ref.Value)
			if err != nil {
				return err
			}
			if id != "" {
				role.Bound[ref.Value] = id
			}
		}
		if role.MaxSession == 0 {
			role.MaxSession = time.Hour
		}
		rows := Roles.In(role.Account, "")
		switch old, err := rows.Get(tx, role.Name); {
		case err == nil:
			role.ID, role.Created = old.ID, old.Created
		case errors.Is(err, store.ErrNotFound):
			role.ID, role.Created = id, now
		default:
			return err
		}
		return rows.Put(tx, &role)
	})
}

// NewKey makes an access key for a user of an account, or for its root user if user is empty, to be put into the store. The secret is told here and never again.
func (d *Directory) NewKey(account, user string, now time.Time) (key *AccessKey, secret string, err error) {
	secret = newSecret()
	key, err = d.newKey(account, user, secret, now)
	return key, secret, err
}

func (d *Directory) newKey(account, user, secret string, now time.Time) (*AccessKey, error) {
	number, err := accountNumber(account)
	if err != nil {
		return nil, err
	}
	key := &AccessKey{ID: newKeyID("AKIA", number), Account: account, User: user, Created: now}
	if key.Secret, err = d.keys.Wrap(place(key.ID), []byte(secret)); err != nil {
		return nil, fmt.Errorf("wrapping an access key: %w", err)
	}
	return key, nil
}

// CreateKey makes an access key and stores it, see NewKey. It is ErrNoUser if there is no such user.
func (d *Directory) CreateKey(ctx context.Context, account, user string, now time.Time) (accessKeyID, secret string, err error) {
	secret = newSecret()
	accessKeyID, err = d.createKey(ctx, account, user, secret, now)
	return accessKeyID, secret, err
}

// CreateProxyKey is CreateKey for an access key that AWS KMS, and any other, signs its calls of an external key store proxy with: KMS takes only secrets
// of 43 to 64 characters.
func (d *Directory) CreateProxyKey(ctx context.Context, account, user string, now time.Time) (accessKeyID, secret string, err error) {
	secret = newProxySecret()
	accessKeyID, err = d.createKey(ctx, account, user, secret, now)
	return accessKeyID, secret, err
}

func (d *Directory) createKey(ctx context.Context, account, user, secret string, now time.Time) (accessKeyID string, err error) {
	key, err := d.newKey(account, user, secret, now)
	if err != nil {
		return "", err
	}
	err = d.store.Update(ctx, func(tx store.Tx) error {
		if user != "" {
			if _, err := Users.In(account, "").Get(tx, user); errors.Is(err, store.ErrNotFound) {
				return ErrNoUser
			} else if err != nil {
				return err
			}
		}
		return AccessKeys.In("", "").Insert(tx, key)
	})
	if err != nil {
		return "", fmt.Errorf("creating an access key: %w", err)
	}
	return key.ID, nil
}

func seedPlace(account, name string) seal.Place { return seal.At("mfa seed", account, name) }

// WrapSeed wraps the seed of an MFA device, to be kept in its record.
func (d *Directory) WrapSeed(account, name string, seed []byte) ([]byte, error) {
	return d.keys.Wrap(seedPlace(account, name), seed)
}

// OpenSeed returns the seed of an MFA device.
func (d *Directory) OpenSeed(m *MFADevice) ([]byte, error) {
	return d.keys.Unwrap(seedPlace(m.Account, m.Name), m.Seed)
}

// HasRootKey reports whether the root user of an account has an access key.
func (d *Directory) HasRootKey(ctx context.Context, account string) (has bool, err error) {
	err = d.store.View(ctx, func(r store.Reader) error {
		for _, err := range AccessKeys.In("", "").Scan(r, store.Query{Index: "owner", Prefix: store.Key{account, ""}, Limit: 1}) {
			if err != nil {
				return err
			}
			has = true
		}
		return nil
	})
	return has, err
}

// User returns a user, or ErrNoUser.
func (d *Directory) User(ctx context.Context, account, name string) (u *User, err error) {
	err = d.store.View(ctx, func(r store.Reader) error {
		u, err = Users.In(account, "").Get(r, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoUser
	}
	return u, err
}

func hasFold(tags map[string]string, key string) bool {
	for k := range tags {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}
