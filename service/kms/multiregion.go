package kms

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/store"
)

// A multi-Region key is one key in several regions: its keys there, the primary and its replicas, have an ID and the material in common, so that each decrypts what
// another encrypted, and whatever else follows from the primary: spec, usage, origin and rotation. Policy, grants, aliases, tags, description and state
// are each key's own: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
//
// Every key's record says where the others are, and the material is in each of them, wrapped for its place: a key is used without a look at its relatives. What
// is shared changes in all of them in one transaction.

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

// synchronize brings what a key has from its primary, which primary is, up to date.
func (s *Service) synchronize(primary, k *key) error {
	k.Primary, k.Replicas = primary.Primary, primary.Replicas
	k.Rotating, k.Period, k.NextRotate, k.OnDemand = primary.Rotating, primary.Period, primary.NextRotate, primary.OnDemand
	if k.Origin == kms.OriginTypeExternal {
		k.expect(primary)
		return nil
	}
	// Rotations add material at the end, and nothing takes any away.
	for _, m := range primary.Materials[len(k.Materials):] {
		bare, err := s.cfg.Seal.Unwrap(primary.sealed(primary.keyRecord, m.ID), m.Wrapped)
		if err != nil {
			return fmt.Errorf("opening material %s of key %s: %w", m.ID, primary.id, err)
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

// expect gives a replica whose material is imported the IDs of its primary's, and leaves it what it has of that. Material itself is not carried over: whoever has it
// imports it into each key.
func (k *key) expect(primary *key) {
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
func (s *Service) awaited(r store.Reader, k *key) (bool, error) {
	for _, region := range append(slices.Clip(k.Replicas), k.Primary) {
		if region == k.region || region == "" {
			continue
		}
		rec, err := keyTable.In(k.account, region).Get(r, k.id)
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
	if err := k.save(c.Tx()); err != nil || k.kind() != kms.MultiRegionKeyTypePrimary || len(k.Replicas) == 0 {
		return err
	}
	for _, region := range k.Replicas {
		rec, err := keyTable.In(k.account, region).Get(c.Tx(), k.id)
		if err != nil {
			return fmt.Errorf("reading the replica of key %s in %s: %w", k.id, region, err)
		}
		r := &key{place: k.elsewhere(region), keyRecord: rec}
		if err := s.synchronize(k, r); err != nil {
			return err
		}
		if err := r.save(c.Tx()); err != nil {
			return err
		}
	}
	if c.Scope.Region != k.region {
		return nil
	}
	return serviceEvent(c, k, "SynchronizeMultiRegionKey")
}

// ReplicateKey makes a replica of a multi-Region primary key in another region. It is ready when the call returns.
func (s *Service) ReplicateKey(c *call.Call, in *kms.ReplicateKeyRequest) (*kms.ReplicateKeyResponse, error) {
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	region := deref(in.ReplicaRegion)
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	if err := s.authorize(u.with("kms:replicaregion", region)); err != nil {
		return nil, err
	}
	if !door.ValidRegion(s.cfg.Partition, region) {
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
			ID: k.ID, Created: c.Time, Description: deref(in.Description), Spec: k.Spec, Usage: k.Usage, State: kms.KeyStateEnabled,
			Origin: k.Origin, Manager: k.Manager, Policy: document, Tags: tags,
		},
	}
	if k.Origin == kms.OriginTypeExternal {
		r.State = kms.KeyStatePendingImport
	}
	if in.Policy != nil {
		if err := s.checkPolicy(there, r, deref(in.BypassPolicyLockoutSafetyCheck)); err != nil {
			return nil, err
		}
	}
	// The list of replicas is in the primary's record: of two calls for the same region, one conflicts and then finds it there.
	k.Replicas = append(slices.Clip(k.Replicas), region)
	slices.Sort(k.Replicas)
	if err := s.synchronize(k, r); err != nil {
		return nil, err
	}
	if err := r.save(c.Tx()); err != nil {
		return nil, err
	}
	if err := s.share(c, k); err != nil {
		return nil, err
	}
	there.Touch(audit.Resource{Account: r.account, Type: keyType, ARN: r.arn})
	return &kms.ReplicateKeyResponse{ReplicaKeyMetadata: r.metadata(), ReplicaPolicy: &document, ReplicaTags: in.Tags}, nil
}

// UpdatePrimaryRegion makes a replica the primary key, and the primary a replica.
func (s *Service) UpdatePrimaryRegion(c *call.Call, in *kms.UpdatePrimaryRegionRequest) (*kms.UpdatePrimaryRegionResponse, error) {
	region := deref(in.PrimaryRegion)
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
	r, err := s.read(c.Tx(), k.elsewhere(region))
	if missing(err) {
		return nil, &kms.NotFoundException{Message: fmt.Sprintf("Key '%s' does not exist", s.arn(k.elsewhere(region)))}
	}
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
	replicas := slices.DeleteFunc(slices.Clone(k.Replicas), func(there string) bool { return there == region })
	replicas = append(replicas, k.region)
	slices.Sort(replicas)
	r.Primary, r.Replicas = region, replicas
	// The rotation is due where the primary is.
	if err := c.Cancel(s.scope(k.account, k.region), rotationTimer, k.ID); err != nil {
		return nil, err
	}
	if r.Rotating {
		if err := s.scheduleRotation(c, r); err != nil {
			return nil, err
		}
	}
	return &kms.UpdatePrimaryRegionResponse{}, s.share(c, r)
}

// replicaGone is what becomes of the other keys when a replica is deleted. With the last one begins the waiting period of a primary that is to be deleted.
func (s *Service) replicaGone(c *call.Call, gone *key) error {
	k, err := s.read(c.Tx(), gone.elsewhere(gone.Primary))
	if err != nil {
		return fmt.Errorf("reading the primary of key %s in %s: %w", gone.id, gone.Primary, err)
	}
	k.Replicas = slices.DeleteFunc(slices.Clone(k.Replicas), func(region string) bool { return region == gone.region })
	if len(k.Replicas) == 0 && k.State == kms.KeyStatePendingReplicaDeletion {
		k.State, k.Deletion, k.Window = kms.KeyStatePendingDeletion, c.Time.Add(time.Duration(k.Window)*day), 0
		if err := c.At(k.Deletion, s.scope(k.account, k.region), deletionTimer, k.ID, nil); err != nil {
			return err
		}
	}
	return s.share(c, k)
}
