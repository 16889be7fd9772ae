package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

var (
	// ErrUnknownKey: no active access key has this ID.
	ErrUnknownKey = errors.New("unknown access key")
	// ErrNoUser: the account has no user of this name.
	ErrNoUser = errors.New("no such user")
)

// accessKey is a long-term credential. Its primary key is its ID, in no account: the ID alone has to lead to it.
type accessKey struct {
	ID      string
	Account string
	User    string `json:",omitempty"` // empty for the root user's
	Secret  []byte // wrapped
	Created time.Time
}

// User is an IAM user and the policies that are attached to it.
type User struct {
	Account  string
	Name     string
	ID       string            // AIDA...
	Tags     map[string]string `json:",omitempty"`
	Policies map[string]string `json:",omitempty"` // documents by name
	Created  time.Time
}

// ARN names the user.
func (u *User) ARN(partition string) string {
	return "arn:" + partition + ":iam::" + u.Account + ":user/" + u.Name
}

// Stored as (see store.Table):
//
//	identity // accesskey / AKIA...        → accessKey
//	identity / account // user / name      → User
var (
	accessKeys = store.NewTable("identity", "accesskey", func(k *accessKey) store.Key { return store.Key{k.ID} },
		store.Index[accessKey]{Name: "owner", Entries: func(k *accessKey) []store.Key { return []store.Key{{k.Account, k.User}} }})
	users = store.NewTable("identity", "user", func(u *User) store.Key { return store.Key{u.Name} })
)

// Directory holds access keys and principals in the store. All methods may be called concurrently.
type Directory struct {
	store     store.Store
	keys      *seal.Keyring
	partition string
	guests    []string
	cache     *cache.Cache[string, *Credential]
}

// Credential is an access key with its secret and its owner.
type Credential struct {
	Secret    string
	Principal *Principal
}

// cacheLimit is how many credentials are kept ready.
const cacheLimit = 10_000

// New returns the directory that lies in s. Guests are the ARNs of principals that are there without a record, such as the user of dev mode.
func New(s store.Store, keys *seal.Keyring, partition string, guests ...string) *Directory {
	d := &Directory{store: s, keys: keys, partition: partition, guests: guests}
	d.cache = cache.New(cacheLimit, d.load)
	accessKeys.Watch(s, func(_, _ string, key []string) { d.cache.Forget(key[0]) })
	// A user may have several keys, and users change rarely.
	users.Watch(s, func(string, string, []string) { d.cache.Clear() })
	return d
}

// CacheStats tells how the cache of credentials does.
func (d *Directory) CacheStats() cache.Stats { return d.cache.Stats() }

// Lookup returns the credential of an access key ID, or ErrUnknownKey.
func (d *Directory) Lookup(ctx context.Context, accessKeyID string) (*Credential, error) {
	if len(accessKeyID) > 128 {
		return nil, ErrUnknownKey
	}
	return d.cache.Get(ctx, accessKeyID)
}

func place(accessKeyID string) seal.Place { return seal.At("access key", accessKeyID) }

