package kms_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

const (
	here  = "us-east-1"
	west  = "eu-west-1"
	south = "ap-south-1"
)

// in is the same client in another region.
func in(c *kms.Client, region string) *kms.Client {
	return kms.New(c.Options(), func(o *kms.Options) { o.Region = region })
}

// elsewhere is the ARN of the same key in another region.
func elsewhere(arn, region string) string {
	parts := strings.Split(arn, ":")
	parts[3] = region
	return strings.Join(parts, ":")
}

func multiRegion(in *kms.CreateKeyInput) { in.MultiRegion = aws.Bool(true) }

// replicate makes a replica and returns its ARN.
func (w *world) replicate(t *testing.T, primary, region string, change ...func(*kms.ReplicateKeyInput)) string {
	t.Helper()
	req := &kms.ReplicateKeyInput{KeyId: &primary, ReplicaRegion: &region}
	for _, f := range change {
		f(req)
	}
	out, err := in(w.Client, strings.Split(primary, ":")[3]).ReplicateKey(ctx, req)
	ok(t)(out, err)
	return *out.ReplicaKeyMetadata.Arn
}

// describe describes a key in its own region.
func (w *world) describe(t *testing.T, arn string) *types.KeyMetadata {
	t.Helper()
	out, err := in(w.Client, strings.Split(arn, ":")[3]).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &arn})
	ok(t)(out, err)
	return out.KeyMetadata
}

// wantRelatives holds what each of some related keys tells of them all.
func (w *world) wantRelatives(t *testing.T, primary string, replicas ...string) {
	t.Helper()
	region := func(arn string) string { return strings.Split(arn, ":")[3] }
	slices.SortFunc(replicas, func(a, b string) int { return strings.Compare(region(a), region(b)) })
	for _, arn := range append([]string{primary}, replicas...) {
		m := w.describe(t, arn)
		kind := types.MultiRegionKeyTypeReplica
		if arn == primary {
			kind = types.MultiRegionKeyTypePrimary
		}
		if m.MultiRegion == nil || !*m.MultiRegion || m.MultiRegionConfiguration == nil {
			t.Fatalf("%s tells %+v", arn, m)
		}
		cfg := m.MultiRegionConfiguration
		var told []string
		for _, r := range cfg.ReplicaKeys {
			if *r.Region != region(*r.Arn) {
				t.Errorf("%s tells of %s in %s", arn, *r.Arn, *r.Region)
			}
			told = append(told, *r.Arn)
		}
		if cfg.MultiRegionKeyType != kind || *cfg.PrimaryKey.Arn != primary || *cfg.PrimaryKey.Region != region(primary) || !slices.Equal(told, replicas) || cfg.ReplicaKeys == nil {
			t.Errorf("%s is %s, and tells of primary %s and replicas %v, want %s and %v", arn, cfg.MultiRegionKeyType, *cfg.PrimaryKey.Arn, told, primary, replicas)
		}
	}
}

// wantRecord returns the last record of an operation in a region, and its resources.
func (w *world) wantRecord(t *testing.T, operation, region string) (resources []string) {
	t.Helper()
	raw, err := w.Events(ctx, audit.Filter{Account: account})
	ok(t)(raw, err)
	for _, r := range slices.Backward(raw) {
		var e struct {
			EventName, AWSRegion, ErrorCode string
			Resources                       []struct{ ARN string }
		}
		ok(t)(nil, json.Unmarshal(r, &e))
		if e.EventName != operation || e.AWSRegion != region || e.ErrorCode != "" {
			continue
		}
		for _, x := range e.Resources {
			resources = append(resources, x.ARN)
		}
		return resources
	}
	t.Errorf("%s is not on record in %s", operation, region)
	return nil
}

func TestMultiRegionKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("Primary", func(t *testing.T) {
		out, err := w.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
		ok(t)(out, err)
		m := out.KeyMetadata
		if !regexp.MustCompile(`^mrk-[0-9a-f]{32}$`).MatchString(*m.KeyId) || m.KeyState != types.KeyStateEnabled {
			t.Errorf("made %+v", m)
		}
		w.wantRelatives(t, *m.Arn)
		w.decrypts(t, w.encrypt(t, *m.KeyId, "x"), "x")
	})
	t.Run("SingleRegion", func(t *testing.T) {
		if m := w.describe(t, w.key(t)); *m.MultiRegion || m.MultiRegionConfiguration != nil {
			t.Errorf("a single-Region key tells %+v", m)
		}
	})
	t.Run("Shared", func(t *testing.T) {
		// Of keys of every kind, what is encrypted, signed or MACed in one region is decrypted or verified in another.
		for _, tt := range []struct {
			spec  types.KeySpec
			usage types.KeyUsageType
		}{
			{types.KeySpecSymmetricDefault, types.KeyUsageTypeEncryptDecrypt}, {types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt},
			{types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify}, {types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac},
		} {
			key := w.key(t, of(tt.spec, tt.usage), multiRegion)
			replica := w.replicate(t, key, west)
			if replica != elsewhere(key, west) {
				t.Errorf("the replica of %s is %s", key, replica)
			}
			a, b := w.describe(t, key), w.describe(t, replica)
			if a.KeySpec != b.KeySpec || a.KeyUsage != b.KeyUsage || a.Origin != b.Origin || aws.ToString(a.CurrentKeyMaterialId) != aws.ToString(b.CurrentKeyMaterialId) {
				t.Errorf("%s and its replica are %+v and %+v", tt.spec, a, b)
			}
			there := in(w.Client, west)
			switch tt.usage {
			case types.KeyUsageTypeEncryptDecrypt:
				alg := types.EncryptionAlgorithmSpecSymmetricDefault
				if tt.spec == types.KeySpecRsa2048 {
					alg = types.EncryptionAlgorithmSpecRsaesOaepSha256
				}
				sealed, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionAlgorithm: alg})
				ok(t)(sealed, err)
				opened, err := there.Decrypt(ctx, &kms.DecryptInput{KeyId: &replica, CiphertextBlob: sealed.CiphertextBlob, EncryptionAlgorithm: alg})
				ok(t)(opened, err)
				if string(opened.Plaintext) != string(message) || *opened.KeyId != replica {
					t.Errorf("%s: got %q by %s", tt.spec, opened.Plaintext, *opened.KeyId)
				}
			case types.KeyUsageTypeSignVerify:
				signed, err := there.Sign(ctx, &kms.SignInput{KeyId: &replica, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
				ok(t)(signed, err)
				ok(t)(w.Verify(ctx, &kms.VerifyInput{KeyId: &key, Message: message, Signature: signed.Signature, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256}))
				p, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})
				ok(t)(p, err)
				q, err := there.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &replica})
				ok(t)(q, err)
				if string(p.PublicKey) != string(q.PublicKey) {
					t.Error("the public keys differ")
				}
			case types.KeyUsageTypeGenerateVerifyMac:
				mac, err := w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &key, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
				ok(t)(mac, err)
				ok(t)(there.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &replica, Message: message, Mac: mac.Mac, MacAlgorithm: types.MacAlgorithmSpecHmacSha256}))
			}
		}
	})
	t.Run("Ciphertexts", func(t *testing.T) {
		key := w.key(t, multiRegion)
		replica := w.replicate(t, key, west)
		there := in(w.Client, west)
		blob := w.encrypt(t, key, "text")
		for name, keyID := range map[string]*string{"Unnamed": nil, "ByID": aws.String(id(key)), "ByARN": &replica} {
			out, err := there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, KeyId: keyID})
			ok(t)(out, err)
			if string(out.Plaintext) != "text" || *out.KeyId != replica {
				t.Errorf("%s: got %q by %s", name, out.Plaintext, *out.KeyId)
			}
		}
		back, err := there.Encrypt(ctx, &kms.EncryptInput{KeyId: &replica, Plaintext: []byte("back")})
		ok(t)(back, err)
		w.decrypts(t, back.CiphertextBlob, "back")
		// A key is called where it is, by a caller who means it.
		refused(t, "NotFoundException", "Invalid arn "+here)(there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, KeyId: &key}))
		// Where there is no replica, there is no key.
		denied(t)(in(w.Client, south).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		single, err := there.CreateKey(ctx, &kms.CreateKeyInput{})
		ok(t)(single, err)
		refused(t, "IncorrectKeyException", "-")(there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, KeyId: single.KeyMetadata.Arn}))
		moved, err := there.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: single.KeyMetadata.Arn})
		ok(t)(moved, err)
		if *moved.SourceKeyId != replica {
			t.Errorf("re-encrypted from %s", *moved.SourceKeyId)
		}
	})
	t.Run("Own", func(t *testing.T) {
		// Policy, grants, aliases, tags, description, state and last use are each key's own.
		key := w.key(t, multiRegion, func(in *kms.CreateKeyInput) {
			in.Description, in.Tags = aws.String("primary"), []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}
		})
		w.alias(t, "alias/own", key)
		replica := w.replicate(t, key, west)
		there := in(w.Client, west)
		if m := w.describe(t, replica); *m.Description != "" {
			t.Errorf("the replica is described as %q", *m.Description)
		}
		tags, err := there.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &replica})
		ok(t)(tags, err)
		aliases, err := there.ListAliases(ctx, &kms.ListAliasesInput{KeyId: &replica})
		ok(t)(aliases, err)
		if len(tags.Tags) != 0 || len(aliases.Aliases) != 0 {
			t.Errorf("the replica has %d tags and %d aliases", len(tags.Tags), len(aliases.Aliases))
		}
		ok(t)(there.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/own"), TargetKeyId: &replica}))
		ok(t)(there.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &replica, Description: aws.String("replica")}))
		if m := w.describe(t, key); *m.Description != "primary" {
			t.Errorf("the primary is described as %q", *m.Description)
		}
		w.user(account, "ann")
		ok(t)(there.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &replica, GranteePrincipal: aws.String(userARN(account, "ann")), Operations: []types.GrantOperation{opEncrypt}}))
		grants, err := w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key})
		ok(t)(grants, err)
		if len(grants.Grants) != 0 {
			t.Error("the primary has the replica's grant")
		}
		ok(t)(there.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &replica, Policy: aws.String(keyPolicy(`"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"`))}))
		w.encrypt(t, key, "x")
		denied(t)(there.Encrypt(ctx, &kms.EncryptInput{KeyId: &replica, Plaintext: message}))
		w.disable(t, key)
		if m := w.describe(t, replica); m.KeyState != types.KeyStateEnabled {
			t.Errorf("the replica is %s", m.KeyState)
		}
		last, err := there.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: &replica})
		ok(t)(last, err)
		if last.KeyLastUsage != nil {
			t.Errorf("the replica was last used %+v", last.KeyLastUsage)
		}
	})
}

func TestReplicateKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t, multiRegion)
	replicate := func(c *kms.Client, key, region string) (any, error) {
		return c.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: &region})
	}
	t.Run("OK", func(t *testing.T) {
		policy := keyPolicy()
		out, err := w.ReplicateKey(ctx, &kms.ReplicateKeyInput{
			KeyId: aws.String(id(key)), ReplicaRegion: aws.String(west), Policy: &policy, Description: aws.String("west"),
			Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}},
		})
		ok(t)(out, err)
		replica := elsewhere(key, west)
		m := out.ReplicaKeyMetadata
		if *m.Arn != replica || *m.KeyId != id(key) || *m.Description != "west" || m.KeyState != types.KeyStateEnabled || *out.ReplicaPolicy != policy || len(out.ReplicaTags) != 1 {
			t.Errorf("ReplicateKey answered %+v", out)
		}
		w.wantRelatives(t, key, replica)
		if got := w.wantRecord(t, "ReplicateKey", here); !slices.Equal(got, []string{key}) {
			t.Errorf("ReplicateKey is recorded with %v", got)
		}
		if got := w.wantRecord(t, "CreateKey", west); !slices.Equal(got, []string{replica}) {
			t.Errorf("CreateKey is recorded with %v", got)
		}
		if got := w.wantRecord(t, "SynchronizeMultiRegionKey", here); !slices.Equal(got, []string{key}) {
			t.Errorf("SynchronizeMultiRegionKey is recorded with %v", got)
		}
		there := in(w.Client, west)
		tags, err := there.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &replica})
		ok(t)(tags, err)
		got, err := there.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &replica})
		ok(t)(got, err)
		if len(tags.Tags) != 1 || *got.Policy != policy {
			t.Errorf("the replica has tags %v and the policy %s", tags.Tags, *got.Policy)
		}
		listed, err := there.ListKeys(ctx, &kms.ListKeysInput{})
		ok(t)(listed, err)
		if len(listed.Keys) != 1 || *listed.Keys[0].KeyArn != replica {
			t.Errorf("in %s there are %+v", west, listed.Keys)
		}
		w.wantRelatives(t, key, replica, w.replicate(t, key, south))
	})
	t.Run("DefaultPolicy", func(t *testing.T) {
		out, err := w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: aws.String(w.key(t, multiRegion)), ReplicaRegion: aws.String(west)})
		ok(t)(out, err)
		if !strings.Contains(*out.ReplicaPolicy, "Enable IAM User Permissions") || len(out.ReplicaTags) != 0 {
			t.Errorf("answered %+v", out)
		}
	})
	t.Run("AlreadyExists", func(t *testing.T) {
		refused(t, "AlreadyExistsException", "-")(replicate(w.Client, key, west))
		refused(t, "AlreadyExistsException", "-")(replicate(w.Client, key, here))
		refused(t, "AlreadyExistsException", "-")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String(west), Policy: aws.String("{")}))
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		single := w.key(t)
		refused(t, "UnsupportedOperationException", single+" is not a multi-region primary key.")(replicate(w.Client, single, west))
		replica := elsewhere(key, west)
		refused(t, "UnsupportedOperationException", replica+" is not a multi-region primary key.")(replicate(in(w.Client, west), replica, "eu-north-1"))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(replicate(w.Client, unknownKey, west))
		refused(t, "NotFoundException", "Invalid arn "+here)(replicate(in(w.Client, west), key, south))
		w.alias(t, "alias/replicated", key)
		refused(t, "NotFoundException", "-")(replicate(w.Client, "alias/replicated", west))
	})
	t.Run("Regions", func(t *testing.T) {
		for _, region := range []string{"cn-north-1", "us-gov-west-1", "nowhere", "", "eu-west-", "EU-WEST-1"} {
			refused(t, "ValidationException", "-")(replicate(w.Client, key, region))
		}
	})
	t.Run("States", func(t *testing.T) {
		key := w.key(t, multiRegion)
		w.disable(t, key)
		refused(t, "DisabledException", key+" is disabled.")(replicate(w.Client, key, west))
		w.schedule(t, key)
		refused(t, "KMSInvalidStateException", key+" is pending deletion.")(replicate(w.Client, key, west))
	})
	t.Run("MalformedPolicy", func(t *testing.T) {
		for _, policy := range []string{"{", keyPolicy(`"Principal":{"AWS":"` + userARN(account, "nobody") + `"},"Action":"*","Resource":"*"`), `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"` + userARN(account, "ann") + `"},"Action":"kms:Encrypt","Resource":"*"}]}`} {
			refused(t, "MalformedPolicyDocumentException", "-")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String("eu-north-1"), Policy: &policy}))
		}
		w.wantRelatives(t, key, elsewhere(key, west), elsewhere(key, south))
		refused(t, "NotFoundException", "-")(in(w.Client, "eu-north-1").DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(id(key))}))
	})
	t.Run("Lockout", func(t *testing.T) {
		policy := `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"kms:Encrypt","Resource":"*"}]}`
		refused(t, "MalformedPolicyDocumentException", "-")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String("eu-north-1"), Policy: &policy}))
		w.replicate(t, w.key(t, multiRegion), "eu-north-1", func(in *kms.ReplicateKeyInput) { in.Policy, in.BypassPolicyLockoutSafetyCheck = &policy, true })
	})
	t.Run("Limits", func(t *testing.T) {
		long := `{"Statement":[]` + strings.Repeat(" ", 32<<10) + `}`
		_, err := w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String("eu-north-1"), Policy: &long})
		if got := code(err); got != "LimitExceededException" {
			t.Errorf("a long policy: %v", err)
		}
	})
	t.Run("Tags", func(t *testing.T) {
		for _, tags := range [][]types.Tag{{{TagKey: aws.String("aws:a"), TagValue: aws.String("")}}, {{TagKey: aws.String("a"), TagValue: aws.String("")}, {TagKey: aws.String("a"), TagValue: aws.String("")}}} {
			refused(t, "TagException", "-")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String("eu-north-1"), Tags: tags}))
		}
	})
	t.Run("OtherAccount", func(t *testing.T) {
		w.put(t, key, keyPolicy(`"Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*"`))
		eve := w.user(other, "eve", anything)
		ok(t)(eve.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		denied(t)(replicate(eve, key, "eu-north-1"))
		denied(t)(eve.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: aws.String(west)}))
	})
	t.Run("AfterDeletion", func(t *testing.T) {
		key := w.key(t, multiRegion)
		blob := w.encrypt(t, key, "old")
		replica := w.replicate(t, key, west)
		there := in(w.Client, west)
		ok(t)(there.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &replica, PendingWindowInDays: aws.Int32(7)}))
		refused(t, "AlreadyExistsException", "-")(replicate(w.Client, key, west))
		w.Advance(7 * day)
		w.wantRelatives(t, key)
		w.replicate(t, key, west)
		w.wantRelatives(t, key, replica)
		ok(t)(there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	})
	t.Run("AtOnce", func(t *testing.T) {
		key := w.key(t, multiRegion)
		var calls sync.WaitGroup
		codes := make(chan string, 8)
		for range cap(codes) {
			calls.Go(func() {
				_, err := replicate(w.Client, key, west)
				codes <- code(err)
			})
		}
		calls.Wait()
		close(codes)
		made := 0
		for c := range codes {
			switch c {
			case "":
				made++
			case "AlreadyExistsException":
			default:
				t.Errorf("got %s", c)
			}
		}
		if made != 1 {
			t.Errorf("%d replicas were made", made)
		}
		w.wantRelatives(t, key, elsewhere(key, west))
	})
}

