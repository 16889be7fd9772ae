package kms

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// carryRecord says that a primary key has something to tell its replica in a region of another process. What that is, the key itself says when it is sent: however much
// happens while a peer is away, one message tells it. The record goes with the answer to the newest.
type carryRecord struct {
	KeyID           string
	Account, Region string // where the primary key is
	To              string // region of the replica key
	Since           uint64 // revision at which that was made

	Creation *keyRecord `json:",omitempty"` // what the replica key has of its own, until it is made
}

// goneRecord is what is left of a replica key whose primary key was in another process. It stays, so that no message which is late makes the key anew.
type goneRecord struct {
	KeyID           string
	Account, Region string // where it was
	Revision        uint64 // of what it knew last
	To              string // region of the primary key
	Told            bool   `json:",omitempty"` // the primary key knows
}

// Stored as (see store.Table), in the account and region of the key whose process sends:
//
//	kms / account / region / carry / key id / to   → carryRecord    (index carry.to, global: to)
//	kms / account / region / gone / key id         → goneRecord     (index gone.to, global: to; while it is untold)
var (
	carryTable = store.NewTable("kms", "carry", func(r *carryRecord) store.Key { return store.Key{r.KeyID, r.To} },
		store.Index[carryRecord]{Name: "to", Global: true, Entries: func(r *carryRecord) []store.Key { return []store.Key{{r.To}} }})
	goneTable = store.NewTable("kms", "gone", func(r *goneRecord) store.Key { return store.Key{r.KeyID} },
		store.Index[goneRecord]{Name: "to", Global: true, Entries: func(r *goneRecord) []store.Key {
			if r.Told {
				return nil
			}
			return []store.Key{{r.To}}
		}})
)

// carry notes that a primary key has something to tell a replica in another process.
func (s *Service) carry(c *call.Call, k *key, to string, creation *keyRecord) error {
	rows := carryTable.In(k.account, k.region)
	r, err := rows.Get(c.Tx(), k.id, to)
	if missing(err) {
		r, err = &carryRecord{KeyID: k.id, Account: k.account, Region: k.region, To: to, Since: k.Since[to]}, nil
	}
	if err != nil {
		return fmt.Errorf("reading what key %s has to tell %s: %w", k.id, to, err)
	}
	if creation != nil {
		r.Creation, r.Since = creation, k.Since[to]
	}
	return rows.Put(c.Tx(), r)
}

// untell forgets what a key had to tell a replica.
func (s *Service) untell(c *call.Call, k *key, to string) error {
	if err := carryTable.In(k.account, k.region).Delete(c.Tx(), k.id, to); err != nil && !missing(err) {
		return fmt.Errorf("forgetting what key %s had to tell %s: %w", k.id, to, err)
	}
	return nil
}

// begetting refuses a primary key of which a replica in another process is not made yet: what that will be is known here alone.
func (s *Service) begetting(c *call.Call, k *key) error {
	for r, err := range carryTable.In(k.account, k.region).Scan(c.Tx(), store.Query{Prefix: store.Key{k.id}}) {
		if err != nil {
			return fmt.Errorf("reading what key %s has to tell: %w", k.id, err)
		}
		if r.Creation != nil {
			return &kms.KMSInvalidStateException{Message: fmt.Sprintf("%s is %s.", s.arn(k.elsewhere(r.To)), stateNames[kms.KeyStateCreating])}
		}
	}
	return nil
}

// tell is the message of a primary key to a replica in another process.
func (s *Service) tell(k *key, row *carryRecord) (*message, error) {
	r := &keyRecord{
		ID: k.ID, Spec: k.Spec, Usage: k.Usage, Origin: k.Origin, Primary: k.Primary, Replicas: k.Replicas, Since: k.Since, Revision: k.Revision,
		Rotating: k.Rotating, Period: k.Period, NextRotate: k.NextRotate, OnDemand: k.OnDemand,
	}
	m := &message{Key: r}
	if own := row.Creation; own != nil {
		m.Create = true
		r.Created, r.Description, r.Policy, r.Pins, r.Tags = own.Created, own.Description, own.Policy, own.Pins, own.Tags
	}
	if k.Successor == row.To {
		r.Primary, r.Replicas, r.Revision = row.To, exchanged(k.Replicas, row.To, k.region), k.Revision+1
	}
	if k.Origin == kms.OriginTypeExternal {
		bare := func(m material) material { return material{ID: m.ID, Created: m.Created, Rotation: m.Rotation} }
		for _, m := range k.Materials {
			r.Materials = append(r.Materials, bare(m))
		}
		if k.Pending != nil {
			r.Pending = new(bare(*k.Pending))
		}
		return m, nil
	}
	open := s.local(k)
	for _, x := range k.Materials {
		text, err := open(x)
		if err != nil {
			return nil, fmt.Errorf("opening material %s of key %s: %w", x.ID, k.id, err)
		}
		x.Wrapped, err = s.cfg.Peers.Wrap(k.region, row.To, k.transit(k.keyRecord, x.ID), text)
		clear(text)
		if err != nil {
			return nil, err
		}
		r.Materials = append(r.Materials, x)
	}
	return m, nil
}

