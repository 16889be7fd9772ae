package events

import (
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/meter"
)

// namespace is where EventBridge's metrics are: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
const namespace = "AWS/Events"

// series names a metric of a rule, or of a bus where rule is empty.
func series(bus busKey, rule, name, unit string) meter.Series {
	x := meter.Series{Account: bus.Account, Region: bus.Region, Namespace: namespace, Name: name, Unit: unit}
	if bus.Name != defaultBus {
		x.Dimensions = append(x.Dimensions, meter.Dimension{Name: "EventBusName", Value: bus.Name})
	}
	if rule != "" {
		x.Dimensions = append(x.Dimensions, meter.Dimension{Name: "RuleName", Value: rule})
	}
	return x
}

// count adds to a metric when the call's transaction has committed.
func (s *Service) count(c *call.Call, bus busKey, rule, name string, n float64) {
	if s.cfg.Meter != nil {
		c.Tx().OnCommitted(func() { s.countNow(c, bus, rule, name, n) })
	}
}

func (s *Service) countNow(c *call.Call, bus busKey, rule, name string, n float64) {
	s.cfg.Meter.Add(series(bus, rule, name, meter.Count), c.Time, n)
}

// countLatency tells how long an event has waited for its first attempt.
func (s *Service) countLatency(c *call.Call, t *targetRecord, p *delivery.Parcel) {
	if s.cfg.Meter == nil {
		return
	}
	waited := float64(c.Time.Sub(p.Created).Milliseconds())
	c.Tx().OnCommitted(func() {
		s.cfg.Meter.Add(series(t.bus(), t.Rule, "IngestionToInvocationStartLatency", meter.Milliseconds), c.Time, waited)
	})
}

// countPut counts a request that put events.
func (s *Service) countPut(c *call.Call, entries, failed, size int) {
	if s.cfg.Meter == nil {
		return
	}
	bus := busKey{c.Scope.Account, c.Scope.Region, defaultBus} // these metrics have no dimension
	c.Tx().OnCommitted(func() {
		s.countNow(c, bus, "", "PutEventsApproximateCallCount", 1)
		s.countNow(c, bus, "", "PutEventsApproximateSuccessCount", 1)
		s.countNow(c, bus, "", "PutEventsEntriesCount", float64(entries))
		s.countNow(c, bus, "", "PutEventsFailedEntriesCount", float64(failed))
		s.cfg.Meter.Add(series(bus, "", "PutEventsRequestSize", meter.Bytes), c.Time, float64(size))
	})
}
