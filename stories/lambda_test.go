package stories_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	functiontypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	scheduletypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// echo is the archive of a function in Go that returns its event: testdata/echo, on provided.al2023.
var echo = sync.OnceValues(func() ([]byte, error) {
	path := filepath.Join(binaryDir, "bootstrap")
	build := exec.Command("go", "build", "-o", path, "./testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.New("building the function: " + string(out))
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(program)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
})

const lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","scheduler.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`

// makeEcho makes the function echo, whose events are reported to the queue reports. It skips the test where functions cannot be isolated.
func makeEcho(t *testing.T, cfg aws.Config, role, account string, environment map[string]string) (queue string) {
	t.Helper()
	code, err := echo()
	if err != nil {
		t.Fatal(err)
	}
	out, err := sqs.NewFromConfig(cfg).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("reports")})
	if err != nil {
		t.Fatal(err)
	}
	functions := lambda.NewFromConfig(cfg)
	_, err = functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("echo"), Role: &role, Runtime: functiontypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Timeout: aws.Int32(30),
		Code: &functiontypes.FunctionCode{ZipFile: code}, Environment: &functiontypes.Environment{Variables: environment},
	})
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "NotImplemented" {
		t.Skip(e.ErrorMessage())
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = functions.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("echo"), DestinationConfig: &functiontypes.DestinationConfig{
		OnSuccess: &functiontypes.OnSuccess{Destination: aws.String("arn:aws:sqs:us-east-1:" + account + ":reports")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return *out.QueueUrl
}

// An event that was accepted is not lost: its function runs after the server was killed while it ran.
func TestAcceptedEventSurvivesKill(t *testing.T) {
	p := newServer(t).start()
	const account = "000000000000"
	cfg := p.config("us-east-1")
	role, err := iam.NewFromConfig(cfg).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("echo"), AssumeRolePolicyDocument: aws.String(lambdaTrust)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = iam.NewFromConfig(cfg).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("echo"), PolicyName: aws.String("all"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	queue := makeEcho(t, cfg, *role.Role.Arn, account, map[string]string{"TAKES": "2s"})
	_, err = lambda.NewFromConfig(cfg).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: functiontypes.InvocationTypeEvent, Payload: []byte(`{"order":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	p.start()
	got := waitForReport(t, cfg, queue)
	if got.RequestContext.Condition != "Success" || string(got.RequestPayload) != `{"order":1}` {
		t.Errorf("the report is %+v", got)
	}
}

// functionReport is what becomes of an event.
type functionReport struct {
	RequestContext  struct{ Condition string }
	RequestPayload  json.RawMessage
	ResponsePayload json.RawMessage
}

// waitForReport takes the next report out of a queue, for which it waits.
func waitForReport(t *testing.T, cfg aws.Config, queue string) (r functionReport) {
	t.Helper()
	queues := sqs.NewFromConfig(cfg)
	for range 6 {
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			if _, err := queues.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(*m.Body), &r); err != nil {
				t.Fatalf("%s: %v", *m.Body, err)
			}
			return r
		}
	}
	t.Fatal("no report comes")
	return r
}

