package kms_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// TestProbing holds that somebody of another account who may not use a key cannot learn, by requests that are wrong on purpose, whether it is there.
func TestProbing(t *testing.T) {
	w := start(t)
	eve := w.user(other, "eve", anything)
	own, err := eve.CreateKey(ctx, &kms.CreateKeyInput{})
	ok(t)(own, err)
	mine := *own.KeyMetadata.Arn
	sealed, err := eve.Encrypt(ctx, &kms.EncryptInput{KeyId: &mine, Plaintext: message})
	ok(t)(sealed, err)
	there, signer := w.key(t), w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
	w.alias(t, "alias/there", there)
	prefix := "arn:aws:kms:us-east-1:" + account + ":"
	targets := map[string][2]string{
		"Key":        {there, prefix + "key/" + unknownKey},
		"Asymmetric": {signer, prefix + "key/" + unknownKey},
		"Alias":      {prefix + "alias/there", prefix + "alias/nowhere"},
	}
	junk := []byte("junk")
	forged := func(key string) []byte { // names a key that the maker of the ciphertext cannot use
		k, err := keys.Parse(keys.SymmetricDefault, make([]byte, 32))
		ok(t)(k, err)
		blob, err := k.EncryptBlob(nil, keys.Header{Key: account + "/" + id(key), Material: "0"}, nil, message, nil)
		ok(t)(blob, err)
		return blob
	}
	for name, probe := range map[string]func(key string) (any, error){
		"JunkToken": func(key string) (any, error) {
			return eve.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key, GrantTokens: []string{"x"}})
		},
		"JunkCiphertext": func(key string) (any, error) {
			return eve.Decrypt(ctx, &kms.DecryptInput{KeyId: &key, CiphertextBlob: junk})
		},
		"OwnCiphertext": func(key string) (any, error) {
			return eve.Decrypt(ctx, &kms.DecryptInput{KeyId: &key, CiphertextBlob: sealed.CiphertextBlob})
		},
		"ForgedCiphertext": func(key string) (any, error) {
			return eve.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: forged(key)})
		},
		"ForgedCiphertextToReEncrypt": func(key string) (any, error) {
			return eve.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: forged(key), DestinationKeyId: &mine})
		},
		"JunkToReEncrypt": func(key string) (any, error) {
			return eve.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: junk, DestinationKeyId: &key})
		},
		"ReEncryptFrom": func(key string) (any, error) {
			return eve.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, SourceKeyId: &key, DestinationKeyId: &mine})
		},
		"ReEncryptTo": func(key string) (any, error) {
			return eve.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: &key})
		},
		"ReEncryptToWithWrongContext": func(key string) (any, error) {
			return eve.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: &key, SourceEncryptionContext: map[string]string{"a": "b"}})
		},
		"UnknownGrantee": func(key string) (any, error) {
			return eve.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: aws.String(userARN(other, "nobody")), Operations: []types.GrantOperation{opEncrypt}})
		},
		"NoGrantee": func(key string) (any, error) {
			return eve.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, Operations: []types.GrantOperation{opEncrypt}})
		},
		"UnknownGrant": func(key string) (any, error) {
			return eve.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: aws.String("1"), DryRun: aws.Bool(true)})
		},
		"WrongUsage": func(key string) (any, error) {
			return eve.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &key, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, DryRun: aws.Bool(true)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for what, keys := range targets {
				_, a := probe(keys[0])
				_, b := probe(keys[1])
				if code(a) != code(b) || stripID(a) != stripID(b) || a == nil {
					t.Errorf("%s, there:\n%v\nnot there:\n%v", what, a, b)
				}
			}
		})
	}
}

