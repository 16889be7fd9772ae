package kms_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	api "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	walks "github.com/holdfast-cloud/holdfast/internal/walk"
)

// subject is what a walked operation is done to.
type subject struct {
	w           *world
	key, second string // ARNs of keys of the same spec
	replica     string // of key, in the region west, if that is a multi-Region key
	alias       string // of key
	grant       string
	blob        []byte      // under key: a ciphertext, a signature, a MAC or a public key
	imports     *parameters // of key, if its material is imported
	store       string      // ID of a custom key store, if before made one
}

var message = []byte("walk")

// newSubject makes keys of a spec with everything that operations need.
func newSubject(t *testing.T, w *world, name string, spec types.KeySpec, usage types.KeyUsageType, multi bool) *subject {
	t.Helper()
	s := &subject{w: w, key: w.key(t, of(spec, usage), func(in *kms.CreateKeyInput) { in.MultiRegion = &multi }), second: w.key(t, of(spec, usage)), alias: "alias/" + name}
	if multi {
		s.replica = w.replicate(t, s.key, west)
	}
	return s.furnish(t, usage)
}

// newExternal makes a subject whose key has imported material.
func newExternal(t *testing.T, w *world, name string, spec types.KeySpec, usage types.KeyUsageType, multi bool) *subject {
	t.Helper()
	s := &subject{w: w, key: w.key(t, of(spec, usage), external, func(in *kms.CreateKeyInput) { in.MultiRegion = &multi }), second: w.key(t, of(spec, usage)), alias: "alias/" + name}
	s.imports = w.parameters(t, s.key, types.AlgorithmSpecRsaAesKeyWrapSha256, types.WrappingKeySpecRsa2048)
	ok(t)(w.ImportKeyMaterial(ctx, s.imports.input(materialOf(t, keys.Spec(spec)))))
	if multi {
		s.replica = w.replicate(t, s.key, west)
	}
	return s.furnish(t, usage)
}

// furnish gives the key its name, a grant and something made with it.
func (s *subject) furnish(t *testing.T, usage types.KeyUsageType) *subject {
	t.Helper()
	w := s.w
	ok(t)(w.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &s.alias, TargetKeyId: &s.key}))
	g, err := w.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: &s.key, GranteePrincipal: aws.String("arn:aws:iam::" + account + ":root"), Operations: []types.GrantOperation{types.GrantOperationDescribeKey},
	})
	ok(t)(g, err)
	s.grant = *g.GrantId
	switch usage {
	case types.KeyUsageTypeEncryptDecrypt:
		s.blob = w.encrypt(t, s.key, string(message))
	case types.KeyUsageTypeSignVerify:
		out, err := w.Sign(ctx, &kms.SignInput{KeyId: &s.key, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		ok(t)(out, err)
		s.blob = out.Signature
	case types.KeyUsageTypeGenerateVerifyMac:
		out, err := w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &s.key, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
		ok(t)(out, err)
		s.blob = out.Mac
	case types.KeyUsageTypeKeyAgreement:
		out, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &s.second})
		ok(t)(out, err)
		s.blob = out.PublicKey
	}
	return s
}

// on says which resources of a subject an operation asks about.
type on int

const (
	nothing on = iota
	theKey
	theAlias         // and the key
	bothAndAlias     // both keys and the alias
	bothByDistance   // ReEncryptFrom the key, ReEncryptTo the second
	theKeyAndNew     // and CreateKey
	theKeyAndReplica // each of them is asked about
)

// walked is the smallest request of an operation.
type walked struct {
	name string
	on   on
	run  func(c *kms.Client, s *subject) (any, error)

	usage types.KeyUsageType // of the key; empty is ENCRYPT_DECRYPT
	multi bool               // the key is a multi-Region primary key with a replica
	// What a disabled key and one pending deletion answer: "" for success, D for DisabledException, S for KMSInvalidStateException; X for
	// operations that do not look at a key.
	disabled, pending string
	before            func(t *testing.T, s *subject) // what makes the request possible

	external  bool   // the key's material is imported
	importing string // what a key that waits for its material answers: "" as pending for operations that use it, and success otherwise; U for UnsupportedOperationException
}

