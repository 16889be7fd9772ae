package s3_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

const queuesARN = "arn:aws:sqs:us-east-1:" + home + ":"

// queue makes a queue that lets a service in, under a condition, and returns its URL.
func (h *house) queue(name, service, condition string) string {
	h.t.Helper()
	policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sqs:SendMessage","Resource":"` + queuesARN + name + `","Condition":` + condition + `}}`
	return *must(sqs.NewFromConfig(h.Root(home)).CreateQueue(h.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"Policy": policy}}))(h.t).QueueUrl
}

// ofBucket is the condition under which a queue lets S3 in for the bucket alone.
const ofBucket = `{"ArnEquals":{"aws:SourceArn":"` + bucketARN + `"},"StringEquals":{"aws:SourceAccount":"` + home + `"}}`

// receive takes all that is in a queue, when everything is delivered.
func (h *house) receive(url string) (bodies []string) {
	h.t.Helper()
	h.Advance(time.Millisecond)
	client := sqs.NewFromConfig(h.Root(home))
	for {
		out := must(client.ReceiveMessage(h.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10}))(h.t)
		if len(out.Messages) == 0 {
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
		}
	}
}

func (h *house) notify(n *types.NotificationConfiguration) error {
	return answer(h.PutBucketNotificationConfiguration(h.t.Context(), &s3.PutBucketNotificationConfigurationInput{Bucket: aws.String(bucketName), NotificationConfiguration: n}))
}

// queued is a configuration of a queue.
func queued(name string, change ...func(*types.QueueConfiguration)) types.QueueConfiguration {
	q := types.QueueConfiguration{Id: aws.String("of " + name), QueueArn: aws.String(queuesARN + name), Events: []types.Event{types.EventS3ObjectCreated, types.EventS3ObjectRemovedDelete}}
	for _, f := range change {
		f(&q)
	}
	return q
}

func filtered(rules ...types.FilterRule) func(*types.QueueConfiguration) {
	return func(q *types.QueueConfiguration) {
		q.Filter = &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: rules}}
	}
}

func prefix(value string) types.FilterRule { return types.FilterRule{Name: "prefix", Value: &value} }
func suffix(value string) types.FilterRule { return types.FilterRule{Name: "suffix", Value: &value} }

// A queue is told of what it wants to know, in S3's words.
func TestNotifyQueue(t *testing.T) {
	h := start(t)
	url := h.queue("q", "s3.amazonaws.com", ofBucket)
	if err := h.notify(&types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{queued("q", filtered(prefix("logs/"), suffix(".txt")))}}); err != nil {
		t.Fatal(err)
	}
	out := must(h.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String(bucketName)}))(t)
	if r := out.QueueConfigurations[0].Filter.Key.FilterRules; r[0].Name != "Prefix" || r[1].Name != "Suffix" || *out.QueueConfigurations[0].Id != "of q" {
		t.Errorf("the configuration is %+v", out.QueueConfigurations[0])
	}
	test := h.receive(url)
	if len(test) != 1 || !strings.HasPrefix(test[0], `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"`) || !strings.Contains(test[0], `"Bucket":"`+bucketName+`"`) {
		t.Errorf("the test message is %v", test)
	}
	h.put("logs/a @b.txt", "content")
	h.put("logs/a.json", "content")
	h.put("other/a.txt", "content")
	must(h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("logs/a @b.txt")}))(t)
	type record struct {
		EventVersion, EventSource, AWSRegion, EventName string
		UserIdentity                                    struct{ PrincipalID string }
		S3                                              struct {
			ConfigurationID string
			Bucket          struct{ Name, ARN string }
			Object          struct {
				Key, ETag, Sequencer string
				Size                 *int64
			}
		}
	}
	var got []record
	for _, body := range h.receive(url) {
		var m struct{ Records []record }
		if err := json.Unmarshal([]byte(body), &m); err != nil || len(m.Records) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		got = append(got, m.Records[0])
	}
	if len(got) != 2 {
		t.Fatalf("the queue got %v", got)
	}
	if got[0].S3.Object.Sequencer >= got[1].S3.Object.Sequencer {
		t.Errorf("the sequencers are %s and %s", got[0].S3.Object.Sequencer, got[1].S3.Object.Sequencer)
	}
	var made record
	made.EventVersion, made.EventSource, made.AWSRegion, made.EventName, made.UserIdentity.PrincipalID = "2.1", "aws:s3", "us-east-1", "ObjectCreated:Put", "AWS:"+home
	made.S3.ConfigurationID, made.S3.Bucket.Name, made.S3.Bucket.ARN = "of q", bucketName, bucketARN
	made.S3.Object.Key, made.S3.Object.ETag, made.S3.Object.Size = "logs/a+%40b.txt", got[0].S3.Object.ETag, aws.Int64(7)
	gone := made
	gone.EventName, gone.S3.Object.Size, gone.S3.Object.ETag = "ObjectRemoved:Delete", nil, ""
	got[0].S3.Object.Sequencer, got[1].S3.Object.Sequencer = "", ""
	if d := cmp.Diff([]record{made, gone}, got); d != "" {
		t.Errorf("the queue got (-want +got):\n%s", d)
	}
}

