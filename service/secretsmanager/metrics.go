package secretsmanager

import (
	"context"
	"time"

	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
)

// counted are the dimensions of the number of secrets.
var counted = []meter.Dimension{{Name: "Class", Value: "None"}, {Name: "Resource", Value: "SecretCount"}, {Name: "Service", Value: "Secrets Manager"}, {Name: "Type", Value: "Resource"}}

// gauge publishes how many secrets an account has in a region, with those that wait for their deletion, once an hour as AWS does. No record is decoded for it:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-cloudwatch.html
func (s *Service) gauge(ctx context.Context, at time.Time, add meter.Adder) {
	hour := at.Truncate(time.Hour).Unix()
	if s.hour.Swap(hour) == hour {
		return
	}
	err := s.cfg.Store.View(ctx, func(r store.Reader) error {
		for h, err := range secretTable.Homes(r) {
			if err != nil {
				return err
			}
			n, err := secretTable.In(h.Account, h.Region).Count(r, store.Query{})
			if err != nil {
				return err
			}
			if n > 0 {
				add(meter.Series{Account: h.Account, Region: h.Region, Namespace: "AWS/SecretsManager", Name: "ResourceCount", Dimensions: counted}, float64(n))
			}
		}
		return nil
	})
	if err != nil {
		s.hour.Store(0) // it is tried again in a minute
	}
}
