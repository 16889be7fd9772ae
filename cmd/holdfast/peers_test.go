package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPeerFlags holds what a process says that is told of its peers what cannot be.
func TestPeerFlags(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	good := write("good", strings.Repeat("secret!!", 5)+"\n", 0o600)
	short := write("short", "secret", 0o600)
	open := write("open", strings.Repeat("secret!!", 5), 0o644)
	noCA := strings.TrimPrefix(write("ca", "no certificate", 0o600), "file:")
	for name, tt := range map[string]struct {
		args   string
		status int
		want   string
	}{
		"NoSecret":       {"--peer eu-west-1=https://west.example.com", 2, "--peer needs --peer-secret"},
		"NoSuchVariable": {"--peer eu-west-1=https://west.example.com --peer-secret env:HOLDFAST_TEST_NOTHING", 2, "the environment has no HOLDFAST_TEST_NOTHING"},
		"ShortSecret":    {"--peer eu-west-1=https://west.example.com --peer-secret " + short, 1, "needs 32 or more"},
		"OpenSecret":     {"--peer eu-west-1=https://west.example.com --peer-secret " + open, 1, "can be read by others"},
		"NoPeer":         {"--peer-secret " + good, 2, "go with --peer"},
		"Alone":          {"--serves eu-west-1", 2, "go with --peer"},
		"NoURL":          {"--peer eu-west-1 --peer-secret " + good, 2, "is not like us-east-1=https://"},
		"PlainHTTP":      {"--peer eu-west-1=http://west.example.com --peer-secret " + good, 1, "must begin with https"},
		"Twice":          {"--peer eu-west-1=https://a.example.com,eu-west-1=https://b.example.com --peer-secret " + good, 2, "has two peers"},
		"Own":            {"--peer us-east-1=https://a.example.com --peer-secret " + good, 1, "is served here"},
		"OtherPartition": {"--peer cn-north-1=https://a.example.com --peer-secret " + good, 1, "no region of the partition aws"},
		"NoCertificate":  {"--peer eu-west-1=https://a.example.com --peer-ca " + noCA + " --peer-secret " + good, 2, "has no certificate in it"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, strings.Fields(tt.args)...)
			if out := wantCommand(t, tt.status, args...); !strings.Contains(out, tt.want) {
				t.Errorf("told %q, want %q", out, tt.want)
			}
		})
	}
}
