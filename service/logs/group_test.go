package logs_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/internal/cputime"
)

func TestGroups(t *testing.T) {
	h := start(t)
	g := h.describe(groupName)
	if *g.Arn != arnOf(groupName)+":*" || *g.LogGroupArn != arnOf(groupName) || g.LogGroupClass != types.LogGroupClassStandard || *g.MetricFilterCount != 0 ||
		*g.StoredBytes != 0 || *g.DeletionProtectionEnabled || g.RetentionInDays != nil || g.KmsKeyId != nil {
		t.Errorf("the group is %+v", g)
	}
	_, err := h.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(groupName)})
	fails(t, err, "ResourceAlreadyExistsException", "The specified log group already exists")
	_, err = h.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(strings.Repeat("a", 513))})
	fails(t, err, "InvalidParameterException", "Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
	_, err = h.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("aws/x")})
	fails(t, err, "InvalidParameterException", "")
	for _, name := range []string{"/app/a", "/app/b", "/db/a"} {
		h.group(name)
	}
	names := func(in *cloudwatchlogs.DescribeLogGroupsInput) (names []string) {
		for {
			out := must(h.DescribeLogGroups(t.Context(), in))(t)
			for _, g := range out.LogGroups {
				names = append(names, *g.LogGroupName)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return names
			}
		}
	}
	for _, tt := range []struct {
		in   *cloudwatchlogs.DescribeLogGroupsInput
		want []string
	}{
		{&cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(1)}, []string{"/app/a", "/app/b", groupName, "/db/a"}},
		{&cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/app/")}, []string{"/app/a", "/app/b", groupName}},
		{&cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("/a"), Limit: aws.Int32(2)}, []string{"/app/a", "/app/b", groupName, "/db/a"}},
		{&cloudwatchlogs.DescribeLogGroupsInput{LogGroupIdentifiers: []string{arnOf("/db/a"), "/app/b", "none"}}, []string{"/app/b", "/db/a"}},
		{&cloudwatchlogs.DescribeLogGroupsInput{LogGroupClass: types.LogGroupClassDelivery}, nil},
	} {
		if d := cmp.Diff(tt.want, names(tt.in)); d != "" {
			t.Errorf("groups (-want +got):\n%s", d)
		}
	}
	_, err = h.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("a"), LogGroupNamePattern: aws.String("a")})
	fails(t, err, "InvalidParameterException", "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	_, err = h.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{NextToken: aws.String("x")})
	fails(t, err, "InvalidParameterException", "The specified nextToken is invalid.")
	var listed []string
	for _, g := range must(h.ListLogGroups(t.Context(), &cloudwatchlogs.ListLogGroupsInput{LogGroupNamePattern: aws.String("^/db|orders")}))(t).LogGroups {
		listed = append(listed, *g.LogGroupName)
	}
	if d := cmp.Diff([]string{groupName, "/db/a"}, listed); d != "" {
		t.Errorf("listed (-want +got):\n%s", d)
	}
}

func TestDeletion(t *testing.T) {
	h := start(t)
	h.put(groupName, stream, numbered(0, 200)...)
	protect := func(on bool) {
		must(h.PutLogGroupDeletionProtection(t.Context(), &cloudwatchlogs.PutLogGroupDeletionProtectionInput{LogGroupIdentifier: aws.String(groupName), DeletionProtectionEnabled: &on}))(t)
	}
	protect(true)
	_, err := h.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(groupName)})
	fails(t, err, "ValidationException", "")
	_, err = h.DeleteLogStream(t.Context(), &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream)})
	fails(t, err, "ValidationException", "")
	protect(false)
	must(h.DeleteLogStream(t.Context(), &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream)}))(t)
	if n := *h.describe(groupName).StoredBytes; n != 0 {
		t.Errorf("%d bytes are left", n)
	}
	h.stream(groupName, stream)
	if got := h.get(groupName, stream); len(got) != 0 {
		t.Errorf("the new stream has %v", got)
	}
	h.put(groupName, stream, "x")
	must(h.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(groupName)}))(t)
	_, err = h.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(groupName)})
	fails(t, err, "ResourceNotFoundException", "The specified log group does not exist.")
	h.group(groupName)
	h.Advance(time.Minute)
	if out := must(h.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(groupName)}))(t); len(out.LogStreams) != 0 {
		t.Errorf("the new group has %v", out.LogStreams)
	}
}

