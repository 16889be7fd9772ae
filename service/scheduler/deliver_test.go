package scheduler_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
)

const queueARN = "arn:aws:sqs:us-east-1:" + home + ":"

// queue makes a queue and returns its client and URL.
func (h *house) queue(name string, attributes map[string]string) (*sqs.Client, *string) {
	h.t.Helper()
	c := sqs.NewFromConfig(h.Config())
	return c, must(c.CreateQueue(h.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes}))(h.t).QueueUrl
}

// messages takes what is in a queue.
func (h *house) messages(c *sqs.Client, url *string) (all []sqstypes.Message) {
	h.t.Helper()
	for {
		out := must(c.ReceiveMessage(h.t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
		}))(h.t)
		if len(out.Messages) == 0 {
			return all
		}
		all = append(all, out.Messages...)
	}
}

func queueTarget(name, input string) *types.Target {
	t := &types.Target{Arn: aws.String(queueARN + name), RoleArn: aws.String(roleARN)}
	if input != "" {
		t.Input = &input
	}
	return t
}

func TestQueue(t *testing.T) {
	h := start(t)
	c, url := h.queue("q", nil)
	h.create("text", "at(2026-11-27T02:00:00)", queueTarget("q", "<b>text</b> & <aws.scheduler.attempt-number>"))
	h.create("plain", "at(2026-11-27T02:01:00)", queueTarget("q", ""))
	h.create("sdk", "at(2026-11-27T02:02:00)", &types.Target{
		Arn: aws.String("arn:aws:scheduler:::aws-sdk:sqs:sendMessage"), RoleArn: aws.String(roleARN),
		Input: aws.String(`{"QueueUrl":"` + *url + `","MessageBody":"<aws.scheduler.scheduled-time>","MessageAttributes":{"a":{"DataType":"String","StringValue":"b"}}}`),
	})
	h.Advance(time.Hour)
	m := h.messages(c, url)
	if len(m) != 3 {
		t.Fatalf("%d messages", len(m))
	}
	slices.SortFunc(m, func(a, b sqstypes.Message) int {
		return strings.Compare(a.Attributes["SentTimestamp"], b.Attributes["SentTimestamp"])
	})
	if *m[0].Body != "<b>text</b> & 1" {
		t.Errorf("the first message is %s", *m[0].Body)
	}
	var n map[string]any
	if err := json.Unmarshal([]byte(*m[1].Body), &n); err != nil {
		t.Fatal(err)
	}
	delete(n, "id")
	want := map[string]any{"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": home, "time": "2026-11-27T02:01:00Z", "region": "us-east-1",
		"resources": []any{nameARN + "default/plain"}, "detail": "{}"}
	if d := cmp.Diff(want, n); d != "" {
		t.Errorf("without an input (-want +got):\n%s", d)
	}
	if *m[2].Body != "2026-11-27T02:02:00Z" || *m[2].MessageAttributes["a"].StringValue != "b" {
		t.Errorf("the third message is %s, %v", *m[2].Body, m[2].MessageAttributes)
	}
}

func TestFIFOQueue(t *testing.T) {
	h := start(t)
	c, url := h.queue("q.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	_, err := h.CreateSchedule(t.Context(), input("f", "rate(1 hour)", queueTarget("q.fifo", "x")))
	wantError(t, err, "ValidationException", 400, "MessageGroupId")
	target := queueTarget("q.fifo", "<aws.scheduler.scheduled-time>")
	target.SqsParameters = &types.SqsParameters{MessageGroupId: aws.String("g")}
	h.create("f", "rate(1 hour)", target)
	if got := must(h.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("f")}))(t); *got.Target.SqsParameters.MessageGroupId != "g" {
		t.Errorf("got %v", got.Target.SqsParameters)
	}
	h.Advance(3*time.Hour - 1)
	var bodies []string
	for _, m := range h.messages(c, url) {
		bodies = append(bodies, *m.Body+" "+m.Attributes["MessageGroupId"])
	}
	if d := cmp.Diff([]string{"2026-11-27T01:30:00Z g", "2026-11-27T02:30:00Z g", "2026-11-27T03:30:00Z g"}, bodies); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
}

