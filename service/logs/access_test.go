package logs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	h := open(t)
	must(h.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(groupName), Tags: map[string]string{"env": "testing1"}}))(t)
	arn := aws.String(arnOf(groupName))
	want := func(tags map[string]string) {
		t.Helper()
		old := must(h.ListTagsLogGroup(t.Context(), &cloudwatchlogs.ListTagsLogGroupInput{LogGroupName: aws.String(groupName)}))(t) //nolint:staticcheck // it is what is tested
		if d := cmp.Diff(tags, old.Tags); d != "" {
			t.Errorf("tags (-want +got):\n%s", d)
		}
		if d := cmp.Diff(tags, must(h.ListTagsForResource(t.Context(), &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags); d != "" {
			t.Errorf("tags (-want +got):\n%s", d)
		}
	}
	must(h.TagResource(t.Context(), &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"test1": "val1", "test2": "val2"}}))(t)
	must(h.TagLogGroup(t.Context(), &cloudwatchlogs.TagLogGroupInput{LogGroupName: aws.String(groupName), Tags: map[string]string{"test3": "val3"}}))(t) //nolint:staticcheck // it is what is tested
	want(map[string]string{"env": "testing1", "test1": "val1", "test2": "val2", "test3": "val3"})
	must(h.UntagLogGroup(t.Context(), &cloudwatchlogs.UntagLogGroupInput{LogGroupName: aws.String(groupName), Tags: []string{"test3"}}))(t) //nolint:staticcheck // it is what is tested
	must(h.UntagResource(t.Context(), &cloudwatchlogs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"env", "test1"}}))(t)
	want(map[string]string{"test2": "val2"})
	_, err := h.TagResource(t.Context(), &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"aws:x": "y"}})
	fails(t, err, "InvalidParameterException", "")
	_, err = h.ListTagsForResource(t.Context(), &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(arnOf("none"))})
	fails(t, err, "ResourceNotFoundException", "")
	// Policies can ask for them.
	u := cloudwatchlogs.NewFromConfig(h.User(home, "tagged", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/test2":"val2"}}}]}`))
	must(u.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(groupName), RetentionInDays: aws.Int32(1)}))(t)
	must(h.UntagResource(t.Context(), &cloudwatchlogs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"test2"}}))(t)
	_, err = u.DeleteRetentionPolicy(t.Context(), &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String(groupName)})
	fails(t, err, "AccessDeniedException", "")
}

