package kms_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestKeyPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	w.user(account, "ann")
	get := func(t *testing.T) string {
		out, err := w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &key})
		ok(t)(out, err)
		if *out.PolicyName != "default" {
			t.Errorf("the policy is named %s", *out.PolicyName)
		}
		return *out.Policy
	}
	put := func(policy string) (any, error) {
		return w.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &key, Policy: &policy})
	}
	t.Run("Default", func(t *testing.T) {
		want := `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
		if got := get(t); got != want {
			t.Errorf("the default policy is %s", got)
		}
	})
	t.Run("ReadBackExactly", func(t *testing.T) {
		odd := "\n{ \"Statement\" :\t[{\"Resource\":\"*\",\"Action\":[\"kms:*\"],\"Principal\":{\"AWS\":\"" + account + "\"},\"Effect\":\"Allow\"}],\r\n\"Version\":\"2012-10-17\" } "
		ok(t)(put(odd))
		if got := get(t); got != odd {
			t.Errorf("got %q, want %q", got, odd)
		}
	})
	t.Run("PolicyName", func(t *testing.T) {
		names, err := w.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: &key})
		ok(t)(names, err)
		if len(names.PolicyNames) != 1 || names.PolicyNames[0] != "default" || names.Truncated {
			t.Errorf("listed %v", names.PolicyNames)
		}
		refused(t, "InvalidMarkerException", "-")(w.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: &key, Marker: aws.String("x")}))
		refused(t, "NotFoundException", "No such policy exists")(w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &key, PolicyName: aws.String("other")}))
		refused(t, "NotFoundException", "No such policy exists")(w.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &key, PolicyName: aws.String("other"), Policy: aws.String("{}")}))
		ok(t)(w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &key, PolicyName: aws.String("default")}))
	})
	const lockout = "The new key policy will not allow you to update the key policy in the future."
	invalidPrincipal := "Policy contains a statement with one or more invalid principals."
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[{` + s + `}]}` }
	for name, c := range map[string]struct{ policy, message string }{
		"NoJSON":              {"{", "-"},
		"NoPolicy":            {"[]", "-"},
		"UnknownElement":      {keyPolicy(`"Principal":"*","Action":"kms:*","Resource":"*","Extra":1`), "-"},
		"UnknownUser":         {keyPolicy(`"Principal":{"AWS":"` + userARN(account, "nobody") + `"},"Action":"kms:*","Resource":"*"`), invalidPrincipal},
		"UnknownForeignUser":  {keyPolicy(`"Principal":{"AWS":"` + userARN(other, "nobody") + `"},"Action":"kms:*","Resource":"*"`), invalidPrincipal},
		"BrokenPrincipal":     {keyPolicy(`"Principal":{"AWS":"ann"},"Action":"kms:*","Resource":"*"`), invalidPrincipal},
		"Empty":               {`{"Version":"2012-10-17","Statement":[]}`, "-"},
		"LockoutByAction":     {statement(`"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"kms:Encrypt","Resource":"*"`), lockout},
		"LockoutByPrincipal":  {statement(`"Effect":"Allow","Principal":{"AWS":"` + userARN(account, "ann") + `"},"Action":"kms:*","Resource":"*"`), lockout},
		"LockoutByDeny":       {keyPolicy(`"Effect":"Deny","Principal":"*","Action":"kms:PutKeyPolicy","Resource":"*"`), lockout},
		"LockoutByNoResource": {statement(`"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"kms:*"`), lockout},
		"ForAllValuesContext": {keyPolicy(`"Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAllValues:StringEquals":{"kms:EncryptionContext:Dept":"IT"}}`), "-"},
		"ForAllValuesTag":     {keyPolicy(`"Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAllValues:StringLike":{"aws:RequestTag/x":"*"}}`), "-"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, "MalformedPolicyDocumentException", c.message)(put(c.policy))
			if strings.HasPrefix(name, "ForAllValues") {
				if _, err := put(c.policy); !strings.Contains(err.Error(), "OverlyPermissiveCondition") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	t.Run("LimitExceeded", func(t *testing.T) {
		ok(t)(put(keyPolicy() + strings.Repeat(" ", 32<<10-len(keyPolicy()))))
		refused(t, "LimitExceededException", "-")(put(keyPolicy() + strings.Repeat(" ", 32<<10-len(keyPolicy())+1)))
	})
	t.Run("WithoutEffect", func(t *testing.T) {
		// Statements without Action or Resource are stored, and do nothing.
		policy := only(`"Principal":{"AWS":"`+userARN(account, "ann")+`"},"Action":"kms:Encrypt"`, `"Principal":{"AWS":"`+userARN(account, "ann")+`"},"Resource":"*"`)
		ok(t)(put(policy))
		if get(t) != policy {
			t.Error("the policy was changed")
		}
		denied(t)(w.user(account, "ann").Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
	})
	t.Run("Bypass", func(t *testing.T) {
		locked := w.key(t)
		w.put(t, locked, statement(`"Effect":"Allow","Principal":{"AWS":"`+account+`"},"Action":"kms:Encrypt","Resource":"*"`))
		denied(t)(w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &locked}))
		denied(t)(w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &locked}))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: aws.String(unknownKey)}))
		refused(t, "NotFoundException", "-")(w.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: aws.String(unknownKey)}))
		refused(t, "NotFoundException", "-")(w.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: aws.String(unknownKey), Policy: aws.String(keyPolicy())}))
	})
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.user(account, "ann"), w.user(account, "ben", anything)
	encrypt := func(c *kms.Client, key string, context ...string) (any, error) {
		return c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionContext: pairs(context)})
	}
	annARN := `"Principal":{"AWS":"` + userARN(account, "ann") + `"}`
	t.Run("DefaultPolicyDelegates", func(t *testing.T) {
		key := w.key(t)
		denied(t)(encrypt(ann, key))
		ok(t)(encrypt(ben, key))
	})
	t.Run("WithoutRootIAMMeansNothing", func(t *testing.T) {
		key := w.key(t, under(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+annARN+`,"Action":"kms:Encrypt","Resource":"*"}]}`))
		ok(t)(encrypt(ann, key))
		refused(t, "AccessDeniedException", "User: "+userARN(account, "ben")+" is not authorized to perform: kms:Encrypt on resource: "+key+
			" because no resource-based policy allows the kms:Encrypt action")(encrypt(ben, key))
		denied(t)(encrypt(w.Client, key)) // root, too
	})
	t.Run("DeniedByKeyPolicy", func(t *testing.T) {
		key := w.key(t, under(keyPolicy(annARN+`,"Action":"kms:*","Resource":"*"`, `"Effect":"Deny","Principal":{"AWS":"`+userARN(account, "ben")+`"},"Action":"kms:Encrypt","Resource":"*"`)))
		ok(t)(encrypt(ann, key))
		refused(t, "AccessDeniedException", "User: "+userARN(account, "ben")+" is not authorized to perform: kms:Encrypt on resource: "+key+
			" with an explicit deny in a resource-based policy")(encrypt(ben, key))
		ok(t)(ben.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.encrypt(t, key, "x")}))
	})
	t.Run("DeniedByIAM", func(t *testing.T) {
		key := w.key(t, under(keyPolicy(annARN+`,"Action":"kms:*","Resource":"*"`)))
		cut := w.user(account, "ann", `"Effect":"Deny","Action":"kms:Encrypt","Resource":"*"`)
		refused(t, "AccessDeniedException", "User: "+userARN(account, "ann")+" is not authorized to perform: kms:Encrypt on resource: "+key+
			" with an explicit deny in an identity-based policy")(encrypt(cut, key))
		ann = w.user(account, "ann")
		ok(t)(encrypt(ann, key))
	})
	t.Run("PutInForceAtOnce", func(t *testing.T) {
		key := w.key(t)
		for range 20 { // however warm the cache is
			w.put(t, key, keyPolicy(annARN+`,"Action":"kms:Encrypt","Resource":"*"`))
			ok(t)(encrypt(ann, key))
			w.put(t, key, keyPolicy())
			denied(t)(encrypt(ann, key))
		}
	})
	// Each condition allows ann the first request and not the second.
	type request struct {
		context []string
		alias   bool
	}
	for condition, c := range map[string]struct{ good, bad request }{
		`"StringEquals":{"kms:EncryptionContext:Dept":"IT"}`: {request{context: []string{"Dept", "IT"}}, request{context: []string{"Dept", "HR"}}},
		`"StringEquals":{"kms:EncryptionContext:dept":"IT"}`: {request{context: []string{"Dept", "IT", "x", "y"}}, request{}},
		`"StringLike":{"kms:EncryptionContext:Dept":"I*"}`:   {request{context: []string{"Dept", "IT"}}, request{context: []string{"Dept", "it"}}},
		`"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"Dept"}`: {
			request{context: []string{"Dept", "x", "b", "y"}}, request{context: []string{"dept", "x"}}},
		`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["Dept","Site"]},"Null":{"kms:EncryptionContextKeys":"false"}`: {
			request{context: []string{"Dept", "x"}}, request{context: []string{"Dept", "x", "b", "y"}}},
		`"Null":{"kms:EncryptionContextKeys":"false"}`:                                         {request{context: []string{"a", "b"}}, request{}},
		`"StringEquals":{"kms:RequestAlias":"alias/conditions"}`:                               {request{alias: true}, request{}},
		`"StringEquals":{"kms:EncryptionContext:${aws:username}":"yes"}`:                       {request{}, request{}}, // never: variables are not read in keys
		`"StringEquals":{"kms:EncryptionContext:User":"${aws:username}"}`:                      {request{context: []string{"User", "ann"}}, request{context: []string{"User", "ben"}}},
		`"StringEquals":{"kms:CallerAccount":"` + account + `","kms:EncryptionContext:a":"b"}`: {request{context: []string{"a", "b"}}, request{}},
	} {
		t.Run(condition, func(t *testing.T) {
			key := w.key(t, under(only(annARN+`,"Action":"kms:Encrypt","Resource":"*","Condition":{`+condition+`}`)))
			do := func(r request) (any, error) {
				name := key
				if r.alias {
					name = "alias/conditions"
					w.alias(t, name, key)
					defer w.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &name})
				}
				return encrypt(ann, name, r.context...)
			}
			if !strings.Contains(condition, "${aws:username}\":") {
				ok(t)(do(c.good))
			}
			denied(t)(do(c.bad))
		})
	}
	t.Run("KeyConditions", func(t *testing.T) {
		hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
		key := w.key(t)
		for _, condition := range []string{`"kms:KeySpec":"HMAC_256"`, `"kms:KeyUsage":"GENERATE_VERIFY_MAC"`, `"kms:CustomerMasterKeySpec":"HMAC_256"`, `"kms:CustomerMasterKeyUsage":"GENERATE_VERIFY_MAC"`} {
			c := w.user(account, "spec", `"Action":"kms:DescribeKey","Resource":"*","Condition":{"StringEquals":{`+condition+`}}`)
			ok(t)(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &hmac}))
			denied(t)(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		}
		c := w.user(account, "spec", `"Action":"kms:DescribeKey","Resource":"*","Condition":{"StringEquals":{"kms:KeyOrigin":"AWS_KMS","kms:MultiRegion":"false","kms:CallerAccount":"`+account+`"}}`)
		ok(t)(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
	})
	t.Run("EncryptionAlgorithm", func(t *testing.T) {
		key := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt))
		c := w.user(account, "alg", `"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}}`)
		ok(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256}))
		denied(t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1}))
	})
	t.Run("ManagementValues", func(t *testing.T) {
		key := w.key(t)
		c := w.user(account, "values", `"Action":"kms:ScheduleKeyDeletion","Resource":"*","Condition":{"NumericGreaterThanEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"20"}}`,
			`"Action":"kms:EnableKeyRotation","Resource":"*","Condition":{"NumericLessThanEquals":{"kms:RotationPeriodInDays":"180"}}`)
		denied(t)(c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key}))
		ok(t)(c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key, RotationPeriodInDays: aws.Int32(180)}))
		denied(t)(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(7)}))
		ok(t)(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key}))
	})
	t.Run("ViaServiceIsNoCallersWord", func(t *testing.T) {
		key := w.key(t, under(keyPolicy(annARN+`,"Action":"kms:Encrypt","Resource":"*","Condition":{"StringLike":{"kms:ViaService":"*"}}`)))
		denied(t)(encrypt(ann, key))
	})
	t.Run("SourceIP", func(t *testing.T) {
		key := w.key(t, under(only(annARN+`,"Action":"kms:Encrypt","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"},"Bool":{"aws:ViaAWSService":"false","aws:SecureTransport":"false"},"StringEquals":{"aws:RequestedRegion":"us-east-1","aws:PrincipalAccount":"`+account+`"}}`)))
		ok(t)(encrypt(ann, key))
	})
}