// TestRefusalsInTheTrail holds that a refusal is on record with the key for its owner, and without it for the stranger: not even which key an alias names.
func TestRefusalsInTheTrail(t *testing.T) {
	w := start(t)
	key := w.key(t)
	w.alias(t, "alias/there", key)
	eve := w.user(other, "eve", anything)
	denied(t)(eve.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("arn:aws:kms:us-east-1:" + account + ":alias/there"), Plaintext: message}))
	theirs, mine := w.recorded(t, other, "Encrypt", "AccessDenied"), w.recorded(t, account, "Encrypt", "AccessDenied")
	if len(theirs.Resources) != 0 || theirs.SharedEventID != "" || strings.Contains(string(theirs.Raw), id(key)) {
		t.Errorf("eve's record tells %s", theirs.Raw)
	}
	if len(mine.Resources) != 1 || mine.Resources[0].ARN != key || mine.UserIdentity.Type != "AWSAccount" || mine.UserIdentity.AccountID != other {
		t.Errorf("the owner's record is %s", mine.Raw)
	}
}

// TestGrantPrivacy holds that grants on keys of other accounts are listed to those alone who can retire them.
func TestGrantPrivacy(t *testing.T) {
	w := start(t)
	w.user(account, "ann")
	annARN := userARN(account, "ann")
	key := w.key(t)
	grant(t, w.Client, key, annARN, func(in *kms.CreateGrantInput) { in.RetiringPrincipal = &annARN }, opEncrypt)
	grant(t, w.Client, key, annARN, func(in *kms.CreateGrantInput) { in.RetiringServicePrincipal = aws.String("s3.amazonaws.com") }, opEncrypt)
	name := "s3.amazonaws.com"
	for who, c := range map[string]*kms.Client{"eve": w.user(other, "eve", anything), "root": w.Client} {
		out, err := c.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringServicePrincipal: &name})
		if code(err) != "AccessDeniedException" {
			t.Errorf("%s was told what %s can retire: %+v, %v", who, name, out, err)
		}
	}
	t.Run("PolicyNamesTheRetirer", func(t *testing.T) {
		c := w.user(account, "lister", `"Action":"kms:ListRetirableGrants","Resource":"`+annARN+`"`)
		out, err := c.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: &annARN})
		ok(t)(out, err)
		if len(out.Grants) != 1 {
			t.Errorf("%d grants, want 1", len(out.Grants))
		}
		denied(t)(c.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String("arn:aws:iam::" + account + ":root")}))
	})
}

// An account has two names; what a policy says of one holds for both.
func TestGrantToAnAccountByItsDigits(t *testing.T) {
	w := start(t)
	key := w.key(t)
	c := w.user(account, "granter", `"Action":"kms:CreateGrant","Resource":"*"`,
		`"Effect":"Deny","Action":"kms:CreateGrant","Resource":"*","Condition":{"StringLike":{"kms:GranteePrincipal":"arn:aws:iam::`+other+`:*"}}`,
		`"Effect":"Deny","Action":"kms:CreateGrant","Resource":"*","Condition":{"ArnLike":{"kms:RetiringPrincipal":"arn:aws:iam::`+other+`:*"}}`)
	own := "arn:aws:iam::" + account + ":root"
	for _, name := range []string{other, "arn:aws:iam::" + other + ":root"} {
		denied(t)(c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: &name, Operations: []types.GrantOperation{opEncrypt}}))
		denied(t)(c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: &own, RetiringPrincipal: &name, Operations: []types.GrantOperation{opEncrypt}}))
	}
	ok(t)(w.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: aws.String(other), Operations: []types.GrantOperation{opEncrypt}}))
	ok(t)(kms.NewFromConfig(w.Root(other)).Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
}

// kms:RequestAlias is a key of the operations that use a key by an alias, and none of those that manage aliases.
func TestRequestAliasManagesNothing(t *testing.T) {
	w := start(t)
	key, second := w.key(t), w.key(t)
	w.alias(t, "alias/app", key)
	c := w.user(account, "app", `"Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:RequestAlias":"alias/app"}}`)
	name := "alias/app"
	ok(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &name, Plaintext: message}))
	denied(t)(c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &second}))
	denied(t)(c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &name}))
}

