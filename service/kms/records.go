package kms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// keyRecord is a KMS key. Its material is wrapped for the place that sealed returns.
type keyRecord struct {
	ID          string
	Created     time.Time
	Description string `json:",omitempty"`
	Spec        kms.KeySpec
	Usage       kms.KeyUsageType
	State       kms.KeyState
	Origin      kms.OriginType
	Manager     kms.KeyManagerType
	Policy      string            // as it was given, byte for byte
	Pins        identity.Pins     `json:",omitempty"` // of Policy
	Tags        map[string]string `json:",omitempty"`
	Deletion    time.Time         `json:",omitzero"`  // while State is PendingDeletion
	Window      int               `json:",omitempty"` // days to wait, while State is PendingReplicaDeletion

	Store   string `json:",omitempty"` // ID of the custom key store that it is in
	Outside string `json:",omitempty"` // how the key that it stands for is called there

	Primary  string   `json:",omitempty"` // region of the primary key; empty for a single-Region key
	Replicas []string `json:",omitempty"` // regions of the replica keys, sorted

	Revision    uint64            `json:",omitempty"` // grows with each change of what is shared
	Since       map[string]uint64 `json:",omitempty"` // revision at which a replica key was made, by region
	Successor   string            `json:",omitempty"` // of a primary key, while it is about to be the primary key in a region of another process
	Predecessor string            `json:",omitempty"` // of a primary key, until the one before it knows

	Materials []material // oldest first; the last is the current one, if there is any; none of a key that is only in a hardware security module
	Pending   *material  `json:",omitempty"` // imported, to become the current one with the next rotation

	Rotating   bool      `json:",omitempty"` // automatic rotation is enabled
	Period     int       `json:",omitempty"` // days between automatic rotations
	NextRotate time.Time `json:",omitzero"`
	OnDemand   int       `json:",omitempty"` // rotations on demand so far
}

// material is one piece of key material. A rotation adds one; none is ever removed while the key lives. Imported material that was deleted or has expired leaves
// its ID, by which it is known when it comes again.
type material struct {
	ID       string
	Wrapped  []byte           // empty when it has to be imported again
	Created  time.Time        // by a rotation if it came by one
	Rotation kms.RotationType `json:",omitempty"` // empty for the first

	Description string    `json:",omitempty"` // of imported material
	ValidTo     time.Time `json:",omitzero"`  // when imported material expires, if it does
}

// aliasRecord is a name for a key.
type aliasRecord struct {
	Name    string // with the prefix "alias/"
	KeyID   string
	Created time.Time
	Updated time.Time
}

// grantRecord is a grant. It lives with its key, whoever made it.
type grantRecord struct {
	ID, KeyID       string
	Account, Region string // where the key lives
	Name            string `json:",omitempty"`
	Grantee         string `json:",omitempty"` // principal ARN; or else
	GranteeService  string `json:",omitempty"` // service principal
	GranteeID       string `json:",omitempty"` // unique ID of the grantee when the grant was made, if it is a user or a role
	Retiring        string `json:",omitempty"`
	RetiringID      string `json:",omitempty"`
	RetiringService string `json:",omitempty"`
	Operations      []kms.GrantOperation
	Equals, Subset  map[string]string // constraints on the encryption context; an empty one is one, nil is none
	SourceARN       string            `json:",omitempty"`
	Issuer          string            // account under which the grant was made
	Created         time.Time
}

// usageRecord is the last use of a key.
type usageRecord struct {
	KeyID     string
	Operation kms.KeyLastUsageTrackingOperation
	Time      time.Time
	EventID   string
	RequestID string
}

// Stored as (see store.Table), all in the account and region of the key:
//
//	kms / account / region / key / id                → keyRecord       (index key.store: store id / outside)
//	kms / account / region / alias / name            → aliasRecord     (index alias.key: key id)
//	kms / account / region / grant / key id / id     → grantRecord     (index grant.retiring, global: principal)
//	kms / account / region / usage / key id          → usageRecord
//	kms / account / region / store / id              → storeRecord
var (
	keyTable = store.NewTable("kms", "key", func(r *keyRecord) store.Key { return store.Key{r.ID} },
		store.Index[keyRecord]{Name: "store", Entries: func(r *keyRecord) []store.Key {
			if r.Store == "" {
				return nil
			}
			return []store.Key{{r.Store, r.Outside}}
		}})
	aliasTable = store.NewTable("kms", "alias", func(r *aliasRecord) store.Key { return store.Key{r.Name} },
		store.Index[aliasRecord]{Name: "key", Entries: func(r *aliasRecord) []store.Key { return []store.Key{{r.KeyID}} }})
	grantTable = store.NewTable("kms", "grant", func(r *grantRecord) store.Key { return store.Key{r.KeyID, r.ID} },
		store.Index[grantRecord]{Name: "retiring", Global: true, Entries: func(r *grantRecord) []store.Key {
			if retiring := r.retirer(); retiring != "" {
				return []store.Key{{retiring}}
			}
			return nil
		}})
	storeTable = store.NewTable("kms", "store", func(r *storeRecord) store.Key { return store.Key{r.ID} })
	usageTable = store.NewTable("kms", "usage", func(r *usageRecord) store.Key { return store.Key{r.KeyID} })
)

// place is where a key lives.
type place struct{ account, region, id string }

// scope is where something lives, as calls say it. A process has one partition.
func (s *Service) scope(account, region string) call.Scope {
	return call.Scope{Partition: s.cfg.Partition, Account: account, Region: region}
}

func (s *Service) arn(p place) string { return s.scope(p.account, p.region).ARN("kms", "key/"+p.id) }

