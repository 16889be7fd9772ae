package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
)

// keyStores are the flags that say how external key store proxies are reached.
type keyStores struct {
	networks networks
	ca       string
	connect  map[string]string
}

func (k *keyStores) register(f *flags) {
	f.Func("xks-network", "`network`, such as 10.0.0.0/8, that proxies of external key stores may be in beside the public internet; may be given several times, or with commas", k.networks.add)
	f.StringVar(&k.ca, "xks-ca", "", "PEM `file` with the authorities that vouch for the certificates of such proxies (default those of the machine)")
	f.Func("xks-connect", "where such a proxy listens, `NAME=ADDRESS`, such as xks.example.com=10.0.0.5:8443, in place of port 443 of what its name resolves to; NAME may be that of a VPC endpoint service; may be given several times, or with commas", k.add)
}

// add takes NAME=ADDRESS, or several with commas between.
func (k *keyStores) add(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		name, address, ok := strings.Cut(strings.TrimSpace(one), "=")
		if host, port, err := net.SplitHostPort(address); !ok || name == "" || err != nil || host == "" || port == "" {
			return fmt.Errorf("%q is not of the form xks.example.com=10.0.0.5:8443", one)
		}
		if k.connect == nil {
			k.connect = make(map[string]string)
		}
		k.connect[strings.ToLower(name)] = address
	}
	return nil
}

func (k *keyStores) config() (xksproxy.Config, error) {
	cfg := xksproxy.Config{Allow: k.networks, Connect: k.connect}
	roots, err := authorities("xks-ca", k.ca)
	cfg.Roots = roots
	return cfg, err
}

// authorities are those whose certificates lie in a PEM file that a flag names, or nil where it names none: those of the machine.
func authorities(flag, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: --%s: %s has no certificate in it", errUsage, flag, file)
	}
	return roots, nil
}