// Condition keys do not tell the case of tags, while the tags of keys do: a request must not show a policy one tag and set another.
func TestTagsThatDifferInCase(t *testing.T) {
	w := start(t)
	key := w.key(t)
	for _, statements := range [][]string{
		{`"Action":"kms:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/dept":"it"}}`},
		{anything, `"Effect":"Deny","Action":"kms:TagResource","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestTag/Dept":"it"}}`},
		{anything, `"Effect":"Deny","Action":"kms:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/dept":"hr"}}`},
	} {
		c := w.user(account, "tagger", statements...)
		tag := func(kv ...string) (any, error) {
			in := &kms.TagResourceInput{KeyId: &key}
			for i := 0; i < len(kv); i += 2 {
				in.Tags = append(in.Tags, types.Tag{TagKey: &kv[i], TagValue: &kv[i+1]})
			}
			return c.TagResource(ctx, in)
		}
		ok(t)(tag("dept", "it"))
		ok(t)(tag("dept", "it", "Dept", "it"))
		for range 20 { // maps have no order
			denied(t)(tag("dept", "it", "Dept", "hr"))
		}
	}
}

// The same for the encryption context: a pair that satisfies a policy must not hide one that does not.
func TestContextsThatDifferInCase(t *testing.T) {
	w := start(t)
	key := w.key(t)
	for _, statements := range [][]string{
		{`"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:dept":"it"}}`},
		{anything, `"Effect":"Deny","Action":"kms:Encrypt","Resource":"*","Condition":{"StringNotEquals":{"kms:EncryptionContext:Dept":"it"}}`},
	} {
		c := w.user(account, "ann", statements...)
		encrypt := func(kv ...string) (any, error) {
			return c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionContext: pairs(kv)})
		}
		ok(t)(encrypt("dept", "it", "site", "x"))
		ok(t)(encrypt("dept", "it", "Dept", "it"))
		denied(t)(encrypt("dept", "it", "Dept", "hr"))
		denied(t)(encrypt("dept", "hr"))
	}
	ok(t)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionContext: pairs([]string{"a", "b", "A", "c"})})) // nobody asks
}

// A policy keeps keys that were used lately from being disabled and deleted.
func TestTrailingDaysWithoutKeyUsage(t *testing.T) {
	w := start(t)
	key := w.key(t)
	c := w.user(account, "ann", anything,
		`"Effect":"Deny","Action":["kms:DisableKey","kms:ScheduleKeyDeletion"],"Resource":"*","Condition":{"NumericLessThan":{"kms:TrailingDaysWithoutKeyUsage":"30"}}`)
	disable := func() (any, error) { return c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &key}) }
	remove := func() (any, error) {
		return c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key})
	}
	denied(t)(disable()) // made today
	w.Advance(29 * day)
	denied(t)(remove())
	w.encrypt(t, key, "x")
	w.Advance(29 * day)
	denied(t)(disable())
	denied(t)(remove())
	w.Advance(2 * day)
	ok(t)(disable())
	ok(t)(remove())
}

// What an IAM policy says of the constraints of a grant holds when it is retired.
func TestRetireGrantConditions(t *testing.T) {
	w := start(t)
	key := w.key(t)
	own := "arn:aws:iam::" + account + ":root"
	constrain := func(in *kms.CreateGrantInput) {
		in.Constraints = &types.GrantConstraints{EncryptionContextSubset: map[string]string{"dept": "it"}}
	}
	guarded, _ := grant(t, w.Client, key, own, constrain, opEncrypt)
	plain, _ := grant(t, w.Client, key, own, nil, opEncrypt)
	for _, condition := range []string{`"kms:EncryptionContext:dept":"it"`, `"kms:GrantConstraintType":"EncryptionContextSubset"`} {
		c := w.user(account, "retirer", anything, `"Effect":"Deny","Action":"kms:RetireGrant","Resource":"*","Condition":{"StringEquals":{`+condition+`}}`)
		retire := func(grant string) (any, error) {
			return c.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: &grant, DryRun: aws.Bool(true)})
		}
		denied(t)(retire(guarded))
		refused(t, "DryRunOperationException", "-")(retire(plain))
	}
}