// walk is every operation that is built: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
var walk = []walked{
	{name: "CancelKeyDeletion", on: theKey, disabled: "S", pending: "", importing: "S", before: func(t *testing.T, s *subject) { s.w.schedule(t, s.key) },
		run: func(c *kms.Client, s *subject) (any, error) {
			return c.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &s.key})
		}},
	{name: "ConnectCustomKeyStore", on: nothing, disabled: "X", before: withStore("connect"), run: func(c *kms.Client, s *subject) (any, error) {
		return c.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &s.store})
	}},
	{name: "CreateAlias", on: theAlias, pending: "S", before: func(_ *testing.T, s *subject) { s.alias += "-new" },
		run: func(c *kms.Client, s *subject) (any, error) {
			return c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &s.alias, TargetKeyId: &s.key})
		}},
	{name: "CreateCustomKeyStore", on: nothing, disabled: "X", run: func(c *kms.Client, _ *subject) (any, error) {
		return c.CreateCustomKeyStore(ctx, through("create"))
	}},
	{name: "CreateGrant", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &s.key, GranteePrincipal: aws.String("arn:aws:iam::" + account + ":root"),
			Operations: []types.GrantOperation{types.GrantOperationEncrypt}})
	}},
	{name: "CreateKey", on: nothing, disabled: "X", run: func(c *kms.Client, s *subject) (any, error) {
		return c.CreateKey(ctx, &kms.CreateKeyInput{})
	}},
	{name: "Decrypt", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: s.blob})
	}},
	{name: "DeleteAlias", on: theAlias, run: func(c *kms.Client, s *subject) (any, error) {
		return c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &s.alias})
	}},
	{name: "DeleteCustomKeyStore", on: nothing, disabled: "X", before: withStore("delete"), run: func(c *kms.Client, s *subject) (any, error) {
		return c.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &s.store})
	}},
	{name: "DeleteImportedKeyMaterial", on: theKey, external: true, run: func(c *kms.Client, s *subject) (any, error) {
		return c.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &s.key})
	}},
	{name: "DeriveSharedSecret", on: theKey, usage: types.KeyUsageTypeKeyAgreement, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: &s.key, PublicKey: s.blob, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh})
	}},
	{name: "DescribeCustomKeyStores", on: nothing, disabled: "X", run: func(c *kms.Client, _ *subject) (any, error) {
		return c.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{})
	}},
	{name: "DescribeKey", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &s.key})
	}},
	{name: "DisableKey", on: theKey, pending: "S", importing: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &s.key})
	}},
	{name: "DisableKeyRotation", on: theKey, disabled: "D", pending: "S", importing: "U", run: func(c *kms.Client, s *subject) (any, error) {
		return c.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &s.key})
	}},
	{name: "DisconnectCustomKeyStore", on: nothing, disabled: "X", before: connecting("disconnect"), run: func(c *kms.Client, s *subject) (any, error) {
		return c.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &s.store})
	}},
	{name: "EnableKey", on: theKey, pending: "S", importing: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &s.key})
	}},
	{name: "EnableKeyRotation", on: theKey, disabled: "D", pending: "S", importing: "U", run: func(c *kms.Client, s *subject) (any, error) {
		return c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &s.key})
	}},
	{name: "Encrypt", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.Encrypt(ctx, &kms.EncryptInput{KeyId: &s.key, Plaintext: message})
	}},
	{name: "GenerateDataKey", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &s.key, KeySpec: types.DataKeySpecAes256})
	}},
	{name: "GenerateDataKeyPair", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &s.key, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
	}},
	{name: "GenerateDataKeyPairWithoutPlaintext", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: &s.key, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
	}},
	{name: "GenerateDataKeyWithoutPlaintext", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &s.key, KeySpec: types.DataKeySpecAes256})
	}},
	{name: "GenerateMac", on: theKey, usage: types.KeyUsageTypeGenerateVerifyMac, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &s.key, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
	}},
	{name: "GenerateRandom", on: nothing, disabled: "X", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1)})
	}},
	{name: "GetKeyLastUsage", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: &s.key})
	}},
	{name: "GetKeyPolicy", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &s.key})
	}},
	{name: "GetKeyRotationStatus", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &s.key})
	}},
	{name: "GetParametersForImport", on: theKey, external: true, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GetParametersForImport(ctx, &kms.GetParametersForImportInput{
			KeyId: &s.key, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	}},
	{name: "GetPublicKey", on: theKey, usage: types.KeyUsageTypeSignVerify, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &s.key})
	}},
	{name: "ImportKeyMaterial", on: theKey, external: true, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		in := &kms.ImportKeyMaterialInput{KeyId: &s.key, ImportToken: []byte("x"), EncryptedKeyMaterial: []byte("x")}
		if s.imports != nil {
			in = s.imports.input(material(1, 32))
		}
		return c.ImportKeyMaterial(ctx, in)
	}},
	{name: "ListAliases", on: nothing, run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListAliases(ctx, &kms.ListAliasesInput{KeyId: &s.key})
	}},
	{name: "ListGrants", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &s.key})
	}},
	{name: "ListKeyPolicies", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: &s.key})
	}},
	{name: "ListKeyRotations", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &s.key})
	}},
	{name: "ListKeys", on: nothing, disabled: "X", run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListKeys(ctx, &kms.ListKeysInput{})
	}},
	{name: "ListResourceTags", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &s.key})
	}},
	{name: "ListRetirableGrants", on: nothing, disabled: "X", run: func(c *kms.Client, s *subject) (any, error) {
		return c.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String("arn:aws:iam::" + account + ":root")})
	}},
	{name: "PutKeyPolicy", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &s.key, Policy: aws.String(keyPolicy())})
	}},
	{name: "ReEncrypt", on: bothByDistance, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: s.blob, DestinationKeyId: &s.second})
	}},
	{name: "ReplicateKey", on: theKeyAndNew, multi: true, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &s.key, ReplicaRegion: aws.String(south)})
	}},
	{name: "RetireGrant", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &s.key, GrantId: &s.grant})
	}},
	{name: "RevokeGrant", on: theKey, run: func(c *kms.Client, s *subject) (any, error) {
		return c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &s.key, GrantId: &s.grant})
	}},
	{name: "RotateKeyOnDemand", on: theKey, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &s.key})
	}},
	{name: "ScheduleKeyDeletion", on: theKey, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &s.key})
	}},
	{name: "Sign", on: theKey, usage: types.KeyUsageTypeSignVerify, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.Sign(ctx, &kms.SignInput{KeyId: &s.key, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	}},
	{name: "TagResource", on: theKey, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.TagResource(ctx, &kms.TagResourceInput{KeyId: &s.key, Tags: []types.Tag{{TagKey: aws.String("k"), TagValue: aws.String("v")}}})
	}},
	{name: "UntagResource", on: theKey, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &s.key, TagKeys: []string{"k"}})
	}},
	{name: "UpdateAlias", on: bothAndAlias, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		// From the second key to the first, whose state is told.
		return c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &s.alias, TargetKeyId: &s.key})
	}},
	{name: "UpdateCustomKeyStore", on: nothing, disabled: "X", before: withStore("update"), run: func(c *kms.Client, s *subject) (any, error) {
		return c.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &s.store, NewCustomKeyStoreName: aws.String("updated")})
	}},
	{name: "UpdateKeyDescription", on: theKey, pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &s.key, Description: aws.String("walked")})
	}},
	{name: "UpdatePrimaryRegion", on: theKeyAndReplica, multi: true, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &s.key, PrimaryRegion: aws.String(west)})
	}},
	{name: "Verify", on: theKey, usage: types.KeyUsageTypeSignVerify, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.Verify(ctx, &kms.VerifyInput{KeyId: &s.key, Message: message, Signature: s.blob, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	}},
	{name: "VerifyMac", on: theKey, usage: types.KeyUsageTypeGenerateVerifyMac, disabled: "D", pending: "S", run: func(c *kms.Client, s *subject) (any, error) {
		return c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &s.key, Message: message, Mac: s.blob, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
	}},
}

