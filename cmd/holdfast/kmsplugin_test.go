package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPluginSettings(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	noCertificate := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noCertificate, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		settings pluginSettings
		env      []string
		region   string
		err      string
	}{
		"OK":                {settings: pluginSettings{key: key}, region: "eu-west-1"},
		"RegionOfTheFlag":   {settings: pluginSettings{key: key, connection: connection{region: "eu-central-1"}}, region: "eu-central-1"},
		"RegionOfTheTools":  {settings: pluginSettings{key: "alias/k"}, env: []string{"AWS_REGION", "ap-south-1"}, region: "ap-south-1"},
		"RegionByDefault":   {settings: pluginSettings{key: "alias/k"}, region: "us-east-1"},
		"EndpointOfTheTool": {settings: pluginSettings{key: key}, env: []string{"AWS_ENDPOINT_URL", "http://kms.example.com"}, err: "https is required"},
		"NoKey":             {err: "--key-id"},
		"NoSocket":          {settings: pluginSettings{key: key, listen: "127.0.0.1:80"}, err: "--listen"},
		"RelativeSocket":    {settings: pluginSettings{key: key, listen: "unix://kms.sock"}, err: "--listen"},
		"NoEndpoint":        {settings: pluginSettings{key: key, connection: connection{endpoint: "kms.example.com"}}, err: "endpoint"},
		"Overheard":         {settings: pluginSettings{key: key, connection: connection{endpoint: "http://10.0.0.1:4566"}}, err: "https is required"},
		"HTTPS":             {settings: pluginSettings{key: key, connection: connection{endpoint: "https://kms.example.com"}}, region: "eu-west-1"},
		"NoCA":              {settings: pluginSettings{key: key, connection: connection{ca: noCertificate + ".none"}}, err: "reading the authorities"},
		"NoCertificate":     {settings: pluginSettings{key: key, connection: connection{ca: noCertificate}}, err: "has no certificate in it"},
	} {
		t.Run(name, func(t *testing.T) {
			e, _, _ := environment(c.env...)
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_DEFAULT_REGION", "")
			t.Setenv("AWS_REGION", e.getenv("AWS_REGION")) // the SDK reads that by itself
			s := c.settings
			s.cluster = "blue"
			if s.listen == "" {
				s.listen = "unix:///run/kms.sock"
			}
			got, socket, err := s.config(t.Context(), e)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("config: %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil || socket != "/run/kms.sock" || got.Region() != c.region {
				t.Errorf("config: %q, %v, want region %s", socket, err, c.region)
			}
		})
	}
}