// exchanged is a list of regions with one taken out and another put in.
func exchanged(regions []string, out, in string) []string {
	regions = append(slices.DeleteFunc(slices.Clone(regions), func(r string) bool { return r == out }), in)
	slices.Sort(regions)
	return regions
}

// told takes note of what a replica answered to a message.
func (s *Service) told(c *call.Call, row *carryRecord, m *message, r *reply) error {
	rows := carryTable.In(row.Account, row.Region)
	now, err := rows.Get(c.Tx(), row.KeyID, row.To)
	if missing(err) || err == nil && now.Since != row.Since {
		return nil // of one before
	}
	if err != nil {
		return err
	}
	k, err := s.read(c.Tx(), place{row.Account, row.Region, row.KeyID})
	if missing(err) || err == nil && (k.kind() != kms.MultiRegionKeyTypePrimary || !slices.Contains(k.Replicas, row.To)) {
		return rows.Delete(c.Tx(), row.KeyID, row.To) // somebody else tells it, or nobody has to
	}
	if err != nil {
		return err
	}
	if m == nil {
		return nil
	}
	switch r.Outcome {
	case done:
		if r.Revision > k.Revision && k.Successor == "" {
			return fmt.Errorf("region %s knows key %s at revision %d, and here it is at %d: has a backup been restored here that is older than what was carried?", row.To, row.KeyID, r.Revision, k.Revision)
		}
		err = s.taken(c, k, now, m)
	case refused:
		err = s.stay(c, k, row.To, m)
	case gone:
		if err = s.stay(c, k, row.To, m); err == nil {
			err = s.without(c, k, row.To)
		}
	case absent:
		return fmt.Errorf("region %s has no replica of key %s, though it had one: have its data been lost, or is another cloud there?", row.To, row.KeyID)
	default:
		return fmt.Errorf("region %s gave an answer that is none, about key %s", row.To, row.KeyID)
	}
	if err != nil {
		return err
	}
	return serviceEvent(c, k, opSynchronize.EventName)
}

// taken is what follows when a replica has what it was told.
func (s *Service) taken(c *call.Call, k *key, row *carryRecord, m *message) error {
	if k.settle(row.To) {
		if err := k.save(c.Tx()); err != nil {
			return err
		}
	}
	switch {
	case m.Create:
		row.Creation = nil // once more, so that the replica hears that it is known
		return carryTable.In(row.Account, row.Region).Put(c.Tx(), row)
	case m.Key.Revision < k.Revision, k.Successor == row.To && m.Key.Primary != row.To:
		return nil // there is news since the message was sent
	}
	return s.untell(c, k, row.To)
}

// settle ends the time in which a key is the primary one and its predecessor does not know. It reports whether it did, now that the replica in the region knows, or is no more.
func (k *key) settle(region string) bool {
	if k.Predecessor != region || region == "" {
		return false
	}
	k.Predecessor = ""
	if k.State == kms.KeyStateUpdating {
		k.State = kms.KeyStateEnabled
	}
	return true
}

// stay has a key go on as the primary one that another will not succeed, if that is what a message was about.
func (s *Service) stay(c *call.Call, k *key, to string, m *message) error {
	if k.Successor != to || m.Key.Primary != to {
		return nil
	}
	k.Successor, k.State, k.Revision = "", kms.KeyStateEnabled, m.Key.Revision
	if k.Rotating {
		if err := s.scheduleRotation(c, k); err != nil {
			return err
		}
	}
	return s.share(c, k)
}

// without is a primary key when a replica is no more. With the last one begins the waiting period of a primary that is to be deleted.
func (s *Service) without(c *call.Call, k *key, region string) error {
	k.Replicas = slices.DeleteFunc(slices.Clone(k.Replicas), func(r string) bool { return r == region })
	k.Since = maps.Clone(k.Since)
	delete(k.Since, region)
	k.settle(region)
	if err := s.untell(c, k, region); err != nil {
		return err
	}
	if len(k.Replicas) == 0 && k.State == kms.KeyStatePendingReplicaDeletion {
		k.State, k.Deletion, k.Window = kms.KeyStatePendingDeletion, c.Time.Add(time.Duration(k.Window)*day), 0
		if err := c.At(k.Deletion, s.scope(k.account, k.region), deletionTimer, k.ID, nil); err != nil {
			return err
		}
	}
	return s.share(c, k)
}

// buried takes note of what a primary key answered to the news of a replica's end.
func (s *Service) buried(c *call.Call, g *goneRecord, r *reply) error {
	rows := goneTable.In(g.Account, g.Region)
	now, err := rows.Get(c.Tx(), g.KeyID)
	if missing(err) || err == nil && *now != *g {
		return nil
	}
	if err != nil {
		return err
	}
	switch r.Outcome {
	case done, absent: // a primary key ends after all its replicas: that it is no more says that it knew
		now.Told = true
		return rows.Put(c.Tx(), now)
	case moved:
		if r.Primary == "" || r.Primary == g.Region {
			return fmt.Errorf("region %s does not know where the primary key of %s is", g.To, g.KeyID)
		}
		now.To = r.Primary
		return s.bury(c, now)
	case busy:
		return errBusy
	}
	return fmt.Errorf("region %s gave an answer that is none, about the end of key %s", g.To, g.KeyID)
}