// TestReplicateKeyPermissions asks on both sides: for the primary key in its region, and for a new key in the other.
func TestReplicateKeyPermissions(t *testing.T) {
	t.Parallel()
	w := start(t)
	allow := func(action, resource, condition string) string {
		if condition != "" {
			condition = `,"Condition":` + condition
		}
		return fmt.Sprintf(`"Action":"kms:%s","Resource":%q%s`, action, resource, condition)
	}
	equals := func(key, value string) string { return fmt.Sprintf(`{"StringEquals":{%q:%q}}`, key, value) }
	tagged := func(in *kms.ReplicateKeyInput) {
		in.Tags = []types.Tag{{TagKey: aws.String("team"), TagValue: aws.String("red")}}
	}
	for _, tt := range []struct {
		name       string
		statements func(key string) []string
		region     string
		change     func(*kms.ReplicateKeyInput)
		want       bool
	}{
		{"Both", func(k string) []string { return []string{allow("ReplicateKey", k, ""), allow("CreateKey", "*", "")} }, west, nil, true},
		{"NoReplicateKey", func(k string) []string { return []string{allow("CreateKey", "*", "")} }, west, nil, false},
		{"NoCreateKey", func(k string) []string { return []string{allow("ReplicateKey", k, "")} }, west, nil, false},
		{"CreateKeyThere", func(k string) []string {
			return []string{allow("ReplicateKey", k, equals("aws:RequestedRegion", here)), allow("CreateKey", "*", equals("aws:RequestedRegion", west))}
		}, west, nil, true},
		{"CreateKeyHereOnly", func(k string) []string {
			return []string{allow("ReplicateKey", k, ""), allow("CreateKey", "*", equals("aws:RequestedRegion", here))}
		}, west, nil, false},
		{"ReplicaRegion", func(k string) []string {
			return []string{allow("ReplicateKey", k, equals("kms:ReplicaRegion", west)), allow("CreateKey", "*", "")}
		}, west, nil, true},
		{"OtherReplicaRegion", func(k string) []string {
			return []string{allow("ReplicateKey", k, equals("kms:ReplicaRegion", west)), allow("CreateKey", "*", "")}
		}, south, nil, false},
		{"CreatesAReplica", func(k string) []string {
			return []string{allow("ReplicateKey", k, equals("kms:MultiRegionKeyType", "PRIMARY")), allow("CreateKey", "*", equals("kms:MultiRegionKeyType", "REPLICA"))}
		}, west, nil, true},
		{"CreatesNoMultiRegionKeys", func(k string) []string {
			return []string{allow("ReplicateKey", k, ""), allow("CreateKey", "*", `{"Bool":{"kms:MultiRegion":"false"}}`)}
		}, west, nil, false},
		{"Tags", func(k string) []string {
			return []string{allow("ReplicateKey", k, ""), allow("CreateKey", "*", ""), allow("TagResource", "*", equals("aws:RequestTag/team", "red"))}
		}, west, tagged, true},
		{"NoTagResource", func(k string) []string { return []string{allow("ReplicateKey", k, ""), allow("CreateKey", "*", "")} }, west, tagged, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := w.key(t, multiRegion)
			req := &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: &tt.region}
			if tt.change != nil {
				tt.change(req)
			}
			_, err := w.user(account, tt.name, tt.statements(key)...).ReplicateKey(ctx, req)
			if !tt.want {
				denied(t)(nil, err)
				w.wantRelatives(t, key)
				return
			}
			ok(t)(nil, err)
			w.wantRelatives(t, key, elsewhere(key, tt.region))
		})
	}
	t.Run("CreateKey", func(t *testing.T) {
		c := w.user(account, "creator", allow("CreateKey", "*", equals("kms:MultiRegionKeyType", "PRIMARY")))
		ok(t)(c.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)}))
		denied(t)(c.CreateKey(ctx, &kms.CreateKeyInput{}))
	})
	t.Run("Use", func(t *testing.T) {
		key, single := w.key(t, multiRegion), w.key(t)
		replica := w.replicate(t, key, west)
		c := w.user(account, "multi", allow("Encrypt", "*", `{"Bool":{"kms:MultiRegion":"true"}}`))
		ok(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
		denied(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &single, Plaintext: message}))
		c = w.user(account, "replicas", allow("Encrypt", "*", equals("kms:MultiRegionKeyType", "REPLICA")))
		ok(t)(in(c, west).Encrypt(ctx, &kms.EncryptInput{KeyId: &replica, Plaintext: message}))
		denied(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
		denied(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &single, Plaintext: message}))
	})
}

