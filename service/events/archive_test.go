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
	"github.com/aws/aws-sdk-go-v2/service/kms"
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

// TestArchiveErrors holds errors against those that AWS was seen to answer with.
func TestArchiveErrors(t *testing.T) {
	k := newKeeper(t)
	archive := k.archive("a")
	done(k.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("other")}))(t)
	bus := func(name string) *string { return aws.String(busARN + name) }
	start := func(change func(*eventbridge.StartReplayInput)) error {
		in := &eventbridge.StartReplayInput{
			ReplayName: aws.String("r"), EventSourceArn: &archive, EventStartTime: aws.Time(time.Unix(1, 0)), EventEndTime: aws.Time(time.Unix(2, 0)),
			Destination: &types.ReplayDestination{Arn: bus("default")},
		}
		change(in)
		return answer(k.StartReplay(t.Context(), in))
	}
	for _, tt := range []struct {
		err           error
		code, message string
	}{
		{answer(k.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("b"), EventSourceArn: bus("no")})), "ResourceNotFoundException", "Event bus no does not exist."},
		{answer(k.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("a"), EventSourceArn: bus("default")})), "ResourceAlreadyExistsException", "Archive a already exists."},
		{answer(k.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("no")})), "ResourceNotFoundException", "Archive no does not exist."},
		{answer(k.DeleteArchive(t.Context(), &eventbridge.DeleteArchiveInput{ArchiveName: aws.String("no")})), "ResourceNotFoundException", "Archive no does not exist."},
		{answer(k.ListArchives(t.Context(), &eventbridge.ListArchivesInput{EventSourceArn: bus("no")})), "ResourceNotFoundException", "Event bus no does not exist."},
		{answer(k.ListArchives(t.Context(), &eventbridge.ListArchivesInput{EventSourceArn: bus("default"), NamePrefix: aws.String("a")})), "ValidationException",
			"At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or NamePrefix."},
		{start(func(in *eventbridge.StartReplayInput) { in.Destination.Arn = bus("no") }), "ResourceNotFoundException", "Event bus no does not exist."},
		{start(func(in *eventbridge.StartReplayInput) { in.Destination.Arn = bus("other") }), "ValidationException",
			"Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted."},
		{start(func(in *eventbridge.StartReplayInput) { in.EventSourceArn = aws.String(archive + "x") }), "ValidationException",
			"Parameter EventSourceArn is not valid. Reason: Archive ax does not exist."},
		{start(func(in *eventbridge.StartReplayInput) { in.EventEndTime = in.EventStartTime }), "ValidationException",
			"Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."},
		{start(func(in *eventbridge.StartReplayInput) { in.ReplayName = aws.String("twice") }), "", ""},
		{start(func(in *eventbridge.StartReplayInput) { in.ReplayName = aws.String("twice") }), "ResourceAlreadyExistsException", "Replay twice already exists."},
		{answer(k.CancelReplay(t.Context(), &eventbridge.CancelReplayInput{ReplayName: aws.String("no")})), "ResourceNotFoundException", "Replay no does not exist."},
	} {
		if tt.code == "" {
			if tt.err != nil {
				t.Error(tt.err)
			}
			continue
		}
		wantExact(t, tt.err, tt.code, tt.message)
	}
	wantError(t, answer(k.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("b"), EventSourceArn: bus("default"), EventPattern: aws.String(`{"source":[{"fuzzy":1}]}`)})),
		"InvalidEventPatternException", "Event pattern is not valid. Reason: ")
}

