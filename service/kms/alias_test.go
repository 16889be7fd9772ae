package kms_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

const prefixText = "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"

func (w *world) alias(t *testing.T, name, key string) {
	t.Helper()
	ok(t)(w.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &key}))
}

func TestCreateAlias(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	create := func(name, key string) (any, error) {
		return w.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &key})
	}
	ok(t)(create("alias/a", key))
	ok(t)(create("alias/by/id", id(key)))
	t.Run("AlreadyExists", func(t *testing.T) {
		refused(t, "AlreadyExistsException", "An alias with the name arn:aws:kms:us-east-1:"+account+":alias/a already exists")(create("alias/a", key))
	})
	t.Run("NoPrefix", func(t *testing.T) { refused(t, "ValidationException", prefixText)(create("a", key)) })
	t.Run("InvalidAliasName", func(t *testing.T) { refused(t, "InvalidAliasNameException", "-")(create("alias/", key)) })
	t.Run("BadCharacters", func(t *testing.T) { refused(t, "ValidationException", "-")(create("alias/a b", key)) })
	t.Run("Reserved", func(t *testing.T) {
		refused(t, "NotAuthorizedException", "-")(create("alias/aws/mine", key))
		refused(t, "NotAuthorizedException", "-")(w.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/aws/mine")}))
		refused(t, "NotAuthorizedException", "-")(w.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/aws/mine"), TargetKeyId: &key}))
	})
	t.Run("ToAnAlias", func(t *testing.T) {
		refused(t, "ValidationException", "Aliases must refer to keys. Not aliases")(create("alias/b", "alias/a"))
	})
	t.Run("NotFound", func(t *testing.T) { refused(t, "NotFoundException", "-")(create("alias/b", unknownKey)) })
	t.Run("OtherAccount", func(t *testing.T) {
		denied(t)(create("alias/b", "arn:aws:kms:us-east-1:"+other+":key/"+unknownKey))
	})
	t.Run("LimitExceeded", func(t *testing.T) {
		full, second := w.key(t), w.key(t)
		for i := range 50 {
			w.alias(t, fmt.Sprint("alias/full", i), full)
		}
		refused(t, "LimitExceededException", "-")(create("alias/full50", full))
		w.alias(t, "alias/second", second)
		refused(t, "LimitExceededException", "-")(w.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/second"), TargetKeyId: &full}))
		ok(t)(w.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/full0"), TargetKeyId: &full}))
	})
}

func TestUpdateAlias(t *testing.T) {
	t.Parallel()
	w := start(t)
	a, b := w.key(t), w.key(t)
	w.alias(t, "alias/name", a)
	update := func(name, key string) (any, error) {
		return w.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &key})
	}
	target := func() string {
		out, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/name"), Plaintext: message})
		ok(t)(out, err)
		return *out.KeyId
	}
	t.Run("OK", func(t *testing.T) {
		for _, key := range []string{a, b, a} { // in force with the next call, every time
			ok(t)(update("alias/name", key))
			if got := target(); got != key {
				t.Errorf("the alias names %s, want %s", got, key)
			}
		}
	})
	t.Run("OtherType", func(t *testing.T) {
		rsaSign, eccSign := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeSignVerify)), w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
		rsaEncrypt := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt))
		hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
		for _, key := range []string{rsaSign, rsaEncrypt, hmac} {
			refused(t, "ValidationException", "-")(update("alias/name", key))
		}
		w.alias(t, "alias/sign", rsaSign)
		ok(t)(update("alias/sign", eccSign)) // both asymmetric, for the same usage
		refused(t, "ValidationException", "-")(update("alias/sign", rsaEncrypt))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "Alias arn:aws:kms:us-east-1:"+account+":alias/nobody is not found.")(update("alias/nobody", a))
		refused(t, "NotFoundException", "-")(update("alias/name", unknownKey))
	})
	t.Run("NoPrefix", func(t *testing.T) { refused(t, "ValidationException", prefixText)(update("name", a)) })
	t.Run("Deleted", func(t *testing.T) {
		ok(t)(w.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/name")}))
		refused(t, "NotFoundException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/name"), Plaintext: message}))
		refused(t, "NotFoundException", "-")(w.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/name")}))
		refused(t, "ValidationException", prefixText)(w.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("name")}))
		w.alias(t, "alias/name", b)
		if got := target(); got != b {
			t.Errorf("the alias names %s, want %s", got, b)
		}
	})
}

