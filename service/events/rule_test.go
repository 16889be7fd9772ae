package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// What LocalStack's tests recorded of AWS in December 2024 (test_events.snapshot.json, TestEventRule and TestEventTarget).
func TestRules(t *testing.T) {
	for _, bus := range []string{"default", "mine"} {
		t.Run(bus, func(t *testing.T) {
			h := start(t)
			arn := ruleARN + "r"
			if bus != "default" {
				must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: &bus}))(t)
				arn = ruleARN + "mine/r"
			}
			out := must(h.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("r"), EventBusName: &bus, EventPattern: aws.String(shop)}))(t)
			if *out.RuleArn != arn {
				t.Errorf("put %s", *out.RuleArn)
			}
			describe := func() *eventbridge.DescribeRuleOutput {
				t.Helper()
				return must(h.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("r"), EventBusName: &bus}))(t)
			}
			if d := describe(); *d.Arn != arn || *d.CreatedBy != home || *d.EventBusName != bus || *d.EventPattern != shop || d.State != types.RuleStateEnabled || d.Description != nil {
				t.Errorf("described %+v", d)
			}
			must(h.DisableRule(t.Context(), &eventbridge.DisableRuleInput{Name: aws.String("r"), EventBusName: &bus}))(t)
			if d := describe(); d.State != types.RuleStateDisabled {
				t.Errorf("state %s", d.State)
			}
			must(h.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: aws.String("r"), EventBusName: &bus}))(t)
			q := h.queue(home, "q", true)
			h.rule(h.Client, bus, "r", shop, to(q))
			h.rule(h.Client, bus, "s", shop, to(q), to(q))
			names := must(h.ListRuleNamesByTarget(t.Context(), &eventbridge.ListRuleNamesByTargetInput{TargetArn: aws.String(q.arn()), EventBusName: &bus}))(t).RuleNames
			if fmt.Sprint(names) != "[r s]" {
				t.Errorf("rules of the queue: %v", names)
			}
			first := must(h.ListRules(t.Context(), &eventbridge.ListRulesInput{EventBusName: &bus, Limit: aws.Int32(1)}))(t)
			second := must(h.ListRules(t.Context(), &eventbridge.ListRulesInput{EventBusName: &bus, NextToken: first.NextToken}))(t)
			if len(first.Rules) != 1 || len(second.Rules) != 1 || *second.Rules[0].Name != "s" || second.NextToken != nil {
				t.Errorf("listed %v, %v", first, second)
			}
			_, err := h.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: aws.String("r"), EventBusName: &bus})
			wantError(t, err, "ValidationException", "Rule can't be deleted since it has targets.")
			removed := must(h.RemoveTargets(t.Context(), &eventbridge.RemoveTargetsInput{Rule: aws.String("r"), EventBusName: &bus, Ids: []string{"0", "7"}}))(t)
			if removed.FailedEntryCount != 1 || *removed.FailedEntries[0].TargetId != "7" {
				t.Errorf("removed %+v", removed)
			}
			for range 2 {
				must(h.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: aws.String("r"), EventBusName: &bus}))(t)
			}
			_, err = h.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("r"), EventBusName: &bus})
			wantError(t, err, "ResourceNotFoundException", "Rule r does not exist on EventBus "+bus+".")
		})
	}
}

func TestRefusedRules(t *testing.T) {
	h := start(t)
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine")}))(t)
	for _, tt := range []struct {
		name       string
		in         eventbridge.PutRuleInput
		code, text string
	}{
		{"Nothing", eventbridge.PutRuleInput{}, "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."},
		{"Schedule", eventbridge.PutRuleInput{ScheduleExpression: aws.String("rate(1 minutes)")}, "ValidationException", "Parameter ScheduleExpression is not valid."},
		{"CustomBus", eventbridge.PutRuleInput{ScheduleExpression: aws.String("rate(1 minute)"), EventBusName: aws.String("mine")}, "ValidationException", "ScheduleExpression is supported only on the default event bus."},
		{"Pattern", eventbridge.PutRuleInput{EventPattern: aws.String(`{"source":[]}`)}, "InvalidEventPatternException", "Event pattern is not valid. Reason: Empty arrays are not allowed"},
		{"NoBus", eventbridge.PutRuleInput{EventPattern: aws.String(shop), EventBusName: aws.String("x")}, "ResourceNotFoundException", "Event bus x does not exist."},
		{"NoRole", eventbridge.PutRuleInput{EventPattern: aws.String(shop), RoleArn: aws.String("arn:aws:iam::" + home + ":role/x")}, "ValidationException", "Provided role 'arn:aws:iam::" + home + ":role/x' cannot be assumed by principal 'events.amazonaws.com'."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Name = aws.String("r")
			_, err := h.PutRule(t.Context(), &tt.in)
			wantError(t, err, tt.code, tt.text)
		})
	}
}

