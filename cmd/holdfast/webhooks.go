package main

import "github.com/holdfast-cloud/holdfast/outbound"

// webhooks are the flags that say how HTTP servers are reached that customers name as targets.
type webhooks struct {
	networks networks
	ca       string
}

func (w *webhooks) register(f *flags) {
	f.Func("webhook-network", "`network`, such as 10.0.0.0/8, that HTTP servers may be in beside the public internet which topics and event rules deliver to; may be given several times, or with commas", w.networks.add)
	f.StringVar(&w.ca, "webhook-ca", "", "PEM `file` with the authorities that vouch for the certificates of such servers (default those of the machine)")
}

func (w *webhooks) config() (outbound.ClientConfig, error) {
	roots, err := authorities("webhook-ca", w.ca)
	return outbound.ClientConfig{Guard: outbound.Guard{Allow: w.networks}, Roots: roots}, err
}
