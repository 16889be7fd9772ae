package cloudtest_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

func who(t *testing.T, cfg aws.Config) string {
	t.Helper()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatalf("GetCallerIdentity: %v", err)
	}
	return *out.Arn
}

func TestCallers(t *testing.T) {
	c := cloudtest.Start(t)
	for _, tt := range []struct {
		cfg  aws.Config
		want string
	}{
		{c.Config(), "arn:aws:iam::111122223333:root"}, {c.Root("999988887777"), "arn:aws:iam::999988887777:root"}, {c.User("999988887777", "ann"), "arn:aws:iam::999988887777:user/ann"},
	} {
		if got := who(t, tt.cfg); got != tt.want {
			t.Errorf("the caller is %s, want %s", got, tt.want)
		}
	}
	// Giving a user other policies counts for the keys it has.
	ann := kms.NewFromConfig(c.User(c.Account, "ann"))
	if _, err := ann.ListKeys(t.Context(), nil); err == nil {
		t.Error("a user without a policy was let in")
	}
	c.User(c.Account, "ann", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}}`)
	if _, err := ann.ListKeys(t.Context(), nil); err != nil {
		t.Errorf("ListKeys: %v", err)
	}
	events := c.Trail(c.Account)
	if n := len(events); n != 3 || events[1].ErrorCode != "AccessDenied" || events[2].ErrorCode != "" || !events[2].ReadOnly {
		t.Errorf("the trail tells %+v", events)
	}
}

// Clouds of one test binary know nothing of each other.
func TestCloudsAreApart(t *testing.T) {
	for _, name := range []string{"a", "b", "c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Region = "cn-north-1" })
			if got := who(t, c.Config()); got != "arn:aws-cn:iam::111122223333:root" {
				t.Errorf("the caller is %s", got)
			}
			k := kms.NewFromConfig(c.Config())
			if out, err := k.ListKeys(t.Context(), nil); err != nil || len(out.Keys) != 0 {
				t.Errorf("ListKeys: %v, %v", out, err)
			}
			if _, err := k.CreateKey(t.Context(), nil); err != nil {
				t.Errorf("CreateKey: %v", err)
			}
		})
	}
}

// Signatures are made by the time of the world; moving the cloud's clock does not spoil them.
func TestAdvance(t *testing.T) {
	c := cloudtest.Start(t)
	before := c.Now()
	c.Advance(1000 * 24 * time.Hour)
	if moved := c.Now().Sub(before).Round(time.Hour); moved != 24000*time.Hour {
		t.Errorf("moved by %s", moved)
	}
	out, err := kms.NewFromConfig(c.Config()).CreateKey(t.Context(), nil)
	if err != nil || out.KeyMetadata.CreationDate.Before(before.Add(24000*time.Hour-time.Second)) {
		t.Errorf("CreateKey: %v, %v", out, err)
	}
}
