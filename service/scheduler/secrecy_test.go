package scheduler_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"

	"github.com/holdfast-cloud/holdfast/cloud"
)

const secret = "correct-horse-battery-staple"

// key makes a KMS key and returns its client and ARN.
func (h *house) key() (*kms.Client, string) {
	c := kms.NewFromConfig(h.Config())
	return c, *must(c.CreateKey(h.t.Context(), &kms.CreateKeyInput{}))(h.t).KeyMetadata.Arn
}

func encrypted(key string) option {
	return func(in *scheduler.CreateScheduleInput) { in.KmsKeyArn = &key }
}

// What a target is given is not in the clear at rest: in the schedule, in an invocation that waits, or in the audit trail.
func TestNothingInTheClear(t *testing.T) {
	dir := t.TempDir()
	t.Run("Before", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		_, key := h.key()
		h.create("plain", "at(2026-11-27T02:00:00)", users(secret))
		h.create("key", "at(2026-11-27T02:00:00)", users(secret), encrypted(key))
		must(h.UpdateSchedule(t.Context(), update(input("plain", "at(2026-11-27T02:00:00)", users(secret+"2")))))(t)
		for name, want := range map[string]string{"plain": `{"UserName":"` + secret + `2"}`, "key": `{"UserName":"` + secret + `"}`} {
			out := must(h.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: &name}))(t)
			if *out.Target.Input != want || name == "key" && aws.ToString(out.KmsKeyArn) != key {
				t.Errorf("%s has %s, %s", name, *out.Target.Input, aws.ToString(out.KmsKeyArn))
			}
		}
		for _, e := range h.Trail(home) {
			if strings.Contains(string(e.Raw), secret) {
				t.Errorf("it is on record: %s", e.Raw)
			}
		}
	})
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("it is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("After", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		h.Advance(time.Hour)
		if got := strings.Join(h.invoked(), " "); !strings.Contains(got, secret+"@30m0s") || !strings.Contains(got, secret+"2@30m0s") {
			t.Errorf("invoked %s", got)
		}
	})
}

// The key has to let in who makes the schedule, who reads it, and the role.
func TestKeyOfASchedule(t *testing.T) {
	h := start(t)
	c, key := h.key()
	h.Role(home, "runner", trust, allow("iam:*", "*"))
	h.create("s", "rate(1 hour)", users("u"+attempt), encrypted(key))
	h.Advance(30 * time.Minute)
	h.Role(home, "runner", trust, allow("iam:*", "*"), allow("kms:Decrypt", key))
	h.Advance(time.Hour)
	if got := h.invoked(); len(got) != 1 || !strings.HasSuffix(got[0], "@1h0m0s") {
		t.Errorf("invoked %v", got)
	}
	weak := scheduler.NewFromConfig(h.User(home, "weak", allow("scheduler:*", "*"), allow("iam:PassRole", "*")))
	_, err := weak.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("s")})
	wantError(t, err, "AccessDeniedException", 403, "kms:Decrypt")
	_, err = weak.CreateSchedule(t.Context(), input("t", "rate(1 hour)", users("u"), encrypted(key)))
	wantError(t, err, "AccessDeniedException", 403, "kms:GenerateDataKey")
	for _, e := range h.Trail(home) {
		if e.EventName == "Decrypt" && !strings.Contains(string(e.Raw), `"aws:scheduler:schedule:arn":"`+nameARN+`default/s"`) {
			t.Errorf("recorded %s", e.Raw)
		}
	}
	must(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}))(t)
	_, err = h.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("s")})
	wantError(t, err, "ValidationException", 400, "The KMS key cannot be used")
	_, err = h.CreateSchedule(t.Context(), input("t", "rate(1 hour)", users("u"), encrypted(strings.Replace(key, "key/", "key/0", 1))))
	wantError(t, err, "ValidationException", 400, "The KMS key cannot be used")
	h.Advance(2 * time.Hour)
	if got := h.invoked(); len(got) != 1 {
		t.Errorf("with a key that is disabled: %v", got)
	}
}