// sealed is where material of a key belongs: ("kms key material", account, region, key, spec, usage, material). Spec and usage are in it so that no change of a
// record in the store has a key do what it was not made for, such as a signing key decrypt.
func (p place) sealed(r *keyRecord, materialID string) seal.Place {
	return seal.At("kms key material", p.account, p.region, p.id, string(r.Spec), string(r.Usage), materialID)
}

// aliasPlace is where an alias lives.
type aliasPlace struct{ account, region, name string }

// key is a KMS key ready for use. It is immutable.
type key struct {
	place
	*keyRecord
	arn       string
	name      string // by which ciphertexts name the key, see blobHeader
	policy    *policy.Policy
	materials map[string]*keys.Key // by material ID; empty when loaded for management only
	aliases   []string             // sorted names
	grants    []*grantRecord
	custody   *customStore // of a key in a custom key store; nil when loaded without
	foreign   bool         // its material cannot be used in FIPS mode, though its spec could
}

// weight is about how many bytes the key takes. Its owner decides how large its policy is, and how many grants and materials it has.
func (k *key) weight() int {
	return 2<<10 + 20*len(k.Policy) + (2<<10)*len(k.grants) + (1<<10)*len(k.Materials) // a compiled policy is much larger than its text
}

// current is the material that encrypts, and its ID. A key of which nothing is here has none.
func (k *key) current() (*keys.Key, string) {
	if len(k.Materials) == 0 {
		return nil, ""
	}
	id := k.Materials[len(k.Materials)-1].ID
	return k.materials[id], id
}

// spec and usage as the key engine names them.
func (k *key) spec() keys.Spec   { return keys.Spec(k.Spec) }
func (k *key) usage() keys.Usage { return keys.Usage(k.Usage) }

// watch drops from the caches what commits touch.
func (s *Service) watch() {
	s.cfg.Store.OnCommit(tuple.Encode("kms"), func(written [][]byte) {
		for _, k := range written {
			parts, err := tuple.Split(k)
			if err != nil || len(parts) < 5 {
				continue
			}
			switch account, region := parts[1], parts[2]; parts[3] {
			case "alias":
				s.aliases.Forget(aliasPlace{account, region, parts[4]})
			case "store":
				p := storePlace{account, region, parts[4]}
				s.stores.Forget(p)
				s.logins.drop(p)
			case "key", "grant", "alias.key":
				s.cache.Forget(place{account, region, parts[4]})
			case "carry", "gone":
				s.news()
			}
		}
	})
}

// loadKey is the loader of the cache.
func (s *Service) loadKey(ctx context.Context, p place) (k *key, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		k, err = s.read(r, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, s.unlock(k)
}

// unlock unwraps the material of a key that was read.
func (s *Service) unlock(k *key) (err error) {
	k.materials = make(map[string]*keys.Key, len(k.Materials))
	if k.approved() != nil {
		return nil // none of it can be used
	}
	for _, m := range k.Materials {
		if m.Wrapped == nil {
			continue // the key waits for it, and cannot be used
		}
		if k.materials[m.ID], err = s.open(k.place, k.keyRecord, m); errors.Is(err, keys.ErrNotApproved) {
			k.foreign = true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// open unwraps key material.
func (s *Service) open(p place, r *keyRecord, m material) (*keys.Key, error) {
	bare, err := s.cfg.Seal.Unwrap(p.sealed(r, m.ID), m.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("opening material %s of key %s: %w", m.ID, p.id, err)
	}
	defer clear(bare)
	k, err := keys.Parse(keys.Spec(r.Spec), bare)
	if err != nil {
		return nil, fmt.Errorf("reading material %s of key %s: %w", m.ID, p.id, err)
	}
	return k, nil
}

// read loads a key without its material, or returns store.ErrNotFound.
func (s *Service) read(r store.Reader, p place) (*key, error) {
	rec, err := keyTable.In(p.account, p.region).Get(r, p.id)
	if err != nil {
		return nil, err
	}
	k := &key{place: p, keyRecord: rec, arn: s.arn(p), name: p.account + "/" + p.id}
	if k.policy, err = policy.Parse([]byte(rec.Policy), policy.Resource); err != nil {
		return nil, fmt.Errorf("compiling the policy of key %s: %w", p.id, err)
	}
	k.policy = rec.Pins.Bind(k.policy)
	for a, err := range aliasTable.In(p.account, p.region).Scan(r, store.Query{Index: "key", Prefix: store.Key{p.id}}) {
		if err != nil {
			return nil, fmt.Errorf("reading the aliases of key %s: %w", p.id, err)
		}
		k.aliases = append(k.aliases, a.Name)
	}
	slices.Sort(k.aliases)
	for g, err := range grantTable.In(p.account, p.region).Scan(r, store.Query{Prefix: store.Key{p.id}}) {
		if err != nil {
			return nil, fmt.Errorf("reading the grants of key %s: %w", p.id, err)
		}
		k.grants = append(k.grants, g)
	}
	return k, nil
}

// save writes a key's record.
func (k *key) save(tx store.Tx) error {
	if err := keyTable.In(k.account, k.region).Put(tx, k.keyRecord); err != nil {
		return fmt.Errorf("saving key %s: %w", k.id, err)
	}
	return nil
}

// loadAlias is the loader of the alias cache: the ID of the key that an alias names.
func (s *Service) loadAlias(ctx context.Context, p aliasPlace) (id string, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		a, err := aliasTable.In(p.account, p.region).Get(r, p.name)
		if err == nil {
			id = a.KeyID
		}
		return err
	})
	return id, err
}

// missing reports whether err says that a record is not there.
func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
