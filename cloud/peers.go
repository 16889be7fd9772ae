package cloud

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/service/kms"
)

// peersCaller is as whom the processes of a cloud call each other: the principal that AWS KMS has for its own work on multi-Region keys,
// https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-auth-slr.html
const peersCaller = "mrk.kms.amazonaws.com"

// openPeers returns the processes that serve other regions, or nil.
func openPeers(cfg Config) (*remote.Peers, error) {
	if cfg.Peers == nil {
		return nil, nil
	}
	p := *cfg.Peers
	p.Caller = peersCaller
	if len(p.Regions) == 0 {
		p.Regions = []string{cfg.Region}
	}
	if !slices.Contains(p.Regions, cfg.Region) {
		return nil, fmt.Errorf("the default region %s is not among those that are served here", cfg.Region)
	}
	if len(p.Peers) == 0 {
		return nil, fmt.Errorf("there is no peer: without any, a process serves all regions")
	}
	partition := door.PartitionOf(cfg.Region)
	all := slices.Clone(p.Regions)
	for region := range p.Peers {
		all = append(all, region)
	}
	for _, region := range all {
		if !door.ValidRegion(partition, region) {
			return nil, fmt.Errorf("%q is no region of the partition %s", region, partition)
		}
	}
	return remote.NewPeers(p)
}

// join gives the Key Management Service its peers.
func (c *core) join(cfg *kms.Config) {
	if c.peers == nil {
		return
	}
	cfg.Peers = c.peers
	cfg.Perform = func(ctx context.Context, account, region string, do func(*call.Call) error) error {
		return c.door.Perform(ctx, "kms", account, region, do)
	}
}

// measurePeers registers the metrics of what goes between this process and the others.
func (c *core) measurePeers(k *kms.Service) {
	if c.peers == nil {
		return
	}
	for _, region := range c.peers.Regions() {
		labels := prometheus.Labels{"region": region}
		c.registry.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_peer_waiting", Help: "Changes of multi-Region keys that a peer has yet to be told.", ConstLabels: labels},
				func() float64 { return float64(k.CourierStats(region).Waiting) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_peer_taken_total", Help: "Changes of multi-Region keys that a peer has taken.", ConstLabels: labels},
				func() float64 { return float64(k.CourierStats(region).Taken) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_peer_failures_total", Help: "Attempts to tell a peer of a change that failed.", ConstLabels: labels},
				func() float64 { return float64(k.CourierStats(region).Failed) }),
		)
	}
}
