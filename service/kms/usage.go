package kms

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
)

// usage remembers the last use of each key until it is written. Uses are many and their last is all that counts, so they are written
// together every usageInterval: a crash loses that much of GetKeyLastUsage, while the audit trail has every use.
type usage struct {
	mu      sync.Mutex             // guards the maps; nothing is written under it
	fresh   map[place]*usageRecord // not written yet
	writing map[place]*usageRecord // being written; not changed any more
}

const usageInterval = time.Second

// used notes a successful cryptographic operation.
func (s *Service) used(c *call.Call, k *key, op kms.KeyLastUsageTrackingOperation) {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	r := s.uses.fresh[k.place]
	if r == nil {
		if s.uses.fresh == nil {
			s.uses.fresh = make(map[place]*usageRecord)
		}
		r = &usageRecord{KeyID: k.ID}
		s.uses.fresh[k.place] = r
	}
	r.Operation, r.Time, r.EventID, r.RequestID = op, c.Time, c.EventID, c.RequestID
}

// last returns the last use that is not written yet.
func (u *usage) last(p place) (usageRecord, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, m := range []map[place]*usageRecord{u.fresh, u.writing} {
		if r := m[p]; r != nil {
			return *r, true
		}
	}
	return usageRecord{}, false
}

// runUsage writes the last uses every usageInterval, and what is left when ctx ends.
func (s *Service) runUsage(ctx context.Context) {
	for range clock.Tick(ctx, usageInterval) {
		if err := s.writeUsage(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Report(err)
		}
	}
	if err := s.writeUsage(context.WithoutCancel(ctx)); err != nil {
		s.cfg.Report(err)
	}
}

// usageBatch bounds the keys that one transaction notes the use of.
const usageBatch = 500

func (s *Service) writeUsage(ctx context.Context) error {
	for {
		batch := s.takeUsage()
		if len(batch) == 0 {
			return nil
		}
		err := s.cfg.Store.Update(ctx, func(tx store.Tx) error {
			for p, r := range batch {
				// A key that was deleted meanwhile has no use any more.
				if _, err := keyTable.In(p.account, p.region).Get(tx, p.id); missing(err) {
					continue
				} else if err != nil {
					return err
				}
				if err := usageTable.In(p.account, p.region).Put(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		s.wroteUsage(batch, err)
		if err != nil {
			return fmt.Errorf("writing the last uses of keys: %w", err)
		}
	}
}

func (s *Service) takeUsage() map[place]*usageRecord {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	batch := make(map[place]*usageRecord)
	for p, r := range s.uses.fresh {
		if len(batch) == usageBatch {
			break
		}
		batch[p] = r
		delete(s.uses.fresh, p)
	}
	s.uses.writing = batch
	return batch
}

// wroteUsage ends the writing of a batch, which is fresh again if it failed.
func (s *Service) wroteUsage(batch map[place]*usageRecord, err error) {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	s.uses.writing = nil
	if err == nil {
		return
	}
	for p, r := range batch {
		if s.uses.fresh[p] == nil {
			s.uses.fresh[p] = r
		}
	}
}

// lastUse is the last use of a key, if there was one.
func (s *Service) lastUse(c *call.Call, k *key) (last usageRecord, ok bool, err error) {
	if last, ok = s.uses.last(k.place); ok {
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
