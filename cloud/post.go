package cloud

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-cloud/holdfast/delivery"
)

// postMetrics are the metrics of what services deliver, by service and kind.
type postMetrics struct{ c *core }

func postDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("holdfast_delivery_"+name, help, []string{"service", "kind"}, nil)
}

// Describe implements prometheus.Collector.
func (m postMetrics) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, descs) }

// Collect implements prometheus.Collector.
func (m postMetrics) Collect(metrics chan<- prometheus.Metric) {
	for k, n := range m.c.post.Stats() {
		send := func(name, help string, kind prometheus.ValueType, value float64) {
			metrics <- prometheus.MustNewConstMetric(postDesc(name, help), kind, value, k.Service, k.Kind)
		}
		send("delivered_total", "Parcels that were delivered.", prometheus.CounterValue, float64(n.Delivered))
		send("failures_total", "Attempts to deliver a parcel that failed.", prometheus.CounterValue, float64(n.Failed))
		send("given_up_total", "Parcels that were given up, and went to a dead-letter queue if there is one.", prometheus.CounterValue, float64(n.GivenUp))
		send("waiting_lanes", "Receivers that are tried again later.", prometheus.GaugeValue, float64(n.Waiting))
		send("lag_seconds", "Age of the oldest parcel that is not delivered.", prometheus.GaugeValue, m.lag(n))
	}
}

func (m postMetrics) lag(n delivery.Stats) float64 {
	if n.Oldest.IsZero() {
		return 0
	}
	return max(0, m.c.clock.Now().Sub(n.Oldest).Seconds())
}