// A universal target whose operation streams.
func TestObject(t *testing.T) {
	h := start(t)
	c := s3.NewFromConfig(h.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	must(c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("a-bucket")}))(t)
	h.create("put", "at(2026-11-27T02:00:00)", &types.Target{
		Arn: aws.String("arn:aws:scheduler:::aws-sdk:s3:putObject"), RoleArn: aws.String(roleARN), Input: aws.String(`{"Bucket":"a-bucket","Key":"k","Body":"content","ContentType":"text/plain"}`),
	})
	h.Advance(time.Hour)
	out := must(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("a-bucket"), Key: aws.String("k")}))(t)
	defer out.Body.Close()
	if content, err := io.ReadAll(out.Body); err != nil || string(content) != "content" || *out.ContentType != "text/plain" {
		t.Errorf("the object is %q of type %s, %v", content, *out.ContentType, err)
	}
}

// What a target refuses goes to the dead-letter queue at once, with all that is known of it.
func TestDeadLetters(t *testing.T) {
	h := start(t)
	c, url := h.queue("dead", nil)
	target := queueTarget("nowhere", "text")
	target.DeadLetterConfig = &types.DeadLetterConfig{Arn: aws.String(queueARN + "dead")}
	h.create("s", "at(2026-11-27T02:00:00)", target)
	refused := users("u")
	refused.RoleArn = aws.String(h.Role(home, "weak", trust, allow("sqs:SendMessage", queueARN+"dead")))
	refused.DeadLetterConfig = target.DeadLetterConfig
	h.create("t", "at(2026-11-27T02:01:00)", refused)
	h.Advance(31*time.Minute + time.Second)
	all := h.messages(c, url)
	if len(all) != 2 {
		t.Fatalf("%d messages", len(all))
	}
	slices.SortFunc(all, func(a, b sqstypes.Message) int {
		return strings.Compare(a.Attributes["SentTimestamp"], b.Attributes["SentTimestamp"])
	})
	attributes := func(m sqstypes.Message) map[string]string {
		got := make(map[string]string)
		for k, v := range m.MessageAttributes {
			got[k] = *v.DataType + " " + *v.StringValue
		}
		if id := got["EXECUTION_ID"]; len(id) != len("String 0123456789abcdef") {
			t.Errorf("the execution is %s", id)
		}
		delete(got, "EXECUTION_ID")
		return got
	}
	got := attributes(all[0])
	if !strings.Contains(got["ERROR_CODE"], "NonExistentQueue") && !strings.Contains(got["ERROR_CODE"], "QueueDoesNotExist") {
		t.Errorf("the error is %s", got["ERROR_CODE"])
	}
	delete(got, "ERROR_CODE")
	delete(got, "ERROR_MESSAGE")
	want := map[string]string{"IS_PAYLOAD_TRUNCATED": "String false", "RETRY_ATTEMPTS": "String 0", "SCHEDULED_TIME": "String 2026-11-27T02:00:00Z", "SCHEDULE_ARN": "String " + nameARN + "default/s",
		"TARGET_ARN": "String " + queueARN + "nowhere"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("attributes (-want +got):\n%s", d)
	}
	var body struct{ MessageBody, QueueUrl string }
	if err := json.Unmarshal([]byte(*all[0].Body), &body); err != nil || body.MessageBody != "text" || !strings.HasSuffix(body.QueueUrl, "/"+home+"/nowhere") {
		t.Errorf("the message is %s", *all[0].Body)
	}
	if got := attributes(all[1]); got["ERROR_CODE"] != "String AccessDeniedException" || !strings.Contains(got["ERROR_MESSAGE"], "is not authorized to perform: iam:CreateUser") || *all[1].Body != `{"UserName":"u"}` {
		t.Errorf("the second message is %s, %v", *all[1].Body, got)
	}
}

// The role is looked at again when the schedule fires.
func TestRoleIsTakenAway(t *testing.T) {
	h := start(t)
	c, url := h.queue("dead", nil)
	target := users("u" + attempt)
	target.RoleArn = aws.String(h.Role(home, "actor", trust, allow("*", "*")))
	h.create("s", "rate(1 hour)", target)
	h.Advance(time.Second)
	h.Role(home, "actor", allowTrust(`{"Service":"lambda.amazonaws.com"}`), allow("*", "*"))
	h.Advance(time.Hour)
	h.Role(home, "actor", trust, allow("*", "*"))
	h.Advance(time.Hour)
	if d := cmp.Diff([]string{"u@0s", "u@2h0m0s"}, strip(h.invoked())); d != "" {
		t.Errorf("invoked (-want +got):\n%s", d)
	}
	if m := h.messages(c, url); len(m) != 0 {
		t.Errorf("dead letters without a configuration: %v", m)
	}
}
