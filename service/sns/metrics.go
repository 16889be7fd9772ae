package sns

import (
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/meter"
)

// The metrics of https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html, as far as there is what they count.

// add counts something of a topic once the transaction is committed.
func (s *Service) add(t *topic, name, unit string, value float64) {
	if s.cfg.Meter == nil {
		return
	}
	series, at := t.series(name, unit), t.c.Time
	t.c.Tx().OnCommitted(func() { s.cfg.Meter.Add(series, at, value) })
}

func (t *topic) series(name, unit string) meter.Series {
	return meter.Series{
		Account: t.account, Region: t.region, Namespace: "AWS/SNS", Name: name, Unit: unit, Dimensions: []meter.Dimension{{Name: "TopicName", Value: t.Name}},
	}
}

func (s *Service) count(t *topic, name string, n int) { s.add(t, name, meter.Count, float64(n)) }

func (s *Service) measureSize(t *topic, bytes int) {
	s.add(t, "PublishSize", meter.Bytes, float64(bytes))
}

// countFiltered counts a message that a filter policy kept from a subscription.
func (s *Service) countFiltered(t *topic, m *message, scope eventpattern.Scope) {
	s.count(t, "NumberOfNotificationsFilteredOut", 1)
	switch {
	case scope == eventpattern.MessageBody:
		s.count(t, "NumberOfNotificationsFilteredOut-MessageBody", 1)
	case len(m.Attributes) == 0:
		s.count(t, "NumberOfNotificationsFilteredOut-NoMessageAttributes", 1)
	default:
		s.count(t, "NumberOfNotificationsFilteredOut-MessageAttributes", 1)
	}
}

const delivered = "NumberOfNotificationsDelivered"

// countArrived counts a message that has arrived outside of this cloud, when no transaction is open.
func (s *Service) countArrived(d *parcel) {
	if d.m.Kind == notification && s.cfg.Meter != nil {
		s.cfg.Meter.Add(d.t.series(delivered, meter.Count), d.c.Time, 1)
	}
}
