package cloudtrail_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const trusts = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// A trail sends its events to a log group by its role, and what the role may not do is made up for when it may.
func TestLogGroup(t *testing.T) {
	w := start(t)
	const may = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`
	l := cloudwatchlogs.NewFromConfig(w.Config())
	must(l.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("trails")}))(t)
	group := "arn:aws:logs:" + w.Region + ":" + w.Account + ":log-group:trails:*"
	role := w.Role(w.Account, "sender", trusts, may)
	stranger := w.Role(w.Account, "stranger", strings.ReplaceAll(trusts, "cloudtrail", "ec2"), may)
	powerless := w.Role(w.Account, "powerless", trusts)
	for name, c := range map[string]struct{ group, role, code, message string }{
		"Trust":      {group, stranger, "InvalidCloudWatchLogsRoleArnException", "Access denied. Check the trust relationships for your role."},
		"NoRole":     {group, role + "x", "InvalidCloudWatchLogsRoleArnException", ""},
		"NoRights":   {group, powerless, "InvalidCloudWatchLogsLogGroupArnException", "Access denied. Verify in IAM that the role has adequate permissions."},
		"NoGroup":    {strings.ReplaceAll(group, "trails", "none"), role, "InvalidCloudWatchLogsLogGroupArnException", "CloudTrail cannot validate the specified log group ARN."},
		"NoWildcard": {strings.TrimSuffix(group, ":*"), role, "InvalidCloudWatchLogsLogGroupArnException", ""},
		"OneOnly":    {group, "", "InvalidParameterCombinationException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{
				Name: aws.String("refused"), S3BucketName: aws.String(logs), CloudWatchLogsLogGroupArn: &c.group, CloudWatchLogsRoleArn: &c.role,
			})
			fails(t, err, c.code, c.message)
		})
	}
	w.trail("all", func(in *cloudtrail.CreateTrailInput) {
		in.CloudWatchLogsLogGroupArn, in.CloudWatchLogsRoleArn = &group, &role
	})
	must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("all")}))(t)
	k := kms.NewFromConfig(w.Config())
	sent := func() (names []string) {
		out := must(l.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("trails"), FilterPattern: aws.String(`{ $.eventName = "CreateKey" }`)}))(t)
		for _, e := range out.Events {
			if want := w.Account + "_CloudTrail_" + w.Region; *e.LogStreamName != want {
				t.Errorf("an event in the stream %s, want %s", *e.LogStreamName, want)
			}
			var event struct{ EventName, EventID string }
			if err := json.Unmarshal([]byte(*e.Message), &event); err != nil {
				t.Errorf("the event %s: %v", *e.Message, err)
			}
			names = append(names, event.EventID)
		}
		return names
	}
	status := func() *cloudtrail.GetTrailStatusOutput {
		return must(w.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("all")}))(t)
	}
	create := func() { must(k.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t) }
	create()
	w.Advance(10 * time.Minute)
	if got := sent(); len(got) != 1 {
		t.Errorf("%d events of creating a key were sent", len(got))
	}
	if st := status(); st.LatestCloudWatchLogsDeliveryTime == nil || st.LatestCloudWatchLogsDeliveryError != nil {
		t.Errorf("the status is %+v", st)
	}
	w.Role(w.Account, "sender", trusts)
	create()
	w.Advance(10 * time.Minute)
	create()
	w.Advance(10 * time.Minute)
	if st := status(); aws.ToString(st.LatestCloudWatchLogsDeliveryError) != "AccessDenied" {
		t.Errorf("the status is %+v", st)
	}
	w.Role(w.Account, "sender", trusts, may)
	w.Advance(10 * time.Minute)
	if got := sent(); len(got) != 3 {
		t.Errorf("%d events of creating a key were sent", len(got))
	}
	out := must(w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("all")}))(t)
	if *out.Trail.CloudWatchLogsLogGroupArn != group || *out.Trail.CloudWatchLogsRoleArn != role {
		t.Errorf("the trail is %+v", out.Trail)
	}
	// Without them, nothing more is sent.
	must(w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: aws.String("all"), CloudWatchLogsLogGroupArn: aws.String(""), CloudWatchLogsRoleArn: aws.String("")}))(t)
	create()
	w.Advance(10 * time.Minute)
	if got := sent(); len(got) != 3 {
		t.Errorf("%d events of creating a key were sent", len(got))
	}
}

// A trail tells its topic of each log file.
func TestTopic(t *testing.T) {
	w := start(t)
	topics, queues := sns.NewFromConfig(w.Config()), sqs.NewFromConfig(w.Config())
	topic := *must(topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("files")}))(t).TopicArn
	_, err := w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("refused"), S3BucketName: aws.String(logs), SnsTopicName: aws.String("files")})
	fails(t, err, "InsufficientSnsTopicPolicyException", "SNS Topic does not exist or the topic policy is incorrect!")
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"sns:Publish","Resource":"%s",
		"Condition":{"StringEquals":{"aws:SourceArn":"%s"}}}]}`, topic, w.arn("all"))
	must(topics.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: aws.String("Policy"), AttributeValue: &policy}))(t)
	queue := must(queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("files"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	}}))(t).QueueUrl
	attributes := must(queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: queue, AttributeNames: []sqstypes.QueueAttributeName{"QueueArn"}}))(t)
	must(topics.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: aws.String(attributes.Attributes["QueueArn"]), Attributes: map[string]string{"RawMessageDelivery": "true"},
	}))(t)
	out := must(w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String(logs), SnsTopicName: aws.String("files")}))(t)
	if *out.SnsTopicARN != topic || *out.SnsTopicName != "files" {
		t.Errorf("CreateTrail() = %+v", out)
	}
	must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("all")}))(t)
	w.Advance(10 * time.Minute)
	var bodies []string
	for range 20 {
		for _, m := range must(queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue, MaxNumberOfMessages: 10}))(t).Messages {
			bodies = append(bodies, *m.Body)
		}
	}
	told := false
	for _, body := range bodies {
		var m struct {
			S3Bucket    string   `json:"s3Bucket"`
			S3ObjectKey []string `json:"s3ObjectKey"`
		}
		if json.Unmarshal([]byte(body), &m) == nil && m.S3Bucket == logs && len(m.S3ObjectKey) == 1 && strings.HasPrefix(m.S3ObjectKey[0], "AWSLogs/"+w.Account+"/CloudTrail/") {
			told = true
		}
	}
	if !told {
		t.Errorf("the topic was told %q", bodies)
	}
	if st := must(w.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("all")}))(t); st.LatestNotificationTime == nil || st.LatestNotificationError != nil {
		t.Errorf("the status is %+v", st)
	}
}
