package cloud

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-cloud/holdfast/audit"
)

// measureTrail registers the metrics of the audit trail.
func (c *core) measureTrail() {
	counter := func(name, help string, value func(audit.Stats) uint64) {
		c.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			return float64(value(c.trail.Stats()))
		}))
	}
	counter("holdfast_audit_appended_total", "Audit records of calls that changed nothing.", func(s audit.Stats) uint64 { return s.Appended })
	counter("holdfast_audit_moved_total", "Audit records of changes that moved from the store into the log.", func(s audit.Stats) uint64 { return s.Moved })
	counter("holdfast_audit_missing_total", "Audit records that calls went on without, with --audit-failure continue.", func(s audit.Stats) uint64 { return s.Missing })
	counter("holdfast_audit_refused_total", "Calls that were refused since they could not be recorded.", func(s audit.Stats) uint64 { return s.Refused })
	segments := func(place string, value func(audit.Stats) int) {
		c.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_audit_segments", Help: "Segments of the audit log.", ConstLabels: prometheus.Labels{"place": place},
		}, func() float64 { return float64(value(c.trail.Stats())) }))
	}
	segments("directory", func(s audit.Stats) int { return s.Local })
	segments("blob", func(s audit.Stats) int { return s.Archived })
}
