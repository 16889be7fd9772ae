package kms_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestGetKeyLastUsage(t *testing.T) {
	w := start(t)
	last := func(t *testing.T, key string) *kms.GetKeyLastUsageOutput {
		t.Helper()
		out, err := w.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: &key})
		ok(t)(out, err)
		if *out.KeyId != id(key) || out.TrackingStartDate == nil || out.KeyCreationDate == nil {
			t.Errorf("GetKeyLastUsage answered %+v", out)
		}
		return out
	}
	t.Run("Never", func(t *testing.T) {
		key := w.key(t)
		ok(t)(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		if out := last(t, key); out.KeyLastUsage != nil {
			t.Errorf("an unused key was used: %+v", out.KeyLastUsage)
		}
	})
	t.Run("OK", func(t *testing.T) {
		key := w.key(t)
		blob := w.encrypt(t, key, "x")
		if u := last(t, key).KeyLastUsage; u == nil || u.Operation != "Encrypt" || u.Timestamp.Sub(w.Now()).Abs() > time.Minute {
			t.Errorf("the last use is %+v", u)
		} else if r := w.recorded(t, account, "Encrypt", ""); string(r.Raw) == "" || !containsAll(string(r.Raw), *u.CloudTrailEventId, *u.KmsRequestId) {
			t.Errorf("the last use names event %s, request %s; the record is %s", *u.CloudTrailEventId, *u.KmsRequestId, r.Raw)
		}
		w.Advance(time.Hour) // past the interval in which uses are written
		if u := last(t, key).KeyLastUsage; u == nil || u.Operation != "Encrypt" {
			t.Errorf("the written last use is %+v", u)
		}
		w.decrypts(t, blob, "x")
		if u := last(t, key).KeyLastUsage; u.Operation != "Decrypt" || u.Timestamp.Sub(w.Now()).Abs() > time.Minute {
			t.Errorf("the last use is %+v", u)
		}
		_, err := w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}})
		refused(t, "InvalidCiphertextException", "")(nil, err)
		_, err = w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes128, DryRun: aws.Bool(true)})
		refused(t, "DryRunOperationException", "-")(nil, err)
		if u := last(t, key).KeyLastUsage; u.Operation != "Decrypt" {
			t.Errorf("what failed counts as a use: %+v", u)
		}
	})
	t.Run("ReEncryptCountsForBoth", func(t *testing.T) {
		a, b := w.key(t), w.key(t)
		ok(t)(w.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: w.encrypt(t, a, "x"), DestinationKeyId: &b}))
		for _, key := range []string{a, b} {
			if u := last(t, key).KeyLastUsage; u == nil || u.Operation != "ReEncrypt" {
				t.Errorf("the last use is %+v", u)
			}
		}
	})
	t.Run("OwnerOnly", func(t *testing.T) {
		key := w.key(t, under(keyPolicy(`"Principal":{"AWS":"`+other+`"},"Action":"kms:*","Resource":"*"`)))
		denied(t)(kms.NewFromConfig(w.Root(other)).GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: &key}))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: aws.String(unknownKey)}))
	})
}