func (d *Directory) load(ctx context.Context, id string) (*Credential, error) {
	var key *accessKey
	var user *User
	err := d.store.View(ctx, func(r store.Reader) (err error) {
		if key, err = accessKeys.In("", "").Get(r, id); err != nil {
			return err
		}
		if key.User != "" {
			user, err = users.In(key.Account, "").Get(r, key.User)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("loading an access key: %w", err)
	}
	secret, err := d.keys.Unwrap(place(id), key.Secret)
	if err != nil {
		return nil, fmt.Errorf("opening the secret of an access key: %w", err)
	}
	if user == nil {
		return &Credential{string(secret), Root(d.partition, key.Account, id)}, nil
	}
	var policies []*policy.Policy
	for _, name := range slices.Sorted(maps.Keys(user.Policies)) {
		p, err := policy.Parse([]byte(user.Policies[name]), policy.Identity)
		if err != nil {
			return nil, fmt.Errorf("compiling policy %s of user %s: %w", name, user.Name, err)
		}
		policies = append(policies, p)
	}
	return &Credential{string(secret), newUser(d.partition, user, id, policies)}, nil
}

// PutUser creates a user or replaces its tags and policies. An ID is given to a new one.
func (d *Directory) PutUser(ctx context.Context, u User, now time.Time) error {
	for name, doc := range u.Policies {
		if _, err := policy.Parse([]byte(doc), policy.Identity); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	id := newID("AIDA")
	return d.store.Update(ctx, func(tx store.Tx) error {
		rows := users.In(u.Account, "")
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

// CreateKey makes an access key for a user of an account, or for its root user if user is empty. The secret is returned here
// and never again.
func (d *Directory) CreateKey(ctx context.Context, account, user string, now time.Time) (accessKeyID, secret string, err error) {
	number, err := strconv.ParseUint(account, 10, 64)
	if len(account) != 12 || err != nil {
		return "", "", fmt.Errorf("account %q does not have twelve digits", account)
	}
	accessKeyID = newKeyID(number)
	var random [30]byte
	rand.Read(random[:])
	secret = base64.StdEncoding.EncodeToString(random[:])
	wrapped, err := d.keys.Wrap(place(accessKeyID), []byte(secret))
	if err != nil {
		return "", "", fmt.Errorf("wrapping an access key: %w", err)
	}
	err = d.store.Update(ctx, func(tx store.Tx) error {
		if user != "" {
			if _, err := users.In(account, "").Get(tx, user); errors.Is(err, store.ErrNotFound) {
				return ErrNoUser
			} else if err != nil {
				return err
			}
		}
		return accessKeys.In("", "").Insert(tx, &accessKey{
			ID: accessKeyID, Account: account, User: user, Secret: wrapped, Created: now,
		})
	})
	if err != nil {
		return "", "", fmt.Errorf("creating an access key: %w", err)
	}
	return accessKeyID, secret, nil
}

// HasRootKey reports whether the root user of an account has an access key.
func (d *Directory) HasRootKey(ctx context.Context, account string) (has bool, err error) {
	err = d.store.View(ctx, func(r store.Reader) error {
		for _, err := range accessKeys.In("", "").Scan(r, store.Query{Index: "owner", Prefix: store.Key{account, ""}, Limit: 1}) {
			if err != nil {
				return err
			}
			has = true
		}
		return nil
	})
	return has, err
}

// Exists reports whether name, which is the ARN of an IAM or STS principal, or an account's twelve digits, is somebody. Every account
// exists: it is there as soon as it is spoken of.
func (d *Directory) Exists(ctx context.Context, name string) (bool, error) {
	if IsAccount(name) || slices.Contains(d.guests, name) {
		return true, nil
	}
	a, err := arn.Parse(name)
	if err != nil || a.Partition != d.partition || !IsAccount(a.Account) {
		return false, nil
	}
	if a.Service == "iam" && a.Resource == "root" {
		return true, nil
	}
	user, ok := strings.CutPrefix(a.Resource, "user/")
	if a.Service != "iam" || !ok {
		return false, nil
	}
	user = user[strings.LastIndexByte(user, '/')+1:]
	err = d.store.View(ctx, func(r store.Reader) error {
		_, err := users.In(a.Account, "").Get(r, user)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// IsAccount reports whether s has the form of an account: twelve digits.
func IsAccount(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) == 12
}

var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// newKeyID returns AKIA and sixteen base32 digits that hold the account's number the way AWS's do, so that
// tools which read it there (and sts:GetAccessKeyInfo) find it: eighty bits, of which the first is set, the
// next forty are the account, and the rest is random.
func newKeyID(account uint64) string {
	var b [10]byte
	rand.Read(b[:])
	head := 1<<47 | account<<7 | uint64(b[5]&0x7f)
	var top [8]byte
	binary.BigEndian.PutUint64(top[:], head)
	copy(b[:6], top[2:])
	return "AKIA" + unpadded.EncodeToString(b[:])
}

// newID returns a unique ID as IAM gives it: a prefix for the kind of thing, and 17 base32 digits.
func newID(prefix string) string {
	var b [11]byte
	rand.Read(b[:])
	return prefix + unpadded.EncodeToString(b[:])[:17]
}

// User returns a user, or ErrNoUser.
func (d *Directory) User(ctx context.Context, account, name string) (u *User, err error) {
	err = d.store.View(ctx, func(r store.Reader) error {
		u, err = users.In(account, "").Get(r, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoUser
	}
	return u, err
}
