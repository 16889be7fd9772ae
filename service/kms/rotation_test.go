package kms_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// rotations returns the kinds of rotation that a key has seen, oldest first.
func (w *world) rotations(t *testing.T, key string) (kinds []types.RotationType) {
	t.Helper()
	out, err := w.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &key})
	ok(t)(out, err)
	for _, r := range out.Rotations {
		kinds = append(kinds, r.RotationType)
	}
	return kinds
}

func (w *world) rotate(t *testing.T, key string, days int32) {
	t.Helper()
	ok(t)(w.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key, RotationPeriodInDays: &days}))
}

func (w *world) status(t *testing.T, key string) *kms.GetKeyRotationStatusOutput {
	t.Helper()
	out, err := w.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &key})
	ok(t)(out, err)
	return out
}

func TestAutomaticRotation(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, days := range []int32{90, 365, 2560} {
		t.Run(fmt.Sprint(days), func(t *testing.T) {
			key := w.key(t)
			defer w.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &key})
			if s := w.status(t, key); s.KeyRotationEnabled || s.RotationPeriodInDays != nil || s.NextRotationDate != nil {
				t.Errorf("a new key tells %+v", s)
			}
			before := w.Now()
			w.rotate(t, key, days)
			s := w.status(t, key)
			if !s.KeyRotationEnabled || *s.RotationPeriodInDays != days || *s.KeyId != id(key) {
				t.Errorf("the key tells %+v", s)
			}
			if late := s.NextRotationDate.Sub(before.Add(time.Duration(days) * day)); late < -time.Second || late > time.Minute {
				t.Errorf("rotates at %s, %s late", s.NextRotationDate, late)
			}
			var blobs [][]byte
			materials := make(map[string]bool)
			for i := range 3 {
				if got := len(w.rotations(t, key)); got != i {
					t.Fatalf("%d rotations after %d periods", got, i)
				}
				blobs = append(blobs, w.encrypt(t, key, fmt.Sprint(i)))
				for j, blob := range blobs {
					materials[*w.decrypts(t, blob, fmt.Sprint(j)).KeyMaterialId] = true
				}
				if len(materials) != i+1 {
					t.Errorf("%d materials after %d rotations", len(materials), i)
				}
				w.Advance(time.Duration(days)*day - time.Hour)
				if got := len(w.rotations(t, key)); got != i {
					t.Fatalf("rotated before its time")
				}
				w.Advance(time.Hour)
			}
			for _, kind := range w.rotations(t, key) {
				if kind != types.RotationTypeAutomatic {
					t.Errorf("a rotation is %s", kind)
				}
			}
			if r := w.recorded(t, account, "RotateKey", ""); r.EventType != "AwsServiceEvent" || r.UserIdentity.InvokedBy != "kms.amazonaws.com" || len(r.Resources) != 1 {
				t.Errorf("recorded as %s", r.Raw)
			}
		})
	}
	t.Run("YearsAtOnce", func(t *testing.T) {
		key := w.key(t)
		blob := w.encrypt(t, key, "old")
		w.rotate(t, key, 90)
		w.Advance(5 * 365 * day)
		if got := len(w.rotations(t, key)); got != 5*365/90 {
			t.Errorf("%d rotations in five years, want %d", got, 5*365/90)
		}
		w.decrypts(t, blob, "old")
		if next := w.status(t, key).NextRotationDate.Sub(w.Now()); next < 0 || next > 90*day {
			t.Errorf("the next rotation is in %s", next)
		}
		ok(t)(w.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &key}))
	})
	t.Run("NotWhileDisabled", func(t *testing.T) {
		key := w.key(t)
		w.rotate(t, key, 100)
		w.Advance(50 * day)
		w.disable(t, key)
		if s := w.status(t, key); !s.KeyRotationEnabled {
			t.Error("a disabled key does not tell that it rotates")
		}
		w.Advance(100 * day)
		if got := len(w.rotations(t, key)); got != 0 {
			t.Errorf("a disabled key rotated %d times", got)
		}
		ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
		w.Advance(time.Second) // late, so at once
		if got := len(w.rotations(t, key)); got != 1 {
			t.Errorf("%d rotations after enabling", got)
		}
		if next := w.status(t, key).NextRotationDate.Sub(w.Now()); next < 99*day || next > 100*day {
			t.Errorf("the next rotation is in %s", next)
		}
		// Disabled and enabled again in time, the schedule stays.
		w.disable(t, key)
		w.Advance(10 * day)
		ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
		w.Advance(89 * day)
		if got := len(w.rotations(t, key)); got != 1 {
			t.Errorf("%d rotations before the schedule", got)
		}
		w.Advance(day)
		if got := len(w.rotations(t, key)); got != 2 {
			t.Errorf("%d rotations after the schedule", got)
		}
	})
	t.Run("NotWhilePendingDeletion", func(t *testing.T) {
		key := w.key(t)
		w.rotate(t, key, 90)
		w.Advance(85 * day)
		w.schedule(t, key)
		if s := w.status(t, key); s.KeyRotationEnabled || s.NextRotationDate != nil {
			t.Errorf("pending deletion, the key tells %+v", s)
		}
		w.Advance(6 * day)
		if got := len(w.rotations(t, key)); got != 0 {
			t.Errorf("%d rotations while pending deletion", got)
		}
		ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		if s := w.status(t, key); !s.KeyRotationEnabled {
			t.Errorf("after the cancellation, the key tells %+v", s)
		}
		ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
		w.Advance(time.Second)
		if got := len(w.rotations(t, key)); got != 1 {
			t.Errorf("%d rotations after the cancellation", got)
		}
	})
	t.Run("OtherPeriod", func(t *testing.T) {
		key := w.key(t)
		w.rotate(t, key, 365)
		w.Advance(80 * day)
		first := w.status(t, key).NextRotationDate
		w.rotate(t, key, 365)
		if next := w.status(t, key).NextRotationDate; !next.Equal(*first) {
			t.Error("the same period again moved the schedule")
		}
		w.rotate(t, key, 90)
		w.Advance(89 * day)
		if got := len(w.rotations(t, key)); got != 0 {
			t.Errorf("%d rotations", got)
		}
		w.Advance(day)
		if got := len(w.rotations(t, key)); got != 1 {
			t.Errorf("%d rotations", got)
		}
	})
	t.Run("Disabled", func(t *testing.T) {
		key := w.key(t)
		w.rotate(t, key, 90)
		ok(t)(w.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &key}))
		w.Advance(200 * day)
		if got := len(w.rotations(t, key)); got != 0 || w.status(t, key).KeyRotationEnabled {
			t.Errorf("%d rotations", got)
		}
	})
	t.Run("Default", func(t *testing.T) {
		key := w.key(t)
		ok(t)(w.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key}))
		if s := w.status(t, key); *s.RotationPeriodInDays != 365 {
			t.Errorf("the period is %d", *s.RotationPeriodInDays)
		}
	})
	t.Run("Periods", func(t *testing.T) {
		key := w.key(t)
		for _, days := range []int32{89, 2561, 0, -1} {
			refused(t, "ValidationException", "-")(w.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key, RotationPeriodInDays: &days}))
		}
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		for _, key := range []string{w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)), w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))} {
			for name, run := range rotationOperations {
				t.Run(name, func(t *testing.T) { refused(t, "UnsupportedOperationException", "-")(run(w.Client, key)) })
			}
		}
	})
	t.Run("NotFound", func(t *testing.T) {
		for _, run := range rotationOperations {
			refused(t, "NotFoundException", "-")(run(w.Client, unknownKey))
		}
	})
}