// Events go when their time is over, at once for readers and then from the store, in order and however far the clock is moved.
func TestRetention(t *testing.T) {
	h := start(t)
	_, err := h.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(groupName), RetentionInDays: aws.Int32(2)})
	fails(t, err, "InvalidParameterException", "")
	must(h.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(groupName), RetentionInDays: aws.Int32(3)}))(t)
	began := cputime.Spent()
	for i := range 30 * 24 {
		h.put(groupName, stream, numbered(i, 1)...)
		h.Advance(time.Hour)
	}
	if took := (cputime.Spent() - began) / time.Duration(runtime.GOMAXPROCS(0)); took > 30*time.Second {
		t.Errorf("30 days of hourly work took %s of all processors", took)
	}
	got := h.get(groupName, stream)
	if want := numbered(30*24-72, 72); len(got) < 71 || len(got) > 72 || got[len(got)-1] != want[71] {
		t.Errorf("there are %d events: %v", len(got), got)
	}
	// A day's chunks at most are behind.
	if n := *h.describe(groupName).StoredBytes; n > 72*2*40 {
		t.Errorf("storedBytes = %d", n)
	}
	h.Advance(10 * day)
	if n := *h.describe(groupName).StoredBytes; n != 0 {
		t.Errorf("storedBytes = %d", n)
	}
	must(h.DeleteRetentionPolicy(t.Context(), &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String(groupName)}))(t)
	h.put(groupName, stream, "kept")
	h.Advance(400 * day)
	if d := cmp.Diff([]string{"kept"}, h.get(groupName, stream)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestStreams(t *testing.T) {
	h := start(t)
	_, err := h.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(groupName), LogStreamName: aws.String(stream)})
	fails(t, err, "ResourceAlreadyExistsException", "The specified log stream already exists")
	for _, name := range []string{"a", "b", "web-2"} {
		h.stream(groupName, name)
	}
	at := h.now()
	h.putAt(groupName, "b", at-1000, "x")
	h.putAt(groupName, stream, at-3000, "x", "y")
	h.putAt(groupName, "a", at-2000, "x")
	list := func(change func(*cloudwatchlogs.DescribeLogStreamsInput)) (names []string) {
		in := &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(groupName), Limit: aws.Int32(2)}
		change(in)
		for {
			out := must(h.DescribeLogStreams(t.Context(), in))(t)
			for _, st := range out.LogStreams {
				names = append(names, *st.LogStreamName)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return names
			}
		}
	}
	for _, tt := range []struct {
		change func(*cloudwatchlogs.DescribeLogStreamsInput)
		want   []string
	}{
		{func(*cloudwatchlogs.DescribeLogStreamsInput) {}, []string{"a", "b", "web-1", "web-2"}},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.Descending = aws.Bool(true) }, []string{"web-2", "web-1", "b", "a"}},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.LogStreamNamePrefix = aws.String("web") }, []string{"web-1", "web-2"}},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) {
			in.OrderBy, in.Descending = types.OrderByLastEventTime, aws.Bool(true)
		}, []string{"b", "a", "web-1", "web-2"}},
	} {
		if d := cmp.Diff(tt.want, list(tt.change)); d != "" {
			t.Errorf("streams (-want +got):\n%s", d)
		}
	}
	out := must(h.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupIdentifier: aws.String(arnOf(groupName)), LogStreamNamePrefix: aws.String(stream)}))(t)
	st := out.LogStreams[0]
	if *st.Arn != arnOf(groupName)+":log-stream:"+stream || *st.FirstEventTimestamp != at-3000 || *st.LastEventTimestamp != at-2999 || *st.LastIngestionTime < at || *st.StoredBytes != 0 {
		t.Errorf("the stream is %+v", st)
	}
	_, err = h.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(groupName), LogGroupIdentifier: aws.String(groupName)})
	fails(t, err, "ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.")
	_, err = h.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(groupName), OrderBy: types.OrderByLastEventTime, LogStreamNamePrefix: aws.String("w")})
	fails(t, err, "InvalidParameterException", "")
}

// Setting a policy again does not put off what it deletes.
func TestRetentionAgain(t *testing.T) {
	h := start(t)
	h.put(groupName, stream, "old")
	for range 6 {
		must(h.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(groupName), RetentionInDays: aws.Int32(1)}))(t)
		h.Advance(12 * time.Hour)
	}
	if n := *h.describe(groupName).StoredBytes; n != 0 {
		t.Errorf("after three days %d bytes are kept", n)
	}
}
