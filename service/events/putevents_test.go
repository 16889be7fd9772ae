package events_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

func TestPutEvents(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q", true)
	h.rule(h.Client, "", "r", `{"source":["shop"],"detail":{"n":[{"numeric":[">",1]}]}}`, to(q))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := entry(`{ "n": 2 , "text": "<ä>&" }`)
	e.Time, e.Resources, e.TraceHeader = &at, []string{"arn:x"}, aws.String("Root=1-5759e988-bd862e3fe1be46a994272793")
	out := h.put(h.Client, entry(`{"n":1}`), e)
	got := q.take()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	want := `{"version":"0","id":"` + *out.Entries[1].EventId + `","detail-type":"order","source":"shop","account":"` + home +
		`","time":"2026-03-01T12:00:00Z","region":"us-east-1","resources":["arn:x"],"detail":{"n":2,"text":"<ä>&"}}`
	if *got[0].Body != want {
		t.Errorf("got  %s\nwant %s", *got[0].Body, want)
	}
	if got[0].Attributes["AWSTraceHeader"] != *e.TraceHeader {
		t.Errorf("attributes %v", got[0].Attributes)
	}
}

// Entries are refused one by one, with what LocalStack's tests recorded of AWS in December 2024 (test_events.snapshot.json) and, of sources of AWS's, what is known.
func TestRefusedEntries(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q", true)
	h.rule(h.Client, "", "r", shop, to(q))
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		name          string
		entry         types.PutEventsRequestEntry
		code, message string
	}{
		{"NoSource", types.PutEventsRequestEntry{DetailType: text("t"), Detail: text("{}")}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."},
		{"NoDetailType", types.PutEventsRequestEntry{Source: text("shop"), Detail: text("{}")}, "InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument."},
		{"NoDetail", types.PutEventsRequestEntry{Source: text("shop"), DetailType: text("t")}, "InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument."},
		{"String", entry(`"text"`), "MalformedDetail", "Detail is malformed."},
		{"Array", entry(`[1]`), "MalformedDetail", "Detail is malformed."},
		{"NotJSON", entry(`{"a":`), "MalformedDetail", "Detail is malformed."},
		{"Plain", entry(`text`), "MalformedDetail", "Detail is malformed."},
		{"SourceOfAWS", types.PutEventsRequestEntry{Source: text("aws.kms"), DetailType: text("t"), Detail: text("{}")}, "NotAuthorizedForSourceException", "Not authorized for the source."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := must(h.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{tt.entry, entry(`{}`)}}))(t)
			bad, good := out.Entries[0], out.Entries[1]
			if out.FailedEntryCount != 1 || aws.ToString(bad.ErrorCode) != tt.code || aws.ToString(bad.ErrorMessage) != tt.message || bad.EventId != nil || good.EventId == nil {
				t.Errorf("got %d, %v", out.FailedEntryCount, out.Entries)
			}
			if n := len(q.take()); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
	t.Run("TooMany", func(t *testing.T) {
		_, err := h.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: make([]types.PutEventsRequestEntry, 11)})
		wantError(t, err, "ValidationException", "at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10")
	})
	t.Run("TooLarge", func(t *testing.T) {
		e := entry(`{"text":"` + strings.Repeat("x", 256<<10) + `"}`)
		_, err := h.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{e}})
		wantError(t, err, "ValidationException", "Total size of the entries in the request is over the limit.")
	})
	t.Run("UnknownBus", func(t *testing.T) {
		e := entry(`{}`)
		e.EventBusName = aws.String("nowhere")
		if out := h.put(h.Client, e, entry(`{}`)); out.Entries[0].EventId == nil {
			t.Error("there is no ID")
		}
		if n := len(q.take()); n != 1 {
			t.Errorf("%d messages", n)
		}
		_, err := h.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{Name: e.EventBusName})
		wantError(t, err, "ResourceNotFoundException", "Event bus nowhere does not exist.")
	})
}

// Who puts events needs permission for what they are.
func TestPutConditions(t *testing.T) {
	h := start(t)
	c := eventbridge.NewFromConfig(h.User(home, "ann", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"events:PutEvents","Resource":"`+busARN+`default",
		"Condition":{"StringEquals":{"events:source":"shop","events:detail-type":"order"}}}}`))
	h.put(c, entry(`{}`))
	e := entry(`{}`)
	e.DetailType = aws.String("refund")
	_, err := c.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{entry(`{}`), e}})
	wantError(t, err, "AccessDeniedException", "is not authorized to perform: events:PutEvents on resource: "+busARN+"default")
}
