package xks_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cloud"
)

// BenchmarkRoundTrip is a call of the proxy over loopback HTTP, client and signature included: what another KMS waits for beside its network.
func BenchmarkRoundTrip(b *testing.B) {
	h := build(b, func(c *cloud.Config) { c.AuditSync = 100 * time.Millisecond })
	tr := h.transport(h.User(h.Account, "proxy", full), "")
	tr.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer tr.HTTP.CloseIdleConnections()
	h.proxy = xks.Client{Transport: tr}
	made := h.encrypt(strings.Repeat("k", 32), "aad")
	for name, run := range map[string]func() error{
		"Encrypt": func() error {
			_, err := h.proxy.Encrypt(nil, encryption(h.key, strings.Repeat("k", 32), "aad"))
			return err
		},
		"EncryptWithIntegrity": func() error {
			in := encryption(h.key, strings.Repeat("k", 32), "aad")
			in.CiphertextDataIntegrityValueAlgorithm = "SHA_256"
			_, err := h.proxy.Encrypt(nil, in)
			return err
		},
		"Decrypt": func() error {
			_, err := h.proxy.Decrypt(nil, decryption(h.key, made, "aad"))
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
