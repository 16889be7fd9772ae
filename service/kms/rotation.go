package kms

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbox"
)

const (
	rotationTimer = "rotate"

	defaultPeriod = 365 // days
	maxOnDemand   = 25  // on-demand rotations of a key in its life
)

// rotatable refuses keys that have no rotation.
func (k *key) rotatable() error {
	if k.Spec != kms.KeySpecSymmetricDefault {
		return unsupported("%s key spec is %s which is not valid for this operation.", k.arn, k.Spec)
	}
	if k.Store != "" {
		return k.wrongOrigin()
	}
	return nil
}

// rotating finds a key whose rotation is to be changed, asks for permission, and checks that it can rotate.
func (s *Service) rotating(c *call.Call, keyID *string, conditions ...condition) (*key, error) {
	k, err := s.forChange(c, keyID, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k, values: conditions}); err != nil {
		return nil, err
	}
	if err := k.rotatable(); err != nil {
		return nil, err
	}
	if k.Origin == kms.OriginTypeExternal && c.Op != kms.OpRotateKeyOnDemand {
		return nil, k.wrongOrigin()
	}
	if k.replica() {
		return nil, k.primary() // which alone decides about the rotation of all
	}
	if k.Successor != "" {
		return nil, k.invalidState() // another is about to decide
	}
	return k, k.ready()
}

// EnableKeyRotation has a key rotated every so many days.
func (s *Service) EnableKeyRotation(c *call.Call, in *kms.EnableKeyRotationRequest) (*kms.EnableKeyRotationResponse, error) {
	period := int32(defaultPeriod)
	if in.RotationPeriodInDays != nil {
		period = *in.RotationPeriodInDays
	}
	k, err := s.rotating(c, in.KeyId, condition{"kms:rotationperiodindays", strconv.Itoa(int(period))})
	if err != nil {
		return nil, err
	}
	// The same period again leaves the schedule as it is.
	if !k.Rotating || k.Period != int(period) {
		k.Rotating, k.Period = true, int(period)
		k.NextRotate = c.Time.Add(time.Duration(period) * day)
		if err := s.scheduleRotation(c, k); err != nil {
			return nil, err
		}
	}
	return &kms.EnableKeyRotationResponse{}, s.share(c, k)
}

// DisableKeyRotation ends automatic rotation.
func (s *Service) DisableKeyRotation(c *call.Call, in *kms.DisableKeyRotationRequest) (*kms.DisableKeyRotationResponse, error) {
	k, err := s.rotating(c, in.KeyId)
	if err != nil {
		return nil, err
	}
	k.Rotating, k.Period, k.NextRotate = false, 0, time.Time{}
	if err := c.Cancel(s.scope(k.account, k.region), rotationTimer, k.ID); err != nil {
		return nil, err
	}
	return &kms.DisableKeyRotationResponse{}, s.share(c, k)
}

// GetKeyRotationStatus tells whether and when a key rotates.
func (s *Service) GetKeyRotationStatus(c *call.Call, in *kms.GetKeyRotationStatusRequest) (*kms.GetKeyRotationStatusResponse, error) {
	k, err := s.forChange(c, in.KeyId, true)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	if err := k.rotatable(); err != nil {
		return nil, err
	}
	// A key that waits to be deleted tells that it does not rotate; after CancelKeyDeletion it tells again what was set.
	rotating := k.Rotating && k.State != kms.KeyStatePendingDeletion && k.State != kms.KeyStatePendingReplicaDeletion
	out := &kms.GetKeyRotationStatusResponse{KeyId: &k.ID, KeyRotationEnabled: &rotating}
	if rotating {
		out.RotationPeriodInDays, out.NextRotationDate = new(int32(k.Period)), &k.NextRotate
	}
	return out, nil
}

// RotateKeyOnDemand gives a key new material now: if that is imported, what was imported for it. The schedule of automatic rotation stays as it is.
func (s *Service) RotateKeyOnDemand(c *call.Call, in *kms.RotateKeyOnDemandRequest) (*kms.RotateKeyOnDemandResponse, error) {
	k, err := s.rotating(c, in.KeyId)
	if err != nil {
		return nil, err
	}
	if k.OnDemand >= maxOnDemand {
		return nil, &kms.LimitExceededException{Message: fmt.Sprintf("The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: %s", k.arn)}
	}
	if k.Origin == kms.OriginTypeExternal {
		awaited, err := s.awaited(c, k)
		if err != nil {
			return nil, err
		}
		if awaited {
			return nil, &kms.KMSInvalidStateException{Message: fmt.Sprintf("No available key material pending rotation for the key: %s.", k.arn)}
		}
	}
	k.OnDemand++
	if err := s.rotate(c, k, kms.RotationTypeOnDemand); err != nil {
		return nil, err
	}
	return &kms.RotateKeyOnDemandResponse{KeyId: &k.ID}, s.share(c, k)
}

// rotate adds material, new or that which was imported for it, and tells of it.
func (s *Service) rotate(c *call.Call, k *key, how kms.RotationType) error {
	if k.Origin == kms.OriginTypeExternal {
		m := *k.Pending
		m.Created, m.Rotation = c.Time, how
		k.Materials, k.Pending = append(k.Materials, m), nil
	} else if err := s.addMaterial(c, k, how); err != nil {
		return err
	}
	return s.emit(c, k, "KMS CMK Rotation")
}

