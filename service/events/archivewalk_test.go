package events_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

const (
	eventsARN  = "arn:aws:events:us-east-1:" + home + ":"
	archiveARN = eventsARN + "archive/a"
	replayARN  = eventsARN + "replay/again"
	connection = eventsARN + "connection/c"
	server     = eventsARN + "api-destination/d"
	sourceName = "aws.partner/orchard.example/trees"
	sourceARN  = "arn:aws:events:us-east-1::event-source/" + sourceName
)

// walkedMore are requests of operations that need their permission on several resources, or on those of archives, connections and partners.
var walkedMore = []struct {
	name string
	on   []string
	run  func(h *house, c *eventbridge.Client) error
	also []string // actions of other services that it needs
}{
	{"CreateArchive", []string{archiveARN, busARN + "default"}, func(h *house, c *eventbridge.Client) error {
		return answer(c.CreateArchive(h.t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("a"), EventSourceArn: aws.String(busARN + "default")}))
	}, nil},
	{"DescribeArchive", []string{archiveARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeArchive(h.t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("a")}))
	}, nil},
	{"UpdateArchive", []string{archiveARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.UpdateArchive(h.t.Context(), &eventbridge.UpdateArchiveInput{ArchiveName: aws.String("a"), RetentionDays: aws.Int32(7)}))
	}, nil},
	{"ListArchives", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListArchives(h.t.Context(), &eventbridge.ListArchivesInput{}))
	}, nil},
	{"StartReplay", []string{replayARN, archiveARN, busARN + "default"}, func(h *house, c *eventbridge.Client) error {
		return answer(c.StartReplay(h.t.Context(), &eventbridge.StartReplayInput{
			ReplayName: aws.String("again"), EventSourceArn: aws.String(archiveARN), EventStartTime: aws.Time(time.Unix(0, 0)), EventEndTime: aws.Time(time.Unix(1, 0)),
			Destination: &types.ReplayDestination{Arn: aws.String(busARN + "default")},
		}))
	}, nil},
	{"DescribeReplay", []string{replayARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeReplay(h.t.Context(), &eventbridge.DescribeReplayInput{ReplayName: aws.String("again")}))
	}, nil},
	{"ListReplays", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListReplays(h.t.Context(), &eventbridge.ListReplaysInput{}))
	}, nil},
	{"CancelReplay", []string{replayARN}, func(h *house, c *eventbridge.Client) error {
		_, err := c.CancelReplay(h.t.Context(), &eventbridge.CancelReplayInput{ReplayName: aws.String("again")})
		if code(err) == "IllegalStatusException" {
			return nil // it was over before
		}
		return err
	}, nil},
	{"DeleteArchive", []string{archiveARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DeleteArchive(h.t.Context(), &eventbridge.DeleteArchiveInput{ArchiveName: aws.String("a")}))
	}, nil},
	{"CreateConnection", []string{connection}, func(h *house, c *eventbridge.Client) error {
		return answer(c.CreateConnection(h.t.Context(), basic("c")))
	}, []string{"iam:CreateServiceLinkedRole", "secretsmanager:CreateSecret"}},
	{"DescribeConnection", []string{connection}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeConnection(h.t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))
	}, nil},
	{"UpdateConnection", []string{connection}, func(h *house, c *eventbridge.Client) error {
		return answer(c.UpdateConnection(h.t.Context(), &eventbridge.UpdateConnectionInput{Name: aws.String("c"), AuthParameters: &types.UpdateConnectionAuthRequestParameters{
			BasicAuthParameters: &types.UpdateConnectionBasicAuthRequestParameters{Password: aws.String(password + "2")},
		}}))
	}, []string{"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"}},
	{"ListConnections", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListConnections(h.t.Context(), &eventbridge.ListConnectionsInput{}))
	}, nil},
	{"CreateApiDestination", []string{server, connection}, func(h *house, c *eventbridge.Client) error {
		about := must(h.DescribeConnection(h.t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(h.t)
		return answer(c.CreateApiDestination(h.t.Context(), &eventbridge.CreateApiDestinationInput{
			Name: aws.String("d"), ConnectionArn: about.ConnectionArn, InvocationEndpoint: aws.String("https://example.com/"), HttpMethod: types.ApiDestinationHttpMethodPost,
		}))
	}, nil},
	{"DescribeApiDestination", []string{server, connection}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeApiDestination(h.t.Context(), &eventbridge.DescribeApiDestinationInput{Name: aws.String("d")}))
	}, nil},
	{"UpdateApiDestination", []string{server}, func(h *house, c *eventbridge.Client) error {
		return answer(c.UpdateApiDestination(h.t.Context(), &eventbridge.UpdateApiDestinationInput{Name: aws.String("d"), HttpMethod: types.ApiDestinationHttpMethodPut}))
	}, nil},
	{"ListApiDestinations", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListApiDestinations(h.t.Context(), &eventbridge.ListApiDestinationsInput{}))
	}, nil},
	{"DeleteApiDestination", []string{server}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DeleteApiDestination(h.t.Context(), &eventbridge.DeleteApiDestinationInput{Name: aws.String("d")}))
	}, nil},
	{"DeauthorizeConnection", []string{connection}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DeauthorizeConnection(h.t.Context(), &eventbridge.DeauthorizeConnectionInput{Name: aws.String("c")}))
	}, []string{"secretsmanager:DeleteSecret"}},
	{"DeleteConnection", []string{connection}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DeleteConnection(h.t.Context(), &eventbridge.DeleteConnectionInput{Name: aws.String("c")}))
	}, nil},
	{"CreatePartnerEventSource", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.CreatePartnerEventSource(h.t.Context(), &eventbridge.CreatePartnerEventSourceInput{Name: aws.String(sourceName), Account: aws.String(home)}))
	}, nil},
	{"DescribePartnerEventSource", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribePartnerEventSource(h.t.Context(), &eventbridge.DescribePartnerEventSourceInput{Name: aws.String(sourceName)}))
	}, nil},
	{"ListPartnerEventSources", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListPartnerEventSources(h.t.Context(), &eventbridge.ListPartnerEventSourcesInput{NamePrefix: aws.String("aws.partner/orchard.example/")}))
	}, nil},
	{"ListPartnerEventSourceAccounts", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListPartnerEventSourceAccounts(h.t.Context(), &eventbridge.ListPartnerEventSourceAccountsInput{EventSourceName: aws.String(sourceName)}))
	}, nil},
	{"PutPartnerEvents", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.PutPartnerEvents(h.t.Context(), &eventbridge.PutPartnerEventsInput{Entries: []types.PutPartnerEventsRequestEntry{
			{Source: aws.String(sourceName), DetailType: aws.String("tree"), Detail: aws.String("{}")},
		}}))
	}, nil},
	{"DescribeEventSource", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeEventSource(h.t.Context(), &eventbridge.DescribeEventSourceInput{Name: aws.String(sourceName)}))
	}, nil},
	{"ListEventSources", nil, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListEventSources(h.t.Context(), &eventbridge.ListEventSourcesInput{}))
	}, nil},
	{"DeactivateEventSource", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		if _, err := h.CreateEventBus(h.t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String(sourceName), EventSourceName: aws.String(sourceName)}); err != nil && code(err) != "InvalidStateException" {
			return err
		}
		return answer(c.DeactivateEventSource(h.t.Context(), &eventbridge.DeactivateEventSourceInput{Name: aws.String(sourceName)}))
	}, nil},
	{"ActivateEventSource", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.ActivateEventSource(h.t.Context(), &eventbridge.ActivateEventSourceInput{Name: aws.String(sourceName)}))
	}, nil},
	{"DeletePartnerEventSource", []string{sourceARN}, func(h *house, c *eventbridge.Client) error {
		return answer(c.DeletePartnerEventSource(h.t.Context(), &eventbridge.DeletePartnerEventSourceInput{Name: aws.String(sourceName), Account: aws.String(home)}))
	}, nil},
}