func (o *walked) subject(t *testing.T, w *world, name string) *subject {
	t.Helper()
	spec, usage := o.kind()
	if o.external {
		return newExternal(t, w, name, spec, usage, o.multi)
	}
	return newSubject(t, w, name, spec, usage, o.multi)
}

// kind is the kind of key that the operation is walked on.
func (o *walked) kind() (types.KeySpec, types.KeyUsageType) {
	switch o.usage {
	case types.KeyUsageTypeSignVerify, types.KeyUsageTypeKeyAgreement:
		return types.KeySpecEccNistP256, o.usage
	case types.KeyUsageTypeGenerateVerifyMac:
		return types.KeySpecHmac256, o.usage
	}
	return types.KeySpecSymmetricDefault, types.KeyUsageTypeEncryptDecrypt
}

// permission is the smallest identity policy statement that an operation needs on a subject.
func (o *walked) permission(s *subject) []string {
	alias := fmt.Sprintf("arn:aws:kms:us-east-1:%s:%s", account, s.alias)
	allow := func(action string, resources ...string) string {
		return fmt.Sprintf(`"Action":"kms:%s","Resource":["%s"]`, action, strings.Join(resources, `","`))
	}
	switch o.on {
	case theKey:
		return []string{allow(o.name, s.key)}
	case theAlias:
		return []string{allow(o.name, s.key, alias)}
	case bothAndAlias:
		return []string{allow(o.name, s.key, s.second, alias)}
	case theKeyAndNew:
		return []string{allow(o.name, s.key), allow("CreateKey", "*")}
	case theKeyAndReplica:
		return []string{allow(o.name, s.key), allow(o.name, s.replica)}
	case bothByDistance:
		return []string{allow("ReEncryptFrom", s.key), allow("ReEncryptTo", s.second)}
	}
	return []string{allow(o.name, "*")}
}

