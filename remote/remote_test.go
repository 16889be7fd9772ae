package remote_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

func transport(t *testing.T, c *cloudtest.Cloud) *remote.Transport {
	t.Helper()
	endpoint, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := c.Config().Credentials.Retrieve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return &remote.Transport{
		Endpoint: endpoint, Region: "eu-central-1",
		Credentials: sigv4.Credentials{AccessKeyID: creds.AccessKeyID, Secret: creds.SecretAccessKey},
	}
}

func TestTransport(t *testing.T) {
	c := cloudtest.Start(t)
	there := transport(t, c)
	client := kms.Client{Transport: there}
	t.Run("OK", func(t *testing.T) {
		made, err := client.CreateKey(nil, &kms.CreateKeyRequest{Description: new("far away")})
		if err != nil {
			t.Fatalf("CreateKey: %v", err)
		}
		encrypted, err := client.Encrypt(nil, &kms.EncryptRequest{KeyId: made.KeyMetadata.Arn, Plaintext: []byte("hello")})
		if err != nil {
			t.Fatalf("Encrypt: %v", err)
		}
		out, err := client.Decrypt(nil, &kms.DecryptRequest{CiphertextBlob: encrypted.CiphertextBlob})
		if err != nil || string(out.Plaintext) != "hello" {
			t.Errorf("Decrypt = %q, %v", out.Plaintext, err)
		}
	})
	t.Run("OtherProtocol", func(t *testing.T) {
		out, err := sts.Client{Transport: there}.GetCallerIdentity(nil, &sts.GetCallerIdentityRequest{})
		if err != nil || *out.Account != c.Account {
			t.Errorf("GetCallerIdentity = %v, %v, want account %s", out, err, c.Account)
		}
	})
	t.Run("ModelledError", func(t *testing.T) {
		_, err := client.DescribeKey(nil, &kms.DescribeKeyRequest{KeyId: new("nonsense")})
		if e, ok := errors.AsType[*kms.NotFoundException](err); !ok || e.Message != "Invalid keyId 'nonsense'" {
			t.Errorf("DescribeKey = %v, want NotFoundException: Invalid keyId 'nonsense'", err)
		}
	})
	t.Run("OtherError", func(t *testing.T) {
		forged := *there
		forged.Credentials.Secret += "x"
		_, err := kms.Client{Transport: &forged}.ListKeys(nil, &kms.ListKeysRequest{})
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != "InvalidSignatureException" {
			t.Errorf("ListKeys with a wrong secret = %v, want InvalidSignatureException", err)
		}
	})
	t.Run("Unreachable", func(t *testing.T) {
		nowhere := *there
		nowhere.Endpoint = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
		if _, err := (kms.Client{Transport: &nowhere}).ListKeys(nil, &kms.ListKeysRequest{}); err == nil {
			t.Error("ListKeys of a cloud that is not there succeeded")
		}
	})
}