var rotationOperations = map[string]func(c *kms.Client, key string) (any, error){
	"EnableKeyRotation": func(c *kms.Client, key string) (any, error) {
		return c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key})
	},
	"DisableKeyRotation": func(c *kms.Client, key string) (any, error) {
		return c.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &key})
	},
	"GetKeyRotationStatus": func(c *kms.Client, key string) (any, error) {
		return c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &key})
	},
	"RotateKeyOnDemand": func(c *kms.Client, key string) (any, error) {
		return c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key})
	},
	"ListKeyRotations": func(c *kms.Client, key string) (any, error) {
		return c.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &key})
	},
}

func TestRotateKeyOnDemand(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	w.rotate(t, key, 90)
	next := w.status(t, key).NextRotationDate
	var blobs [][]byte
	for i := range 25 {
		blobs = append(blobs, w.encrypt(t, key, fmt.Sprint(i)))
		out, err := w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key})
		ok(t)(out, err)
		if *out.KeyId != id(key) {
			t.Errorf("RotateKeyOnDemand answered %s", *out.KeyId)
		}
	}
	refused(t, "LimitExceededException", "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: "+key)(
		w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
	for i, blob := range blobs {
		w.decrypts(t, blob, fmt.Sprint(i))
	}
	if again := w.status(t, key).NextRotationDate; !again.Equal(*next) {
		t.Errorf("the schedule moved from %s to %s", next, again)
	}
	w.Advance(90 * day) // automatic rotations are not counted
	if kinds := w.rotations(t, key); len(kinds) != 26 || kinds[0] != types.RotationTypeOnDemand || kinds[25] != types.RotationTypeAutomatic {
		t.Errorf("the rotations are %v", kinds)
	}
	t.Run("ListKeyRotations", func(t *testing.T) {
		var all []types.RotationsListEntry
		pages := 0
		p := kms.NewListKeyRotationsPaginator(w.Client, &kms.ListKeyRotationsInput{KeyId: &key, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial, Limit: aws.Int32(10)})
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			ok(t)(out, err)
			all, pages = append(all, out.Rotations...), pages+1
		}
		if len(all) != 27 || pages != 3 {
			t.Fatalf("%d pieces of material on %d pages", len(all), pages)
		}
		for i, r := range all {
			current := i == len(all)-1
			if (r.KeyMaterialState == types.KeyMaterialStateCurrent) != current || (r.RotationDate == nil) != (i == 0) || (r.RotationType == "") != (i == 0) || *r.KeyId != id(key) || len(*r.KeyMaterialId) != 64 {
				t.Errorf("material %d is %+v", i, r)
			}
		}
		desc, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		ok(t)(desc, err)
		if *desc.KeyMetadata.CurrentKeyMaterialId != *all[26].KeyMaterialId {
			t.Error("the current material is not the last")
		}
		refused(t, "InvalidMarkerException", "-")(w.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &key, Marker: aws.String("x")}))
		// The first material is in no list of rotations, so it is no marker there.
		refused(t, "InvalidMarkerException", "-")(w.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &key, Marker: all[0].KeyMaterialId}))
		refused(t, "ValidationException", "-")(w.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &key, Limit: aws.Int32(1001)}))
	})
}
