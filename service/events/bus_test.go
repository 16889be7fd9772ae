package events_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// What LocalStack's tests recorded of AWS in December 2024 (test_events.snapshot.json, TestEventBus).
func TestBuses(t *testing.T) {
	h := start(t)
	name := aws.String("mine")
	if out := must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: name}))(t); *out.EventBusArn != busARN+"mine" {
		t.Errorf("created %s", *out.EventBusArn)
	}
	_, err := h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: name})
	wantError(t, err, "ResourceAlreadyExistsException", "Event bus mine already exists.")
	_, err = h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("default")})
	wantError(t, err, "ResourceAlreadyExistsException", "Event bus default already exists.")
	for _, ref := range []string{"mine", busARN + "mine"} {
		d := must(h.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{Name: &ref}))(t)
		if *d.Name != "mine" || *d.Arn != busARN+"mine" || d.CreationTime == nil || d.Policy != nil {
			t.Errorf("described %+v", d)
		}
	}
	if d := must(h.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{}))(t); *d.Arn != busARN+"default" {
		t.Errorf("described %s", *d.Arn)
	}
	list := func(prefix string) (names []string) {
		t.Helper()
		in := &eventbridge.ListEventBusesInput{Limit: aws.Int32(1)}
		if prefix != "" {
			in.NamePrefix = &prefix
		}
		for {
			out := must(h.ListEventBuses(t.Context(), in))(t)
			for _, b := range out.EventBuses {
				names = append(names, *b.Name)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return names
			}
		}
	}
	if got := fmt.Sprint(list(""), list("mi"), list("x")); got != "[default mine] [mine] []" {
		t.Errorf("listed %s", got)
	}
	must(h.UpdateEventBus(t.Context(), &eventbridge.UpdateEventBusInput{
		Name: name, Description: aws.String("orders"), DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":dead")},
		LogConfig: &types.LogConfig{Level: types.LevelInfo, IncludeDetail: types.IncludeDetailFull},
	}))(t)
	if d := must(h.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{Name: name}))(t); *d.Description != "orders" || d.DeadLetterConfig == nil || d.LogConfig.Level != types.LevelInfo {
		t.Errorf("described %+v", d)
	}
	_, err = h.DeleteEventBus(t.Context(), &eventbridge.DeleteEventBusInput{Name: aws.String("default")})
	wantError(t, err, "ValidationException", "Cannot delete event bus default.")
	h.rule(h.Client, "mine", "r", shop)
	_, err = h.DeleteEventBus(t.Context(), &eventbridge.DeleteEventBusInput{Name: name})
	wantError(t, err, "ValidationException", "it has rules")
	must(h.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: aws.String("r"), EventBusName: name}))(t)
	for range 2 { // that there is none is no error
		must(h.DeleteEventBus(t.Context(), &eventbridge.DeleteEventBusInput{Name: name}))(t)
	}
	_, err = h.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{Name: name})
	wantError(t, err, "ResourceNotFoundException", "Event bus mine does not exist.")
}