// TestWalk proves for every operation that a principal without permission is denied, that the same principal with just that action on just
// that resource is not, and that both are on record.
func TestWalk(t *testing.T) {
	t.Parallel()
	w := start(t, endpointServices)
	var done []string
	for _, o := range walk {
		done = append(done, o.name)
		t.Run(o.name, func(t *testing.T) {
			s := o.subject(t, w, o.name)
			if o.before != nil {
				o.before(t, s)
			}
			permission := o.permission(s)
			nobody := w.user(account, o.name)
			denied(t)(o.run(nobody, s))
			r := w.recorded(t, account, o.name, "AccessDenied")
			if r.UserIdentity.ARN != userARN(account, o.name) || !strings.Contains(r.ErrorMessage, "is not authorized to perform: kms:") {
				t.Errorf("the refusal is recorded as %s", r.Raw)
			}
			for i := range permission { // each of several permissions alone is not enough
				if len(permission) > 1 {
					denied(t)(o.run(w.user(account, o.name, permission[i]), s))
				}
			}
			allowed := w.user(account, o.name, permission...)
			ok(t)(o.run(allowed, s))
			r = w.recorded(t, account, o.name, "")
			if r.UserIdentity.ARN != userARN(account, o.name) || r.EventSource != "kms.amazonaws.com" || r.RecipientAccountID != account || r.EventType != "AwsApiCall" {
				t.Errorf("the call is recorded as %s", r.Raw)
			}
			if o.on != nothing && !slices.ContainsFunc(r.Resources, func(x struct{ AccountID, Type, ARN string }) bool {
				return (x.ARN == s.key || x.ARN == s.replica) && x.Type == "AWS::KMS::Key" && x.AccountID == account
			}) {
				t.Errorf("the record does not name the key: %s", r.Raw)
			}
		})
	}
	if err := walks.Check(walks.File, done, nil); err != nil {
		t.Error(err)
	}
	t.Run("DeniedElsewhere", func(t *testing.T) {
		// The permission for one key is none for another.
		a, b := w.key(t), w.key(t)
		c := w.user(account, "elsewhere", fmt.Sprintf(`"Action":"kms:*","Resource":%q`, a))
		ok(t)(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &a}))
		refused(t, "AccessDeniedException", "User: "+userARN(account, "elsewhere")+" is not authorized to perform: kms:DescribeKey on resource: "+b+
			" because no identity-based policy allows the kms:DescribeKey action")(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &b}))
	})
}

// TestState walks the key state table.
func TestState(t *testing.T) {
	t.Parallel()
	w := start(t)
	answer := map[string]string{"": "", "D": "DisabledException", "S": "KMSInvalidStateException"}
	for _, o := range walk {
		if o.disabled == "X" {
			continue
		}
		for state, want := range map[string]string{"Disabled": o.disabled, "PendingDeletion": o.pending, "PendingReplicaDeletion": o.pending} {
			t.Run(o.name+"/"+state, func(t *testing.T) {
				o, words := o, "pending deletion"
				if state == "PendingReplicaDeletion" {
					o.multi = true
				}
				if o.multi {
					words = "pending replica deletion"
				}
				s := o.subject(t, w, state+"-"+o.name)
				if o.name == "CreateAlias" {
					s.alias += "-new"
				}
				if state == "Disabled" {
					w.disable(t, s.key)
				} else {
					w.schedule(t, s.key)
				}
				_, err := o.run(w.Client, s)
				if got := code(err); got != answer[want] {
					t.Fatalf("got %q, want %q", got, answer[want])
				}
				switch {
				case o.name == "CancelKeyDeletion" && state == "Disabled":
					refused(t, "KMSInvalidStateException", s.key+" is not pending deletion.")(nil, err)
				case want == "D":
					refused(t, "DisabledException", s.key+" is disabled.")(nil, err)
				case want == "S":
					refused(t, "KMSInvalidStateException", s.key+" is "+words+".")(nil, err)
				}
			})
		}
	}
	t.Run("DestinationDisabled", func(t *testing.T) {
		s := newSubject(t, w, "destination", types.KeySpecSymmetricDefault, types.KeyUsageTypeEncryptDecrypt, false)
		w.disable(t, s.second)
		refused(t, "DisabledException", s.second+" is disabled.")(w.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: s.blob, DestinationKeyId: &s.second}))
	})
}