// Of many events those whose time is over go, whether they were packed or not, and those that an archive does not want it has never had.
func TestArchiveKeeps(t *testing.T) {
	k := newKeeper(t)
	archive := k.archive("a", func(in *eventbridge.CreateArchiveInput) {
		in.RetentionDays, in.EventPattern = aws.Int32(2), aws.String(`{"source":["orchard"],"detail":{"tree":[{"prefix":"oak"}]}}`)
	})
	about := func() *eventbridge.DescribeArchiveOutput {
		return done(k.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("a")}))(t)
	}
	began := *about().CreationTime
	for day := range 3 {
		for i := range 20 {
			k.plant(fmt.Sprintf("oak %d of day %d", i, day))
			k.plant("elm")
		}
		k.Advance(20 * time.Hour)
	}
	if n := about().EventCount; n != 40 {
		t.Errorf("after sixty hours the archive has %d events, want those of forty-eight", n)
	}
	url := k.queue("q")
	k.start("all", archive, began.Add(-time.Hour), began.Add(96*time.Hour))
	k.Advance(time.Second)
	if got := k.receive(url); len(got) != 40 || got[0].Detail.Tree != "oak 0 of day 1" || got[39].Detail.Tree != "oak 19 of day 2" {
		t.Errorf("replayed %d: %v", len(got), got)
	}
	done(k.UpdateArchive(t.Context(), &eventbridge.UpdateArchiveInput{ArchiveName: aws.String("a"), RetentionDays: aws.Int32(1)}))(t)
	k.Advance(24 * time.Hour)
	if n := about().EventCount; n != 0 {
		t.Errorf("in the end the archive has %d events", n)
	}
}

// A replay that a stop has cut in two loses no event and repeats none.
func TestReplayCutInTwo(t *testing.T) {
	dir, url := t.TempDir(), ""
	const n = 600
	t.Run("Before", func(t *testing.T) {
		k := newKeeper(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		archive := k.archive("a")
		for i := 0; i < n; i += 10 {
			var entries []types.PutEventsRequestEntry
			for j := range 10 {
				entries = append(entries, types.PutEventsRequestEntry{
					Source: aws.String("orchard"), DetailType: aws.String("Tree Planted"), Detail: aws.String(fmt.Sprintf(`{"tree":"%d"}`, i+j)),
				})
			}
			done(k.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries}))(t)
		}
		url = k.queue("q")
		k.start("r", archive, time.Unix(0, 0), k.Clock.Now().Add(time.Hour))
		for range 1000 {
			if r := done(k.DescribeReplay(t.Context(), &eventbridge.DescribeReplayInput{ReplayName: aws.String("r")}))(t); r.EventLastReplayedTime != nil {
				return
			}
		}
		t.Error("the replay does not begin")
	})
	t.Run("After", func(t *testing.T) {
		k := newKeeper(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		k.Advance(time.Second)
		got := k.receive("https://sqs.us-east-1.amazonaws.com/" + keeperAccount + url[len(url)-len("/q.fifo"):])
		if len(got) != n {
			t.Fatalf("%d of %d events were replayed", len(got), n)
		}
		for i, r := range got {
			if r.Detail.Tree != fmt.Sprint(i) {
				t.Fatalf("event %d is %v", i, r)
			}
		}
	})
}

// What an archive with a key of KMS holds cannot be had without the key.
func TestArchiveUnderKey(t *testing.T) {
	k := newKeeper(t)
	keys := kms.NewFromConfig(k.Root(keeperAccount))
	key := *done(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + keeperAccount + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*",
			"Condition":{"StringEquals":{"kms:EncryptionContext:aws:events:event-bus:arn":"` + orchardBus + `","aws:SourceAccount":"` + keeperAccount + `"}}}]}`)}))(t).KeyMetadata.Arn
	archive := k.archive("a", func(in *eventbridge.CreateArchiveInput) { in.KmsKeyIdentifier = &key })
	for i := range 5 {
		k.plant(fmt.Sprint(i))
	}
	k.Advance(2 * time.Hour) // and they are packed
	k.plant("5")
	url := k.queue("q")
	k.start("r", archive, time.Unix(0, 0), k.Clock.Now().Add(time.Hour))
	k.Advance(time.Second)
	if got := k.receive(url); len(got) != 6 || got[0].Detail.Tree != "0" || got[5].Detail.Tree != "5" {
		t.Errorf("replayed %v", got)
	}
	done(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}))(t)
	k.Advance(time.Hour)
	k.plant("lost")
	done(keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &key}))(t)
	k.Advance(time.Hour)
	if n := done(k.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("a")}))(t).EventCount; n != 6 {
		t.Errorf("the archive has %d events", n)
	}
	_, err := k.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("b"), EventSourceArn: aws.String(orchardBus), KmsKeyIdentifier: aws.String("alias/none")})
	wantError(t, err, "ValidationException", "Parameter KmsKeyIdentifier is not valid. Reason: ")
}