func TestPermissions(t *testing.T) {
	h := start(t)
	shown := func() map[string]any {
		t.Helper()
		d := must(h.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{}))(t)
		if d.Policy == nil {
			return nil
		}
		var p map[string]any
		if err := json.Unmarshal([]byte(*d.Policy), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	put := func(in *eventbridge.PutPermissionInput) error {
		_, err := h.PutPermission(t.Context(), in)
		return err
	}
	action := aws.String("events:PutEvents")
	for sid, principal := range map[string]string{"a": other, "b": "*"} {
		if err := put(&eventbridge.PutPermissionInput{Action: action, Principal: &principal, StatementId: &sid}); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(&eventbridge.PutPermissionInput{Action: action, Principal: aws.String("*"), StatementId: aws.String("b"), Condition: &types.Condition{
		Type: aws.String("StringEquals"), Key: aws.String("aws:PrincipalOrgID"), Value: aws.String("o-aaaaaaaaaa"),
	}}); err != nil {
		t.Fatal(err)
	}
	if n := len(shown()["Statement"].([]any)); n != 2 {
		t.Errorf("%d statements: %v", n, shown())
	}
	_, err := h.RemovePermission(t.Context(), &eventbridge.RemovePermissionInput{StatementId: aws.String("c")})
	wantError(t, err, "ResourceNotFoundException", "Statement with the provided id does not exist.")
	must(h.RemovePermission(t.Context(), &eventbridge.RemovePermissionInput{StatementId: aws.String("a")}))(t)
	got, _ := json.Marshal(shown())
	want := `{"Statement":[{"Action":"events:PutEvents","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-aaaaaaaaaa"}},"Effect":"Allow","Principal":"*","Resource":"` + busARN + `default","Sid":"b"}],"Version":"2012-10-17"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	must(h.RemovePermission(t.Context(), &eventbridge.RemovePermissionInput{RemoveAllPermissions: true}))(t)
	if p := shown(); p != nil {
		t.Errorf("left %v", p)
	}
	for name, in := range map[string]*eventbridge.PutPermissionInput{
		"Nothing":       {},
		"Condition":     {Action: action, Principal: aws.String("*"), StatementId: aws.String("a"), Condition: &types.Condition{Type: aws.String("StringEquals"), Key: aws.String("aws:SourceIp"), Value: aws.String("x")}},
		"NotJSON":       {Policy: aws.String("{")},
		"Both":          {Policy: aws.String("{}"), Action: action},
		"NobodyOfOurs":  {Policy: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:user/nobody"},"Action":"events:PutEvents","Resource":"*"}}`)},
		"WithoutAction": {Principal: aws.String("*"), StatementId: aws.String("a")},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, put(in), "ValidationException", "") })
	}
	wantError(t, put(&eventbridge.PutPermissionInput{EventBusName: aws.String("x"), Action: action, Principal: aws.String("*"), StatementId: aws.String("a")}), "ResourceNotFoundException", "Event bus x does not exist.")
}

// Another account puts events on a bus only when both sides allow.
func TestCrossAccountPut(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q", true)
	h.rule(h.Client, "", "r", shop, to(q))
	bus := busARN + "default"
	e := entry(`{}`)
	e.EventBusName = &bus
	try := func(c *eventbridge.Client) error {
		_, err := c.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{e}})
		return err
	}
	may, mayNot := eventbridge.NewFromConfig(h.User(other, "may", allow("events:PutEvents", bus))), eventbridge.NewFromConfig(h.User(other, "maynot"))
	wantError(t, try(may), "AccessDeniedException", "events:PutEvents")
	must(h.PutPermission(t.Context(), &eventbridge.PutPermissionInput{Action: aws.String("events:PutEvents"), Principal: aws.String(other), StatementId: aws.String("a")}))(t)
	wantError(t, try(mayNot), "AccessDeniedException", "events:PutEvents")
	if err := try(may); err != nil {
		t.Fatal(err)
	}
	got := q.bodies()
	if len(got) != 1 || read(t, got[0]).Account != other {
		t.Errorf("got %v", got)
	}
}

func TestTags(t *testing.T) {
	h := start(t)
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine"), Tags: []types.Tag{{Key: aws.String("tag1"), Value: aws.String("v")}}}))(t)
	h.rule(h.Client, "mine", "r", shop)
	for _, arn := range []string{busARN + "mine", ruleARN + "mine/r"} {
		must(h.TagResource(t.Context(), &eventbridge.TagResourceInput{ResourceARN: &arn, Tags: []types.Tag{{Key: aws.String("tag1"), Value: aws.String("value1")}, {Key: aws.String("tag2"), Value: aws.String("")}}}))(t)
		must(h.UntagResource(t.Context(), &eventbridge.UntagResourceInput{ResourceARN: &arn, TagKeys: []string{"tag2"}}))(t)
		out := must(h.ListTagsForResource(t.Context(), &eventbridge.ListTagsForResourceInput{ResourceARN: &arn}))(t)
		if len(out.Tags) != 1 || *out.Tags[0].Key != "tag1" || *out.Tags[0].Value != "value1" {
			t.Errorf("%s has %v", arn, out.Tags)
		}
	}
	_, err := h.ListTagsForResource(t.Context(), &eventbridge.ListTagsForResourceInput{ResourceARN: aws.String(ruleARN + "x")})
	wantError(t, err, "ResourceNotFoundException", "Rule x does not exist on EventBus default.")
}
