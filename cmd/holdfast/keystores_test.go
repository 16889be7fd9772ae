package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestKeyStores(t *testing.T) {
	var k keyStores
	for _, text := range []string{"XKS.example.com=10.0.0.5:8443, other.example.com=[::1]:443", "third.example.com=localhost:4566"} {
		if err := k.add(text); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"xks.example.com": "10.0.0.5:8443", "other.example.com": "[::1]:443", "third.example.com": "localhost:4566"}
	cfg, err := k.config()
	if err != nil || !maps.Equal(cfg.Connect, want) || cfg.Roots != nil {
		t.Errorf("the configuration is %+v, %v", cfg, err)
	}
	for _, text := range []string{"", "x", "=1.2.3.4:5", "x=1.2.3.4", "x=:443", "x=1.2.3.4:"} {
		if err := new(keyStores).add(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	dir := t.TempDir()
	cert, _, pool := certificate(t, dir)
	if cfg, err = (&keyStores{ca: cert}).config(); err != nil || !cfg.Roots.Equal(pool) {
		t.Errorf("the authorities of %s: %v", cert, err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, filepath.Join(dir, "absent")} {
		if _, err := (&keyStores{ca: file}).config(); err == nil {
			t.Errorf("authorities are found in %s", file)
		}
	}
}