func TestResourcePolicies(t *testing.T) {
	h := start(t)
	const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["route53.amazonaws.com"]},"Action":"logs:PutLogEvents","Resource":"*"}]}`
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		out := must(h.PutResourcePolicy(t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: &name, PolicyDocument: aws.String(document)}))(t)
		if p := out.ResourcePolicy; *p.PolicyName != name || *p.PolicyDocument != document || p.PolicyScope != types.PolicyScopeAccount || *p.LastUpdatedTime == 0 {
			t.Errorf("PutResourcePolicy() = %+v", p)
		}
	}
	_, err := h.PutResourcePolicy(t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("k"), PolicyDocument: aws.String(document)})
	fails(t, err, "LimitExceededException", "Resource limit exceeded.")
	_, err = h.PutResourcePolicy(t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("a"), PolicyDocument: aws.String("{")})
	fails(t, err, "InvalidParameterException", "")
	_, err = h.DeleteResourcePolicy(t.Context(), &cloudwatchlogs.DeleteResourcePolicyInput{PolicyName: aws.String("non-existent")})
	fails(t, err, "ResourceNotFoundException", "Policy with name [non-existent] does not exist.")
	must(h.DeleteResourcePolicy(t.Context(), &cloudwatchlogs.DeleteResourcePolicyInput{PolicyName: aws.String("a")}))(t)
	of := func(in *cloudwatchlogs.PutResourcePolicyInput) *cloudwatchlogs.PutResourcePolicyInput {
		in.PolicyDocument, in.ResourceArn = aws.String(document), aws.String(arnOf(groupName))
		return in
	}
	first := must(h.PutResourcePolicy(t.Context(), of(&cloudwatchlogs.PutResourcePolicyInput{})))(t)
	_, err = h.PutResourcePolicy(t.Context(), of(&cloudwatchlogs.PutResourcePolicyInput{}))
	fails(t, err, "OperationAbortedException", "")
	must(h.PutResourcePolicy(t.Context(), of(&cloudwatchlogs.PutResourcePolicyInput{ExpectedRevisionId: first.RevisionId})))(t)
	if n := len(must(h.DescribeResourcePolicies(t.Context(), &cloudwatchlogs.DescribeResourcePoliciesInput{}))(t).ResourcePolicies); n != 9 {
		t.Errorf("there are %d policies of the account", n)
	}
	if ps := must(h.DescribeResourcePolicies(t.Context(), &cloudwatchlogs.DescribeResourcePoliciesInput{PolicyScope: types.PolicyScopeResource}))(t).ResourcePolicies; len(ps) != 1 || *ps[0].ResourceArn != arnOf(groupName) {
		t.Errorf("the groups' policies are %+v", ps)
	}
	// A policy lets services in, and nobody else: other accounts have no way in.
	_, err = cloudwatchlogs.NewFromConfig(h.Root(other)).GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupIdentifier: aws.String(arnOf(groupName)), LogStreamName: aws.String(stream)})
	fails(t, err, "AccessDeniedException", "")
}

// A group with a KMS key is readable as long as the key is, and what it encrypted stays so when the group has another one.
func TestKMS(t *testing.T) {
	h := open(t)
	k := kms.NewFromConfig(h.Config())
	key := func(policy string) string {
		return *must(k.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &policy}))(t).KeyMetadata.Arn
	}
	const root = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:root"},"Action":"kms:*","Resource":"*"}`
	closed := key(`{"Version":"2012-10-17","Statement":[` + root + `]}`)
	good := key(`{"Version":"2012-10-17","Statement":[` + root + `,{"Effect":"Allow","Principal":{"Service":"logs.us-east-1.amazonaws.com"},"Action":["kms:Encrypt*","kms:Decrypt*","kms:ReEncrypt*","kms:GenerateDataKey*","kms:Describe*"],"Resource":"*",
		"Condition":{"ArnEquals":{"kms:EncryptionContext:aws:logs:arn":"` + arnOf(groupName) + `"}}}]}`)
	create := func(name, key string) error {
		_, err := h.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name, KmsKeyId: &key})
		return err
	}
	const denied = "The specified KMS key does not exist or is not allowed to be used with Arn '"
	fails(t, create(groupName, closed), "AccessDeniedException", denied+arnOf(groupName)+"'")
	fails(t, create("another", good), "AccessDeniedException", denied+arnOf("another")+"'")
	fails(t, create(groupName, "alias/x"), "InvalidParameterException", "")
	if err := create(groupName, good); err != nil {
		t.Fatal(err)
	}
	h.stream(groupName, stream)
	h.put(groupName, stream, "one")
	if got := aws.ToString(h.describe(groupName).KmsKeyId); got != good {
		t.Errorf("kmsKeyId = %s", got)
	}
	must(h.DisassociateKmsKey(t.Context(), &cloudwatchlogs.DisassociateKmsKeyInput{LogGroupName: aws.String(groupName)}))(t)
	h.put(groupName, stream, "two")
	if d := cmp.Diff([]string{"one", "two"}, h.get(groupName, stream)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	must(k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &good}))(t)
	_, err := h.AssociateKmsKey(t.Context(), &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: aws.String(groupName), KmsKeyId: &good})
	fails(t, err, "InvalidParameterException", "The specified KMS key is disabled.")
	h.Advance(6 * time.Minute)
	_, err = h.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream)})
	fails(t, err, "InvalidParameterException", "The specified KMS key is disabled.")
	for range 80 { // what is encrypted under the lost key does not keep others from being merged
		h.put(groupName, stream, "more")
	}
	must(k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &good}))(t)
	must(h.AssociateKmsKey(t.Context(), &cloudwatchlogs.AssociateKmsKeyInput{ResourceIdentifier: aws.String(arnOf(groupName)), KmsKeyId: &good}))(t)
	h.put(groupName, stream, "last")
	if got := h.get(groupName, stream); len(got) != 83 || got[82] != "last" {
		t.Errorf("%d events", len(got))
	}
	for _, e := range h.Trail(home) {
		if strings.Contains(string(e.Raw), "more") && e.EventName == "PutLogEvents" {
			t.Errorf("what was logged is on record: %s", e.Raw)
		}
	}
}

