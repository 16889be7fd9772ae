package kms_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestCreateKey(t *testing.T) {
	w := start(t)
	t.Run("OK", func(t *testing.T) {
		out, err := w.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String("of mine"), Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}})
		ok(t)(out, err)
		m := out.KeyMetadata
		if *m.AWSAccountId != account || *m.Arn != "arn:aws:kms:us-east-1:"+account+":key/"+*m.KeyId || !m.Enabled || m.KeyState != types.KeyStateEnabled ||
			m.KeyManager != types.KeyManagerTypeCustomer || m.Origin != types.OriginTypeAwsKms || *m.Description != "of mine" || *m.MultiRegion ||
			m.KeySpec != types.KeySpecSymmetricDefault || m.CustomerMasterKeySpec != "SYMMETRIC_DEFAULT" || len(*m.CurrentKeyMaterialId) != 64 ||
			m.DeletionDate != nil || len(m.EncryptionAlgorithms) != 1 || m.SigningAlgorithms != nil || m.CreationDate.IsZero() {
			t.Errorf("CreateKey made %+v", m)
		}
		r := w.recorded(t, account, "CreateKey", "")
		if r.ReadOnly || r.ResponseElements["keyMetadata"] == nil || len(r.Resources) != 1 || r.Resources[0].ARN != *m.Arn {
			t.Errorf("recorded as %s", r.Raw)
		}
		if r.RequestParameters["description"] != "of mine" {
			t.Errorf("recorded parameters %v", r.RequestParameters)
		}
	})
	t.Run("OldNames", func(t *testing.T) {
		out, err := w.CreateKey(ctx, &kms.CreateKeyInput{CustomerMasterKeySpec: "ECC_NIST_P256", KeyUsage: types.KeyUsageTypeSignVerify})
		ok(t)(out, err)
		if out.KeyMetadata.KeySpec != types.KeySpecEccNistP256 || out.KeyMetadata.CurrentKeyMaterialId != nil {
			t.Errorf("CreateKey made %+v", out.KeyMetadata)
		}
	})
	tags := func(n int, prefix string) (all []types.Tag) {
		for i := range n {
			all = append(all, types.Tag{TagKey: aws.String(fmt.Sprint(prefix, i)), TagValue: aws.String("")})
		}
		return all
	}
	big := `{"Version":"2012-10-17","Statement":[]}` + strings.Repeat(" ", 33<<10)
	for name, c := range map[string]struct {
		in            kms.CreateKeyInput
		code, message string
	}{
		"NoUsage": {kms.CreateKeyInput{KeySpec: types.KeySpecHmac256}, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"IncompatibleUsage": {kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeKeyAgreement}, "ValidationException",
			"KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"},
		"TwoSpecs":        {kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, CustomerMasterKeySpec: "RSA_2048"}, "ValidationException", "-"},
		"UnknownSpec":     {kms.CreateKeyInput{KeySpec: "RSA_1024"}, "ValidationException", "-"},
		"Unsupported":     {kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: types.KeyUsageTypeSignVerify}, "UnsupportedOperationException", "-"},
		"DuplicateTags":   {kms.CreateKeyInput{Tags: append(tags(1, "a"), tags(1, "a")...)}, "TagException", "Duplicate tag keys"},
		"ReservedTags":    {kms.CreateKeyInput{Tags: tags(1, "AwS:x")}, "TagException", "Tags beginning with aws: are reserved"},
		"TooManyTags":     {kms.CreateKeyInput{Tags: tags(51, "a")}, "TagException", "Too many tags"},
		"MalformedJSON":   {kms.CreateKeyInput{Policy: aws.String("{")}, "MalformedPolicyDocumentException", "-"},
		"Lockout":         {kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*"}]}`)}, "MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future."},
		"PolicyTooLong":   {kms.CreateKeyInput{Policy: &big}, "LimitExceededException", "-"},
		"NoSuchStore":     {kms.CreateKeyInput{CustomKeyStoreId: aws.String("cks-1"), Origin: types.OriginTypeAwsCloudhsm}, "CustomKeyStoreNotFoundException", "-"},
		"LongDescription": {kms.CreateKeyInput{Description: aws.String(strings.Repeat("x", 8193))}, "ValidationException", "-"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.code, c.message)(w.CreateKey(ctx, &c.in)) })
	}
	t.Run("NothingIsLeftOfARefusedKey", func(t *testing.T) {
		before, err := w.ListKeys(ctx, &kms.ListKeysInput{})
		ok(t)(before, err)
		denied(t)(w.user(account, "untagged", `"Action":"kms:CreateKey","Resource":"*"`).CreateKey(ctx, &kms.CreateKeyInput{Tags: tags(1, "a")}))
		after, err := w.ListKeys(ctx, &kms.ListKeysInput{})
		ok(t)(after, err)
		if len(before.Keys) != len(after.Keys) {
			t.Errorf("%d keys before, %d after", len(before.Keys), len(after.Keys))
		}
	})
	t.Run("Conditions", func(t *testing.T) {
		for condition, in := range map[string]*kms.CreateKeyInput{
			`"StringEquals":{"kms:KeySpec":"ECC_NIST_P256"}`:                                      {KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify},
			`"StringEquals":{"kms:KeyUsage":"GENERATE_VERIFY_MAC"}`:                               {KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac},
			`"StringEquals":{"aws:RequestTag/team":"blue"}`:                                       {Tags: []types.Tag{{TagKey: aws.String("team"), TagValue: aws.String("blue")}}},
			`"ForAllValues:StringEquals":{"aws:TagKeys":["team"]},"Null":{"aws:TagKeys":"false"}`: {Tags: []types.Tag{{TagKey: aws.String("team"), TagValue: aws.String("")}}},
			`"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}`:                                {BypassPolicyLockoutSafetyCheck: true},
		} {
			c := w.user(account, "maker", `"Action":["kms:CreateKey","kms:TagResource"],"Resource":"*","Condition":{`+condition+`}`)
			ok(t)(c.CreateKey(ctx, in))
			denied(t)(c.CreateKey(ctx, &kms.CreateKeyInput{Tags: []types.Tag{{TagKey: aws.String("other"), TagValue: aws.String("x")}}}))
		}
		c := w.user(account, "maker", `"Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"kms:KeyOrigin":"AWS_KMS"},"Bool":{"kms:MultiRegion":"false"}}`)
		ok(t)(c.CreateKey(ctx, &kms.CreateKeyInput{}))
	})
}

