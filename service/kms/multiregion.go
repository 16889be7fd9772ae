package kms

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// A multi-Region key is one key in several regions: its keys there, the primary and its replicas, have an ID and the material in common, so that each decrypts what
// another encrypted, and whatever else follows from the primary: spec, usage, origin and rotation. Policy, grants, aliases, tags, description and state
// are each key's own: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
//
// Every key's record says where the others are, and the material is in each of them, wrapped for its place: a key is used without a look at its relatives. What
// is shared changes in one transaction in all of them that this process serves. To those in other processes it is carried, see carryRecord.

// multiRegion reports whether the key is a multi-Region key.
func (r *keyRecord) multiRegion() bool { return r.Primary != "" }

// kind is what the key is among its relatives, or "" for a single-Region key.
func (k *key) kind() kms.MultiRegionKeyType {
	switch k.Primary {
	case "":
		return ""
	case k.region:
		return kms.MultiRegionKeyTypePrimary
	}
	return kms.MultiRegionKeyTypeReplica
}

// replica reports whether the key follows another one.
func (k *key) replica() bool { return k.kind() == kms.MultiRegionKeyTypeReplica }

// elsewhere is where the key is in another region.
func (p place) elsewhere(region string) place { return place{p.account, region, p.id} }

// primary refuses a key that is not the primary of a multi-Region key.
func (k *key) primary() error {
	if k.kind() != kms.MultiRegionKeyTypePrimary {
		return unsupported("%s is not a multi-region primary key.", k.arn)
	}
	return nil
}

// relatives is the multi-Region key as DescribeKey shows it.
func (k *key) relatives() *kms.MultiRegionConfiguration {
	if !k.multiRegion() {
		return nil
	}
	in := func(region string) kms.MultiRegionKey {
		return kms.MultiRegionKey{Arn: new(strings.Replace(k.arn, ":"+k.region+":", ":"+region+":", 1)), Region: &region}
	}
	out := &kms.MultiRegionConfiguration{MultiRegionKeyType: k.kind(), PrimaryKey: new(in(k.Primary)), ReplicaKeys: []kms.MultiRegionKey{}}
	for _, region := range k.Replicas {
		out.ReplicaKeys = append(out.ReplicaKeys, in(region))
	}
	return out
}

// synchronize brings what a key has from its primary up to date. open unwraps material of the primary.
func (s *Service) synchronize(primary *keyRecord, k *key, open func(material) ([]byte, error)) error {
	if len(k.Materials) > len(primary.Materials) && k.Origin != kms.OriginTypeExternal {
		return k.parted(k.Materials[len(primary.Materials)].ID)
	}
	if err := k.descends(primary); err != nil {
		return err
	}
	k.Primary, k.Replicas, k.Since, k.Revision = primary.Primary, primary.Replicas, primary.Since, primary.Revision
	k.Rotating, k.Period, k.NextRotate, k.OnDemand = primary.Rotating, primary.Period, primary.NextRotate, primary.OnDemand
	if k.Origin == kms.OriginTypeExternal {
		k.expect(primary)
		return nil
	}
	for _, m := range primary.Materials[len(k.Materials):] {
		bare, err := open(m)
		if err != nil {
			return fmt.Errorf("opening material %s of key %s: %w", m.ID, k.id, err)
		}
		m.Wrapped, err = s.cfg.Seal.Wrap(k.sealed(k.keyRecord, m.ID), bare)
		clear(bare)
		if err != nil {
			return fmt.Errorf("wrapping material %s of key %s for %s: %w", m.ID, k.id, k.region, err)
		}
		k.Materials = append(slices.Clip(k.Materials), m)
	}
	return nil
}

// descends refuses what a related key was at another time, earlier or later, if no rotations lead from one to the other: they add material at the end, and nothing takes any away. Then one
// of the two was put back to a backup, and has been rotated since.
func (k *key) descends(other *keyRecord) error {
	for i := range min(len(k.Materials), len(other.Materials)) {
		if have := k.Materials[i].ID; have != other.Materials[i].ID {
			return k.parted(have)
		}
	}
	return nil
}

func (k *key) parted(materialID string) error {
	return notBetween(fmt.Sprintf("%s has material %s, and the primary key has not. Nothing was changed.", k.arn, materialID))
}

// local opens material of a key that is here.
func (s *Service) local(k *key) func(material) ([]byte, error) {
	return func(m material) ([]byte, error) { return s.cfg.Seal.Unwrap(k.sealed(k.keyRecord, m.ID), m.Wrapped) }
}

