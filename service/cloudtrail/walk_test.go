package cloudtrail_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// step is an operation that is allowed with permission for just this resource.
type step struct {
	resource string // "*" where there is none
	besides  string // actions of other services that it needs, as a part of a JSON array
	call     func(context.Context, *cloudtrail.Client) error
	code     string // of the error with which it ends even so, if any
}

// steps are the operations that are built, each in a world of its own that has the trail "walked".
var steps = map[string]func(*world) step{
	"AddTags": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.AddTags(ctx, &cloudtrail.AddTagsInput{ResourceId: aws.String(w.arn("walked")), TagsList: []types.Tag{tag("a", "b")}})
			return err
		}, ""}
	},
	"CreateTrail": func(w *world) step {
		return step{w.arn("made"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.CreateTrail(ctx, &cloudtrail.CreateTrailInput{Name: aws.String("made"), S3BucketName: aws.String(logs)})
			return err
		}, ""}
	},
	"DeleteResourcePolicy": func(w *world) step {
		return step{w.channel(), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.DeleteResourcePolicy(ctx, &cloudtrail.DeleteResourcePolicyInput{ResourceArn: aws.String(w.channel())})
			return err
		}, "ResourceNotFoundException"}
	},
	"DeleteTrail": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.DeleteTrail(ctx, &cloudtrail.DeleteTrailInput{Name: aws.String("walked")})
			return err
		}, ""}
	},
	"DeregisterOrganizationDelegatedAdmin": func(w *world) step {
		w.organize()
		member := w.member("admin")
		must(w.RegisterOrganizationDelegatedAdmin(w.t.Context(), &cloudtrail.RegisterOrganizationDelegatedAdminInput{MemberAccountId: &member}))(w.t)
		return step{"*", `"organizations:DeregisterDelegatedAdministrator"`, func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.DeregisterOrganizationDelegatedAdmin(ctx, &cloudtrail.DeregisterOrganizationDelegatedAdminInput{DelegatedAdminAccountId: &member})
			return err
		}, ""}
	},
	"DescribeTrails": func(*world) step {
		return step{"*", "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.DescribeTrails(ctx, nil)
			return err
		}, ""}
	},
	"GetEventSelectors": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("walked")})
			return err
		}, ""}
	},
	"GetInsightSelectors": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.GetInsightSelectors(ctx, &cloudtrail.GetInsightSelectorsInput{TrailName: aws.String("walked")})
			return err
		}, "InsightNotEnabledException"}
	},
	"GetResourcePolicy": func(w *world) step {
		return step{w.channel(), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.GetResourcePolicy(ctx, &cloudtrail.GetResourcePolicyInput{ResourceArn: aws.String(w.channel())})
			return err
		}, "ResourceNotFoundException"}
	},
	"GetTrail": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.GetTrail(ctx, &cloudtrail.GetTrailInput{Name: aws.String("walked")})
			return err
		}, ""}
	},
	"GetTrailStatus": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: aws.String("walked")})
			return err
		}, ""}
	},
	"ListInsightsData": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.ListInsightsData(ctx, &cloudtrail.ListInsightsDataInput{InsightSource: aws.String(w.arn("walked")), DataType: types.ListInsightsDataTypeInsightsEvents})
			return err
		}, ""}
	},
	"ListInsightsMetricData": func(w *world) step {
		return step{"*", "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.ListInsightsMetricData(ctx, &cloudtrail.ListInsightsMetricDataInput{
				EventSource: aws.String("kms.amazonaws.com"), EventName: aws.String("CreateKey"), InsightType: types.InsightTypeApiCallRateInsight,
			})
			return err
		}, ""}
	},
	"ListPublicKeys": func(*world) step {
		return step{"*", "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.ListPublicKeys(ctx, nil)
			return err
		}, ""}
	},
	"ListTags": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.ListTags(ctx, &cloudtrail.ListTagsInput{ResourceIdList: []string{w.arn("walked")}})
			return err
		}, ""}
	},
	"ListTrails": func(*world) step {
		return step{"*", "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.ListTrails(ctx, nil)
			return err
		}, ""}
	},
	"LookupEvents": func(*world) step {
		return step{"*", "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.LookupEvents(ctx, nil)
			return err
		}, ""}
	},
	"PutEventSelectors": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.PutEventSelectors(ctx, &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("walked"), EventSelectors: []types.EventSelector{{}}})
			return err
		}, ""}
	},
	"PutInsightSelectors": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.PutInsightSelectors(ctx, &cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("walked"), InsightSelectors: []types.InsightSelector{}})
			return err
		}, ""}
	},
	"PutResourcePolicy": func(w *world) step {
		return step{w.channel(), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.PutResourcePolicy(ctx, &cloudtrail.PutResourcePolicyInput{ResourceArn: aws.String(w.channel()), ResourcePolicy: aws.String(`{}`)})
			return err
		}, "ResourceNotFoundException"}
	},
	"RegisterOrganizationDelegatedAdmin": func(w *world) step {
		w.organize()
		member := w.member("admin")
		return step{"*", `"organizations:RegisterDelegatedAdministrator"`, func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.RegisterOrganizationDelegatedAdmin(ctx, &cloudtrail.RegisterOrganizationDelegatedAdminInput{MemberAccountId: &member})
			return err
		}, ""}
	},
	"RemoveTags": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.RemoveTags(ctx, &cloudtrail.RemoveTagsInput{ResourceId: aws.String(w.arn("walked")), TagsList: []types.Tag{tag("a", "b")}})
			return err
		}, ""}
	},
	"StartLogging": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: aws.String("walked")})
			return err
		}, ""}
	},
	"StopLogging": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.StopLogging(ctx, &cloudtrail.StopLoggingInput{Name: aws.String("walked")})
			return err
		}, ""}
	},
	"UpdateTrail": func(w *world) step {
		return step{w.arn("walked"), "", func(ctx context.Context, c *cloudtrail.Client) error {
			_, err := c.UpdateTrail(ctx, &cloudtrail.UpdateTrailInput{Name: aws.String("walked"), EnableLogFileValidation: aws.Bool(true)})
			return err
		}, ""}
	},
}

