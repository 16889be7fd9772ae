package kms_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// TestRestart closes a cloud on disk and opens it again: keys, names, grants, schedules, rotated material and last uses are as they were.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onDisk := func(cfg *cloud.Config) { cfg.Dir = dir }
	var key, doomed, policy string
	var blobs [][]byte
	tags := []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}
	t.Run("Before", func(t *testing.T) {
		w := start(t, onDisk)
		w.user(account, "ann")
		key, doomed = w.key(t), w.key(t)
		policy = keyPolicy() + "\n"
		w.put(t, key, policy)
		w.alias(t, "alias/kept", key)
		ok(t)(w.TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: tags}))
		grant(t, w.Client, key, userARN(account, "ann"), nil, opEncrypt)
		blobs = append(blobs, w.encrypt(t, key, "text"))
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		blobs = append(blobs, w.encrypt(t, key, "text"))
		w.rotate(t, key, 90)
		w.schedule(t, doomed)
	})
	t.Run("After", func(t *testing.T) {
		w := start(t, onDisk)
		for _, blob := range blobs {
			w.decrypts(t, blob, "text")
		}
		ok(t)(w.user(account, "ann").Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("arn:aws:kms:us-east-1:" + account + ":alias/kept"), Plaintext: message}))
		got, err := w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &key})
		ok(t)(got, err)
		if *got.Policy != policy {
			t.Errorf("the policy is %q", *got.Policy)
		}
		list, err := w.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &key})
		ok(t)(list, err)
		if len(list.Tags) != 1 || *list.Tags[0].TagKey != "a" {
			t.Errorf("the tags are %v", list.Tags)
		}
		w.Advance(91 * day)
		if kinds := w.rotations(t, key); len(kinds) != 2 || kinds[1] != types.RotationTypeAutomatic {
			t.Errorf("the rotations are %v", kinds)
		}
		refused(t, "NotFoundException", "-")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &doomed}))
		for _, blob := range blobs {
			w.decrypts(t, blob, "text")
		}
	})
	t.Run("LastUse", func(t *testing.T) {
		w := start(t, onDisk)
		out, err := w.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: &key})
		ok(t)(out, err)
		if u := out.KeyLastUsage; u == nil || u.Operation != "Decrypt" || time.Until(*u.Timestamp) < 90*day {
			t.Errorf("the last use is %+v", u)
		}
	})
}
