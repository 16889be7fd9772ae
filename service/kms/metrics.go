package kms

import (
	"context"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// maxExpiring is of how many keys it is published at a time when their material expires, so that a minute costs only so much.
const maxExpiring = 10_000

// gauge publishes how long it is until imported material expires, of each key the one that is first. The timers that delete it tell when that is, so no key is read:
// https://docs.aws.amazon.com/kms/latest/developerguide/monitoring-cloudwatch.html#key-material-expiration-metric
func (s *Service) gauge(ctx context.Context, at time.Time, add meter.Adder) {
	_ = s.cfg.Store.View(ctx, func(r store.Reader) error { // what is not published now is in a minute
		n := 0
		for t, err := range timer.All(r, kms.Service.Package, expiryTimer) {
			if err != nil {
				return err
			}
			add(meter.Series{
				Account: t.Account, Region: t.Region, Namespace: "AWS/KMS", Name: "SecondsUntilKeyMaterialExpiration", Unit: meter.Seconds,
				Dimensions: []meter.Dimension{{Name: "KeyId", Value: t.Subject}},
			}, max(0, t.Wanted.Sub(at).Seconds()))
			if n++; n == maxExpiring {
				return nil
			}
		}
		return nil
	})
}
