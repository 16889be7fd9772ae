package kms_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// TestMultiRegionImport imports the same material into each of the related keys.
func TestMultiRegionImport(t *testing.T) {
	t.Parallel()
	w := start(t)
	there := &world{w.Cloud, in(w.Client, west)}
	isExisting := func(in *kms.ImportKeyMaterialInput) { in.ImportType = types.ImportTypeExistingKeyMaterial }
	isNew := func(in *kms.ImportKeyMaterialInput) { in.ImportType = types.ImportTypeNewKeyMaterial }
	pending := func(t *testing.T, c *world, arn string) types.KeyMaterialState {
		t.Helper()
		out, err := c.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &arn, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
		ok(t)(out, err)
		return out.Rotations[len(out.Rotations)-1].KeyMaterialState
	}
	key := w.key(t, external, multiRegion)
	refused(t, "KMSInvalidStateException", key+" is pending import.")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String(west)}))
	p := w.usual(t, key)
	ok(t)(w.ImportKeyMaterial(ctx, p.input(material(1, 32))))
	replica := w.replicate(t, key, west)
	there.inState(t, replica, types.KeyStatePendingImport)
	blob := w.encrypt(t, key, "first")
	refused(t, "KMSInvalidStateException", replica+" is pending import.")(there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	q := there.usual(t, replica)
	t.Run("ForeignToken", func(t *testing.T) {
		in := q.input(material(1, 32))
		in.ImportToken = p.ImportToken
		refused(t, "InvalidImportTokenException", "-")(there.ImportKeyMaterial(ctx, in))
	})
	t.Run("OtherMaterial", func(t *testing.T) {
		refused(t, "IncorrectKeyMaterialException", "-")(there.ImportKeyMaterial(ctx, q.input(material(2, 32))))
		refused(t, "UnsupportedOperationException", "-")(there.ImportKeyMaterial(ctx, q.input(material(2, 32), isNew)))
	})
	t.Run("SameMaterial", func(t *testing.T) {
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(1, 32))))
		there.decrypts(t, blob, "first")
		w.decrypts(t, there.encrypt(t, replica, "back"), "back")
	})
	t.Run("Rotation", func(t *testing.T) {
		ok(t)(w.ImportKeyMaterial(ctx, p.input(material(2, 32), isNew)))
		for _, c := range []struct {
			*world
			key string
		}{{w, key}, {there, replica}} {
			if got := pending(t, c.world, c.key); got != types.KeyMaterialStatePendingMultiRegionImportAndRotation {
				t.Errorf("the new material of %s is %s", c.key, got)
			}
		}
		refused(t, "KMSInvalidStateException", "No available key material pending rotation for the key: "+key+".")(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		refused(t, "IncorrectKeyMaterialException", "-")(there.ImportKeyMaterial(ctx, q.input(material(3, 32), isExisting)))
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(2, 32), isExisting)))
		if got := pending(t, w, key); got != types.KeyMaterialStatePendingRotation {
			t.Errorf("the new material is %s", got)
		}
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		there.inState(t, replica, types.KeyStateEnabled)
		there.decrypts(t, blob, "first")
		there.decrypts(t, w.encrypt(t, key, "second"), "second")
		if a, b := w.rotations(t, key), there.rotations(t, replica); len(a) != 1 || !slices.Equal(a, b) {
			t.Errorf("the keys have seen %v and %v", a, b)
		}
	})
	t.Run("Deleted", func(t *testing.T) {
		// What is deleted of a replica is deleted there alone.
		ok(t)(there.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &replica}))
		there.inState(t, replica, types.KeyStatePendingImport)
		w.inState(t, key, types.KeyStateEnabled)
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(2, 32))))
		ok(t)(w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &key}))
		there.inState(t, replica, types.KeyStateEnabled)
		there.decrypts(t, blob, "first")
		ok(t)(w.ImportKeyMaterial(ctx, p.input(material(2, 32))))
		// Material that waits for a rotation is taken from all when the primary loses it, and stays awaited when a replica does.
		ok(t)(w.ImportKeyMaterial(ctx, p.input(material(3, 32), isNew)))
		out, err := there.ImportKeyMaterial(ctx, q.input(material(3, 32)))
		ok(t)(out, err)
		ok(t)(there.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &replica, KeyMaterialId: out.KeyMaterialId}))
		there.inState(t, replica, types.KeyStateEnabled)
		if got := pending(t, w, key); got != types.KeyMaterialStatePendingMultiRegionImportAndRotation {
			t.Errorf("the new material is %s", got)
		}
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(3, 32))))
		ok(t)(w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &key, KeyMaterialId: out.KeyMaterialId}))
		if a, b := pending(t, w, key), pending(t, there, replica); a != types.KeyMaterialStateCurrent || b != types.KeyMaterialStateCurrent {
			t.Errorf("the last material is %s and %s", a, b)
		}
	})
	t.Run("Expired", func(t *testing.T) {
		until := w.Now().Add(day)
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(1, 32), func(in *kms.ImportKeyMaterialInput) {
			in.ExpirationModel, in.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, &until
		})))
		w.Advance(day + time.Hour)
		there.inState(t, replica, types.KeyStatePendingImport)
		w.decrypts(t, blob, "first")
		if got := w.wantRecord(t, "DeleteExpiredKeyMaterial", west); !slices.Equal(got, []string{replica}) {
			t.Errorf("recorded with %v", got)
		}
	})
	t.Run("UpdatePrimaryRegion", func(t *testing.T) {
		refused(t, "KMSInvalidStateException", replica+" is pending import.")(w.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: aws.String(west)}))
		q := there.usual(t, replica)
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(1, 32))))
		ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(material(4, 32), isNew)))
		ok(t)(w.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: aws.String(west)}))
		// The new primary awaits what the old one has already.
		refused(t, "KMSInvalidStateException", "-")(there.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &replica}))
		ok(t)(there.ImportKeyMaterial(ctx, q.input(material(4, 32))))
		ok(t)(there.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &replica}))
		w.decrypts(t, there.encrypt(t, replica, "fourth"), "fourth")
	})
	t.Run("Asymmetric", func(t *testing.T) {
		key := w.key(t, external, multiRegion, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
		secret := materialOf(t, keys.NISTP256)
		ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(secret)))
		replica := w.replicate(t, key, west)
		p := there.usual(t, replica)
		refused(t, "IncorrectKeyMaterialException", "-")(there.ImportKeyMaterial(ctx, p.input(materialOf(t, keys.NISTP256))))
		ok(t)(there.ImportKeyMaterial(ctx, p.input(secret)))
		signed, err := there.Sign(ctx, &kms.SignInput{KeyId: &replica, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		ok(t)(signed, err)
		ok(t)(w.Verify(ctx, &kms.VerifyInput{KeyId: &key, Message: message, Signature: signed.Signature, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256}))
	})
}
