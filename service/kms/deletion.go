package kms

import (
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	deletionTimer = "delete"

	// Days that a key waits to be deleted. The model lets 1 to 365 through.
	minWindow, maxWindow, defaultWindow = 7, 30, 30
)

// ScheduleKeyDeletion has a key deleted after a waiting period, in which it cannot be used.
func (s *Service) ScheduleKeyDeletion(c *call.Call, in *kms.ScheduleKeyDeletionRequest) (*kms.ScheduleKeyDeletionResponse, error) {
	window := int32(defaultWindow)
	if in.PendingWindowInDays != nil {
		window = *in.PendingWindowInDays
	}
	switch {
	case window < minWindow:
		return nil, invalid("1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to %d", window, minWindow)
	case window > maxWindow:
		return nil, invalid("1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to %d", window, maxWindow)
	}
	k, err := s.change(c, in.KeyId, func(u *use) error {
		u.with("kms:schedulekeydeletionpendingwindowindays", strconv.Itoa(int(window)))
		return s.withIdleDays(u)
	}, kms.KeyStateEnabled, kms.KeyStateDisabled, kms.KeyStatePendingImport, kms.KeyStateUnavailable, kms.KeyStateCreating)
	if err != nil {
		return nil, err
	}
	if k.kind() == kms.MultiRegionKeyTypePrimary && len(k.Replicas) > 0 {
		// The waiting period begins when the last replica is deleted, see without.
		k.State, k.Window = kms.KeyStatePendingReplicaDeletion, int(window)
		return &kms.ScheduleKeyDeletionResponse{KeyId: &k.arn, KeyState: k.State, PendingWindowInDays: &window}, k.save(c.Tx())
	}
	k.State = kms.KeyStatePendingDeletion
	k.Deletion = c.Time.Add(time.Duration(window) * day)
	if err := c.At(k.Deletion, s.scope(k.account, k.region), deletionTimer, k.ID, nil); err != nil {
		return nil, err
	}
	return &kms.ScheduleKeyDeletionResponse{
		KeyId: &k.arn, DeletionDate: &k.Deletion, KeyState: k.State, PendingWindowInDays: &window,
	}, k.save(c.Tx())
}

// CancelKeyDeletion keeps a key that waits to be deleted. It is disabled then, or waits for the material that it lost meanwhile.
func (s *Service) CancelKeyDeletion(c *call.Call, in *kms.CancelKeyDeletionRequest) (*kms.CancelKeyDeletionResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	if k.State != kms.KeyStatePendingDeletion && k.State != kms.KeyStatePendingReplicaDeletion {
		return nil, &kms.KMSInvalidStateException{Message: k.arn + " is not pending deletion."}
	}
	k.State, k.Deletion, k.Window = kms.KeyStateDisabled, time.Time{}, 0
	if k.Origin == kms.OriginTypeExternal && !k.complete() {
		k.State = kms.KeyStatePendingImport
	}
	if err := c.Cancel(s.scope(k.account, k.region), deletionTimer, k.ID); err != nil {
		return nil, err
	}
	return &kms.CancelKeyDeletionResponse{KeyId: &k.arn}, k.save(c.Tx())
}

// deleteDue is what the deletion timer does: the key, its material, its aliases and its grants are gone for good.
func (s *Service) deleteDue(c *call.Call, id string, _ []byte) error {
	k, err := s.read(c.Tx(), place{c.Scope.Account, c.Scope.Region, id})
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if k.State != kms.KeyStatePendingDeletion {
		return nil
	}
	if len(k.grants) > eraseBatch {
		// More than fit into one transaction: these go first, and the timer comes again at once for the rest. Nobody can use the key meanwhile.
		if err := eraseGrants(c.Tx(), k, k.grants[:eraseBatch]); err != nil {
			return err
		}
		return c.At(c.Time, s.scope(k.account, k.region), deletionTimer, k.ID, nil)
	}
	if err := s.erase(c.Tx(), k); err != nil {
		return err
	}
	for _, kind := range []string{rotationTimer, expiryTimer} {
		if err := c.Cancel(s.scope(k.account, k.region), kind, k.ID); err != nil {
			return err
		}
	}
	if err := s.forsake(c, k); err != nil {
		return err
	}
	if k.replica() {
		if err := s.bury(c, &goneRecord{KeyID: k.id, Account: k.account, Region: k.region, Revision: k.Revision, To: k.Primary}); err != nil {
			return err
		}
	}
	if err := s.emit(c, k, "KMS CMK Deletion"); err != nil {
		return err
	}
	return serviceEvent(c, k, "DeleteKey")
}

// eraseBatch is how many grants one transaction deletes. With its index entry a grant's keys take up to a kilobyte of store.MaxTxSize.
const eraseBatch = 2000

func eraseGrants(tx store.Tx, k *key, grants []*grantRecord) error {
	for _, g := range grants {
		if err := grantTable.In(k.account, k.region).Delete(tx, g.KeyID, g.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) erase(tx store.Tx, k *key) error {
	for _, name := range k.aliases {
		if err := aliasTable.In(k.account, k.region).Delete(tx, name); err != nil {
			return err
		}
	}
	if err := eraseGrants(tx, k, k.grants); err != nil {
		return err
	}
	if err := usageTable.In(k.account, k.region).Delete(tx, k.ID); err != nil && !missing(err) {
		return err
	}
	return keyTable.In(k.account, k.region).Delete(tx, k.ID)
}