// EventBridge is told of everything.
func TestNotifyEventBridge(t *testing.T) {
	h := start(t)
	url := h.queue("q", "events.amazonaws.com", `{}`)
	bus := eventbridge.NewFromConfig(h.Root(home))
	must(bus.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("r"), EventPattern: aws.String(`{"source":["aws.s3"]}`)}))(t)
	must(bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: []eventtypes.Target{{Id: aws.String("q"), Arn: aws.String(queuesARN + "q")}}}))(t)
	h.put("before", "nobody is told")
	if err := h.notify(&types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}}); err != nil {
		t.Fatal(err)
	}
	h.put("a b", "content")
	must(h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a b")}))(t)
	must(h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a b")}))(t) // which is none any more
	got := h.receive(url)
	if len(got) != 2 {
		t.Fatalf("the bus got %v", got)
	}
	for i, wants := range [][]string{
		{`"detail-type":"Object Created"`, `"resources":["` + bucketARN + `"]`, `{"version":"0","bucket":{"name":"` + bucketName + `"},"object":{"key":"a b","size":7,"etag":"`, `"reason":"PutObject"`, `"requester":"` + home + `"`},
		{`"detail-type":"Object Deleted"`, `"object":{"key":"a b","sequencer":"`, `"reason":"DeleteObject","deletion-type":"Permanently Deleted"`},
	} {
		for _, want := range wants {
			if !strings.Contains(got[i], want) {
				t.Errorf("event %d is %s, want %s in it", i, got[i], want)
			}
		}
	}
}

// A topic has to let S3 in, too.
func TestNotifyTopic(t *testing.T) {
	h := start(t)
	topics := sns.NewFromConfig(h.Root(home))
	topic := must(topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("topic")}))(t).TopicArn
	config := &types.NotificationConfiguration{TopicConfigurations: []types.TopicConfiguration{{TopicArn: topic, Events: []types.Event{types.EventS3ObjectCreatedPut}}}}
	open := func(condition string) {
		policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"sns:Publish","Resource":"` + *topic + `","Condition":` + condition + `}}`
		must(topics.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: topic, AttributeName: aws.String("Policy"), AttributeValue: &policy}))(t)
	}
	open(strings.ReplaceAll(ofBucket, home, other))
	wantUnreachable(t, h.notify(config))
	open(ofBucket)
	if err := h.notify(config); err != nil {
		t.Fatal(err)
	}
	out := must(h.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String(bucketName)}))(t)
	if len(out.TopicConfigurations) != 1 || aws.ToString(out.TopicConfigurations[0].Id) == "" {
		t.Errorf("the configuration is %+v", out)
	}
}

func wantUnreachable(t *testing.T, err error) {
	t.Helper()
	wantText(t, err, "InvalidArgument", 400, "Unable to validate the following destination configurations")
}

// TestNotificationErrors holds errors against those that AWS was seen to answer with.
func TestNotificationErrors(t *testing.T) {
	h := start(t)
	h.queue("q", "s3.amazonaws.com", ofBucket)
	h.queue("closed", "s3.amazonaws.com", strings.ReplaceAll(ofBucket, home, other))
	config := func(all ...types.QueueConfiguration) *types.NotificationConfiguration {
		return &types.NotificationConfiguration{QueueConfigurations: all}
	}
	as := func(id string) func(*types.QueueConfiguration) {
		return func(q *types.QueueConfiguration) { q.Id = &id }
	}
	arn := func(arn string) func(*types.QueueConfiguration) {
		return func(q *types.QueueConfiguration) { q.QueueArn = &arn }
	}
	for name, tt := range map[string]struct {
		config        *types.NotificationConfiguration
		code, message string
	}{
		"NoARN":       {config(queued("q", arn("invalid-queue"))), "InvalidArgument", "The ARN could not be parsed"},
		"NoQueue":     {config(queued("no")), "InvalidArgument", "Unable to validate the following destination configurations"},
		"NotLetIn":    {config(queued("closed")), "InvalidArgument", "Unable to validate the following destination configurations"},
		"FIFO":        {config(queued("q.fifo")), "InvalidArgument", "Unable to validate the following destination configurations"},
		"Elsewhere":   {config(queued("q", arn(strings.Replace(queuesARN, "us-east-1", "eu-west-1", 1)+"q"))), "InvalidArgument", "The notification destination service region is not valid for the bucket location constraint"},
		"RuleName":    {config(queued("q", filtered(types.FilterRule{Name: "INVALID", Value: aws.String("x")}))), "InvalidArgument", "filter rule name must be either prefix or suffix"},
		"TwoPrefixes": {config(queued("q", filtered(prefix("a"), prefix("b")))), "InvalidArgument", "Cannot specify more than one prefix rule in a filter."},
		"Event":       {config(queued("q", func(q *types.QueueConfiguration) { q.Events = []types.Event{"s3:Nothing"} })), "InvalidArgument", "A specified event is not supported for notifications."},
		"Overlap":     {config(queued("q"), queued("q", as("b"))), "InvalidArgument", "Configurations overlap. Configurations on the same bucket cannot share a common event type."},
		"Ambiguous": {config(queued("q", filtered(prefix("a"))), queued("q", as("b"), filtered(prefix("ab")))), "InvalidArgument",
			"Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type."},
		"SameID": {config(queued("q", filtered(prefix("a"))), queued("q", filtered(prefix("b")))), "InvalidArgument", "Same ID used for multiple configurations. IDs must be unique"},
		"NoFunction": {&types.NotificationConfiguration{LambdaFunctionConfigurations: []types.LambdaFunctionConfiguration{
			{LambdaFunctionArn: aws.String("arn:aws:lambda:us-east-1:" + home + ":function:f"), Events: []types.Event{types.EventS3ObjectCreated}},
		}}, "InvalidArgument", "Unable to validate the following destination configurations"},
	} {
		t.Run(name, func(t *testing.T) {
			err := h.notify(tt.config)
			if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != tt.code || e.ErrorMessage() != tt.message {
				t.Errorf("got %v, want %s: %s", err, tt.code, tt.message)
			}
		})
	}
	if err := h.notify(config(queued("q", filtered(prefix("a"))), queued("q", as("b"), filtered(prefix("b"))))); err != nil {
		t.Error(err)
	}
	must(h.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: aws.String(bucketName), NotificationConfiguration: config(queued("no")), SkipDestinationValidation: aws.Bool(true),
	}))(t)
}