func TestUpdatePrimaryRegion(t *testing.T) {
	t.Parallel()
	w := start(t)
	update := func(c *kms.Client, key, region string) (any, error) {
		return c.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: &region})
	}
	t.Run("OK", func(t *testing.T) {
		key := w.key(t, multiRegion)
		w.rotate(t, key, 90)
		a, b := w.replicate(t, key, west), w.replicate(t, key, south)
		ok(t)(update(w.Client, key, west))
		w.wantRelatives(t, a, key, b)
		if got := w.wantRecord(t, "UpdatePrimaryRegion", here); !slices.Equal(got, []string{key}) {
			t.Errorf("recorded with %v", got)
		}
		if got := w.wantRecord(t, "UpdatePrimaryRegion", west); !slices.Equal(got, []string{a}) {
			t.Errorf("recorded with %v", got)
		}
		for _, arn := range []string{key, a, b} {
			if m := w.describe(t, arn); m.KeyState != types.KeyStateEnabled {
				t.Errorf("%s is %s", arn, m.KeyState)
			}
		}
		// The new primary rotates, in time, and all of them get the material.
		w.Advance(90 * day)
		current := w.describe(t, a).CurrentKeyMaterialId
		for _, arn := range []string{key, a, b} {
			c := &world{w.Cloud, in(w.Client, strings.Split(arn, ":")[3])}
			if got := c.rotations(t, arn); len(got) != 1 || *w.describe(t, arn).CurrentKeyMaterialId != *current {
				t.Errorf("%s has seen %v", arn, got)
			}
		}
		refused(t, "UnsupportedOperationException", key+" is not a multi-region primary key.")(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		ok(t)(in(w.Client, west).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &a}))
		refused(t, "UnsupportedOperationException", key+" is not a multi-region primary key.")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String("eu-north-1")}))
		w.wantRelatives(t, a, key, b, w.replicate(t, a, "eu-north-1"))
		// The former primary is deleted like any replica.
		w.schedule(t, key)
		w.Advance(7 * day)
		w.wantRelatives(t, a, b, elsewhere(key, "eu-north-1"))
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		single, key := w.key(t), w.key(t, multiRegion)
		replica := w.replicate(t, key, west)
		refused(t, "UnsupportedOperationException", single+" is not a multi-region primary key.")(update(w.Client, single, west))
		refused(t, "UnsupportedOperationException", replica+" is not a multi-region primary key.")(update(in(w.Client, west), replica, west))
		refused(t, "UnsupportedOperationException", "-")(update(w.Client, key, here))
	})
	t.Run("NotFound", func(t *testing.T) {
		key := w.key(t, multiRegion)
		refused(t, "NotFoundException", "Key '"+elsewhere(key, west)+"' does not exist")(update(w.Client, key, west))
		refused(t, "NotFoundException", "-")(update(w.Client, unknownKey, west))
		refused(t, "ValidationException", "-")(update(w.Client, key, "nowhere"))
	})
	t.Run("States", func(t *testing.T) {
		key := w.key(t, multiRegion)
		replica := w.replicate(t, key, west)
		there := &world{w.Cloud, in(w.Client, west)}
		there.disable(t, replica)
		refused(t, "DisabledException", replica+" is disabled.")(update(w.Client, key, west))
		w.disable(t, key)
		refused(t, "DisabledException", key+" is disabled.")(update(w.Client, key, west))
		there.schedule(t, replica)
		ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
		refused(t, "KMSInvalidStateException", replica+" is pending deletion.")(update(w.Client, key, west))
		w.schedule(t, key)
		refused(t, "KMSInvalidStateException", key+" is pending replica deletion.")(update(w.Client, key, west))
		w.wantRelatives(t, key, replica)
	})
	t.Run("Permissions", func(t *testing.T) {
		key := w.key(t, multiRegion)
		replica := w.replicate(t, key, west)
		allow := func(resource, region string) string {
			return fmt.Sprintf(`"Action":"kms:UpdatePrimaryRegion","Resource":%q,"Condition":{"StringEquals":{"kms:PrimaryRegion":%q}}`, resource, region)
		}
		denied(t)(update(w.user(account, "one", allow(key, west)), key, west))
		denied(t)(update(w.user(account, "another", allow(replica, west)), key, west))
		denied(t)(update(w.user(account, "south", allow(key, south), allow(replica, south)), key, west))
		w.wantRelatives(t, key, replica)
		ok(t)(update(w.user(account, "both", allow(key, west), allow(replica, west)), key, west))
		w.wantRelatives(t, replica, key)
	})
}