func TestListAliases(t *testing.T) {
	w := start(t)
	a, b := w.key(t), w.key(t)
	for i := range 40 {
		w.alias(t, fmt.Sprintf("alias/a%02d", i), a)
	}
	for i := range 20 {
		w.alias(t, fmt.Sprintf("alias/b%02d", i), b)
	}
	count := func(in *kms.ListAliasesInput) (n, pages int) {
		p := kms.NewListAliasesPaginator(w.Client, in)
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			ok(t)(out, err)
			pages++
			for _, x := range out.Aliases {
				if *x.AliasArn != "arn:aws:kms:us-east-1:"+account+":"+*x.AliasName || *x.TargetKeyId != id(a) && *x.TargetKeyId != id(b) || x.CreationDate == nil || x.LastUpdatedDate == nil {
					t.Errorf("listed %+v", x)
				}
				n++
			}
		}
		return n, pages
	}
	for name, c := range map[string]struct {
		in       kms.ListAliasesInput
		n, pages int
	}{
		"All":     {kms.ListAliasesInput{}, 60, 2},
		"OfAKey":  {kms.ListAliasesInput{KeyId: &b}, 20, 1},
		"ByID":    {kms.ListAliasesInput{KeyId: aws.String(id(a)), Limit: aws.Int32(15)}, 40, 3},
		"Limited": {kms.ListAliasesInput{Limit: aws.Int32(100)}, 60, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if n, pages := count(&c.in); n != c.n || pages != c.pages {
				t.Errorf("%d aliases on %d pages, want %d on %d", n, pages, c.n, c.pages)
			}
		})
	}
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.ListAliases(ctx, &kms.ListAliasesInput{KeyId: aws.String(unknownKey)}))
	})
	t.Run("InvalidMarker", func(t *testing.T) {
		refused(t, "InvalidMarkerException", "-")(w.ListAliases(ctx, &kms.ListAliasesInput{Marker: aws.String("x")}))
		// A marker of one listing is none of another.
		out, err := w.ListAliases(ctx, &kms.ListAliasesInput{Limit: aws.Int32(1)})
		ok(t)(out, err)
		refused(t, "InvalidMarkerException", "-")(w.ListAliases(ctx, &kms.ListAliasesInput{KeyId: &a, Marker: out.NextMarker}))
		refused(t, "InvalidMarkerException", "-")(w.ListKeys(ctx, &kms.ListKeysInput{Marker: out.NextMarker}))
	})
}

func TestAliasAuthorization(t *testing.T) {
	w := start(t)
	key := w.key(t)
	w.alias(t, "alias/app", key)
	encrypt := func(c *kms.Client, name string) (any, error) {
		return c.Encrypt(ctx, &kms.EncryptInput{KeyId: &name, Plaintext: message})
	}
	t.Run("AliasARNGivesNoUse", func(t *testing.T) {
		denied(t)(encrypt(w.user(account, "arn", `"Action":"kms:*","Resource":"arn:aws:kms:us-east-1:`+account+`:alias/app"`), "alias/app"))
	})
	t.Run("RequestAlias", func(t *testing.T) {
		c := w.user(account, "request", `"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:RequestAlias":"alias/app"}}`)
		ok(t)(encrypt(c, "alias/app"))
		ok(t)(encrypt(c, "arn:aws:kms:us-east-1:"+account+":alias/app"))
		denied(t)(encrypt(c, key))
	})
	t.Run("ResourceAliases", func(t *testing.T) {
		c := w.user(account, "resource", `"Action":"kms:Encrypt","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/late"}}`)
		denied(t)(encrypt(c, key))
		w.alias(t, "alias/late", key)
		ok(t)(encrypt(c, key))
		ok(t)(encrypt(c, "alias/app"))
		ok(t)(w.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/late")}))
		denied(t)(encrypt(c, key))
	})
	t.Run("BothOldAndNewKey", func(t *testing.T) {
		to := w.key(t)
		alias := `"arn:aws:kms:us-east-1:` + account + `:alias/app"`
		for _, resources := range []string{alias + `,"` + key + `"`, alias + `,"` + to + `"`, `"` + key + `","` + to + `"`} {
			denied(t)(w.user(account, "mover", `"Action":"kms:UpdateAlias","Resource":[`+resources+`]`).UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: &to}))
		}
	})
	t.Run("CreateNeedsBoth", func(t *testing.T) {
		for _, resource := range []string{key, "arn:aws:kms:us-east-1:" + account + ":alias/new"} {
			denied(t)(w.user(account, "creator", `"Action":"kms:CreateAlias","Resource":"`+resource+`"`).CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/new"), TargetKeyId: &key}))
			denied(t)(w.user(account, "deleter", `"Action":"kms:DeleteAlias","Resource":"`+resource+`"`).DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/app")}))
		}
	})
}