// expect gives a replica whose material is imported the IDs of its primary's, and leaves it what it has of that. Material itself is not carried over: whoever has it
// imports it into each key.
func (k *key) expect(primary *keyRecord) {
	own := func(m material) material {
		out := material{ID: m.ID, Created: m.Created, Rotation: m.Rotation}
		if have := k.imported(m.ID); have != nil {
			out.Wrapped, out.Description, out.ValidTo = have.Wrapped, have.Description, have.ValidTo
		}
		return out
	}
	var materials []material
	for _, m := range primary.Materials {
		materials = append(materials, own(m))
	}
	var pending *material
	if primary.Pending != nil {
		pending = new(own(*primary.Pending))
	}
	k.Materials, k.Pending = materials, pending
}

// awaited reports whether material that is to become the current one has still to be imported into one of the related keys. Before that no rotation takes it, so
// that a rotation leaves none of them without.
func (s *Service) awaited(c *call.Call, k *key) (bool, error) {
	for _, region := range append(slices.Clip(k.Replicas), k.Primary) {
		if region == k.region || region == "" {
			continue
		}
		if s.away(region) {
			if _, r, err := s.inquire(c, k, region); err != nil || !r.Imported {
				return true, nil // as far as anybody here can tell
			}
			continue
		}
		rec, err := keyTable.In(k.account, region).Get(c.Tx(), k.id)
		if err != nil {
			return false, fmt.Errorf("reading key %s in %s: %w", k.id, region, err)
		}
		if rec.Pending == nil || rec.Pending.Wrapped == nil {
			return true, nil
		}
	}
	return k.Pending == nil || k.Pending.Wrapped == nil, nil
}

// share saves a key, and if it is a primary, carries what it shares to its replicas. That is put on record in the primary's region, where it is done by somebody
// there; what happens elsewhere is on record as itself.
func (s *Service) share(c *call.Call, k *key) error {
	if k.kind() != kms.MultiRegionKeyTypePrimary || len(k.Replicas) == 0 || k.Successor != "" {
		return k.save(c.Tx())
	}
	k.Revision++
	if err := k.save(c.Tx()); err != nil {
		return err
	}
	shared := false
	for _, region := range k.Replicas {
		if s.away(region) {
			if err := s.carry(c, k, region, nil); err != nil {
				return err
			}
			continue
		}
		shared = true
		rec, err := keyTable.In(k.account, region).Get(c.Tx(), k.id)
		if missing(err) {
			if _, err = goneTable.In(k.account, region).Get(c.Tx(), k.id); err == nil {
				continue // the primary key before this one, in another process, has not heard of its end yet: the news comes here then
			}
		}
		if err != nil {
			return fmt.Errorf("reading the replica of key %s in %s: %w", k.id, region, err)
		}
		r := &key{place: k.elsewhere(region), keyRecord: rec}
		if err := s.synchronize(k.keyRecord, r, s.local(k)); err != nil {
			return err
		}
		if err := r.save(c.Tx()); err != nil {
			return err
		}
	}
	if !shared || c.Scope.Region != k.region {
		return nil
	}
	return serviceEvent(c, k, "SynchronizeMultiRegionKey")
}

