package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const orchardBus = "arn:aws:events:us-east-1:" + keeperAccount + ":event-bus/default"

const keeperAccount = "111122223333"

// keeper is a cloud with an archive, and the clients of its account's root user.
type keeper struct {
	*cloudtest.Cloud
	*eventbridge.Client
	queues *sqs.Client
	t      *testing.T
	now    time.Time
}

func newKeeper(t *testing.T, options ...func(*cloud.Config)) *keeper {
	t.Helper()
	c := cloudtest.Start(t, options...)
	return &keeper{Cloud: c, Client: eventbridge.NewFromConfig(c.Root(keeperAccount)), queues: sqs.NewFromConfig(c.Root(keeperAccount)), t: t}
}

// done fails the test if a call does not succeed.
func done[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// archive makes an archive of the default bus.
func (k *keeper) archive(name string, change ...func(*eventbridge.CreateArchiveInput)) string {
	k.t.Helper()
	in := &eventbridge.CreateArchiveInput{ArchiveName: &name, EventSourceArn: aws.String(orchardBus)}
	for _, f := range change {
		f(in)
	}
	return *done(k.CreateArchive(k.t.Context(), in))(k.t).ArchiveArn
}

// plant puts an event on the default bus.
func (k *keeper) plant(tree string) {
	k.t.Helper()
	out := done(k.PutEvents(k.t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		Source: aws.String("orchard"), DetailType: aws.String("Tree Planted"), Detail: aws.String(fmt.Sprintf(`{"tree":%q}`, tree)),
	}}}))(k.t)
	if out.FailedEntryCount != 0 {
		k.t.Fatalf("PutEvents = %+v", out)
	}
}

// queue makes a FIFO queue that gets the events of a rule, and returns its URL.
func (k *keeper) queue(rule string) string {
	k.t.Helper()
	name := rule + ".fifo"
	queueARN := "arn:aws:sqs:us-east-1:" + keeperAccount + ":" + name
	url := done(k.queues.CreateQueue(k.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{
		"FifoQueue": "true", "ContentBasedDeduplication": "true",
		"Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + queueARN + `"}}`,
	}}))(k.t).QueueUrl
	done(k.PutRule(k.t.Context(), &eventbridge.PutRuleInput{Name: &rule, EventPattern: aws.String(`{"source":["orchard"]}`)}))(k.t)
	out := done(k.PutTargets(k.t.Context(), &eventbridge.PutTargetsInput{Rule: &rule, Targets: []types.Target{{
		Id: aws.String("q"), Arn: &queueARN, SqsParameters: &types.SqsParameters{MessageGroupId: aws.String("all")},
	}}}))(k.t)
	if out.FailedEntryCount != 0 {
		k.t.Fatalf("PutTargets = %+v", out.FailedEntries)
	}
	return *url
}

// received is an event in a queue.
type received struct {
	Replay string `json:"replay-name"`
	Detail struct{ Tree string }
}

// receive takes all that is in a queue.
func (k *keeper) receive(url string) (all []received) {
	k.t.Helper()
	for {
		out := done(k.queues.ReceiveMessage(k.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10}))(k.t)
		if len(out.Messages) == 0 {
			return all
		}
		var entries []sqstypes.DeleteMessageBatchRequestEntry
		for _, m := range out.Messages {
			var r received
			if err := json.Unmarshal([]byte(*m.Body), &r); err != nil {
				k.t.Fatal(err)
			}
			all = append(all, r)
			entries = append(entries, sqstypes.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
		done(k.queues.DeleteMessageBatch(k.t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries}))(k.t)
	}
}

// start starts a replay.
func (k *keeper) start(name, archive string, from, to time.Time, rules ...string) {
	k.t.Helper()
	done(k.StartReplay(k.t.Context(), &eventbridge.StartReplayInput{
		ReplayName: &name, EventSourceArn: &archive, EventStartTime: &from, EventEndTime: &to, Destination: &types.ReplayDestination{Arn: aws.String(orchardBus), FilterArns: rules},
	}))(k.t)
}

// An archive replays a day of events, in their order, to the rules that are there now.
func TestReplayOfADay(t *testing.T) {
	k := newKeeper(t)
	archive := k.archive("day")
	created := *done(k.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("day")}))(t).CreationTime
	var want []received
	for hour := range 24 {
		for i := range 4 {
			tree := fmt.Sprintf("tree %d of hour %d", i, hour)
			k.plant(tree)
			r := received{Replay: "again"}
			r.Detail.Tree = tree
			want = append(want, r)
		}
		k.Advance(time.Hour)
	}
	about := done(k.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("day")}))(t)
	if about.EventCount != int64(len(want)) || about.SizeBytes < 100*about.EventCount || about.State != types.ArchiveStateEnabled {
		t.Errorf("the archive has %d events of %d bytes in state %s", about.EventCount, about.SizeBytes, about.State)
	}
	url := k.queue("all")
	k.start("again", archive, created.Add(-time.Second), created.Add(24*time.Hour))
	k.Advance(time.Second)
	out := done(k.DescribeReplay(t.Context(), &eventbridge.DescribeReplayInput{ReplayName: aws.String("again")}))(t)
	if out.State != types.ReplayStateCompleted || out.ReplayEndTime == nil || out.EventLastReplayedTime == nil {
		t.Errorf("the replay is %+v", out)
	}
	if d := cmp.Diff(want, k.receive(url)); d != "" {
		t.Errorf("replayed (-want +got):\n%s", d)
	}
	// What was replayed is not archived again.
	if about := done(k.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("day")}))(t); about.EventCount != int64(len(want)) {
		t.Errorf("the archive has %d events after the replay", about.EventCount)
	}

	t.Run("SomeHoursToOneRule", func(t *testing.T) {
		other := k.queue("other")
		k.start("hours", archive, created.Add(3*time.Hour-time.Second), created.Add(5*time.Hour-time.Second), "arn:aws:events:us-east-1:"+keeperAccount+":rule/other")
		k.Advance(time.Second)
		got := k.receive(other)
		if len(got) != 8 || got[0].Detail.Tree != "tree 0 of hour 3" || got[7].Detail.Tree != "tree 3 of hour 4" {
			t.Errorf("replayed %v", got)
		}
		if got := k.receive(url); len(got) != 0 {
			t.Errorf("a rule that was not named got %v", got)
		}
	})
	t.Run("Listed", func(t *testing.T) {
		out := done(k.ListReplays(t.Context(), &eventbridge.ListReplaysInput{State: types.ReplayStateCompleted}))(t)
		var names []string
		for _, r := range out.Replays {
			names = append(names, *r.ReplayName)
		}
		if !slices.Equal(names, []string{"again", "hours"}) {
			t.Errorf("listed %v", names)
		}
	})
	t.Run("Forgotten", func(t *testing.T) {
		k.Advance(91 * 24 * time.Hour)
		_, err := k.DescribeReplay(t.Context(), &eventbridge.DescribeReplayInput{ReplayName: aws.String("again")})
		wantExact(t, err, "ResourceNotFoundException", "Replay again does not exist.")
	})
}

// wantExact holds an error against its code and message.
func wantExact(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}
