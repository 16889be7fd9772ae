package logs_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
)

func TestPutAndGet(t *testing.T) {
	h := start(t)
	out := h.put(groupName, stream, "hello", "🙀 - 参よ - 日本語", "<b>&\u2028")
	if out.RejectedLogEventsInfo != nil || len(*out.NextSequenceToken) != 56 {
		t.Errorf("PutLogEvents() = %+v", out)
	}
	if d := cmp.Diff([]string{"hello", "🙀 - 参よ - 日本語", "<b>&\u2028"}, h.get(groupName, stream)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if got := *h.describe(groupName).StoredBytes; got != int64(len("hello🙀 - 参よ - 日本語<b>&\u2028")+3*26) {
		t.Errorf("storedBytes = %d", got)
	}
}

// Many small batches become few chunks, and large ones stay whole; whatever order they came in, they are listed by their times.
func TestMerge(t *testing.T) {
	h := start(t)
	at := h.now() - 10_000_000
	r := rand.New(rand.NewPCG(1, 2))
	type logged struct {
		at      int64
		seq     int
		message string
	}
	var all []logged
	for i := range 300 {
		m := fmt.Sprintf("batch %d", i)
		if i%37 == 0 {
			m += strings.Repeat(" long", 20_000)
		}
		when := at + r.Int64N(1_000_000)
		h.putAt(groupName, stream, when, m, m+" again")
		all = append(all, logged{when, 2 * i, m}, logged{when + 1, 2*i + 1, m + " again"})
	}
	slices.SortFunc(all, func(a, b logged) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.seq - b.seq
	})
	want := make([]string, len(all))
	for i, l := range all {
		want[i] = l.message
	}
	got := h.get(groupName, stream)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("listed from the head (-want +got):\n%.2000s", d)
	}
	// Backwards, and in a part of the time.
	from, to := all[100].at, all[500].at
	want = nil
	for _, l := range all {
		if l.at >= from && l.at < to {
			want = append(want, l.message)
		}
	}
	var token *string
	got = nil
	for {
		out := must(h.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream), StartTime: &from, EndTime: &to, NextToken: token, Limit: aws.Int32(17),
		}))(t)
		var page []string
		for _, e := range out.Events {
			page = append(page, *e.Message)
		}
		got = append(page, got...)
		if token != nil && *token == *out.NextBackwardToken {
			break
		}
		token = out.NextBackwardToken
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("listed backwards (-want +got):\n%.2000s", d)
	}
}

func TestPutRefusals(t *testing.T) {
	h := start(t)
	now := h.now()
	in := func(events ...types.InputLogEvent) *cloudwatchlogs.PutLogEventsInput {
		return &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream), LogEvents: events}
	}
	e := func(at int64, message string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: &at, Message: &message}
	}
	elsewhere := in(e(now, "x"))
	elsewhere.LogStreamName = aws.String("invalid-stream")
	nowhere := in(e(now, "x"))
	nowhere.LogGroupName = aws.String("invalid-group")
	for _, tt := range []struct {
		name          string
		in            *cloudwatchlogs.PutLogEventsInput
		code, message string
	}{
		{"NoStream", elsewhere, "ResourceNotFoundException", "The specified log stream does not exist."},
		{"NoGroup", nowhere, "ResourceNotFoundException", "The specified log group does not exist."},
		{"Order", in(e(now, "a"), e(now-1, "b")), "InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order."},
		{"Span", in(e(now-24*60*60*1000-1, "a"), e(now, "b")), "InvalidParameterException", "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."},
		{"TooLargeEvent", in(e(now, strings.Repeat("x", 1<<20-25))), "InvalidParameterException", "Log event too large: 1048577 bytes exceeds limit of 1048576"},
		{"TooLargeBatch", in(e(now, strings.Repeat("x", 1<<19)), e(now, strings.Repeat("x", 1<<19))), "InvalidParameterException", "Upload too large: 1048628 bytes exceeds limit of 1048576"},
		{"Nothing", in([]types.InputLogEvent{}...), "InvalidParameterException", "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.PutLogEvents(t.Context(), tt.in)
			fails(t, err, tt.code, tt.message)
		})
	}
	t.Run("OK", func(t *testing.T) {
		must(h.PutLogEvents(t.Context(), in(e(now, strings.Repeat("\x01", 1<<20-26)))))(t)
		if got := h.get(groupName, stream); len(got) != 1 || len(got[0]) != 1<<20-26 {
			t.Errorf("%d events are there", len(got))
		}
		noise := make([]byte, 1<<20-26)
		for i := range noise {
			noise[i] = byte(' ' + rand.IntN(90))
		}
		must(h.PutLogEvents(t.Context(), in(e(now, string(noise)))))(t)
		if got := h.get(groupName, stream); len(got) != 2 || got[1] != string(noise) {
			t.Errorf("%d events are there", len(got))
		}
	})
}

// Events that are too old or too new are left out, and told of.
func TestRejected(t *testing.T) {
	h := start(t)
	must(h.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(groupName), RetentionInDays: aws.Int32(3)}))(t)
	now, hour := h.now(), int64(60*60*1000)
	var events []types.InputLogEvent
	for i, at := range []int64{now - 15*24*hour, now - 15*24*hour, now - 4*24*hour, now - 5*hour, now, now + hour, now + 3*hour} {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(at), Message: aws.String(fmt.Sprint(i))})
	}
	out := must(h.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream), LogEvents: events}))(t)
	r := out.RejectedLogEventsInfo
	if r == nil || aws.ToInt32(r.TooOldLogEventEndIndex) != 2 || aws.ToInt32(r.ExpiredLogEventEndIndex) != 3 || aws.ToInt32(r.TooNewLogEventStartIndex) != 6 {
		t.Errorf("rejectedLogEventsInfo = %+v", r)
	}
	if d := cmp.Diff([]string{"3", "4", "5"}, h.get(groupName, stream)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// What was acknowledged is there when the cloud comes back.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	t.Run("Before", func(t *testing.T) {
		h := start(t, func(c *cloud.Config) { c.Dir = dir })
		for i := range 70 {
			h.put(groupName, stream, numbered(i, 1)...)
		}
	})
	h := open(t, func(c *cloud.Config) { c.Dir = dir })
	if got := h.get(groupName, stream); len(got) != 70 {
		t.Errorf("%d events are there", len(got))
	}
}
