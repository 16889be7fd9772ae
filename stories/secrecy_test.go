package stories_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// withoutMD5 keeps the client from MD5, which it has no means to do without in FIPS mode.
func withoutMD5(o *sqs.Options) { o.DisableMessageChecksumValidation = fips140.Enforced() }

// marks are texts that are found nowhere by chance, by what they were put into.
type marks map[string]string

// mark makes one. It cannot be compressed.
func (m marks) mark(in string) string {
	b := make([]byte, 18)
	rand.Read(b)
	m[in] = hex.EncodeToString(b)
	return m[in]
}

// find reports which marks are in something, as they are, in hex or in base64, whatever stands before them.
func (m marks) find(t *testing.T, where string, content []byte) {
	t.Helper()
	for in, mark := range m {
		forms := []string{mark, hex.EncodeToString([]byte(mark)), strings.ToUpper(hex.EncodeToString([]byte(mark)))}
		for before := range 3 {
			text := base64.RawStdEncoding.EncodeToString([]byte("..."[:before] + mark))
			forms = append(forms, text[4:len(text)-4]) // without what depends on neighbours
		}
		for _, form := range forms {
			if bytes.Contains(content, []byte(form)) {
				t.Errorf("%s: what was put into %s is there in the clear", where, in)
				break
			}
		}
	}
}

// buffer is a log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// What customers send through queues, topics, buses, logs and schedules, and the secrets of their servers, lie nowhere in the clear: not in the store, the audit trail, the log or the
// metrics. It all waits somewhere when the cloud stops.
func TestWhatWaitsLiesSealed(t *testing.T) {
	dir, m := t.TempDir(), marks{}
	log := new(buffer)
	t.Run("Waiting", func(t *testing.T) { // whose end closes the cloud
		c := cloudtest.Start(t, onDisk(dir), func(cfg *cloud.Config) {
			cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		logTrail(t, c)
		fillQueues(t, c, m)
		fillTopic(t, c, m)
		fillBus(t, c, m)
		fillLogs(t, c, m)
		fillSchedules(t, c, m)
		c.Advance(time.Minute)
		for _, e := range c.Trail(c.Account) {
			m.find(t, "the record of "+e.EventName, e.Raw)
		}
		resp := must(http.Get(c.URL + "/metrics"))(t)
		defer resp.Body.Close()
		m.find(t, "/metrics", must(io.ReadAll(resp.Body))(t))
	})
	m.find(t, "the log", log.b.Bytes())
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		m.find(t, path, content)
		found = found || bytes.Contains(content, []byte("a-name-is-no-secret"))
		return err
	})
	if err != nil || !found {
		t.Errorf("%v; a queue's name, which is in the clear, was found: %t", err, found)
	}
}

func fillQueues(t *testing.T, c *cloudtest.Cloud, m marks) {
	client := sqs.NewFromConfig(c.Config(), withoutMD5)
	key := newKey(t, kms.NewFromConfig(c.Config()))
	for name, attributes := range map[string]map[string]string{"a-name-is-no-secret": nil, "under-a-key": {"KmsMasterKeyId": *key.KeyId}, "open": {"SqsManagedSseEnabled": "false"}} {
		url := must(client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes}))(t).QueueUrl
		must(client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: url, MessageBody: aws.String(m.mark("a message of queue " + name)), DelaySeconds: 5,
			MessageAttributes: map[string]sqstypes.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String(m.mark("an attribute of queue " + name))}},
		}))(t)
	}
}

// fillTopic publishes to a server that takes nothing once it has been asked.
func fillTopic(t *testing.T, c *cloudtest.Cloud, m marks) {
	client, asked := sns.NewFromConfig(c.Config()), make(chan notification, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n notification
		if json.NewDecoder(r.Body).Decode(&n) == nil && n.Token != "" {
			asked <- n
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	topic := must(client.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("t"), Attributes: map[string]string{"SignatureVersion": "2"}}))(t).TopicArn
	url := strings.Replace(server.URL, "http://", "http://ann:"+m.mark("the password of a server")+"@", 1)
	must(client.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic, Protocol: aws.String("http"), Endpoint: &url}))(t)
	m["a token"] = next(t, asked, "confirmation").Token
	must(client.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: topic, Token: aws.String(m["a token"])}))(t)
	must(client.Publish(t.Context(), &sns.PublishInput{
		TopicArn: topic, Message: aws.String(m.mark("a message of a topic")), Subject: aws.String(m.mark("a subject")),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String(m.mark("an attribute of a topic"))}},
	}))(t)
}

