package stories_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// region is a client of one region, and the key that it is there.
type region struct {
	*kms.Client
	name string
	key  string // its ARN here
}

func regionOf(c *cloudtest.Cloud, name string) *region {
	return &region{Client: kms.NewFromConfig(c.Config(), func(o *kms.Options) { o.Region = name }), name: name}
}

// replicaIn replicates r's key, which is the primary.
func (r *region) replicaIn(t *testing.T, other *region) {
	t.Helper()
	out, err := r.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &r.key, ReplicaRegion: &other.name})
	if err != nil {
		t.Fatalf("ReplicateKey to %s: %v", other.name, err)
	}
	other.key = *out.ReplicaKeyMetadata.Arn
}

func (r *region) describe(t *testing.T) *types.KeyMetadata {
	t.Helper()
	out, err := r.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &r.key})
	if err != nil {
		t.Fatalf("DescribeKey in %s: %v", r.name, err)
	}
	return out.KeyMetadata
}

func (r *region) delete(t *testing.T) {
	t.Helper()
	if _, err := r.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &r.key, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatalf("ScheduleKeyDeletion in %s: %v", r.name, err)
	}
}

// family is a primary in Virginia with replicas in Ireland and Mumbai.
func family(t *testing.T, c *cloudtest.Cloud) (virginia, ireland, mumbai *region) {
	t.Helper()
	virginia, ireland, mumbai = regionOf(c, "us-east-1"), regionOf(c, "eu-west-1"), regionOf(c, "ap-south-1")
	made, err := virginia.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	virginia.key = *made.KeyMetadata.Arn
	virginia.replicaIn(t, ireland)
	virginia.replicaIn(t, mumbai)
	return virginia, ireland, mumbai
}

// What is encrypted in one region decrypts in another, by the key that lies there: the trail of that region alone tells of it.
func TestAMultiRegionKeyDecryptsElsewhere(t *testing.T) {
	c := cloudtest.Start(t)
	virginia, ireland, mumbai := family(t, c)
	ciphertext := encrypt(t, virginia.Client, virginia.describe(t), "one key, three regions")
	wantText(t, ireland.Client, ciphertext, "one key, three regions")
	wantText(t, mumbai.Client, encrypt(t, ireland.Client, ireland.describe(t), "and back"), "and back")

	for _, e := range c.Trail(c.Account) {
		if e.EventName == "Decrypt" && e.Resources[0].ARN != ireland.key && e.Resources[0].ARN != mumbai.key {
			t.Errorf("a Decrypt used %s", e.Resources[0].ARN)
		}
	}
	// In a region without a replica there is no key.
	_, err := decrypt(t, regionOf(c, "sa-east-1").Client, ciphertext)
	wantRefusal(t, err, "AccessDeniedException", "")

	// Each of them has its own state: one that is disabled does not disturb the others.
	if _, err := ireland.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &ireland.key}); err != nil {
		t.Fatalf("DisableKey: %v", err)
	}
	_, err = decrypt(t, ireland.Client, ciphertext)
	wantRefusal(t, err, "DisabledException", "is disabled")
	wantText(t, mumbai.Client, ciphertext, "one key, three regions")
}

// A rotation of the primary reaches every replica before the first use of the new material.
func TestARotationReachesEveryRegion(t *testing.T) {
	c := cloudtest.Start(t)
	virginia, ireland, mumbai := family(t, c)
	before := encrypt(t, mumbai.Client, mumbai.describe(t), "before")
	_, err := virginia.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &virginia.key, RotationPeriodInDays: aws.Int32(90)})
	if err != nil {
		t.Fatalf("EnableKeyRotation: %v", err)
	}
	first := *virginia.describe(t).CurrentKeyMaterialId
	c.Advance(91 * 24 * time.Hour)
	second := *virginia.describe(t).CurrentKeyMaterialId
	if second == first {
		t.Error("the key did not rotate")
	}
	after := encrypt(t, virginia.Client, virginia.describe(t), "after")
	for _, r := range []*region{ireland, mumbai} {
		if got := *r.describe(t).CurrentKeyMaterialId; got != second {
			t.Errorf("in %s the key has material %s, want %s", r.name, got, second)
		}
		wantText(t, r.Client, before, "before")
		wantText(t, r.Client, after, "after")
	}
	_, err = ireland.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &ireland.key})
	wantRefusal(t, err, "UnsupportedOperationException", "is not a multi-region primary key")
}

// Another region can become the primary, and then does what only a primary may.
func TestAnotherRegionBecomesThePrimary(t *testing.T) {
	c := cloudtest.Start(t)
	virginia, ireland, mumbai := family(t, c)
	ciphertext := encrypt(t, virginia.Client, virginia.describe(t), "moved")
	if _, err := virginia.UpdatePrimaryRegion(t.Context(), &kms.UpdatePrimaryRegionInput{KeyId: &virginia.key, PrimaryRegion: &ireland.name}); err != nil {
		t.Fatalf("UpdatePrimaryRegion: %v", err)
	}
	for _, r := range []*region{virginia, ireland, mumbai} {
		m := r.describe(t)
		if *m.MultiRegionConfiguration.PrimaryKey.Arn != ireland.key || len(m.MultiRegionConfiguration.ReplicaKeys) != 2 || m.KeyState != types.KeyStateEnabled {
			t.Errorf("in %s the key is %s, with the primary %s", r.name, m.KeyState, *m.MultiRegionConfiguration.PrimaryKey.Arn)
		}
		wantText(t, r.Client, ciphertext, "moved")
	}
	if _, err := ireland.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &ireland.key}); err != nil {
		t.Errorf("the new primary does not rotate: %v", err)
	}
	wantText(t, virginia.Client, encrypt(t, ireland.Client, ireland.describe(t), "rotated"), "rotated")
	saoPaulo := regionOf(c, "sa-east-1")
	_, err := virginia.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &virginia.key, ReplicaRegion: &saoPaulo.name})
	wantRefusal(t, err, "UnsupportedOperationException", "is not a multi-region primary key")
	ireland.replicaIn(t, saoPaulo)
	wantText(t, saoPaulo.Client, ciphertext, "moved")
}

// A primary is not deleted before its replicas, however long that takes.
func TestDeletionWaitsForTheReplicas(t *testing.T) {
	c := cloudtest.Start(t)
	virginia, ireland, mumbai := family(t, c)
	ciphertext := encrypt(t, virginia.Client, virginia.describe(t), "still there")
	virginia.delete(t)
	mumbai.delete(t)
	c.Advance(400 * 24 * time.Hour)
	if m := virginia.describe(t); m.KeyState != types.KeyStatePendingReplicaDeletion {
		t.Errorf("with a replica left, the primary is %s", m.KeyState)
	}
	wantText(t, ireland.Client, ciphertext, "still there")
	ireland.delete(t)
	c.Advance(8 * 24 * time.Hour)
	if m := virginia.describe(t); m.KeyState != types.KeyStatePendingDeletion {
		t.Errorf("without replicas, the primary is %s", m.KeyState)
	}
	c.Advance(8 * 24 * time.Hour)
	for _, r := range []*region{virginia, ireland, mumbai} {
		_, err := r.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &r.key})
		wantRefusal(t, err, "NotFoundException", "does not exist")
	}
}
