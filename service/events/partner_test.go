package events_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// A partner's events come to the accounts that have taken its event source, and to no others.
func TestPartner(t *testing.T) {
	h := start(t)
	partner := eventbridge.NewFromConfig(h.Root(other))
	offer := func() {
		t.Helper()
		must(partner.CreatePartnerEventSource(t.Context(), &eventbridge.CreatePartnerEventSourceInput{Name: aws.String(sourceName), Account: aws.String(home)}))(t)
	}
	state := func() types.EventSourceState {
		t.Helper()
		return must(h.DescribeEventSource(t.Context(), &eventbridge.DescribeEventSourceInput{Name: aws.String(sourceName)}))(t).State
	}
	put := func(n string) {
		t.Helper()
		out := must(partner.PutPartnerEvents(t.Context(), &eventbridge.PutPartnerEventsInput{Entries: []types.PutPartnerEventsRequestEntry{
			{Source: aws.String(sourceName), DetailType: aws.String("order"), Detail: aws.String(`{"n":` + n + `}`)},
			{Source: aws.String("aws.partner/somebody.else/trees"), DetailType: aws.String("order"), Detail: aws.String(`{}`)},
		}}))(t)
		if out.FailedEntryCount != 1 || out.Entries[0].EventId == nil || aws.ToString(out.Entries[1].ErrorCode) != "NotAuthorizedForSourceException" {
			t.Errorf("PutPartnerEvents = %+v", out.Entries)
		}
	}
	_, err := h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String(sourceName), EventSourceName: aws.String(sourceName)})
	wantError(t, err, "ResourceNotFoundException", "Event source "+sourceName+" does not exist.")
	offer()
	wantError(t, answer(partner.CreatePartnerEventSource(t.Context(), &eventbridge.CreatePartnerEventSourceInput{Name: aws.String(sourceName), Account: aws.String(home)})),
		"ResourceAlreadyExistsException", "")
	put("1") // for nobody
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String(sourceName), EventSourceName: aws.String(sourceName)}))(t)
	if got := state(); got != types.EventSourceStateActive {
		t.Errorf("the event source is %s", got)
	}
	q := h.queue(home, "q.fifo", true)
	target := to(q)
	target.SqsParameters = &types.SqsParameters{MessageGroupId: aws.String("g")}
	h.rule(h.Client, sourceName, "all", `{"source":[{"prefix":"aws.partner/"}]}`, target)
	put("2")
	must(h.DeactivateEventSource(t.Context(), &eventbridge.DeactivateEventSourceInput{Name: aws.String(sourceName)}))(t)
	put("3")
	must(h.ActivateEventSource(t.Context(), &eventbridge.ActivateEventSourceInput{Name: aws.String(sourceName)}))(t)
	put("4")
	got := q.bodies()
	if len(got) != 2 || string(read(t, got[0]).Detail) != `{"n":2}` || string(read(t, got[1]).Detail) != `{"n":4}` || read(t, got[0]).Account != home || read(t, got[0]).Source != sourceName {
		t.Errorf("the account got %v", got)
	}
	must(partner.DeletePartnerEventSource(t.Context(), &eventbridge.DeletePartnerEventSourceInput{Name: aws.String(sourceName), Account: aws.String(home)}))(t)
	if got := state(); got != types.EventSourceStateDeleted {
		t.Errorf("the event source is %s", got)
	}
	wantError(t, answer(h.ActivateEventSource(t.Context(), &eventbridge.ActivateEventSourceInput{Name: aws.String(sourceName)})), "InvalidStateException", "")

	t.Run("NotTaken", func(t *testing.T) {
		const name = "aws.partner/orchard.example/fruit"
		must(partner.CreatePartnerEventSource(t.Context(), &eventbridge.CreatePartnerEventSourceInput{Name: aws.String(name), Account: aws.String(home)}))(t)
		h.Advance(15 * 24 * time.Hour)
		wantError(t, answer(h.DescribeEventSource(t.Context(), &eventbridge.DescribeEventSourceInput{Name: aws.String(name)})), "ResourceNotFoundException", "")
	})
}

// A bus with a log level tells the log group of its name what becomes of its events, as far as that lets it.
func TestBusLog(t *testing.T) {
	h := start(t)
	log := cloudwatchlogs.NewFromConfig(h.Root(home))
	const group = "/aws/vendedlogs/events/event-bus/mine"
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine"), LogConfig: &types.LogConfig{Level: types.LevelInfo, IncludeDetail: types.IncludeDetailFull}}))(t)
	h.rule(h.Client, "mine", "r", shop, to(h.queue(home, "q", true)))
	put := func(n string) {
		e := entry(`{"n":` + n + `}`)
		e.EventBusName = aws.String("mine")
		h.put(h.Client, e)
		h.settle()
	}
	put("1") // there is no group
	must(log.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)}))(t)
	put("2") // which does not let EventBridge in
	must(log.PutResourcePolicy(t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("bus"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{
		"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:` + home + `:log-group:` + group + `:*",
		"Condition":{"ArnEquals":{"aws:SourceArn":"` + busARN + `mine"}}}}`)}))(t)
	put("3")
	out := must(log.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(group)}))(t)
	var types []string
	for _, e := range out.Events {
		var r struct {
			Type    string `json:"message_type"`
			Level   string `json:"log_level"`
			Bus     string `json:"event_bus_name"`
			Details struct {
				Detail json.RawMessage `json:"event_detail"`
			}
		}
		if err := json.Unmarshal([]byte(*e.Message), &r); err != nil {
			t.Fatal(err)
		}
		types = append(types, r.Type)
		if r.Bus != "mine" || r.Level != "INFO" || r.Type == "EVENT_RECEIPT" && string(r.Details.Detail) != `{"n":3}` {
			t.Errorf("the log says %s", *e.Message)
		}
	}
	if len(types) != 2 || types[0] != "EVENT_RECEIPT" || types[1] != "INVOCATION_SUCCESS" {
		t.Errorf("the log has %v", types)
	}
}
