package kms_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestScheduleKeyDeletion(t *testing.T) {
	w := start(t)
	t.Run("OK", func(t *testing.T) {
		for days, in := range map[int32]*kms.ScheduleKeyDeletionInput{30: {}, 7: {PendingWindowInDays: aws.Int32(7)}, 29: {PendingWindowInDays: aws.Int32(29)}} {
			key := w.key(t)
			in.KeyId = &key
			out, err := w.ScheduleKeyDeletion(ctx, in)
			ok(t)(out, err)
			want := w.Now().Add(time.Duration(days) * day)
			if *out.KeyId != key || out.KeyState != types.KeyStatePendingDeletion || *out.PendingWindowInDays != days || out.DeletionDate.Sub(want).Abs() > time.Minute {
				t.Errorf("ScheduleKeyDeletion answered %+v, want %d days", out, days)
			}
		}
	})
	t.Run("Windows", func(t *testing.T) {
		key := w.key(t)
		for days, message := range map[int32]string{
			6:   "1 validation error detected: Value '6' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7",
			31:  "1 validation error detected: Value '31' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to 30",
			0:   "-",
			-5:  "-",
			366: "-",
		} {
			refused(t, "ValidationException", message)(w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: &days}))
		}
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: aws.String(unknownKey)}))
		refused(t, "NotFoundException", "-")(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: aws.String(unknownKey)}))
	})
	t.Run("Deleted", func(t *testing.T) {
		key := w.key(t)
		w.alias(t, "alias/dies", key)
		w.user(account, "ann")
		g, _ := grant(t, w.Client, key, userARN(account, "ann"), func(in *kms.CreateGrantInput) { in.RetiringPrincipal = aws.String(userARN(account, "ann")) }, opEncrypt)
		blob := w.encrypt(t, key, "x")
		w.rotate(t, key, 90)
		w.schedule(t, key)
		w.Advance(7*day - time.Hour)
		ok(t)(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		w.Advance(time.Hour)
		refused(t, "NotFoundException", "Key '"+key+"' does not exist")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		refused(t, "NotFoundException", "-")(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		refused(t, "NotFoundException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/dies"), Plaintext: message}))
		denied(t)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		refused(t, "NotFoundException", "-")(w.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: &g}))
		retirable, err := w.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(userARN(account, "ann"))})
		ok(t)(retirable, err)
		if len(retirable.Grants) != 0 {
			t.Error("its grant is still listed")
		}
		if r := w.recorded(t, account, "DeleteKey", ""); r.EventType != "AwsServiceEvent" || r.Resources[0].ARN != key || r.UserIdentity.InvokedBy != "kms.amazonaws.com" {
			t.Errorf("recorded as %s", r.Raw)
		}
		w.alias(t, "alias/dies", w.key(t)) // the name is free
		w.Advance(365 * day)               // and no timer of the key is left to fail
	})
	t.Run("Cancelled", func(t *testing.T) {
		key := w.key(t)
		blob := w.encrypt(t, key, "x")
		w.schedule(t, key)
		out, err := w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key})
		ok(t)(out, err)
		if *out.KeyId != key {
			t.Errorf("CancelKeyDeletion answered %s", *out.KeyId)
		}
		desc, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		ok(t)(desc, err)
		if desc.KeyMetadata.KeyState != types.KeyStateDisabled || desc.KeyMetadata.DeletionDate != nil {
			t.Errorf("the key is %+v", desc.KeyMetadata)
		}
		w.Advance(40 * day)
		ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
		w.decrypts(t, blob, "x")
		// Scheduled anew, the new date counts.
		w.schedule(t, key)
		ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		ok(t)(w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key}))
		w.Advance(29 * day)
		ok(t)(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		w.Advance(day)
		refused(t, "NotFoundException", "-")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
	})
}