// channel is the ARN of a channel that is not there.
func (w *world) channel() string {
	return "arn:aws:cloudtrail:" + w.Region + ":" + w.Account + ":channel/none"
}

func TestWalk(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.trail("walked")
			s := steps[name](w)
			s.refused(w, name, "bob", `{"Effect":"Allow","NotAction":"cloudtrail:`+name+`","Resource":"*"}`)
			if s.resource != "*" {
				s.refused(w, name, "carl", `{"Effect":"Allow","Action":"cloudtrail:`+name+`","Resource":"`+s.resource+`x"}`)
			}
			actions := `"cloudtrail:` + name + `"`
			statements := `{"Effect":"Allow","Action":` + actions + `,"Resource":"` + s.resource + `"}`
			if s.besides != "" {
				statements += `,{"Effect":"Allow","Action":[` + s.besides + `],"Resource":"*"}`
			}
			ann := w.User(w.Account, "ann", `{"Version":"2012-10-17","Statement":[`+statements+`]}`)
			if err := s.call(t.Context(), cloudtrail.NewFromConfig(ann)); code(err) != s.code {
				t.Fatalf("with permission: %v", err)
			}
			last := w.last(name)
			if last.ErrorCode != s.code || !strings.HasSuffix(last.UserIdentity.ARN, "/ann") {
				t.Errorf("the audit record is %s", last.Raw)
			}
			if s.resource != "*" && (len(last.Resources) == 0 || last.Resources[0].ARN != s.resource || last.Resources[0].AccountID != w.Account) {
				t.Errorf("the resources of the audit record are %v", last.Resources)
			}
		})
	}
	done := slices.AppendSeq(slices.Collect(maps.Keys(steps)), maps.Keys(lakeSteps(new(lakeStage)))) // see TestLakeWalk
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// refused checks that somebody with the given permissions may not do it, and that this is on record.
func (s *step) refused(w *world, name, who, statement string) {
	w.t.Helper()
	err := s.call(w.t.Context(), cloudtrail.NewFromConfig(w.User(w.Account, who, `{"Version":"2012-10-17","Statement":`+statement+`}`)))
	if code(err) != "AccessDeniedException" {
		w.t.Errorf("%s with %s: %v", who, statement, err)
	}
	if last := w.last(name); last.ErrorCode != "AccessDenied" || !strings.HasSuffix(last.UserIdentity.ARN, "/"+who) {
		w.t.Errorf("the audit record of the refusal is %s", last.Raw)
	}
}
