package logs_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home      = "111122223333"
	other     = "444455556666"
	groupName = "/app/orders"
	stream    = "web-1"
)

// house is a cloud with a log group and a stream in it, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*cloudwatchlogs.Client
	t *testing.T
}

func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	h := open(t, options...)
	h.group(groupName)
	h.stream(groupName, stream)
	return h
}

func open(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, options...)
	return &house{c, cloudwatchlogs.NewFromConfig(c.Config()), t}
}

func (h *house) group(name string) {
	h.t.Helper()
	must(h.CreateLogGroup(h.t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name}))(h.t)
}

func (h *house) stream(group, name string) {
	h.t.Helper()
	must(h.CreateLogStream(h.t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &name}))(h.t)
}

// now is the cloud's time as events have it.
func (h *house) now() int64 { return h.Clock.Now().UnixMilli() }

// put logs messages, a millisecond apart and ending now.
func (h *house) put(group, stream string, messages ...string) *cloudwatchlogs.PutLogEventsOutput {
	h.t.Helper()
	return h.putAt(group, stream, h.now()-int64(len(messages)), messages...)
}

// putAt logs messages, a millisecond apart from a time on.
func (h *house) putAt(group, stream string, at int64, messages ...string) *cloudwatchlogs.PutLogEventsOutput {
	h.t.Helper()
	events := make([]types.InputLogEvent, len(messages))
	for i, m := range messages {
		events[i] = types.InputLogEvent{Timestamp: aws.Int64(at + int64(i)), Message: aws.String(m)}
	}
	return must(h.PutLogEvents(h.t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events}))(h.t)
}

// get lists a stream from its head.
func (h *house) get(group, stream string) []string {
	h.t.Helper()
	var messages []string
	var token *string
	for {
		out := must(h.GetLogEvents(h.t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true), NextToken: token}))(h.t)
		for _, e := range out.Events {
			messages = append(messages, *e.Message)
		}
		if token != nil && *token == *out.NextForwardToken {
			return messages
		}
		token = out.NextForwardToken
	}
}

// describe is the group as it shows.
func (h *house) describe(name string) types.LogGroup {
	h.t.Helper()
	out := must(h.DescribeLogGroups(h.t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name}))(h.t)
	if len(out.LogGroups) != 1 {
		h.t.Fatalf("there are %d log groups %s", len(out.LogGroups), name)
	}
	return out.LogGroups[0]
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// fails checks the code of an error, and its message if one is given.
func fails(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || message != "" && e.ErrorMessage() != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}

func arnOf(group string) string { return "arn:aws:logs:us-east-1:" + home + ":log-group:" + group }

// numbered are messages with numbers in them.
func numbered(from, n int) []string {
	messages := make([]string, n)
	for i := range messages {
		messages[i] = fmt.Sprintf("message %d", from+i)
	}
	return messages
}

const day = 24 * time.Hour
