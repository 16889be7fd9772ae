package door

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts calls. The label code is "" for success.
type metrics struct {
	calls     *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	conflicts prometheus.Counter
}

// meter is what one operation's successes are counted with, found once.
type meter struct {
	ok      prometheus.Counter
	latency prometheus.Observer
}

func newMetrics() *metrics {
	return &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_calls_total", Help: "Calls by service, operation and error code; the code of a success is empty.",
		}, []string{"service", "operation", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_call_seconds", Help: "Time from a request's first line to its answer, in seconds.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"service", "operation"}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_call_conflicts_total", Help: "Calls that were run again because their transaction conflicted.",
		}),
	}
}

// Collectors are the door's metrics, for a registry.
func (d *Door) Collectors() []prometheus.Collector {
	return []prometheus.Collector{d.metrics.calls, d.metrics.latency, d.metrics.conflicts}
}

func (m *metrics) meter(service, operation string) *meter {
	return &meter{m.calls.WithLabelValues(service, operation, ""), m.latency.WithLabelValues(service, operation)}
}

func (m *metrics) observe(rt *route, err error, elapsed time.Duration) {
	if rt.meter != nil {
		rt.meter.latency.Observe(elapsed.Seconds())
		if err == nil {
			rt.meter.ok.Inc()
			return
		}
	}
	name := rt.name
	if !rt.known {
		name = "unknown" // a caller's invention must not become a label
	}
	code, _ := told(err)
	m.calls.WithLabelValues(rt.service.Package, name, code).Inc()
}
