package scheduler_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
)

// A server that was down fires what it missed: all of it, or where an invocation may not be that old, the first time that was missed and those that are young enough.
func TestMissed(t *testing.T) {
	dir := t.TempDir()
	at := func(when time.Time) func(*cloud.Config) {
		return func(cfg *cloud.Config) { cfg.Dir, cfg.Clock = dir, clock.NewFrozen(when) }
	}
	t.Run("Before", func(t *testing.T) {
		h := start(t, at(epoch))
		aged := func(name string, seconds int32) *types.Target {
			u := users(name + "-<aws.scheduler.scheduled-time>-x")
			u.Arn, u.Input = aws.String("arn:aws:scheduler:::aws-sdk:iam:createUser"), aws.String(`{"UserName":"`+name+`","Path":"/<aws.scheduler.scheduled-time>/"}`)
			u.RetryPolicy = &types.RetryPolicy{MaximumEventAgeInSeconds: &seconds}
			return u
		}
		h.create("once", "at(2026-11-27T02:00:00)", aged("once", 60))
		h.create("hourly", "cron(0 * * * ? *)", aged("hourly", 3*3600))
		h.create("rare", "rate(10 hours)", aged("rare", 60))
		h.create("all", "cron(0 0/4 * * ? *)", aged("all", 86400))
		h.Advance(10 * time.Minute)
	})
	t.Run("After", func(t *testing.T) { // ten hours and twenty minutes later
		h := start(t, at(epoch.Add(10*time.Hour+30*time.Minute)))
		h.Advance(time.Hour)
		var paths []string
		for _, e := range h.Trail(home) {
			if e.EventName == "CreateUser" {
				name, _ := e.RequestParameters["userName"].(string)
				path, _ := e.RequestParameters["path"].(string)
				paths = append(paths, name+path)
			}
		}
		want := []string{
			"rare/2026-11-27T01:30:00Z/", "once/2026-11-27T02:00:00Z/", "hourly/2026-11-27T02:00:00Z/", // before the next ones, in any order with them
			"hourly/2026-11-27T09:00:00Z/", "hourly/2026-11-27T10:00:00Z/", "rare/2026-11-27T11:30:00Z/", "hourly/2026-11-27T11:00:00Z/", "hourly/2026-11-27T12:00:00Z/", "hourly/2026-11-27T13:00:00Z/",
			"all/2026-11-27T04:00:00Z/", "all/2026-11-27T08:00:00Z/", "all/2026-11-27T12:00:00Z/",
		}
		seen := make(map[string]int)
		for _, p := range paths {
			seen[p]++
		}
		wanted := make(map[string]int)
		for _, w := range want {
			wanted[w]++
		}
		if d := cmp.Diff(wanted, seen); d != "" {
			t.Errorf("invoked (-want +got):\n%s", d)
		}
	})
}
