package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// TestListingAsksForThePath: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html tells paths, and recorded denials how AWS asks.
func TestListingAsksForThePath(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, tt := range []struct {
		operation, kind string
		list            func(c *iam.Client, prefix *string) error
	}{
		{"ListUsers", "user", func(c *iam.Client, prefix *string) error {
			_, err := c.ListUsers(ctx, &iam.ListUsersInput{PathPrefix: prefix})
			return err
		}},
		{"ListRoles", "role", func(c *iam.Client, prefix *string) error {
			_, err := c.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: prefix})
			return err
		}},
		{"ListGroups", "group", func(c *iam.Client, prefix *string) error {
			_, err := c.ListGroups(ctx, &iam.ListGroupsInput{PathPrefix: prefix})
			return err
		}},
		{"ListInstanceProfiles", "instance-profile", func(c *iam.Client, prefix *string) error {
			_, err := c.ListInstanceProfiles(ctx, &iam.ListInstanceProfilesInput{PathPrefix: prefix})
			return err
		}},
	} {
		t.Run(tt.operation, func(t *testing.T) {
			some := w.user("some-"+tt.operation, `"Action":"iam:`+tt.operation+`","Resource":"`+iamARN(tt.kind, "team/*")+`"`)
			if err := tt.list(some, new("/team/")); err != nil {
				t.Error(err)
			}
			refused(t, "AccessDenied", "User: "+iamARN("user", "some-"+tt.operation)+" is not authorized to perform: iam:"+tt.operation+" on resource: "+
				iamARN(tt.kind, "")+" because no identity-based policy allows the iam:"+tt.operation+" action")(nil, tt.list(some, nil))
		})
	}
}