func TestListKeys(t *testing.T) {
	t.Parallel()
	w := start(t)
	made := make(map[string]bool)
	for range 105 {
		made[w.key(t)] = true
	}
	pages, seen := 0, make(map[string]bool)
	p := kms.NewListKeysPaginator(w.Client, &kms.ListKeysInput{})
	for p.HasMorePages() {
		out, err := p.NextPage(ctx)
		ok(t)(out, err)
		pages++
		for _, k := range out.Keys {
			if seen[*k.KeyArn] || !made[*k.KeyArn] || id(*k.KeyArn) != *k.KeyId {
				t.Errorf("listed %s", *k.KeyArn)
			}
			seen[*k.KeyArn] = true
		}
		if out.Truncated != (out.NextMarker != nil) {
			t.Errorf("truncated is %t, the marker %v", out.Truncated, out.NextMarker)
		}
	}
	if pages != 2 || len(seen) != len(made) {
		t.Errorf("%d keys on %d pages, want %d on 2", len(seen), pages, len(made))
	}
	t.Run("Limit", func(t *testing.T) {
		out, err := w.ListKeys(ctx, &kms.ListKeysInput{Limit: aws.Int32(1)})
		ok(t)(out, err)
		if len(out.Keys) != 1 || !out.Truncated {
			t.Errorf("got %d keys", len(out.Keys))
		}
		out, err = w.ListKeys(ctx, &kms.ListKeysInput{Limit: aws.Int32(1000)})
		ok(t)(out, err)
		if len(out.Keys) != len(made) || out.Truncated {
			t.Errorf("got %d keys", len(out.Keys))
		}
		for _, n := range []int32{0, -1, 1001} {
			refused(t, "ValidationException", "-")(w.ListKeys(ctx, &kms.ListKeysInput{Limit: &n}))
		}
	})
	t.Run("InvalidMarker", func(t *testing.T) {
		out, err := w.ListAliases(ctx, &kms.ListAliasesInput{})
		ok(t)(out, err)
		refused(t, "InvalidMarkerException", "-")(w.ListKeys(ctx, &kms.ListKeysInput{Marker: aws.String("x")}))
	})
	t.Run("OwnAccountOnly", func(t *testing.T) {
		out, err := kms.NewFromConfig(w.Root(other)).ListKeys(ctx, &kms.ListKeysInput{})
		ok(t)(out, err)
		if len(out.Keys) != 0 {
			t.Errorf("another account sees %d keys", len(out.Keys))
		}
	})
}

