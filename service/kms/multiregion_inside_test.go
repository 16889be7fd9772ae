package kms

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// TestTransientStates walks the states that a key is in while its relatives in other regions do not know yet. No operation leaves a key in them as long as all
// regions are in one process: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func TestTransientStates(t *testing.T) {
	b := newBench(t)
	var arn, id string
	if err := b.call(kms.OpCreateKey, func(c *call.Call) error {
		out, err := b.CreateKey(c, &kms.CreateKeyRequest{MultiRegion: new(true)})
		if err == nil {
			arn, id = *out.KeyMetadata.Arn, *out.KeyMetadata.KeyId
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	replicate := func(region string) func(c *call.Call) error {
		return func(c *call.Call) error {
			_, err := b.ReplicateKey(c, &kms.ReplicateKeyRequest{KeyId: &arn, ReplicaRegion: &region})
			return err
		}
	}
	if err := b.call(kms.OpReplicateKey, replicate("eu-west-1")); err != nil {
		t.Fatal(err)
	}
	blob := b.encrypt(arn)
	keep := errors.New("changes are not kept")
	for _, tt := range []struct {
		op                 *wire.Operation
		run                func(c *call.Call) error
		creating, updating bool // whether it succeeds
	}{
		{kms.OpEncrypt, func(c *call.Call) error {
			_, err := b.Encrypt(c, &kms.EncryptRequest{KeyId: &arn, Plaintext: []byte("x")})
			return err
		}, false, true},
		{kms.OpDecrypt, func(c *call.Call) error {
			_, err := b.Decrypt(c, &kms.DecryptRequest{CiphertextBlob: blob})
			return err
		}, false, true},
		{kms.OpGenerateDataKey, func(c *call.Call) error {
			_, err := b.GenerateDataKey(c, &kms.GenerateDataKeyRequest{KeyId: &arn, KeySpec: kms.DataKeySpecAes256})
			return err
		}, false, true},
		{kms.OpCreateGrant, func(c *call.Call) error {
			_, err := b.CreateGrant(c, &kms.CreateGrantRequest{KeyId: &arn, GranteePrincipal: new(rootARN("aws", ownAccount)), Operations: []kms.GrantOperation{kms.GrantOperationEncrypt}})
			return err
		}, false, true},
		{kms.OpDescribeKey, func(c *call.Call) error {
			_, err := b.DescribeKey(c, &kms.DescribeKeyRequest{KeyId: &arn})
			return err
		}, true, true},
		{kms.OpCreateAlias, func(c *call.Call) error {
			_, err := b.CreateAlias(c, &kms.CreateAliasRequest{AliasName: new("alias/x"), TargetKeyId: &arn})
			return err
		}, true, true},
		{kms.OpTagResource, func(c *call.Call) error {
			_, err := b.TagResource(c, &kms.TagResourceRequest{KeyId: &arn, Tags: []kms.Tag{{TagKey: new("a"), TagValue: new("b")}}})
			return err
		}, true, true},
		{kms.OpUpdateKeyDescription, func(c *call.Call) error {
			_, err := b.UpdateKeyDescription(c, &kms.UpdateKeyDescriptionRequest{KeyId: &arn, Description: new("x")})
			return err
		}, true, true},
		{kms.OpPutKeyPolicy, func(c *call.Call) error {
			_, err := b.PutKeyPolicy(c, &kms.PutKeyPolicyRequest{KeyId: &arn, Policy: new(defaultPolicy("aws", ownAccount))})
			return err
		}, true, true},
		{kms.OpDisableKey, func(c *call.Call) error {
			_, err := b.DisableKey(c, &kms.DisableKeyRequest{KeyId: &arn})
			return err
		}, false, false},
		{kms.OpEnableKey, func(c *call.Call) error {
			_, err := b.EnableKey(c, &kms.EnableKeyRequest{KeyId: &arn})
			return err
		}, false, false},
		{kms.OpEnableKeyRotation, func(c *call.Call) error {
			_, err := b.EnableKeyRotation(c, &kms.EnableKeyRotationRequest{KeyId: &arn})
			return err
		}, false, true},
		{kms.OpCancelKeyDeletion, func(c *call.Call) error {
			_, err := b.CancelKeyDeletion(c, &kms.CancelKeyDeletionRequest{KeyId: &arn})
			return err
		}, false, false},
		{kms.OpScheduleKeyDeletion, func(c *call.Call) error {
			_, err := b.ScheduleKeyDeletion(c, &kms.ScheduleKeyDeletionRequest{KeyId: &arn})
			return err
		}, true, false},
		{kms.OpReplicateKey, replicate("ap-south-1"), false, false},
		{kms.OpUpdatePrimaryRegion, func(c *call.Call) error {
			_, err := b.UpdatePrimaryRegion(c, &kms.UpdatePrimaryRegionRequest{KeyId: &arn, PrimaryRegion: new("eu-west-1")})
			return err
		}, false, false},
	} {
		for state, want := range map[kms.KeyState]bool{kms.KeyStateCreating: tt.creating, kms.KeyStateUpdating: tt.updating} {
			if err := b.cfg.Store.Update(context.Background(), func(tx store.Tx) error {
				rows := keyTable.In(ownAccount, "us-east-1")
				r, err := rows.Get(tx, id)
				if err != nil {
					return err
				}
				r.State = state
				return rows.Put(tx, r)
			}); err != nil {
				t.Fatal(err)
			}
			var got error
			_ = b.call(tt.op, func(c *call.Call) error {
				got = tt.run(c)
				return keep
			})
			invalid, is := errors.AsType[*kms.KMSInvalidStateException](got)
			if want != (got == nil) || !want && !is {
				t.Errorf("%s of a key that is %s: %v", tt.op.Name, state, got)
			}
			if is && tt.op != kms.OpCancelKeyDeletion && invalid.Message != arn+" is "+stateNames[state]+"." {
				t.Errorf("%s of a key that is %s: %s", tt.op.Name, state, invalid.Message)
			}
		}
	}
}

// TestReplicasAreWrappedForTheirPlace holds that a replica's record has nothing of its primary's that would open there, and that what the store has of both is not the
// material.
func TestReplicasAreWrappedForTheirPlace(t *testing.T) {
	b := newBench(t)
	var id string
	if err := b.call(kms.OpCreateKey, func(c *call.Call) error {
		out, err := b.CreateKey(c, &kms.CreateKeyRequest{MultiRegion: new(true)})
		if err != nil {
			return err
		}
		id = *out.KeyMetadata.KeyId
		if _, err := b.ReplicateKey(c, &kms.ReplicateKeyRequest{KeyId: &id, ReplicaRegion: new("eu-west-1")}); err != nil {
			return err
		}
		_, err = b.RotateKeyOnDemand(c, &kms.RotateKeyOnDemandRequest{KeyId: &id})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	at := place{ownAccount, "us-east-1", id}
	primary, err := b.cache.Get(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := b.cache.Get(context.Background(), at.elsewhere("eu-west-1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(primary.Materials) != 2 || len(replica.Materials) != 2 {
		t.Fatalf("there are %d and %d materials", len(primary.Materials), len(replica.Materials))
	}
	dump := string(b.dump())
	for i, m := range primary.Materials {
		r := replica.Materials[i]
		if r.ID != m.ID || !r.Created.Equal(m.Created) || r.Rotation != m.Rotation || string(r.Wrapped) == string(m.Wrapped) {
			t.Errorf("material %d of the replica is %+v, of the primary %+v", i, r, m)
		}
		bare := primary.materials[m.ID].Material()
		if string(replica.materials[m.ID].Material()) != string(bare) {
			t.Errorf("material %d differs", i)
		}
		if _, err := b.open(replica.place, replica.keyRecord, m); err == nil {
			t.Errorf("material %d of the primary opens in the replica's place", i)
		}
		if text := base64.RawStdEncoding.EncodeToString(bare[:30]); strings.Contains(dump, string(bare)) || strings.Contains(dump, text) {
			t.Errorf("material %d is in the store", i)
		}
	}
}

// BenchmarkMultiRegionDecrypt holds a decryption with a replica against one with a key of the region alone.
func BenchmarkMultiRegionDecrypt(bm *testing.B) {
	b := newBench(bm)
	single := b.encrypt(b.key("SYMMETRIC_DEFAULT"))
	var replicated []byte
	// The replica is here, and what it decrypts was encrypted by the primary there.
	if err := b.call(kms.OpCreateKey, func(c *call.Call) error {
		c.Scope.Region = "eu-west-1"
		out, err := b.CreateKey(c, &kms.CreateKeyRequest{MultiRegion: new(true)})
		if err != nil {
			return err
		}
		if _, err := b.ReplicateKey(c, &kms.ReplicateKeyRequest{KeyId: out.KeyMetadata.KeyId, ReplicaRegion: new("us-east-1")}); err != nil {
			return err
		}
		sealed, err := b.Encrypt(c, &kms.EncryptRequest{KeyId: out.KeyMetadata.KeyId, Plaintext: []byte("text")})
		if err == nil {
			replicated = sealed.CiphertextBlob
		}
		return err
	}); err != nil {
		bm.Fatal(err)
	}
	for name, blob := range map[string][]byte{"Local": single, "Replica": replicated} {
		bm.Run(name, func(bm *testing.B) {
			bm.ReportAllocs()
			for bm.Loop() {
				if err := b.call(kms.OpDecrypt, func(c *call.Call) error {
					_, err := b.Decrypt(c, &kms.DecryptRequest{CiphertextBlob: blob})
					return err
				}); err != nil {
					bm.Fatal(err)
				}
			}
		})
	}
}
