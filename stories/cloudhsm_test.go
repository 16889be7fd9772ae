//go:build pkcs11 && cgo

package stories_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
	room "github.com/holdfast-cloud/holdfast/service/kms"
)

// A key in a CloudHSM key store is in a hardware security module and nowhere else: without the module nothing decrypts, and with it everything does, across restarts.
func TestKeysStayInTheHardwareSecurityModule(t *testing.T) {
	const cluster, password = "cluster-storyhsmabc", "kmsuser's password"
	soft := hsmtest.New(t)
	soft.Init("orders", password)
	dir := t.TempDir()
	var store, ciphertext = "", []byte(nil)
	open := func(t *testing.T, f func(t *testing.T, c *cloudtest.Cloud, k *kms.Client)) {
		t.Run("", func(t *testing.T) {
			c := cloudtest.Start(t, onDisk(dir), func(c *cloud.Config) { c.CloudHSM = map[string]room.CloudHSM{cluster: {Token: soft.URI("orders")}} })
			f(t, c, kms.NewFromConfig(c.Config()))
		})
	}
	open(t, func(t *testing.T, c *cloudtest.Cloud, k *kms.Client) {
		made, err := k.CreateCustomKeyStore(t.Context(), &kms.CreateCustomKeyStoreInput{
			CustomKeyStoreName: aws.String("orders"), CloudHsmClusterId: aws.String(cluster), KeyStorePassword: aws.String(password),
			TrustAnchorCertificate: aws.String(hsmtest.Certificate(t)),
		})
		if err != nil {
			t.Fatalf("CreateCustomKeyStore: %v", err)
		}
		store = *made.CustomKeyStoreId
		if _, err := k.ConnectCustomKeyStore(t.Context(), &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &store}); err != nil {
			t.Fatalf("ConnectCustomKeyStore: %v", err)
		}
		c.Advance(time.Second)
		key, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm, CustomKeyStoreId: &store})
		if err != nil {
			t.Fatalf("CreateKey: %v", err)
		}
		ciphertext = encrypt(t, k, key.KeyMetadata, "the recipe")
		wantText(t, k, ciphertext, "the recipe")
		for _, inside := range soft.Keys("orders", password) {
			if inside.Label != *key.KeyMetadata.KeyId || inside.Extractable || !inside.Sensitive {
				t.Errorf("the module has %+v, want the key alone, and that it never leaves", inside)
			}
		}
	})
	// The cloud starts while the module is away.
	soft.Vanish()
	open(t, func(t *testing.T, c *cloudtest.Cloud, k *kms.Client) {
		_, err := decrypt(t, k, ciphertext)
		wantRefusal(t, err, "KMSInvalidStateException", "KMS cannot communicate with your CloudHSM cluster")
		soft.Return()
		wantText(t, k, ciphertext, "the recipe")
		// It is pulled out of a running cloud, and put in again.
		soft.Vanish()
		_, err = decrypt(t, k, ciphertext)
		wantRefusal(t, err, "KMSInvalidStateException", "KMS cannot communicate with your CloudHSM cluster")
		soft.Return()
		wantText(t, k, ciphertext, "the recipe")
	})
}