func TestDescribeKey(t *testing.T) {
	w := start(t)
	key := w.key(t)
	state := func() types.KeyState {
		t.Helper()
		out, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		ok(t)(out, err)
		m := out.KeyMetadata
		if m.Enabled != (m.KeyState == types.KeyStateEnabled) || (m.DeletionDate != nil) != (m.KeyState == types.KeyStatePendingDeletion) {
			t.Errorf("DescribeKey told %+v", m)
		}
		return m.KeyState
	}
	if s := state(); s != types.KeyStateEnabled {
		t.Errorf("state %s", s)
	}
	w.disable(t, key)
	if s := state(); s != types.KeyStateDisabled {
		t.Errorf("state %s", s)
	}
	ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
	w.encrypt(t, key, "usable at once")
	w.schedule(t, key)
	if s := state(); s != types.KeyStatePendingDeletion {
		t.Errorf("state %s", s)
	}
	ok(t)(w.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: aws.String(w.key(t)), Description: aws.String("")}))
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(unknownKey)}))
		for _, c := range []func() (any, error){
			func() (any, error) { return w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: aws.String(unknownKey)}) },
			func() (any, error) { return w.DisableKey(ctx, &kms.DisableKeyInput{KeyId: aws.String(unknownKey)}) },
			func() (any, error) {
				return w.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: aws.String(unknownKey), Description: aws.String("")})
			},
		} {
			refused(t, "NotFoundException", "Key 'arn:aws:kms:us-east-1:"+account+":key/"+unknownKey+"' does not exist")(c())
		}
	})
	t.Run("InvalidGrantToken", func(t *testing.T) {
		refused(t, "InvalidGrantTokenException", "-")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key, GrantTokens: []string{"x"}}))
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	set := func(kv ...string) (any, error) {
		var tags []types.Tag
		for i := 0; i < len(kv); i += 2 {
			tags = append(tags, types.Tag{TagKey: &kv[i], TagValue: &kv[i+1]})
		}
		return w.TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: tags})
	}
	list := func(t *testing.T) string {
		out, err := w.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &key})
		ok(t)(out, err)
		var all []string
		for _, tag := range out.Tags {
			all = append(all, *tag.TagKey+"="+*tag.TagValue)
		}
		return strings.Join(all, " ")
	}
	ok(t)(set("b", "2", "a", "1"))
	ok(t)(set("a", "3", "c", ""))
	if got := list(t); got != "a=3 b=2 c=" {
		t.Errorf("the tags are %s", got)
	}
	ok(t)(w.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &key, TagKeys: []string{"b", "nothing"}}))
	if got := list(t); got != "a=3 c=" {
		t.Errorf("the tags are %s", got)
	}
	t.Run("UntagNothing", func(t *testing.T) {
		bare := w.key(t)
		ok(t)(w.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &bare, TagKeys: []string{"x"}}))
	})
	t.Run("TagException", func(t *testing.T) {
		refused(t, "TagException", "Duplicate tag keys")(set("x", "1", "x", "2"))
		refused(t, "TagException", "Tags beginning with aws: are reserved")(set("AWS:x", "1"))
		var many []string
		for i := range 49 {
			many = append(many, fmt.Sprint("t", i), "")
		}
		refused(t, "TagException", "Too many tags")(set(many...))
		ok(t)(set(many[:96]...))
	})
	t.Run("Pages", func(t *testing.T) {
		var names []string
		p := kms.NewListResourceTagsPaginator(w.Client, &kms.ListResourceTagsInput{KeyId: &key, Limit: aws.Int32(20)})
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			ok(t)(out, err)
			if len(out.Tags) > 20 {
				t.Errorf("a page has %d tags", len(out.Tags))
			}
			for _, tag := range out.Tags {
				names = append(names, *tag.TagKey)
			}
		}
		if len(names) != 50 {
			t.Errorf("listed %d tags", len(names))
		}
		refused(t, "InvalidMarkerException", "-")(w.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &key, Marker: aws.String("nothing")}))
		refused(t, "ValidationException", "-")(w.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &key, Limit: aws.Int32(0)}))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.TagResource(ctx, &kms.TagResourceInput{KeyId: aws.String(unknownKey), Tags: []types.Tag{}}))
		refused(t, "NotFoundException", "-")(w.UntagResource(ctx, &kms.UntagResourceInput{KeyId: aws.String(unknownKey), TagKeys: []string{"x"}}))
		refused(t, "NotFoundException", "-")(w.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: aws.String(unknownKey)}))
	})
	t.Run("Conditions", func(t *testing.T) {
		mine, theirs := w.key(t), w.key(t)
		for key, team := range map[string]string{mine: "blue", theirs: "red"} {
			ok(t)(w.TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: []types.Tag{{TagKey: aws.String("Team"), TagValue: &team}}}))
		}
		c := w.user(account, "blue", `"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/Team":"blue"}}`)
		ok(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &mine, Plaintext: message}))
		denied(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &theirs, Plaintext: message}))
		// A change of tags is in force with the next call.
		ok(t)(w.TagResource(ctx, &kms.TagResourceInput{KeyId: &mine, Tags: []types.Tag{{TagKey: aws.String("Team"), TagValue: aws.String("red")}}}))
		denied(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &mine, Plaintext: message}))
		c = w.user(account, "untag", `"Action":"kms:UntagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`)
		ok(t)(c.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &mine, TagKeys: []string{"a"}}))
		denied(t)(c.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &mine, TagKeys: []string{"a", "Team"}}))
	})
}
