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
)

// filter lists what matches, page after page.
func (h *house) filter(change func(*cloudwatchlogs.FilterLogEventsInput)) (events []types.FilteredLogEvent, pages int) {
	h.t.Helper()
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(groupName)}
	if change != nil {
		change(in)
	}
	for {
		out := must(h.FilterLogEvents(h.t.Context(), in))(h.t)
		events = append(events, out.Events...)
		pages++
		if out.NextToken == nil {
			return events, pages
		}
		in.NextToken = out.NextToken
	}
}

func messages(events []types.FilteredLogEvent) (all []string) {
	for _, e := range events {
		all = append(all, *e.Message)
	}
	return all
}

// The events of many streams come in the order of their times, each once, whichever way and in however many pages.
func TestFilterInterleaved(t *testing.T) {
	h := start(t)
	r := rand.New(rand.NewPCG(3, 4))
	at := h.now() - 5_000_000
	var want []string
	times := make(map[string]int64)
	for s := range 7 {
		name := fmt.Sprintf("s%d", s)
		h.stream(groupName, name)
		for b := range 100 {
			when := at + r.Int64N(3_000_000)
			m := fmt.Sprintf("%s batch %d", name, b)
			if b%40 == 0 {
				m += strings.Repeat(" ", 70_000)
			}
			h.putAt(groupName, name, when, m)
			want = append(want, m)
			times[m] = when
		}
	}
	slices.SortStableFunc(want, func(a, b string) int { return int(times[a] - times[b]) })
	for _, tt := range []struct {
		name   string
		change func(*cloudwatchlogs.FilterLogEventsInput)
		keep   func(string) bool
		pages  int
	}{
		{"All", nil, func(string) bool { return true }, 2},
		{"Pages", func(in *cloudwatchlogs.FilterLogEventsInput) { in.Limit = aws.Int32(37) }, func(string) bool { return true }, 19},
		{"Backwards", func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.Limit, in.StartFromHead = aws.Int32(37), aws.Bool(false)
		}, func(string) bool { return true }, 19},
		{"Pattern", func(in *cloudwatchlogs.FilterLogEventsInput) { in.FilterPattern = aws.String(`%batch\s[1-3]7%`) }, func(m string) bool {
			return strings.HasSuffix(m, " 17") || strings.HasSuffix(m, " 27") || strings.HasSuffix(m, " 37")
		}, 1},
		{"Streams", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = []string{"s1", "s3", "s1"} }, func(m string) bool {
			return strings.HasPrefix(m, "s1 ") || strings.HasPrefix(m, "s3 ")
		}, 1},
		{"Prefix", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNamePrefix = aws.String("s4") }, func(m string) bool {
			return strings.HasPrefix(m, "s4 ")
		}, 1},
		{"Times", func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.StartTime, in.EndTime, in.Limit = aws.Int64(at+1_000_000), aws.Int64(at+1_500_000), aws.Int32(10)
		}, func(m string) bool { return times[m] >= at+1_000_000 && times[m] <= at+1_500_000 }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var kept []string
			for _, m := range want {
				if tt.keep(m) {
					kept = append(kept, m)
				}
			}
			if tt.name == "Backwards" {
				slices.Reverse(kept)
			}
			events, pages := h.filter(tt.change)
			if d := cmp.Diff(kept, messages(events)); d != "" {
				t.Errorf("events (-want +got):\n%.3000s", d)
			}
			if tt.pages > 0 && pages != tt.pages {
				t.Errorf("%d pages, want %d", pages, tt.pages)
			}
			ids := make(map[string]bool)
			for _, e := range events {
				if ids[*e.EventId] || len(*e.EventId) != 56 {
					t.Errorf("the event ID %s", *e.EventId)
				}
				ids[*e.EventId] = true
			}
		})
	}
}

func TestFilterRefusals(t *testing.T) {
	h := start(t)
	for _, tt := range []struct {
		name, code, message string
		change              func(*cloudwatchlogs.FilterLogEventsInput)
	}{
		{"Limit", "InvalidParameterException", "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
			func(in *cloudwatchlogs.FilterLogEventsInput) { in.Limit = aws.Int32(10001) }},
		{"Token", "InvalidParameterException", "The specified nextToken is invalid.", func(in *cloudwatchlogs.FilterLogEventsInput) { in.NextToken = aws.String("invalid-token") }},
		{"Pattern", "InvalidParameterException", "Invalid character(s) in term '('", func(in *cloudwatchlogs.FilterLogEventsInput) { in.FilterPattern = aws.String("(a)") }},
		{"NoStream", "ResourceNotFoundException", "The specified log stream does not exist.", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = []string{"none"} }},
		{"NoGroup", "ResourceNotFoundException", "The specified log group does not exist.", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogGroupName = aws.String("none") }},
		{"NamesAndPrefix", "InvalidParameterException", "", func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.LogStreamNames, in.LogStreamNamePrefix = []string{stream}, aws.String("w")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(groupName)}
			tt.change(in)
			_, err := h.FilterLogEvents(t.Context(), in)
			fails(t, err, tt.code, tt.message)
		})
	}
}

func TestGetTokens(t *testing.T) {
	h := start(t)
	in := func() *cloudwatchlogs.GetLogEventsInput {
		return &cloudwatchlogs.GetLogEventsInput{LogGroupIdentifier: aws.String(arnOf(groupName)), LogStreamName: aws.String(stream)}
	}
	empty := must(h.GetLogEvents(t.Context(), in()))(t)
	h.put(groupName, stream, numbered(0, 10)...)
	// What was the end of nothing goes on with what came since.
	next := in()
	next.NextToken = empty.NextForwardToken
	if out := must(h.GetLogEvents(t.Context(), next))(t); len(out.Events) != 10 {
		t.Errorf("%d events behind nothing", len(out.Events))
	}
	last := in()
	last.Limit = aws.Int32(3)
	page := must(h.GetLogEvents(t.Context(), last))(t)
	if len(page.Events) != 3 || *page.Events[0].Message != "message 7" || *page.Events[2].Message != "message 9" {
		t.Errorf("the last three are %v", page.Events)
	}
	ahead := in()
	ahead.NextToken = page.NextForwardToken
	if out := must(h.GetLogEvents(t.Context(), ahead))(t); len(out.Events) != 0 || *out.NextForwardToken != *page.NextForwardToken {
		t.Errorf("at the end: %+v", out)
	}
	back := in()
	back.NextToken, back.Limit = page.NextBackwardToken, aws.Int32(100)
	out := must(h.GetLogEvents(t.Context(), back))(t)
	if len(out.Events) != 7 || *out.Events[6].Message != "message 6" {
		t.Errorf("before them: %v", out.Events)
	}
	back.NextToken = out.NextBackwardToken
	if out := must(h.GetLogEvents(t.Context(), back))(t); len(out.Events) != 0 || *out.NextBackwardToken != *back.NextToken {
		t.Errorf("at the beginning: %+v", out)
	}
	h.stream(groupName, "another")
	for _, token := range []string{"invalid-token", "f/" + strings.Repeat("0", 56) + "/s", *page.NextForwardToken} {
		bad := in()
		bad.LogStreamName, bad.NextToken = aws.String("another"), &token
		_, err := h.GetLogEvents(t.Context(), bad)
		fails(t, err, "InvalidParameterException", "The specified nextToken is invalid.")
	}
}
