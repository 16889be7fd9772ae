package cloudtrail_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// steps carry out each operation, once with just the permission it needs and once without.
var steps = map[string]func(context.Context, *cloudtrail.Client) error{
	"LookupEvents": func(ctx context.Context, c *cloudtrail.Client) error {
		_, err := c.LookupEvents(ctx, nil)
		return err
	},
	"ListPublicKeys": func(ctx context.Context, c *cloudtrail.Client) error {
		_, err := c.ListPublicKeys(ctx, nil)
		return err
	},
}

func TestWalk(t *testing.T) {
	c := cloudtest.Start(t)
	for name, step := range steps {
		if err := step(t.Context(), cloudtrail.NewFromConfig(c.User(c.Account, "ann", allow(`"cloudtrail:`+name+`"`)))); err != nil {
			t.Errorf("%s with permission: %v", name, err)
		}
		if err := step(t.Context(), cloudtrail.NewFromConfig(c.User(c.Account, "bob", allow(`"cloudtrail:Get*"`)))); code(err) != "AccessDeniedException" {
			t.Errorf("%s without permission: %v", name, err)
		}
		all := c.Trail(c.Account)
		if len(all) == 0 {
			t.Fatal("no audit record")
		}
		if last := all[len(all)-1]; last.EventName != name || last.ErrorCode != "AccessDenied" {
			t.Errorf("the audit record of the refusal is %s", last.Raw)
		}
	}
	if err := walk.Check(walk.File, slices.Collect(maps.Keys(steps)), nil); err != nil {
		t.Error(err)
	}
}
