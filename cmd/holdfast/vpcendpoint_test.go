package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

var endpointListens = regexp.MustCompile(`vpce-\w+ listens on (\S+)`)

// TestVPCEndpoint calls through two endpoints and past them: key policies tell them apart, and an endpoint's own policy lets through what it allows.
func TestVPCEndpoint(t *testing.T) {
	dir := t.TempDir()
	only := filepath.Join(dir, "only.json")
	document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":["kms:DescribeKey","kms:Encrypt"],"Resource":"*"}}`
	if err := os.WriteFile(only, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--vpc-endpoint", "vpce-0a1b2c3d4e5f60718=127.0.0.1:0,vpc=vpc-11112222", "--vpc-endpoint", "vpce-0f0f0f0f0f0f0f0f0=127.0.0.1:0,policy="+only)
	ways := endpointListens.FindAllStringSubmatch(s.out.String(), -1)
	if len(ways) != 2 {
		t.Fatalf("the server tells of %d endpoints:\n%s", len(ways), s.out)
	}
	past := kms.NewFromConfig(s.config(s.id, s.secret))
	through := func(i int) *kms.Client {
		return kms.NewFromConfig(s.config(s.id, s.secret), func(o *kms.Options) { o.BaseEndpoint = &ways[i][1] })
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Effect": "Allow", "Principal": map[string]string{"AWS": "000000000000"}, "Action": "kms:*", "Resource": "*"},
		map[string]any{"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*", "Condition": map[string]any{
			"StringNotEquals": map[string]string{"aws:SourceVpce": "vpce-0a1b2c3d4e5f60718"},
		}},
		map[string]any{"Effect": "Deny", "Principal": "*", "Action": "kms:EnableKeyRotation", "Resource": "*", "Condition": map[string]any{
			"StringEquals": map[string]string{"aws:SourceVpc": "vpc-11112222"}, "IpAddress": map[string]string{"aws:VpcSourceIp": "127.0.0.1"}, "Null": map[string]string{"aws:SourceIp": "true"},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := past.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(string(policy))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := through(1).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyMetadata.Arn}); err != nil {
		t.Errorf("DescribeKey through an endpoint whose policy allows it: %v", err)
	}
	encrypt := func(c *kms.Client) error {
		_, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.KeyMetadata.Arn, Plaintext: []byte("x")})
		return err
	}
	if err := encrypt(through(0)); err != nil {
		t.Errorf("Encrypt through the endpoint that the key policy wants: %v", err)
	}
	for name, c := range map[string]struct {
		client *kms.Client
		want   string
	}{"past any endpoint": {past, "explicit deny in a resource-based policy"}, "through another endpoint": {through(1), "deny in a resource-based policy"}} {
		if err := encrypt(c.client); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Encrypt %s: %v", name, err)
		}
	}
	if _, err := through(1).ListKeys(t.Context(), &kms.ListKeysInput{}); err == nil || !strings.Contains(err.Error(), "because no VPC endpoint policy allows the kms:ListKeys action") {
		t.Errorf("ListKeys through an endpoint whose policy does not allow it: %v", err)
	}
	if _, err := through(0).EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: key.KeyMetadata.Arn}); err == nil {
		t.Error("EnableKeyRotation from the VPC that the key policy denies succeeded")
	}
}

func TestVPCEndpointFlag(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"Version":"2012-10-17","Statement":[]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"NoID": "127.0.0.1:0", "NoAddress": "vpce-0a1b2c3d", "BadID": "vpce-xyz=127.0.0.1:0", "BadVPC": "vpce-0a1b2c3d=127.0.0.1:0,vpc=x",
		"UnknownOption": "vpce-0a1b2c3d=127.0.0.1:0,colour=red", "NoFile": "vpce-0a1b2c3d=127.0.0.1:0,policy=/nowhere/policy.json", "BrokenPolicy": "vpce-0a1b2c3d=127.0.0.1:0,policy=" + broken,
		"PlainTextOffLoopback": "vpce-0a1b2c3d=192.0.2.1:0",
	} {
		t.Run(name, func(t *testing.T) {
			wantCommand(t, 2, "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--vpc-endpoint", value)
		})
	}
}
