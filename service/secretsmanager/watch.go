package secretsmanager

import (
	"context"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// watch keeps the caches as the store is.
func (s *Service) watch() {
	secretTable.Watch(s.cfg.Store, func(account, region string, key []string) {
		s.secrets.Forget(place{account, region, key[0]})
	})
	versionTable.Watch(s.cfg.Store, func(account, region string, key []string) {
		if len(key) == 2 {
			s.versions.Forget(versionPlace{place{account, region, key[0]}, key[1]})
		}
	})
}

func (s *Service) loadSecret(ctx context.Context, p place) (sec *secret, err error) {
	err = s.cfg.Store.View(ctx, func(rd store.Reader) error {
		r, err := secretTable.In(p.account, p.region).Get(rd, p.name)
		if err != nil {
			return err
		}
		sec, err = s.ready(ctx, r, s.cfg.Partition)
		return err
	})
	return sec, err
}

func (s *Service) loadVersion(ctx context.Context, p versionPlace) (v *versionRecord, err error) {
	err = s.cfg.Store.View(ctx, func(rd store.Reader) error {
		v, err = versionTable.In(p.account, p.region).Get(rd, p.name, p.id)
		return err
	})
	return v, err
}

// use is the day on which something was read.
type use struct{ day time.Time }

const day = 24 * time.Hour

// used notes that a version was read. Days are all that is told, so that a note is taken once on each.
func (s *Service) used(c *call.Call, sec *secret, v *versionRecord) {
	today := c.Time.UTC().Truncate(day)
	if v.Accessed.Before(today) || sec.Accessed.Before(today) {
		s.uses.Note(versionPlace{sec.place(), v.ID}, use{today})
	}
}

// writeUse writes the day on which a version was last read, if it is still there.
func writeUse(tx store.Tx, p versionPlace, u use) error {
	versions, secrets := versionTable.In(p.account, p.region), secretTable.In(p.account, p.region)
	v, err := versions.Get(tx, p.name, p.id)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if v.Accessed.Before(u.day) {
		v.Accessed = u.day
		if err := versions.Put(tx, v); err != nil {
			return err
		}
	}
	r, err := secrets.Get(tx, p.name)
	if err != nil {
		return err
	}
	if r.Accessed.Before(u.day) {
		r.Accessed = u.day
		return secrets.Put(tx, r)
	}
	return nil
}