func TestMetricFilters(t *testing.T) {
	h := start(t)
	put := func(name, pattern string, m types.MetricTransformation) error {
		_, err := h.PutMetricFilter(t.Context(), &cloudwatchlogs.PutMetricFilterInput{
			LogGroupName: aws.String(groupName), FilterName: &name, FilterPattern: &pattern, MetricTransformations: []types.MetricTransformation{m},
		})
		return err
	}
	metric := func(name, value string) types.MetricTransformation {
		return types.MetricTransformation{MetricName: &name, MetricNamespace: aws.String("App"), MetricValue: &value}
	}
	zero := metric("Errors", "1")
	zero.DefaultValue = aws.Float64(0)
	for name, err := range map[string]error{
		"errors": put("errors", "ERROR", zero), "latency": put("latency", "{ $.latency = * }", metric("Latency", "$.latency")), "bytes": put("bytes", "[..., bytes]", metric("Bytes", "$bytes")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	dimensions := zero
	dimensions.Dimensions = map[string]string{"Path": "$.path"}
	for name, tt := range map[string]struct {
		pattern string
		metric  types.MetricTransformation
		message string
	}{
		"Pattern":    {"{ $.a }", metric("x", "1"), "Invalid metric filter pattern"},
		"Term":       {"a(b", metric("x", "1"), "Invalid character(s) in term '('"},
		"Value":      {"ERROR", metric("x", "many"), ""},
		"Selector":   {"ERROR", metric("x", "$.latency"), ""},
		"Dimensions": {"{ $.path = * }", dimensions, "Invalid metric transformation: dimensions and default value are mutually exclusive properties."},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, put("refused", tt.pattern, tt.metric), "InvalidParameterException", tt.message)
		})
	}
	if n := *h.describe(groupName).MetricFilterCount; n != 3 {
		t.Errorf("metricFilterCount = %d", n)
	}
	out := must(h.DescribeMetricFilters(t.Context(), &cloudwatchlogs.DescribeMetricFiltersInput{FilterNamePrefix: aws.String("e")}))(t)
	if len(out.MetricFilters) != 1 || *out.MetricFilters[0].FilterName != "errors" || *out.MetricFilters[0].MetricTransformations[0].DefaultValue != 0 || out.MetricFilters[0].ApplyOnTransformedLogs {
		t.Errorf("DescribeMetricFilters() = %+v", out.MetricFilters)
	}
	out = must(h.DescribeMetricFilters(t.Context(), &cloudwatchlogs.DescribeMetricFiltersInput{MetricName: aws.String("Bytes"), MetricNamespace: aws.String("App")}))(t)
	if len(out.MetricFilters) != 1 || *out.MetricFilters[0].FilterName != "bytes" {
		t.Errorf("DescribeMetricFilters() = %+v", out.MetricFilters)
	}
	h.put(groupName, stream, "ERROR 12", `{"latency":7}`, "ok")
	must(h.DeleteMetricFilter(t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: aws.String(groupName), FilterName: aws.String("bytes")}))(t)
	_, err := h.DeleteMetricFilter(t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: aws.String(groupName), FilterName: aws.String("bytes")})
	fails(t, err, "ResourceNotFoundException", "The specified metric filter does not exist.")
	tested := must(h.TestMetricFilter(t.Context(), &cloudwatchlogs.TestMetricFilterInput{
		FilterPattern: aws.String("{ $.latency > 5 }"), LogEventMessages: []string{`{"latency":5}`, `{"latency":7}`},
	}))(t)
	if len(tested.Matches) != 1 || tested.Matches[0].EventNumber != 2 || tested.Matches[0].ExtractedValues["$.latency"] != "7" {
		t.Errorf("TestMetricFilter() = %+v", tested.Matches)
	}
}

func TestSubscriptionRefusals(t *testing.T) {
	h := start(t)
	put := func(group, destination string, role *string) error {
		_, err := h.PutSubscriptionFilter(t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{
			LogGroupName: &group, FilterName: aws.String("f"), FilterPattern: aws.String(""), DestinationArn: &destination, RoleArn: role,
		})
		return err
	}
	fails(t, put(groupName, "arn:aws:lambda:us-east-1:000000000000:function:f", nil), "AccessDeniedException",
		"Cross-account lambda invocation passing is not allowed. You must use DestinationPolicies to create cross account lambda triggers.")
	fails(t, put(groupName, "arn:aws:kinesis:us-east-1:"+home+":stream/s", nil), "InvalidParameterException", "destinationArn for vendor kinesis cannot be used without roleArn")
	fails(t, put(groupName, "arn:aws:kinesis:us-east-1:"+home+":stream/s", aws.String("arn:aws:iam::"+home+":role/r")), "NotImplemented", "")
	fails(t, put(groupName, "arn:aws:firehose:us-east-1:"+home+":deliverystream/s", aws.String("arn:aws:iam::"+home+":role/r")), "NotImplemented", "")
	fails(t, put("none", "arn:aws:lambda:us-east-1:"+home+":function:f", nil), "ResourceNotFoundException", "The specified log group does not exist.")
	fails(t, put(groupName, "arn:aws:lambda:us-east-1:"+home+":function:f", nil), "InvalidParameterException",
		"Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.") // which is not there
	fails(t, put(groupName, "nonsense", nil), "InvalidParameterException", "")
	out := must(h.DescribeSubscriptionFilters(t.Context(), &cloudwatchlogs.DescribeSubscriptionFiltersInput{LogGroupName: aws.String(groupName)}))(t)
	if len(out.SubscriptionFilters) != 0 {
		t.Errorf("there are %+v", out.SubscriptionFilters)
	}
	_, err := h.DescribeSubscriptionFilters(t.Context(), &cloudwatchlogs.DescribeSubscriptionFiltersInput{LogGroupName: aws.String("none")})
	fails(t, err, "ResourceNotFoundException", "The specified log group does not exist.")
	_, err = h.DeleteSubscriptionFilter(t.Context(), &cloudwatchlogs.DeleteSubscriptionFilterInput{LogGroupName: aws.String(groupName), FilterName: aws.String("none")})
	fails(t, err, "ResourceNotFoundException", "The specified subscription filter does not exist.")
}
