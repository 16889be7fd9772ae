package xks_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// house is a cloud with a key, and a user who may have the proxy use all keys.
type house struct {
	*cloudtest.Cloud
	t     testing.TB
	kms   *kms.Client // as root
	key   string      // its ID
	proxy xks.Client  // as the user
}

const (
	full = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":[
		"kms-xks-proxy:*","kms:DescribeKey","kms:Encrypt","kms:Decrypt"]}}`
	aliceARN = "arn:aws:iam::999988887777:user/Alice"
	theirKey = "arn:aws:kms:us-east-2:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

func build(t testing.TB, options ...func(*cloud.Config)) *house {
	t.Helper()
	h := &house{t: t, Cloud: cloudtest.Start(t, options...)}
	h.kms = kms.NewFromConfig(h.Config())
	h.key = h.newKey(&kms.CreateKeyInput{})
	h.proxy = h.as("proxy", full)
	return h
}

func (h *house) newKey(in *kms.CreateKeyInput) string {
	h.t.Helper()
	out, err := h.kms.CreateKey(h.t.Context(), in)
	if err != nil {
		h.t.Fatalf("CreateKey: %v", err)
	}
	return *out.KeyMetadata.KeyId
}

// transport is how a user with the policies given reaches the cloud, at a path.
func (h *house) transport(cfg aws.Config, path string) *remote.Transport {
	h.t.Helper()
	endpoint, err := url.Parse(h.URL + path)
	if err != nil {
		h.t.Fatal(err)
	}
	k, err := cfg.Credentials.Retrieve(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return &remote.Transport{Endpoint: endpoint, Region: h.Region, Credentials: sigv4.Credentials{AccessKeyID: k.AccessKeyID, Secret: k.SecretAccessKey}}
}

// as is the proxy's client for a user of the default account.
func (h *house) as(user string, policies ...string) xks.Client {
	return xks.Client{Transport: h.transport(h.User(h.Account, user, policies...), "")}
}

func about(operation string) *xks.RequestMetadata {
	return &xks.RequestMetadata{
		AwsPrincipalArn: new(aliceARN), KmsKeyArn: new(theirKey), KmsOperation: &operation, KmsRequestId: new("4112f4d6-db54-4af4-ae30-c55a22a8dfae"), KmsViaService: new("ebs"),
	}
}

func encryption(key, text, aad string) *xks.EncryptRequest {
	return &xks.EncryptRequest{
		ExternalKeyId: &key, RequestMetadata: about("GenerateDataKey"), Plaintext: []byte(text), AdditionalAuthenticatedData: []byte(aad), EncryptionAlgorithm: "AES_GCM",
	}
}

func (h *house) encrypt(text, aad string) *xks.EncryptResponse {
	h.t.Helper()
	out, err := h.proxy.Encrypt(nil, encryption(h.key, text, aad))
	if err != nil {
		h.t.Fatalf("Encrypt: %v", err)
	}
	return out
}

// decryption undoes an encryption.
func decryption(key string, made *xks.EncryptResponse, aad string) *xks.DecryptRequest {
	return &xks.DecryptRequest{
		ExternalKeyId: &key, RequestMetadata: about("Decrypt"), AdditionalAuthenticatedData: []byte(aad), EncryptionAlgorithm: "AES_GCM",
		Ciphertext: made.Ciphertext, CiphertextMetadata: made.CiphertextMetadata, InitializationVector: made.InitializationVector, AuthenticationTag: made.AuthenticationTag,
	}
}

func (h *house) wantText(made *xks.EncryptResponse, aad, want string) {
	h.t.Helper()
	out, err := h.proxy.Decrypt(nil, decryption(h.key, made, aad))
	if err != nil || string(out.Plaintext) != want {
		h.t.Errorf("Decrypt = %v, %v, want %q", out, err, want)
	}
}

func metadata(key string) *xks.GetKeyMetadataRequest {
	return &xks.GetKeyMetadataRequest{ExternalKeyId: &key, RequestMetadata: (*xks.KeyRequestMetadata)(about("DescribeKey"))}
}

// code is the name of an error of the proxy.
func code(err error) string {
	if err == nil {
		return ""
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return m.Schema().Error.Code
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code
	}
	return err.Error()
}

func wantCode(t testing.TB, err error, want, text string) {
	t.Helper()
	if code(err) != want || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with %q", err, want, text)
	}
}
