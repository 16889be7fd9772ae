package main

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// What the command prints is what CreateCustomKeyStore takes: https://docs.aws.amazon.com/kms/latest/APIReference/API_XksProxyAuthenticationCredentialType.html
func TestProxyCredentials(t *testing.T) {
	dir := t.TempDir()
	c, err := cloud.Open(t.Context(), cloud.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	out := wantCommand(t, 0, "credentials", "--data", dir, "--user", "proxy", "--xks-proxy", "--region", "eu-central-1")
	var k keyStore
	if err := json.Unmarshal([]byte(out), &k); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, tt := range map[string]struct{ value, pattern string }{
		"XksProxyUriPath":    {k.XksProxyUriPath, `^/eu-central-1/kms/xks/v1$`},
		"AccessKeyId":        {k.XksProxyAuthenticationCredential.AccessKeyId, `^[A-Z2-7]{20,30}$`},
		"RawSecretAccessKey": {k.XksProxyAuthenticationCredential.RawSecretAccessKey, `^[a-zA-Z0-9\/+=]{43,64}$`},
	} {
		if !regexp.MustCompile(tt.pattern).MatchString(tt.value) {
			t.Errorf("%s does not match %s", name, tt.pattern)
		}
	}
	wantCommand(t, 2, "credentials", "--data", dir, "--xks-proxy")
}
