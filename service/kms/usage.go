package kms

import (
	"strconv"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// used notes a successful cryptographic operation.
func (s *Service) used(c *call.Call, k *key, op kms.KeyLastUsageTrackingOperation) {
	s.uses.Note(k.place, usageRecord{KeyID: k.ID, Operation: op, Time: c.Time, EventID: c.EventID, RequestID: c.RequestID})
}

// writeUsage writes the last use of a key, if that was not deleted meanwhile.
func writeUsage(tx store.Tx, p place, r usageRecord) error {
	if _, err := keyTable.In(p.account, p.region).Get(tx, p.id); missing(err) {
		return nil
	} else if err != nil {
		return err
	}
	return usageTable.In(p.account, p.region).Put(tx, &r)
}

// lastUse is the last use of a key, if there was one.
func (s *Service) lastUse(c *call.Call, k *key) (last usageRecord, ok bool, err error) {
	if last, ok = s.uses.Last(k.place); ok {
		return last, true, nil
	}
	r, err := usageTable.In(k.account, k.region).Get(c.Tx(), k.ID)
	if missing(err) {
		return last, false, nil
	}
	if err != nil {
		return last, false, err
	}
	return *r, true, nil
}

// withIdleDays adds kms:TrailingDaysWithoutKeyUsage, by which policies keep keys that are in use from being disabled and deleted: the whole days since
// the last use, or since the key was made.
func (s *Service) withIdleDays(u *use) error {
	last, ok, err := s.lastUse(u.c, u.key)
	if err != nil {
		return err
	}
	since := u.key.Created
	if ok {
		since = last.Time
	}
	u.with("kms:trailingdayswithoutkeyusage", strconv.Itoa(int(max(0, u.c.Time.Sub(since))/day)))
	return nil
}

// GetKeyLastUsage tells when a key was last used, by what.
func (s *Service) GetKeyLastUsage(c *call.Call, in *kms.GetKeyLastUsageRequest) (*kms.GetKeyLastUsageResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	// Every use since the key was made is tracked.
	out := &kms.GetKeyLastUsageResponse{KeyId: &k.ID, TrackingStartDate: &k.Created, KeyCreationDate: &k.Created}
	last, ok, err := s.lastUse(c, k)
	if err != nil {
		return nil, err
	}
	if ok {
		out.KeyLastUsage = &kms.KeyLastUsageData{
			Operation: last.Operation, Timestamp: &last.Time, CloudTrailEventId: &last.EventID, KmsRequestId: &last.RequestID,
		}
	}
	return out, nil
}