func TestMultiRegionRotation(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t, multiRegion)
	replica := w.replicate(t, key, west)
	there := &world{w.Cloud, in(w.Client, west)}
	t.Run("OnDemand", func(t *testing.T) {
		there.decrypts(t, w.encrypt(t, key, "before"), "before") // the replica is ready for use from now on
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		out := there.decrypts(t, w.encrypt(t, key, "after"), "after")
		if *out.KeyMaterialId != *w.describe(t, key).CurrentKeyMaterialId || *out.KeyMaterialId != *w.describe(t, replica).CurrentKeyMaterialId {
			t.Error("the replica has other material")
		}
		w.decrypts(t, there.encrypt(t, replica, "back"), "back")
		if got := there.rotations(t, replica); !slices.Equal(got, []types.RotationType{types.RotationTypeOnDemand}) {
			t.Errorf("the replica has seen %v", got)
		}
		if got := w.wantRecord(t, "SynchronizeMultiRegionKey", here); !slices.Equal(got, []string{key}) {
			t.Errorf("recorded with %v", got)
		}
	})
	t.Run("Automatic", func(t *testing.T) {
		w.rotate(t, key, 100)
		a, b := w.status(t, key), there.status(t, replica)
		if !b.KeyRotationEnabled || *b.RotationPeriodInDays != 100 || !b.NextRotationDate.Equal(*a.NextRotationDate) {
			t.Errorf("the replica tells %+v", b)
		}
		there.disable(t, replica) // which keeps nothing from it
		w.Advance(100 * day)
		ok(t)(there.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &replica}))
		there.decrypts(t, w.encrypt(t, key, "automatic"), "automatic")
		w.Advance(100 * day)
		if a, b := w.rotations(t, key), there.rotations(t, replica); len(a) != 3 || !slices.Equal(a, b) {
			t.Errorf("the keys have seen %v and %v", a, b)
		}
		if got := w.wantRecord(t, "RotateKey", here); !slices.Equal(got, []string{key}) {
			t.Errorf("recorded with %v", got)
		}
		ok(t)(w.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &key}))
		if there.status(t, replica).KeyRotationEnabled {
			t.Error("the replica still rotates")
		}
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		for _, name := range []string{"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"} {
			refused(t, "UnsupportedOperationException", replica+" is not a multi-region primary key.")(rotationOperations[name](there.Client, replica))
		}
	})
	t.Run("LaterReplica", func(t *testing.T) {
		old := w.encrypt(t, key, "old")
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		late := w.replicate(t, key, south)
		c := &world{w.Cloud, in(w.Client, south)}
		c.decrypts(t, old, "old")
		if a, b := w.rotations(t, key), c.rotations(t, late); !slices.Equal(a, b) {
			t.Errorf("the keys have seen %v and %v", a, b)
		}
	})
	t.Run("WhilePendingDeletion", func(t *testing.T) {
		there.schedule(t, replica)
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		ok(t)(there.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &replica}))
		ok(t)(there.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &replica}))
		there.decrypts(t, w.encrypt(t, key, "x"), "x")
	})
}

