package cloud

import (
	"github.com/prometheus/client_golang/prometheus"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	logsapi "github.com/holdfast-cloud/holdfast/api/logs"
	organizationsapi "github.com/holdfast-cloud/holdfast/api/organizations"
	s3api "github.com/holdfast-cloud/holdfast/api/s3"
	snsapi "github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/cloudtrail"
)

func (c *core) openCloudTrail(cfg Config, partition string) ([]door.Room, error) {
	t, err := cloudtrail.New(cloudtrail.Config{
		History: c.trail, Feed: c.trail, Store: c.store, Blob: c.blob, Seal: c.keyring, Principals: c.directory, Organizations: c.members, Partition: partition,
		S3: s3api.Client{Transport: doorway{c}}, KMS: kmsapi.Client{Transport: doorway{c}}, Registrar: organizationsapi.Client{Transport: doorway{c}},
		SNS: snsapi.Client{Transport: doorway{c}}, Logs: logsapi.Client{Transport: doorway{c}},
		Report: func(err error) { cfg.Log.Error("cloudtrail", "cause", err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	c.trails = t
	c.background(t.Run)
	c.sweeper.Owners[cloudtrail.LakeObjects] = t.Unnamed
	return t.Rooms(), nil
}

// measureDeliveries registers the metrics of what trails deliver.
func (c *core) measureDeliveries(t *cloudtrail.Service) {
	counter := func(name, help string, value func(cloudtrail.Stats) uint64) {
		c.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value(t.Stats())) }))
	}
	counter("holdfast_trail_files_total", "Log files that trails delivered.", func(s cloudtrail.Stats) uint64 { return s.Files })
	counter("holdfast_trail_events_total", "Events in them.", func(s cloudtrail.Stats) uint64 { return s.Events })
	counter("holdfast_trail_failures_total", "Log files that a bucket refused; they are tried again.", func(s cloudtrail.Stats) uint64 { return s.Failures })
	counter("holdfast_trail_digests_total", "Digest files that trails delivered.", func(s cloudtrail.Stats) uint64 { return s.Digests })
	counter("holdfast_trail_digest_failures_total", "Digest files that a bucket refused; they are tried again.", func(s cloudtrail.Stats) uint64 { return s.DigestFailures })
	c.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_trail_lag_seconds", Help: "For how long the trail whose delivery fails longest has had no file delivered; 0 when none fails.",
	}, func() float64 {
		since := t.Stats().Failing
		if since.IsZero() {
			return 0
		}
		return c.clock.Now().Sub(since).Seconds()
	}))
}