// emit raises an event about a key: https://docs.aws.amazon.com/kms/latest/developerguide/kms-events.html
func (s *Service) emit(c *call.Call, k *key, what string) error {
	detail, err := json.Marshal(map[string]string{"key-id": k.ID})
	if err != nil {
		return err
	}
	return c.Emit(outbox.Event{
		DetailType: what, Source: "aws.kms", Account: k.account, Region: k.region, Time: c.Time, Resources: []string{k.arn}, Detail: detail,
	})
}

func (s *Service) scheduleRotation(c *call.Call, k *key) error {
	return c.At(k.NextRotate, s.scope(k.account, k.region), rotationTimer, k.ID, nil)
}

// rotateDue is what the rotation timer does. A key that is not enabled is left alone: enabling it sets the timer again, for the time that has passed.
func (s *Service) rotateDue(c *call.Call, id string, _ []byte) error {
	k, err := s.read(c.Tx(), place{c.Scope.Account, c.Scope.Region, id})
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !k.Rotating || k.State != kms.KeyStateEnabled || k.replica() {
		return nil
	}
	if err := s.rotate(c, k, kms.RotationTypeAutomatic); err != nil {
		return err
	}
	// From the date it was due, so that the schedule does not drift; from now for a key that was disabled then.
	from := k.NextRotate
	if c.Time.Sub(from) > day {
		from = c.Time
	}
	k.NextRotate = from.Add(time.Duration(k.Period) * day)
	if err := s.scheduleRotation(c, k); err != nil {
		return err
	}
	if err := serviceEvent(c, k, "RotateKey"); err != nil {
		return err
	}
	return s.share(c, k)
}

// serviceEvent puts on record what happened to a key without anybody having asked for it.
func serviceEvent(c *call.Call, k *key, name string) error {
	return serviceEventWith(c, k, name, map[string]string{"keyId": k.ID})
}

func serviceEventWith(c *call.Call, k *key, name string, with map[string]string) error {
	details, err := json.Marshal(with)
	if err != nil {
		return err
	}
	c.Touch(audit.Resource{Account: k.account, Type: keyType, ARN: k.arn})
	c.ServiceEvent(name, details)
	return nil
}

// ListKeyRotations lists the rotations of a key, or all of its material, newest last.
func (s *Service) ListKeyRotations(c *call.Call, in *kms.ListKeyRotationsRequest) (*kms.ListKeyRotationsResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	if err := k.rotatable(); err != nil {
		return nil, err
	}
	var all []kms.RotationsListEntry
	for i, m := range k.Materials {
		if m.Rotation == "" && in.IncludeKeyMaterial != kms.IncludeKeyMaterialAllKeyMaterial {
			continue
		}
		e := kms.RotationsListEntry{KeyId: &k.ID, KeyMaterialId: &m.ID, KeyMaterialState: kms.KeyMaterialStateNonCurrent, RotationType: m.Rotation}
		if i == len(k.Materials)-1 {
			e.KeyMaterialState = kms.KeyMaterialStateCurrent
		}
		if m.Rotation != "" {
			e.RotationDate = &m.Created
		}
		k.tellImport(&e, &m)
		all = append(all, e)
	}
	if m := k.Pending; m != nil && in.IncludeKeyMaterial == kms.IncludeKeyMaterialAllKeyMaterial {
		e := kms.RotationsListEntry{KeyId: &k.ID, KeyMaterialId: &m.ID, KeyMaterialState: kms.KeyMaterialStatePendingRotation}
		awaited, err := s.awaited(c, k)
		if err != nil {
			return nil, err
		}
		if awaited {
			e.KeyMaterialState = kms.KeyMaterialStatePendingMultiRegionImportAndRotation
		}
		k.tellImport(&e, m)
		all = append(all, e)
	}
	begin := 0
	if in.Marker != nil {
		// A marker is the material ID of the last entry of the page before it.
		for i := range all {
			if *all[i].KeyMaterialId == *in.Marker {
				begin = i + 1
			}
		}
		if begin == 0 {
			return nil, &kms.InvalidMarkerException{Message: "Could not deserialize marker"}
		}
	}
	end := min(len(all), begin+limit(in.Limit, 100))
	out := &kms.ListKeyRotationsResponse{Rotations: all[begin:end], Truncated: new(end < len(all))}
	if end < len(all) {
		out.NextMarker = all[end-1].KeyMaterialId
	}
	return out, nil
}

// tellImport adds to an entry what is told of imported material alone.
func (k *key) tellImport(e *kms.RotationsListEntry, m *material) {
	if k.Origin != kms.OriginTypeExternal {
		return
	}
	if m.Description != "" {
		e.KeyMaterialDescription = &m.Description
	}
	e.ImportState = kms.ImportStatePendingImport
	if m.Wrapped == nil {
		return
	}
	e.ImportState, e.ExpirationModel = kms.ImportStateImported, kms.ExpirationModelTypeKeyMaterialDoesNotExpire
	if !m.ValidTo.IsZero() {
		e.ExpirationModel, e.ValidTo = kms.ExpirationModelTypeKeyMaterialExpires, &m.ValidTo
	}
}
