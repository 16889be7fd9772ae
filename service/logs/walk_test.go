package logs_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is a request of an operation, and the one permission that it needs.
type walked struct {
	name, on string
	code     string // of the error that it ends with although it is allowed, if it does
	run      func(h *house, c *cloudwatchlogs.Client) error
}

func answer[T any](_ T, err error) error { return err }

const (
	allGroups = "arn:aws:logs:us-east-1:" + home + ":log-group:*"
	theGroup  = "arn:aws:logs:us-east-1:" + home + ":log-group:" + groupName + ":*"
	plain     = "arn:aws:logs:us-east-1:" + home + ":log-group:" + groupName
	theStream = plain + ":log-stream:" + stream
)

var (
	group    = aws.String(groupName)
	function = aws.String("arn:aws:lambda:us-east-1:" + home + ":function:f")
	policy   = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"logs:PutLogEvents","Resource":"*"}]}`)
	metric   = []types.MetricTransformation{{MetricName: aws.String("m"), MetricNamespace: aws.String("n"), MetricValue: aws.String("1")}}
)

var walks = []walked{
	{"CreateLogGroup", allGroups, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.CreateLogGroup(h.t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}))
	}},
	{"DescribeLogGroups", allGroups, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DescribeLogGroups(h.t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{}))
	}},
	{"ListLogGroups", allGroups, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.ListLogGroups(h.t.Context(), &cloudwatchlogs.ListLogGroupsInput{}))
	}},
	{"CreateLogStream", theStream, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.CreateLogStream(h.t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: aws.String(stream)}))
	}},
	{"DescribeLogStreams", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DescribeLogStreams(h.t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: group}))
	}},
	{"PutLogEvents", theStream, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.PutLogEvents(h.t.Context(), &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: group, LogStreamName: aws.String(stream), LogEvents: []types.InputLogEvent{{Timestamp: aws.Int64(h.now()), Message: aws.String("confidential")}},
		}))
	}},
	{"GetLogEvents", theStream, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.GetLogEvents(h.t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String(stream)}))
	}},
	{"FilterLogEvents", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.FilterLogEvents(h.t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group}))
	}},
	{"PutRetentionPolicy", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.PutRetentionPolicy(h.t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(7)}))
	}},
	{"DeleteRetentionPolicy", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DeleteRetentionPolicy(h.t.Context(), &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: group}))
	}},
	{"PutLogGroupDeletionProtection", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.PutLogGroupDeletionProtection(h.t.Context(), &cloudwatchlogs.PutLogGroupDeletionProtectionInput{LogGroupIdentifier: group, DeletionProtectionEnabled: aws.Bool(false)}))
	}},
	{"AssociateKmsKey", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		key, err := kms.NewFromConfig(h.Config()).CreateKey(h.t.Context(), &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":"` + home + `"},"Action":"kms:*","Resource":"*"},{"Effect":"Allow","Principal":{"Service":"logs.amazonaws.com"},"Action":"kms:*","Resource":"*"}]}`)})
		if err != nil {
			return err
		}
		return answer(c.AssociateKmsKey(h.t.Context(), &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: group, KmsKeyId: key.KeyMetadata.Arn}))
	}},
	{"DisassociateKmsKey", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DisassociateKmsKey(h.t.Context(), &cloudwatchlogs.DisassociateKmsKeyInput{LogGroupName: group}))
	}},
	{"TagResource", plain, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.TagResource(h.t.Context(), &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(plain), Tags: map[string]string{"a": "b"}}))
	}},
	{"UntagResource", plain, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.UntagResource(h.t.Context(), &cloudwatchlogs.UntagResourceInput{ResourceArn: aws.String(plain), TagKeys: []string{"a"}}))
	}},
	{"ListTagsForResource", plain, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.ListTagsForResource(h.t.Context(), &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(plain)}))
	}},
	{"TagLogGroup", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.TagLogGroup(h.t.Context(), &cloudwatchlogs.TagLogGroupInput{LogGroupName: group, Tags: map[string]string{"a": "b"}})) //nolint:staticcheck // it is what is tested
	}},
	{"UntagLogGroup", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.UntagLogGroup(h.t.Context(), &cloudwatchlogs.UntagLogGroupInput{LogGroupName: group, Tags: []string{"a"}})) //nolint:staticcheck // it is what is tested
	}},
	{"ListTagsLogGroup", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.ListTagsLogGroup(h.t.Context(), &cloudwatchlogs.ListTagsLogGroupInput{LogGroupName: group})) //nolint:staticcheck // it is what is tested
	}},
	{"PutMetricFilter", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.PutMetricFilter(h.t.Context(), &cloudwatchlogs.PutMetricFilterInput{LogGroupName: group, FilterName: aws.String("f"), FilterPattern: aws.String("ERROR"), MetricTransformations: metric}))
	}},
	{"DescribeMetricFilters", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DescribeMetricFilters(h.t.Context(), &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: group}))
	}},
	{"TestMetricFilter", "*", "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.TestMetricFilter(h.t.Context(), &cloudwatchlogs.TestMetricFilterInput{FilterPattern: aws.String("x"), LogEventMessages: []string{"confidential"}}))
	}},
	{"DeleteMetricFilter", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DeleteMetricFilter(h.t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: group, FilterName: aws.String("f")}))
	}},
	// There are no functions to send events to; see TestSubscription.
	{"PutSubscriptionFilter", theGroup, "InvalidParameterException", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.PutSubscriptionFilter(h.t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{LogGroupName: group, FilterName: aws.String("f"), FilterPattern: aws.String(""), DestinationArn: function}))
	}},
	{"DescribeSubscriptionFilters", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DescribeSubscriptionFilters(h.t.Context(), &cloudwatchlogs.DescribeSubscriptionFiltersInput{LogGroupName: group}))
	}},
	{"DeleteSubscriptionFilter", theGroup, "ResourceNotFoundException", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DeleteSubscriptionFilter(h.t.Context(), &cloudwatchlogs.DeleteSubscriptionFilterInput{LogGroupName: group, FilterName: aws.String("f")}))
	}},
	{"PutResourcePolicy", "*", "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.PutResourcePolicy(h.t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("p"), PolicyDocument: policy}))
	}},
	{"DescribeResourcePolicies", "*", "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DescribeResourcePolicies(h.t.Context(), &cloudwatchlogs.DescribeResourcePoliciesInput{}))
	}},
	{"DeleteResourcePolicy", "*", "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DeleteResourcePolicy(h.t.Context(), &cloudwatchlogs.DeleteResourcePolicyInput{PolicyName: aws.String("p")}))
	}},
	{"DeleteLogStream", theStream, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DeleteLogStream(h.t.Context(), &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: group, LogStreamName: aws.String(stream)}))
	}},
	{"DeleteLogGroup", theGroup, "", func(h *house, c *cloudwatchlogs.Client) error {
		return answer(c.DeleteLogGroup(h.t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group}))
	}},
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := open(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who, action := "walker-"+o.name, "logs:"+o.name
			allow := func(effect, on string) string {
				return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",%s,"Resource":%q}]}`, effect, on)
			}
			err := o.run(h, cloudwatchlogs.NewFromConfig(h.User(home, who, allow(fmt.Sprintf(`"NotAction":%q`, action), "*"), allow(fmt.Sprintf(`"Action":%q`, action), "arn:aws:logs:eu-west-1:*:*"))))
			if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "AccessDeniedException" || !strings.Contains(e.ErrorMessage(), "is not authorized to perform: "+action) {
				t.Errorf("without the permission: %v", err)
			}
			err = o.run(h, cloudwatchlogs.NewFromConfig(h.User(home, who, allow(fmt.Sprintf(`"Action":%q`, action), o.on))))
			if o.code != "" {
				fails(t, err, o.code, "")
			} else if err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", o.code} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				if e.EventSource != "logs.amazonaws.com" || strings.Contains(string(e.Raw), "confidential") {
					t.Errorf("recorded as %s", e.Raw)
				}
				if o.on != "*" && o.on != allGroups && (len(e.Resources) == 0 || e.Resources[0].ARN != plain || e.Resources[0].Type != "AWS::Logs::LogGroup") {
					t.Errorf("the record has the resources %v", e.Resources)
				}
				if data := strings.Contains(string(e.Raw), `"eventCategory":"Data"`); data != (o.name == "PutLogEvents") {
					t.Errorf("recorded as %s", e.Raw)
				}
			}
		})
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(user, operation, code string) (e cloudtest.Event, found bool) {
	for _, e := range slices.Backward(h.Trail(home)) {
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}