func TestCrossAccount(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.user(other, "eve")
	eveARN := userARN(other, "eve")
	key := w.key(t)
	encrypt := func(c *kms.Client) (any, error) {
		return c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
	}
	allowed := `"Action":"kms:*","Resource":"` + key + `"`
	refusal := "User: " + eveARN + " is not authorized to perform: kms:Encrypt " + foreign
	t.Run("OnlyIAM", func(t *testing.T) {
		refused(t, "AccessDeniedException", refusal)(encrypt(w.user(other, "eve", allowed)))
	})
	w.put(t, key, keyPolicy(`"Principal":{"AWS":"`+eveARN+`"},"Action":"kms:*","Resource":"*"`))
	t.Run("OnlyKeyPolicy", func(t *testing.T) {
		refused(t, "AccessDeniedException", refusal)(encrypt(w.user(other, "eve")))
	})
	t.Run("OK", func(t *testing.T) {
		ok(t)(encrypt(w.user(other, "eve", allowed)))
		theirs, mine := w.recorded(t, other, "Encrypt", ""), w.recorded(t, account, "Encrypt", "")
		if theirs.SharedEventID == "" || theirs.SharedEventID != mine.SharedEventID || theirs.RecipientAccountID != other || mine.RecipientAccountID != account ||
			theirs.UserIdentity.ARN != eveARN || mine.UserIdentity.Type != "AWSAccount" || mine.Resources[0].ARN != key || mine.Resources[0].AccountID != account {
			t.Errorf("recorded as %s and %s", theirs.Raw, mine.Raw)
		}
	})
	t.Run("AccountInPolicyDelegates", func(t *testing.T) {
		shared := w.key(t, under(keyPolicy(`"Principal":{"AWS":"`+other+`"},"Action":"kms:Encrypt","Resource":"*"`)))
		in := &kms.EncryptInput{KeyId: &shared, Plaintext: message}
		denied(t)(w.user(other, "fay").Encrypt(ctx, in))
		ok(t)(w.user(other, "fay", anything).Encrypt(ctx, in))
		ok(t)(kms.NewFromConfig(w.Root(other)).Encrypt(ctx, in))
		denied(t)(w.user("777788889999", "gus", anything).Encrypt(ctx, in))
	})
	eve := w.user(other, "eve", anything)
	t.Run("OfAnAlias", func(t *testing.T) {
		w.alias(t, "alias/shared", key)
		ok(t)(eve.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("arn:aws:kms:us-east-1:" + account + ":alias/shared"), Plaintext: message}))
		refused(t, "NotFoundException", "Alias arn:aws:kms:us-east-1:"+other+":alias/shared is not found.")(eve.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/shared"), Plaintext: message}))
		refused(t, "NotFoundException", "Key 'arn:aws:kms:us-east-1:"+other+":key/"+id(key)+"' does not exist")(eve.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(id(key)), Plaintext: message}))
	})
	t.Run("NotToldApart", func(t *testing.T) {
		// Whether a key that one may not use is there cannot be told.
		hidden := w.key(t)
		missing := "arn:aws:kms:us-east-1:" + account + ":key/" + unknownKey
		for _, o := range walk {
			if o.on != theKey {
				continue
			}
			s, none := &subject{w: w, key: hidden, grant: "1", blob: []byte("x")}, &subject{w: w, key: missing, grant: "1", blob: []byte("x")}
			_, a := o.run(eve, s)
			_, b := o.run(eve, none)
			if code(a) != code(b) || o.name != "Decrypt" && code(a) != "AccessDeniedException" {
				t.Errorf("%s: %q for a key that is there, %q for one that is not", o.name, code(a), code(b))
			}
			if stripID(a) != stripID(b) {
				t.Errorf("%s:\n%s\n%s", o.name, stripID(a), stripID(b))
			}
		}
	})
}

// stripID is an error without what differs from call to call.
func stripID(err error) string {
	_, after, _ := strings.Cut(fmt.Sprint(err), "api error")
	return after
}