// Functions are targets of all that calls them: rules, schedules, topics, subscriptions to logs, alarms and buckets.
func TestFunctionsAreTargets(t *testing.T) {
	c := cloudtest.Start(t)
	cfg := c.Config()
	role := c.Role(c.Account, "echo", lambdaTrust, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	queue := makeEcho(t, cfg, role, c.Account, nil)
	function := "arn:aws:lambda:us-east-1:" + c.Account + ":function:echo"
	permit := func(t *testing.T, service, source string) {
		t.Helper()
		_, err := lambda.NewFromConfig(cfg).AddPermission(t.Context(), &lambda.AddPermissionInput{
			FunctionName: &function, StatementId: aws.String(strings.ReplaceAll(service, ".", "-")), Action: aws.String("lambda:InvokeFunction"), Principal: &service, SourceArn: &source,
			SourceAccount: &c.Account,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// reported is whether the function is given an event that has all the words in it.
	reported := func(t *testing.T, words ...string) {
		t.Helper()
		r := waitForReport(t, cfg, queue)
		for _, w := range words {
			if !strings.Contains(string(r.RequestPayload), w) || !bytes.Equal(r.RequestPayload, r.ResponsePayload) {
				t.Errorf("the function was given %s and returned %s, want %s in it", r.RequestPayload, r.ResponsePayload, w)
			}
		}
	}
	try := func(t *testing.T, _ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("EventBridge", func(t *testing.T) {
		bus := eventbridge.NewFromConfig(cfg)
		out, err := bus.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("orders"), EventPattern: aws.String(`{"source":["shop"]}`)})
		try(t, out, err)
		permit(t, "events.amazonaws.com", *out.RuleArn)
		targets, err := bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("orders"), Targets: []bustypes.Target{{Id: aws.String("f"), Arn: &function}}})
		try(t, targets, err)
		put, err := bus.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []bustypes.PutEventsRequestEntry{{Source: aws.String("shop"), DetailType: aws.String("order"), Detail: aws.String(`{"n":7}`)}}})
		try(t, put, err)
		reported(t, `"source":"shop"`, `"n":7`)
	})
	t.Run("SNS", func(t *testing.T) {
		topics := sns.NewFromConfig(cfg)
		topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("news")})
		try(t, topic, err)
		permit(t, "sns.amazonaws.com", *topic.TopicArn)
		sub, err := topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("lambda"), Endpoint: &function})
		try(t, sub, err)
		out, err := topics.Publish(t.Context(), &sns.PublishInput{TopicArn: topic.TopicArn, Message: aws.String("hear, hear")})
		try(t, out, err)
		reported(t, `"EventSource":"aws:sns"`, "hear, hear")
	})
	t.Run("Logs", func(t *testing.T) {
		logs := cloudwatchlogs.NewFromConfig(cfg)
		out, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("app")})
		try(t, out, err)
		stream, err := logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("app"), LogStreamName: aws.String("s")})
		try(t, stream, err)
		permit(t, "logs.amazonaws.com", "arn:aws:logs:us-east-1:"+c.Account+":log-group:app:*")
		filter, err := logs.PutSubscriptionFilter(t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{
			LogGroupName: aws.String("app"), FilterName: aws.String("all"), FilterPattern: aws.String(""), DestinationArn: &function,
		})
		try(t, filter, err)
		reported(t, `"awslogs"`) // that the function is there
		put, err := logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: aws.String("app"), LogStreamName: aws.String("s"), LogEvents: []logtypes.InputLogEvent{{Timestamp: aws.Int64(c.Clock.Now().UnixMilli()), Message: aws.String("line")}},
		})
		try(t, put, err)
		reported(t, `"awslogs"`)
	})
	t.Run("Scheduler", func(t *testing.T) {
		out, err := scheduler.NewFromConfig(cfg).CreateSchedule(t.Context(), &scheduler.CreateScheduleInput{
			Name: aws.String("soon"), ScheduleExpression: aws.String(c.Clock.Now().Add(10 * time.Minute).UTC().Format("at(2006-01-02T15:04:05)")), FlexibleTimeWindow: &scheduletypes.FlexibleTimeWindow{Mode: scheduletypes.FlexibleTimeWindowModeOff},
			Target: &scheduletypes.Target{Arn: &function, RoleArn: &role, Input: aws.String(`{"tick":1}`)},
		})
		try(t, out, err)
		c.Advance(11 * time.Minute)
		reported(t, `{"tick":1}`)
		gone, err := scheduler.NewFromConfig(cfg).DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String("soon")})
		try(t, gone, err)
	})
	t.Run("S3", func(t *testing.T) {
		buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
		out, err := buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("uploads")})
		try(t, out, err)
		configuration := &s3.PutBucketNotificationConfigurationInput{Bucket: aws.String("uploads"), NotificationConfiguration: &s3types.NotificationConfiguration{
			LambdaFunctionConfigurations: []s3types.LambdaFunctionConfiguration{{LambdaFunctionArn: &function, Events: []s3types.Event{"s3:ObjectCreated:*"}}},
		}}
		if _, err := buckets.PutBucketNotificationConfiguration(t.Context(), configuration); err == nil {
			t.Error("a bucket may tell a function that does not let it in")
		}
		permit(t, "s3.amazonaws.com", "arn:aws:s3:::uploads")
		put, err := buckets.PutBucketNotificationConfiguration(t.Context(), configuration)
		try(t, put, err)
		got, err := buckets.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String("uploads")})
		try(t, got, err)
		if len(got.LambdaFunctionConfigurations) != 1 || len(got.TopicConfigurations) != 0 {
			t.Errorf("the configuration is %+v", got)
		}
		object, err := buckets.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("a.txt"), Body: strings.NewReader("text")})
		try(t, object, err)
		reported(t, `"eventSource":"aws:s3"`, `"key":"a.txt"`)
	})
	t.Run("Alarm", func(t *testing.T) {
		metrics := cloudwatch.NewFromConfig(cfg)
		permit(t, "lambda.alarms.cloudwatch.amazonaws.com", "arn:aws:cloudwatch:us-east-1:"+c.Account+":alarm:hot")
		out, err := metrics.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String("hot"), Namespace: aws.String("mine"), MetricName: aws.String("heat"), Statistic: cloudwatchtypes.StatisticMaximum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
			Threshold: aws.Float64(1), ComparisonOperator: cloudwatchtypes.ComparisonOperatorGreaterThanThreshold, AlarmActions: []string{function},
		})
		try(t, out, err)
		set, err := metrics.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("hot"), StateValue: cloudwatchtypes.StateValueAlarm, StateReason: aws.String("a test")})
		try(t, set, err)
		reported(t, `"alarmName":"hot"`)
	})
	t.Run("Record", func(t *testing.T) {
		if !slices.ContainsFunc(c.Trail(c.Account), func(e cloudtest.Event) bool {
			return e.EventName == "Invoke" && e.UserIdentity.InvokedBy == "scheduler.amazonaws.com" && e.ErrorCode == ""
		}) {
			t.Error("no invocation is on record")
		}
	})
}