// ReplicateKey makes a replica of a multi-Region primary key in another region. It is ready when the call returns, or, where another process serves the region, is being made.
func (s *Service) ReplicateKey(c *call.Call, in *kms.ReplicateKeyRequest) (*kms.ReplicateKeyResponse, error) {
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	region := optional.Value(in.ReplicaRegion)
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	if err := s.authorize(u.with("kms:replicaregion", region)); err != nil {
		return nil, err
	}
	if !door.ValidRegion(s.cfg.Partition, region) || s.away(region) && !s.cfg.Peers.Has(region) {
		return nil, invalid("%s is not a Region of the partition %s.", region, s.cfg.Partition)
	}
	// Two things are asked: whether the key may be replicated to there, and whether the caller may create keys there.
	there := c.In(region, kms.OpCreateKey)
	p := plan{spec: k.Spec, usage: k.Usage, origin: k.Origin, multiRegion: kms.MultiRegionKeyTypeReplica}
	if err := s.creation(there, p, tags, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	if err := k.primary(); err != nil {
		return nil, err
	}
	if region == k.region || slices.Contains(k.Replicas, region) {
		return nil, &kms.AlreadyExistsException{Message: fmt.Sprintf("%s already exists.", s.arn(k.elsewhere(region)))}
	}
	if err := k.ready(); err != nil {
		return nil, err
	}
	if err := k.in(kms.KeyStateEnabled); err != nil {
		return nil, err
	}
	document := defaultPolicy(c.Scope.Partition, c.Scope.Account)
	if in.Policy != nil {
		document = *in.Policy
	}
	compiled, err := parsePolicy(document)
	if err != nil {
		return nil, err
	}
	at := k.elsewhere(region)
	r := &key{
		place: at, arn: s.arn(at), name: k.name, policy: compiled,
		keyRecord: &keyRecord{
			ID: k.ID, Created: c.Time, Description: optional.Value(in.Description), Spec: k.Spec, Usage: k.Usage, State: kms.KeyStateEnabled,
			Origin: k.Origin, Manager: k.Manager, Policy: document, Tags: tags,
		},
	}
	if k.Origin == kms.OriginTypeExternal {
		r.State = kms.KeyStatePendingImport
	}
	if in.Policy != nil {
		if err := s.checkPolicy(there, r, optional.Value(in.BypassPolicyLockoutSafetyCheck)); err != nil {
			return nil, err
		}
	}
	// The list of replicas is in the primary's record: of two calls for the same region, one conflicts and then finds it there.
	k.Replicas = append(slices.Clip(k.Replicas), region)
	slices.Sort(k.Replicas)
	if s.cfg.Peers != nil { // also of a replica here: news of one before it may still be under way to where the primary key will be
		if k.Since = maps.Clone(k.Since); k.Since == nil {
			k.Since = make(map[string]uint64)
		}
		k.Since[region] = k.Revision + 1 // which share makes it
	}
	if s.away(region) {
		err = s.beget(c, k, r)
	} else if err = s.synchronize(k.keyRecord, r, s.local(k)); err == nil {
		err = r.save(c.Tx())
	}
	if err != nil {
		return nil, err
	}
	if err := s.share(c, k); err != nil {
		return nil, err
	}
	there.Touch(audit.Resource{Account: r.account, Type: keyType, ARN: r.arn})
	return &kms.ReplicateKeyResponse{ReplicaKeyMetadata: r.metadata(), ReplicaPolicy: &document, ReplicaTags: in.Tags}, nil
}

// beget has a replica key made in another process. r tells what it will be.
func (s *Service) beget(c *call.Call, k, r *key) error {
	own := &keyRecord{Created: r.Created, Description: r.Description, Policy: r.Policy, Pins: r.Pins, Tags: r.Tags}
	r.State, r.Primary, r.Replicas, r.Materials = kms.KeyStateCreating, k.Primary, k.Replicas, k.Materials
	return s.carry(c, k, r.region, own)
}

// related is a key's replica in a region, as it is there.
func (s *Service) related(c *call.Call, k *key, region string) (*key, error) {
	absent := &kms.NotFoundException{Message: fmt.Sprintf("Key '%s' does not exist", s.arn(k.elsewhere(region)))}
	if !slices.Contains(k.Replicas, region) {
		return nil, absent
	}
	if s.away(region) {
		r, _, err := s.inquire(c, k, region)
		return r, err
	}
	r, err := s.read(c.Tx(), k.elsewhere(region))
	if missing(err) {
		return nil, absent
	}
	return r, err
}

// UpdatePrimaryRegion makes a replica the primary key, and the primary a replica. Where another process has the replica it asks that to, and is Updating until it has heard of it.
func (s *Service) UpdatePrimaryRegion(c *call.Call, in *kms.UpdatePrimaryRegionRequest) (*kms.UpdatePrimaryRegionResponse, error) {
	region := optional.Value(in.PrimaryRegion)
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	if err := s.authorize(u.with("kms:primaryregion", region)); err != nil {
		return nil, err
	}
	if err := k.primary(); err != nil {
		return nil, err
	}
	if region == k.region {
		return nil, unsupported("%s is already the multi-region primary key.", k.arn)
	}
	r, err := s.related(c, k, region)
	if err != nil {
		return nil, err
	}
	ru := &use{c: c.In(region, kms.OpUpdatePrimaryRegion), key: r}
	if err := s.authorize(ru.with("kms:primaryregion", region)); err != nil {
		return nil, err
	}
	for _, x := range []*key{k, r} {
		if err := x.ready(); err != nil {
			return nil, err
		}
		if err := x.in(kms.KeyStateEnabled); err != nil {
			return nil, err
		}
	}
	if err := s.begetting(c, k); err != nil {
		return nil, err
	}
	// The rotation is due where the primary is.
	if err := c.Cancel(s.scope(k.account, k.region), rotationTimer, k.ID); err != nil {
		return nil, err
	}
	if s.away(region) {
		k.State, k.Successor = kms.KeyStateUpdating, region
		if err := k.save(c.Tx()); err != nil {
			return nil, err
		}
		return &kms.UpdatePrimaryRegionResponse{}, s.carry(c, k, region, nil)
	}
	r.Primary, r.Replicas = region, exchanged(k.Replicas, region, k.region)
	if r.Rotating {
		if err := s.scheduleRotation(c, r); err != nil {
			return nil, err
		}
	}
	return &kms.UpdatePrimaryRegionResponse{}, s.share(c, r)
}
