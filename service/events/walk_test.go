package events_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is a request of an operation, and the one permission that it needs.
type walked struct {
	name, on string
	run      func(h *house, c *eventbridge.Client) error
}

func answer[T any](_ T, err error) error { return err }

var (
	mine = aws.String("mine")
	r    = aws.String("r")
)

const walkedRule = ruleARN + "mine/r"

var walks = []walked{
	{"CreateEventBus", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		return answer(c.CreateEventBus(h.t.Context(), &eventbridge.CreateEventBusInput{Name: mine}))
	}},
	{"DescribeEventBus", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeEventBus(h.t.Context(), &eventbridge.DescribeEventBusInput{Name: mine}))
	}},
	{"UpdateEventBus", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		return answer(c.UpdateEventBus(h.t.Context(), &eventbridge.UpdateEventBusInput{Name: mine, Description: aws.String("x")}))
	}},
	{"ListEventBuses", "*", func(h *house, c *eventbridge.Client) error {
		return answer(c.ListEventBuses(h.t.Context(), &eventbridge.ListEventBusesInput{}))
	}},
	{"PutPermission", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		return answer(c.PutPermission(h.t.Context(), &eventbridge.PutPermissionInput{EventBusName: mine, Action: aws.String("events:PutEvents"), Principal: aws.String(other), StatementId: aws.String("a")}))
	}},
	{"RemovePermission", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		return answer(c.RemovePermission(h.t.Context(), &eventbridge.RemovePermissionInput{EventBusName: mine, StatementId: aws.String("a")}))
	}},
	{"PutEvents", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		e := entry(`{}`)
		e.EventBusName = mine
		return answer(c.PutEvents(h.t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{e}}))
	}},
	{"PutRule", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.PutRule(h.t.Context(), &eventbridge.PutRuleInput{Name: r, EventBusName: mine, EventPattern: aws.String(shop)}))
	}},
	{"DescribeRule", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.DescribeRule(h.t.Context(), &eventbridge.DescribeRuleInput{Name: r, EventBusName: mine}))
	}},
	{"ListRules", ruleARN + "mine/*", func(h *house, c *eventbridge.Client) error {
		return answer(c.ListRules(h.t.Context(), &eventbridge.ListRulesInput{EventBusName: mine}))
	}},
	{"DisableRule", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.DisableRule(h.t.Context(), &eventbridge.DisableRuleInput{Name: r, EventBusName: mine}))
	}},
	{"EnableRule", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.EnableRule(h.t.Context(), &eventbridge.EnableRuleInput{Name: r, EventBusName: mine}))
	}},
	{"PutTargets", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.PutTargets(h.t.Context(), &eventbridge.PutTargetsInput{Rule: r, EventBusName: mine, Targets: []types.Target{{Id: r, Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":q")}}}))
	}},
	{"ListTargetsByRule", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListTargetsByRule(h.t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: r, EventBusName: mine}))
	}},
	{"ListRuleNamesByTarget", ruleARN + "mine/*", func(h *house, c *eventbridge.Client) error {
		return answer(c.ListRuleNamesByTarget(h.t.Context(), &eventbridge.ListRuleNamesByTargetInput{EventBusName: mine, TargetArn: aws.String("arn:aws:sqs:us-east-1:" + home + ":q")}))
	}},
	{"RemoveTargets", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.RemoveTargets(h.t.Context(), &eventbridge.RemoveTargetsInput{Rule: r, EventBusName: mine, Ids: []string{"r"}}))
	}},
	{"TestEventPattern", "*", func(h *house, c *eventbridge.Client) error {
		event := `{"id":"1","source":"shop","detail-type":"order","account":"` + home + `","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":[],"detail":{}}`
		return answer(c.TestEventPattern(h.t.Context(), &eventbridge.TestEventPatternInput{EventPattern: aws.String(shop), Event: &event}))
	}},
	{"TagResource", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.TagResource(h.t.Context(), &eventbridge.TagResourceInput{ResourceARN: aws.String(walkedRule), Tags: []types.Tag{{Key: r, Value: r}}}))
	}},
	{"ListTagsForResource", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.ListTagsForResource(h.t.Context(), &eventbridge.ListTagsForResourceInput{ResourceARN: aws.String(walkedRule)}))
	}},
	{"UntagResource", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.UntagResource(h.t.Context(), &eventbridge.UntagResourceInput{ResourceARN: aws.String(walkedRule), TagKeys: []string{"r"}}))
	}},
	{"DeleteRule", walkedRule, func(h *house, c *eventbridge.Client) error {
		return answer(c.DeleteRule(h.t.Context(), &eventbridge.DeleteRuleInput{Name: r, EventBusName: mine}))
	}},
	{"DeleteEventBus", busARN + "mine", func(h *house, c *eventbridge.Client) error {
		return answer(c.DeleteEventBus(h.t.Context(), &eventbridge.DeleteEventBusInput{Name: mine}))
	}},
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who, action := "walker-"+o.name, "events:"+o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + action + `","Resource":"arn:aws:events:us-east-1:` + home + `:elsewhere/*"}]}`
			wantError(t, o.run(h, eventbridge.NewFromConfig(h.User(home, who, others))), "AccessDeniedException", "is not authorized to perform: "+action)
			if err := o.run(h, eventbridge.NewFromConfig(h.User(home, who, allow(action, o.on)))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				if e.EventSource != "events.amazonaws.com" || o.name == "PutEvents" && strings.Contains(string(e.Raw), `"detail":"{}"`) {
					t.Errorf("recorded as %s", e.Raw)
				}
				for _, r := range e.Resources {
					if r.ARN != o.on || r.AccountID != home || !strings.HasPrefix(r.Type, "AWS::Events::") {
						t.Errorf("the record has the resource %v", r)
					}
				}
			}
		})
		done = append(done, o.name)
	}
	for _, o := range walkedMore {
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(user, operation, code string) (e cloudtest.Event, found bool) {
	for _, e := range slices.Backward(h.Trail(home)) {
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}