// TestStatePendingImport is the column of the table for keys that wait for their material.
func TestStatePendingImport(t *testing.T) {
	t.Parallel()
	w := start(t)
	answer := map[string]string{"": "", "S": "KMSInvalidStateException", "U": "UnsupportedOperationException"}
	keys := make(map[types.KeyUsageType]*subject)
	type step struct {
		walked
		s *subject
	}
	var steps []step
	for _, o := range walk {
		if o.disabled == "X" {
			continue
		}
		spec, usage := o.kind()
		s := keys[usage]
		if s == nil { // one for all operations of a usage: wrapping keys take long to make
			s = newExternal(t, w, "pending-import-"+string(usage), spec, usage, true)
			keys[usage] = s
		}
		own := *s
		own.alias += o.name
		own.furnish(t, usage)
		steps = append(steps, step{o, &own})
	}
	drop := func(t *testing.T, s *subject) {
		t.Helper()
		ok(t)(w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &s.key}))
		w.inState(t, s.key, types.KeyStatePendingImport)
	}
	for _, s := range keys {
		drop(t, s)
	}
	for _, o := range steps {
		t.Run(o.name, func(t *testing.T) {
			want := o.importing
			if want == "" && o.disabled == "D" {
				want = "S"
			}
			if o.name == "CreateAlias" {
				o.s.alias += "-new"
			}
			_, err := o.run(w.Client, o.s)
			if got := code(err); got != answer[want] {
				t.Fatalf("got %q, want %q", got, answer[want])
			}
			switch {
			case o.name == "CancelKeyDeletion":
			case want == "S":
				refused(t, "KMSInvalidStateException", o.s.key+" is pending import.")(nil, err)
			case want == "U":
				refused(t, "UnsupportedOperationException", o.s.key+" origin is EXTERNAL which is not valid for this operation.")(nil, err)
			case o.name == "ScheduleKeyDeletion":
				ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &o.s.key}))
			case o.name == "ImportKeyMaterial":
				w.inState(t, o.s.key, types.KeyStateEnabled)
				drop(t, o.s)
			}
			w.inState(t, o.s.key, types.KeyStatePendingImport)
		})
	}
}

// TestComplete holds the walk against the model.
func TestComplete(t *testing.T) {
	for _, op := range api.Operations() {
		if !slices.ContainsFunc(walk, func(o walked) bool { return o.name == op.Name }) {
			t.Errorf("%s is not walked", op.Name)
		}
	}
}

// TestSpecs makes a key of every spec and usage that the model has, and uses it with every algorithm it offers.
func TestSpecs(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, spec := range keys.Specs() {
		if spec == keys.SM2 {
			continue // the China Regions' own: see TestSM2
		}
		for _, usage := range spec.Usages() {
			t.Run(fmt.Sprintf("%s/%s", spec, usage), func(t *testing.T) {
				if spec.SlowToGenerate() {
					t.Parallel() // long RSA keys are made in the background
				}
				useSpec(t, w, spec, usage)
			})
		}
	}
}

// TestSM2 makes keys that only the partition aws-cn has.
func TestSM2(t *testing.T) {
	t.Parallel()
	refusedHere := start(t)
	refused(t, "UnsupportedOperationException", "-")(refusedHere.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: types.KeyUsageTypeSignVerify}))
	key := refusedHere.key(t)
	refused(t, "UnsupportedOperationException", "-")(refusedHere.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecSm2}))
	w := start(t, china)
	for _, usage := range keys.SM2.Usages() {
		t.Run(string(usage), func(t *testing.T) { useSpec(t, w, keys.SM2, usage) })
	}
	wrapper := w.key(t)
	if !strings.HasPrefix(wrapper, "arn:aws-cn:kms:cn-north-1:") {
		t.Errorf("the key is %s", wrapper)
	}
	ok(t)(w.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &wrapper, KeyPairSpec: types.DataKeyPairSpecSm2}))
}