func TestRefusedTargets(t *testing.T) {
	h := start(t)
	h.rule(h.Client, "", "r", shop)
	q := "arn:aws:sqs:us-east-1:" + home + ":q"
	stranger := h.Role(home, "stranger", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`)
	for _, tt := range []struct {
		name       string
		target     types.Target
		code, text string
	}{
		{"NoARN", types.Target{Arn: aws.String("q")}, "ValidationException", "Parameter q is not valid. Reason: Provided Arn is not in correct format."},
		{"Fifo", types.Target{Arn: aws.String(q + ".fifo")}, "ValidationException", "Parameter(s) SqsParameters must be specified for target: 0."},
		{"Inputs", types.Target{Arn: &q, Input: aws.String("1"), InputPath: aws.String("$")}, "ValidationException", "Only one of Input, InputPath, or InputTransformer must be provided for target 0."},
		{"Input", types.Target{Arn: &q, Input: aws.String("{")}, "ValidationException", "JSON syntax error in input for target 0"},
		{"InputPath", types.Target{Arn: &q, InputPath: aws.String("x")}, "ValidationException", "Invalid InputPath for target 0."},
		{"Template", types.Target{Arn: &q, InputTransformer: &types.InputTransformer{InputTemplate: aws.String("<x>")}}, "ValidationException", "InputTemplate for target 0 contains invalid placeholder x."},
		{"Kinesis", types.Target{Arn: aws.String("arn:aws:kinesis:us-east-1:" + home + ":stream/s")}, "NotImplemented", "targets of Kinesis"},
		{"Unknown", types.Target{Arn: aws.String("arn:aws:kms:us-east-1:" + home + ":key/k")}, "ValidationException", "kms is not a supported service for a target."},
		{"Region", types.Target{Arn: aws.String("arn:aws:sqs:eu-west-1:" + home + ":q")}, "ValidationException", "Target must be in the region of the rule."},
		{"BusElsewhere", types.Target{Arn: aws.String("arn:aws:events:eu-west-1:" + home + ":event-bus/default")}, "ValidationException", "RoleArn is required for target"},
		{"Role", types.Target{Arn: &q, RoleArn: &stranger}, "ValidationException", "cannot be assumed by principal 'events.amazonaws.com'."},
		{"DeadLetter", types.Target{Arn: &q, DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String(q + ".fifo")}}, "ValidationException", "FIFO"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.target.Id = aws.String("0")
			_, err := h.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: []types.Target{tt.target}})
			wantError(t, err, tt.code, tt.text)
		})
	}
	t.Run("TooMany", func(t *testing.T) {
		var six []types.Target
		for i := range 6 {
			six = append(six, types.Target{Id: aws.String(fmt.Sprint(i)), Arn: &q})
		}
		_, err := h.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: six})
		wantError(t, err, "LimitExceededException", "The requested resource exceeds the maximum number allowed.")
	})
	t.Run("PassRole", func(t *testing.T) {
		role := h.Role(home, "sender", trusting)
		c := eventbridge.NewFromConfig(h.User(home, "ann", allow("events:PutTargets", "*")))
		_, err := c.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: []types.Target{{Id: aws.String("0"), Arn: &q, RoleArn: &role}}})
		wantError(t, err, "AccessDeniedException", "is not authorized to perform: iam:PassRole on resource: "+role)
	})
}

func TestTestEventPattern(t *testing.T) {
	h := start(t)
	event := `{"id":"1","source":"shop","detail-type":"order","account":"` + home + `","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":[],"detail":{"n":1}}`
	for pattern, want := range map[string]bool{shop: true, `{"source":["bank"]}`: false} {
		if out := must(h.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: &event, EventPattern: &pattern}))(t); out.Result != want {
			t.Errorf("%s matches: %t", pattern, out.Result)
		}
	}
	_, err := h.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: &event, EventPattern: aws.String("{")})
	wantError(t, err, "InvalidEventPatternException", "Event pattern is not valid. Reason: ")
	_, err = h.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String("[]"), EventPattern: aws.String(shop)})
	wantError(t, err, "ValidationException", "")
}

// Thirty days of an hourly schedule, and of two others, take moments.
func TestSchedules(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q", true)
	for name, expression := range map[string]string{"hourly": "rate(1 hour)", "noon": "cron(0 12 * * ? *)", "off": "rate(1 minute)"} {
		in := &eventbridge.PutRuleInput{Name: &name, ScheduleExpression: &expression}
		if name == "off" {
			in.State = types.RuleStateDisabled
		}
		must(h.PutRule(t.Context(), in))(t)
		must(h.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: &name, Targets: []types.Target{{Id: aws.String("0"), Arn: aws.String(q.arn())}}}))(t)
	}
	for range 3 { // messages stay four days
		h.Advance(24 * time.Hour)
		count := make(map[string]int)
		var last time.Time
		for _, body := range q.bodies() {
			e := read(t, body)
			if e.Source != "aws.events" || e.DetailType != "Scheduled Event" || string(e.Detail) != "{}" || len(e.Resources) != 1 {
				t.Fatalf("got %s", body)
			}
			count[e.Resources[0]]++
			at, err := time.Parse(time.RFC3339, e.Time)
			if err != nil || e.Resources[0] == ruleARN+"hourly" && !last.IsZero() && at.Sub(last) != time.Hour {
				t.Errorf("at %s, after %s", e.Time, last)
			}
			if e.Resources[0] == ruleARN+"hourly" {
				last = at
			}
		}
		if count[ruleARN+"hourly"] != 24 || count[ruleARN+"noon"] != 1 || len(count) != 2 {
			t.Errorf("a day has %v", count)
		}
	}
	must(h.DisableRule(t.Context(), &eventbridge.DisableRuleInput{Name: aws.String("hourly")}))(t)
	h.Advance(24 * time.Hour)
	if n := len(q.bodies()); n != 1 {
		t.Errorf("%d events after one was disabled", n)
	}
	must(h.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: aws.String("hourly")}))(t)
	began := time.Now()
	h.Advance(27 * 24 * time.Hour)
	t.Logf("27 days of an hourly schedule took %s", time.Since(began))
}