// TestWalkOfMore carries out every operation with just the permission it needs, sees it refused without it on one of its resources, and finds both on record.
func TestWalkOfMore(t *testing.T) {
	h := start(t)
	for _, o := range walkedMore {
		t.Run(o.name, func(t *testing.T) {
			who, action := "walker-"+o.name, "events:"+o.name
			on := o.on
			if on == nil {
				on = []string{"*"}
			}
			for _, missing := range on {
				others := []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"}}`}
				for _, resource := range on {
					if resource != missing {
						others = append(others, allow(action, resource))
					}
				}
				wantError(t, o.run(h, eventbridge.NewFromConfig(h.User(home, who, others...))), "AccessDeniedException", "is not authorized to perform: "+action)
			}
			var just []string
			for _, resource := range on {
				just = append(just, allow(action, resource))
			}
			for i, needed := range o.also {
				others := slices.Clone(just)
				for _, a := range slices.Delete(slices.Clone(o.also), i, i+1) {
					others = append(others, allow(a, "*"))
				}
				wantError(t, o.run(h, eventbridge.NewFromConfig(h.User(home, who, others...))), "AccessDeniedException", "is not authorized to perform: "+needed)
			}
			for _, a := range o.also {
				just = append(just, allow(a, "*"))
			}
			if err := o.run(h, eventbridge.NewFromConfig(h.User(home, who, just...))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					if o.name == "CancelReplay" {
						continue
					}
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				for _, r := range e.Resources {
					if !slices.Contains(o.on, r.ARN) {
						t.Errorf("the record has the resource %v", r)
					}
				}
				if code == "" && len(e.Resources) != len(o.on) {
					t.Errorf("the record has the resources %v, want %v", e.Resources, o.on)
				}
				if bytes.Contains(e.Raw, []byte(password)) {
					t.Errorf("the record tells a secret: %s", e.Raw)
				}
			}
		})
	}
}