func TestMultiRegionDeletion(t *testing.T) {
	t.Parallel()
	w := start(t)
	west1, south1 := &world{w.Cloud, in(w.Client, west)}, &world{w.Cloud, in(w.Client, south)}
	gone := func(t *testing.T, arn string) {
		t.Helper()
		refused(t, "NotFoundException", "-")(in(w.Client, strings.Split(arn, ":")[3]).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &arn}))
	}
	t.Run("Replica", func(t *testing.T) {
		key := w.key(t, multiRegion)
		blob := w.encrypt(t, key, "x")
		a, b := w.replicate(t, key, west), w.replicate(t, key, south)
		west1.schedule(t, a)
		w.wantRelatives(t, key, a, b)
		w.Advance(7 * day)
		gone(t, a)
		w.wantRelatives(t, key, b)
		south1.decrypts(t, blob, "x")
		denied(t)(west1.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		if got := w.wantRecord(t, "DeleteKey", west); !slices.Equal(got, []string{a}) {
			t.Errorf("recorded with %v", got)
		}
	})
	t.Run("Primary", func(t *testing.T) {
		key := w.key(t, multiRegion)
		blob := w.encrypt(t, key, "x")
		a, b := w.replicate(t, key, west), w.replicate(t, key, south)
		out, err := w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(10)})
		ok(t)(out, err)
		if out.KeyState != types.KeyStatePendingReplicaDeletion || out.DeletionDate != nil || *out.PendingWindowInDays != 10 {
			t.Errorf("ScheduleKeyDeletion answered %+v", out)
		}
		if m := w.describe(t, key); m.KeyState != types.KeyStatePendingReplicaDeletion || m.DeletionDate != nil || *m.PendingDeletionWindowInDays != 10 || m.Enabled {
			t.Errorf("the key is %+v", m)
		}
		refused(t, "KMSInvalidStateException", key+" is pending replica deletion.")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		refused(t, "KMSInvalidStateException", key+" is pending replica deletion.")(w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String("eu-north-1")}))
		w.Advance(400 * day) // it waits as long as it takes
		west1.decrypts(t, blob, "x")
		west1.schedule(t, a)
		w.Advance(7 * day)
		gone(t, a)
		w.wantRelatives(t, key, b)
		if m := w.describe(t, key); m.KeyState != types.KeyStatePendingReplicaDeletion {
			t.Errorf("with one replica left, the key is %s", m.KeyState)
		}
		south1.schedule(t, b)
		w.Advance(7 * day)
		gone(t, b)
		m := w.describe(t, key)
		if m.KeyState != types.KeyStatePendingDeletion || m.PendingDeletionWindowInDays != nil || m.DeletionDate.Sub(w.Now().Add(10*day)).Abs() > time.Minute {
			t.Errorf("without replicas, the key is %+v", m)
		}
		w.Advance(10*day - time.Hour)
		w.describe(t, key)
		w.Advance(time.Hour)
		gone(t, key)
		w.Advance(365 * day) // no timer is left to fail
	})
	t.Run("AllAtOnce", func(t *testing.T) {
		// The least time that it takes to delete a primary with replicas is 14 days.
		key := w.key(t, multiRegion)
		a := w.replicate(t, key, west)
		w.schedule(t, key)
		west1.schedule(t, a)
		w.Advance(14*day - time.Hour)
		w.describe(t, key)
		w.Advance(2 * time.Hour)
		gone(t, key)
	})
	t.Run("Cancelled", func(t *testing.T) {
		key := w.key(t, multiRegion)
		blob := w.encrypt(t, key, "x")
		a := w.replicate(t, key, west)
		w.schedule(t, key)
		refused(t, "KMSInvalidStateException", key+" is pending replica deletion.")(w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key}))
		west1.schedule(t, a)
		ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		w.Advance(40 * day)
		gone(t, a)
		if m := w.describe(t, key); m.KeyState != types.KeyStateDisabled || m.PendingDeletionWindowInDays != nil || m.DeletionDate != nil {
			t.Errorf("the key is %+v", m)
		}
		ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
		w.decrypts(t, blob, "x")
		// Cancelled after its replicas are gone, it stays as well.
		a = w.replicate(t, key, west)
		w.schedule(t, key)
		west1.schedule(t, a)
		w.Advance(8 * day)
		ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		w.Advance(40 * day)
		w.describe(t, key)
	})
	t.Run("ReplicaKept", func(t *testing.T) {
		// A replica whose deletion is cancelled keeps its primary.
		key := w.key(t, multiRegion)
		a := w.replicate(t, key, west)
		w.schedule(t, key)
		west1.schedule(t, a)
		ok(t)(west1.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &a}))
		w.Advance(400 * day)
		w.wantRelatives(t, key, a)
	})
	t.Run("Rotation", func(t *testing.T) {
		// A key that waits to be deleted does not rotate, and neither do its replicas.
		key := w.key(t, multiRegion)
		a := w.replicate(t, key, west)
		w.rotate(t, key, 90)
		w.schedule(t, key)
		if s := w.status(t, key); s.KeyRotationEnabled {
			t.Error("the key tells that it rotates")
		}
		w.Advance(100 * day)
		if got := west1.rotations(t, a); len(got) != 0 {
			t.Errorf("the replica has seen %v", got)
		}
	})
}

// TestMultiRegionForgery holds that a ciphertext of a single-Region key in one region is nothing in another, and that a multi-Region key of another account
// with the same name is not the same key.
func TestMultiRegionForgery(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	blob := w.encrypt(t, key, "x")
	denied(t)(in(w.Client, west).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	mrk := w.key(t, multiRegion)
	w.replicate(t, mrk, west)
	k, err := keys.Parse(keys.SymmetricDefault, make([]byte, 32))
	ok(t)(k, err)
	forged, err := k.EncryptBlob(nil, keys.Header{Key: account + "/" + id(mrk), Material: *w.describe(t, mrk).CurrentKeyMaterialId}, nil, message, nil)
	ok(t)(forged, err)
	refused(t, "InvalidCiphertextException", "")(in(w.Client, west).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: forged}))
}
