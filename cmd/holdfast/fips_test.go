package main

import (
	"crypto/fips140"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

// wantRefusedFIPS wants serve --fips to say why it does not start.
func wantRefusedFIPS(t *testing.T, why string) {
	t.Helper()
	if status, _, err := runCommand(t, "serve", "--fips", "--listen", "127.0.0.1:0", "--data", t.TempDir()); status != 1 || !strings.Contains(err, why) {
		t.Errorf("serve --fips: status %d, %q, want 1 and %q", status, err, why)
	}
}

// TestFIPS is worth most in a binary that was built with GOFIPS140, as .ci/check fips does.
func TestFIPS(t *testing.T) {
	if !fips140.Enabled() {
		wantRefusedFIPS(t, "not in FIPS mode")
		if out := wantCommand(t, 0, "version"); !strings.Contains(out, "FIPS mode off") {
			t.Errorf("version: %q", out)
		}
	}
	if !fipstest.Only(t) {
		return
	}
	module := fips140.Version()
	if out := wantCommand(t, 0, "version"); !strings.Contains(out, "FIPS mode "+module) {
		t.Errorf("version: %q, want the module's", out)
	}
	if module == "latest" {
		wantRefusedFIPS(t, "no frozen version")
		return
	}
	s := start(t, t.TempDir(), "--fips")
	if !strings.Contains(s.out.String(), "FIPS mode: Go Cryptographic Module "+module) {
		t.Errorf("the banner does not tell: %s", s.out)
	}
	resp, err := http.Get(s.endpoint + "/_holdfast/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), `"fips":"`+module+`"`) {
		t.Errorf("health is %s, %v", text, err)
	}
}