func useSpec(t *testing.T, w *world, spec keys.Spec, usage keys.Usage) {
	t.Helper()
	made, err := w.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: types.KeySpec(spec), KeyUsage: types.KeyUsageType(usage)})
	ok(t)(made, err)
	m := made.KeyMetadata
	if string(m.KeySpec) != string(spec) || string(m.CustomerMasterKeySpec) != string(spec) || string(m.KeyUsage) != string(usage) {
		t.Errorf("CreateKey made a %s (%s) for %s", m.KeySpec, m.CustomerMasterKeySpec, m.KeyUsage)
	}
	key := m.Arn
	if spec.Asymmetric() {
		pub, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: key})
		ok(t)(pub, err)
		if *pub.KeyId != *key || pub.KeySpec != m.KeySpec || pub.KeyUsage != m.KeyUsage {
			t.Errorf("GetPublicKey told %+v", pub)
		}
		if _, err := x509.ParsePKIXPublicKey(pub.PublicKey); err != nil && spec != keys.SM2 && spec != keys.Secp256k1 && !strings.HasPrefix(string(spec), "ML_DSA") {
			t.Errorf("the public key: %v", err)
		}
	}
	for _, alg := range spec.Algorithms(usage) {
		switch usage {
		case keys.EncryptDecrypt:
			a := types.EncryptionAlgorithmSpec(alg)
			if !slices.Contains(m.EncryptionAlgorithms, a) {
				t.Errorf("the key does not tell %s", a)
			}
			sealed, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: message, EncryptionAlgorithm: a})
			ok(t)(sealed, err)
			opened, err := w.Decrypt(ctx, &kms.DecryptInput{KeyId: key, CiphertextBlob: sealed.CiphertextBlob, EncryptionAlgorithm: a})
			ok(t)(opened, err)
			if string(opened.Plaintext) != string(message) {
				t.Errorf("%s gave %q back", a, opened.Plaintext)
			}
		case keys.SignVerify:
			a, mt, text := types.SigningAlgorithmSpec(alg), types.MessageTypeRaw, message
			if alg == keys.Ed25519PHSHA512 {
				mt, text = types.MessageTypeDigest, make([]byte, 64)
			}
			if !slices.Contains(m.SigningAlgorithms, a) {
				t.Errorf("the key does not tell %s", a)
			}
			signed, err := w.Sign(ctx, &kms.SignInput{KeyId: key, Message: text, MessageType: mt, SigningAlgorithm: a})
			ok(t)(signed, err)
			good, err := w.Verify(ctx, &kms.VerifyInput{KeyId: key, Message: text, MessageType: mt, SigningAlgorithm: a, Signature: signed.Signature})
			ok(t)(good, err)
			if !good.SignatureValid {
				t.Errorf("%s: the signature is not valid", a)
			}
		case keys.GenerateVerifyMAC:
			a := types.MacAlgorithmSpec(alg)
			if !slices.Contains(m.MacAlgorithms, a) {
				t.Errorf("the key does not tell %s", a)
			}
			mac, err := w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: key, Message: message, MacAlgorithm: a})
			ok(t)(mac, err)
			ok(t)(w.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: key, Message: message, MacAlgorithm: a, Mac: mac.Mac}))
		case keys.KeyAgreement:
			a := types.KeyAgreementAlgorithmSpec(alg)
			if !slices.Contains(m.KeyAgreementAlgorithms, a) {
				t.Errorf("the key does not tell %s", a)
			}
			peer, err := w.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: m.KeySpec, KeyUsage: m.KeyUsage})
			ok(t)(peer, err)
			secret := func(mine, theirs *string) string {
				pub, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: theirs})
				ok(t)(pub, err)
				out, err := w.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: mine, PublicKey: pub.PublicKey, KeyAgreementAlgorithm: a})
				ok(t)(out, err)
				return string(out.SharedSecret)
			}
			if secret(key, peer.KeyMetadata.Arn) != secret(peer.KeyMetadata.Arn, key) {
				t.Errorf("%s: the sides do not agree", a)
			}
		}
	}
}
