package stories_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/seal"
)

// A backup of a cloud that is in use brings all of it back elsewhere: keys, grants, the access keys of users, and the trail. Whoever was refused is refused.
func TestABackupBringsEverythingBack(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "new")
	file := filepath.Join(t.TempDir(), "holdfast.backup")
	rootKey := seal.NewFile(filepath.Join(dir, "root.key"))
	var ann, bob, cem aws.Credentials
	var byAnn, byRoot []byte
	var keyARN string

	t.Run("Before", func(t *testing.T) {
		c := cloudtest.Start(t, onDisk(dir))
		root := kms.NewFromConfig(c.Config())
		key := newKey(t, root)
		keyARN = *key.Arn

		// Ann may use every key, Bob decrypts by a grant, and Cem, whom IAM itself gave an access key, may do nothing.
		annConfig, bobConfig := c.User(c.Account, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`), c.User(c.Account, "bob")
		ann, bob = secretsOf(t, annConfig), secretsOf(t, bobConfig)
		_, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{
			KeyId: key.KeyId, GranteePrincipal: aws.String("arn:aws:iam::" + c.Account + ":user/bob"), Operations: []types.GrantOperation{types.GrantOperationDecrypt},
		})
		if err != nil {
			t.Fatalf("CreateGrant: %v", err)
		}
		people := iam.NewFromConfig(c.Config())
		if _, err := people.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("cem")}); err != nil {
			t.Fatalf("CreateUser: %v", err)
		}
		made, err := people.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("cem")})
		if err != nil {
			t.Fatalf("CreateAccessKey: %v", err)
		}
		cem = aws.Credentials{AccessKeyID: *made.AccessKey.AccessKeyId, SecretAccessKey: *made.AccessKey.SecretAccessKey}
		byRoot = encrypt(t, root, key, "before the rotation")
		if _, err := root.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key.KeyId}); err != nil {
			t.Fatalf("RotateKeyOnDemand: %v", err)
		}
		byAnn = encrypt(t, kms.NewFromConfig(annConfig), key, "Attack at dawn.")

		// The backup is taken while the cloud makes keys and encrypts.
		busy, rest := context.WithCancel(t.Context())
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for busy.Err() == nil {
					if made, err := root.CreateKey(busy, &kms.CreateKeyInput{}); err == nil {
						_, _ = root.Encrypt(busy, &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")})
					}
				}
			})
		}
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Backup(t.Context(), f); err != nil {
			t.Errorf("Backup: %v", err)
		}
		rest()
		work.Wait()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}

		// What comes later is not in it.
		if _, err := root.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyId}); err != nil {
			t.Errorf("DisableKey: %v", err)
		}
	})

	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := cloud.Restore(t.Context(), f, elsewhere, rootKey); err != nil {
		t.Fatalf("Restore: %v", err)
	}

	t.Run("After", func(t *testing.T) {
		c := cloudtest.Start(t, onDisk(elsewhere), func(cfg *cloud.Config) { cfg.Seal = rootKey })
		as := func(who aws.Credentials) *kms.Client {
			return kms.NewFromConfig(c.As(who.AccessKeyID, who.SecretAccessKey))
		}
		wantText(t, as(ann), byAnn, "Attack at dawn.")
		wantText(t, as(ann), byRoot, "before the rotation")
		wantText(t, as(bob), byAnn, "Attack at dawn.")
		_, err := decrypt(t, as(cem), byAnn)
		wantRefusal(t, err, "AccessDeniedException", "no identity-based policy allows the kms:Decrypt action")
		forged := cem
		forged.SecretAccessKey = strings.Repeat("x", 40)
		_, err = decrypt(t, as(forged), byAnn)
		wantRefusal(t, err, "InvalidSignatureException", "")

		told := make(map[string]bool)
		for _, e := range c.Trail(c.Account) {
			for _, r := range e.Resources {
				if r.ARN == keyARN {
					told[e.EventName] = true
				}
			}
		}
		for _, name := range []string{"CreateKey", "CreateGrant", "Encrypt", "RotateKeyOnDemand"} {
			if !told[name] {
				t.Errorf("the trail does not tell of %s", name)
			}
		}
		if told["DisableKey"] {
			t.Error("the trail tells of what came after the backup")
		}
	})
}

// secretsOf are the access key of a configuration.
func secretsOf(t *testing.T, cfg aws.Config) aws.Credentials {
	t.Helper()
	who, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return who
}