// fillBus sends an event to an archive and to a destination that takes nothing.
func fillBus(t *testing.T, c *cloudtest.Cloud, m marks) {
	client := eventbridge.NewFromConfig(c.Config())
	bus := "arn:aws:events:us-east-1:" + c.Account + ":event-bus/default"
	must(client.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("all"), EventSourceArn: &bus}))(t)
	for kind, in := range map[string]*eventbridge.CreateConnectionInput{
		"key": {AuthorizationType: eventtypes.ConnectionAuthorizationTypeApiKey, AuthParameters: &eventtypes.CreateConnectionAuthRequestParameters{
			ApiKeyAuthParameters: &eventtypes.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: aws.String("x-key"), ApiKeyValue: aws.String(m.mark("an API key"))},
			InvocationHttpParameters: &eventtypes.ConnectionHttpParameters{HeaderParameters: []eventtypes.ConnectionHeaderParameter{
				{Key: aws.String("x"), Value: aws.String(m.mark("a secret header")), IsValueSecret: true}}}}},
		"basic": {AuthorizationType: eventtypes.ConnectionAuthorizationTypeBasic, AuthParameters: &eventtypes.CreateConnectionAuthRequestParameters{
			BasicAuthParameters: &eventtypes.CreateConnectionBasicAuthRequestParameters{Username: aws.String("ann"), Password: aws.String(m.mark("a password"))}}},
	} {
		in.Name = &kind
		connection := must(client.CreateConnection(t.Context(), in))(t)
		must(client.CreateApiDestination(t.Context(), &eventbridge.CreateApiDestinationInput{
			Name: &kind, ConnectionArn: connection.ConnectionArn, HttpMethod: eventtypes.ApiDestinationHttpMethodPost, InvocationEndpoint: aws.String("https://127.0.0.1:9/"),
		}))(t)
	}
	busRule(t, client, "default", "waiting", `{"source":["tower"]}`, newQueue(t, c.Config(), "events", "events.amazonaws.com", "arn:aws:events:us-east-1:"+c.Account+":rule/waiting").arn)
	must(client.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		Source: aws.String("tower"), DetailType: aws.String("Bell"), Detail: aws.String(fmt.Sprintf(`{"text":%q}`, m.mark("an event"))),
	}}}))(t)
}

func fillLogs(t *testing.T, c *cloudtest.Cloud, m marks) {
	client, group := cloudwatchlogs.NewFromConfig(c.Config()), aws.String("g")
	must(client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}))(t)
	must(client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: group}))(t)
	must(client.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: group, LogEvents: []logstypes.InputLogEvent{
		{Message: aws.String(m.mark("a log")), Timestamp: aws.Int64(c.Clock.Now().UnixMilli())},
	}}))(t)
	metrics := cloudwatch.NewFromConfig(c.Config())
	must(metrics.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("tower"), MetricData: []cloudwatchtypes.MetricDatum{{MetricName: aws.String("Bells"), Value: aws.Float64(1)}}}))(t)
	must(metrics.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("bells"), Namespace: aws.String("tower"), MetricName: aws.String("Bells"), Statistic: cloudwatchtypes.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
		Threshold: aws.Float64(1), ComparisonOperator: cloudwatchtypes.ComparisonOperatorGreaterThanOrEqualToThreshold,
	}))(t)
}

func fillSchedules(t *testing.T, c *cloudtest.Cloud, m marks) {
	users, queue := iam.NewFromConfig(c.Config()), newQueue(t, c.Config(), "schedules", "", "")
	role := must(users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("sender"), AssumeRolePolicyDocument: aws.String(trust("Service", "scheduler.amazonaws.com", "sts:AssumeRole", ""))}))(t).Role
	must(users.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("send"), PolicyDocument: aws.String(allow("sqs:SendMessage", "*"))}))(t)
	must(scheduler.NewFromConfig(c.Config()).CreateSchedule(t.Context(), &scheduler.CreateScheduleInput{
		Name: aws.String("s"), ScheduleExpression: aws.String("rate(1 hours)"), FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff},
		Target: &schedulertypes.Target{Arn: &queue.arn, RoleArn: role.Arn, Input: aws.String(m.mark("the input of a schedule"))},
	}))(t)
}
