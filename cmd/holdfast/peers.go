package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/remote"
)

// peers are the flags that say which processes are one cloud.
type peers struct {
	regions []string
	urls    map[string]*url.URL
	secret  string // file:PATH or env:NAME
	ca      string
}

func (p *peers) register(f *flags) {
	f.Func("peer", "another process of this cloud and the region that it serves, which is not served here then: `REGION=URL`; may be given several times, or with commas", p.add)
	f.StringVar(&p.secret, "peer-secret", "", "`where` the secret is that the processes of a cloud have in common, 32 characters or more: file:PATH or env:NAME")
	f.StringVar(&p.ca, "peer-ca", "", "PEM `file` with the authorities that vouch for the peers' certificates (default those of the machine)")
	f.Func("serves", "with --peer, a further `region` that this process serves beside that of --region; may be given several times, or with commas", func(text string) error {
		for one := range strings.SplitSeq(text, ",") {
			p.regions = append(p.regions, strings.TrimSpace(one))
		}
		return nil
	})
}

func (p *peers) add(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		region, address, ok := strings.Cut(strings.TrimSpace(one), "=")
		u, err := url.Parse(address)
		if !ok || err != nil || u.Host == "" {
			return fmt.Errorf("%q is not like us-east-1=https://cloud.example.com:4566", one)
		}
		if p.urls[region] != nil {
			return fmt.Errorf("region %s has two peers", region)
		}
		if p.urls == nil {
			p.urls = make(map[string]*url.URL)
		}
		p.urls[region] = u
	}
	return nil
}

// config is nil where one process serves all regions.
func (p *peers) config(e *env, region string) (*remote.PeersConfig, error) {
	if len(p.urls) == 0 {
		if p.secret != "" || p.ca != "" || len(p.regions) > 0 {
			return nil, fmt.Errorf("%w: --peer-secret, --peer-ca and --serves go with --peer", errUsage)
		}
		return nil, nil
	}
	cfg := &remote.PeersConfig{Regions: append(slices.Clone(p.regions), region), Peers: p.urls}
	if p.secret == "" {
		return nil, fmt.Errorf("%w: --peer needs --peer-secret file:PATH or env:NAME", errUsage)
	}
	var err error
	if cfg.Secret, err = readSecret(e, "peer-secret", p.secret); err != nil {
		return nil, err
	}
	cfg.CAs, err = authorities("peer-ca", p.ca)
	return cfg, err
}
