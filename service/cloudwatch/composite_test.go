package cloudwatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
)

func (h *house) compose(name, rule string, options ...func(*cloudwatch.PutCompositeAlarmInput)) error {
	h.t.Helper()
	in := &cloudwatch.PutCompositeAlarmInput{AlarmName: &name, AlarmRule: &rule}
	for _, o := range options {
		o(in)
	}
	_, err := h.PutCompositeAlarm(h.t.Context(), in)
	return err
}

func (h *house) set(name string, state types.StateValue) {
	h.t.Helper()
	must(h.SetAlarmState(h.t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: aws.String("a test")}))(h.t)
}

func TestComposite(t *testing.T) {
	h := start(t)
	h.watch("a", "m")
	h.watch("b b", "m")
	if err := h.compose("both", `ALARM(a) AND NOT (OK("b b") OR INSUFFICIENT_DATA(arn:aws:cloudwatch:us-east-1:111122223333:alarm:b b))`); err != nil {
		t.Fatal(err)
	}
	if err := h.compose("top", `ALARM("both") OR FALSE`); err != nil {
		t.Fatal(err)
	}
	if c := h.composite("both"); c.StateValue != types.StateValueOk || !strings.HasSuffix(*c.StateReason, ":alarm:both was created and its alarm rule evaluates to OK") {
		t.Errorf("%s: %s", c.StateValue, *c.StateReason)
	}
	h.set("a", types.StateValueAlarm)
	if c := h.composite("both"); c.StateValue != types.StateValueOk {
		t.Errorf("one of two is enough: %s", *c.StateReason)
	}
	h.set("b b", types.StateValueAlarm)
	c := h.composite("both")
	if c.StateValue != types.StateValueAlarm || *c.StateReason != "arn:aws:cloudwatch:us-east-1:111122223333:alarm:b b transitioned to ALARM at Friday 27 November, 2026 12:00:00 UTC" {
		t.Errorf("%s: %s", c.StateValue, *c.StateReason)
	}
	if h.composite("top").StateValue != types.StateValueAlarm {
		t.Error("the alarm above did not turn")
	}
	children := must(h.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{ChildrenOfAlarmName: aws.String("both")}))(t)
	if len(children.MetricAlarms) != 2 || *children.MetricAlarms[1].AlarmName != "b b" {
		t.Errorf("the children are %+v", children)
	}
	parents := must(h.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{ParentsOfAlarmName: aws.String("both")}))(t)
	if len(parents.CompositeAlarms) != 1 || *parents.CompositeAlarms[0].AlarmName != "top" {
		t.Errorf("the parents are %+v", parents)
	}
	_, err := h.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}})
	wantError(t, err, "ValidationError", "Cannot delete a as there are composite alarms depending on it.")
	_, err = h.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"top", "both"}})
	wantError(t, err, "ValidationError", "more than one composite alarm")
	for _, name := range []string{"top", "both", "a", "never"} {
		must(h.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{name}}))(t)
	}
}

// Alarms in a circle neither hang nor stop the others.
func TestCircle(t *testing.T) {
	h := start(t)
	h.watch("a", "m")
	for _, rule := range []string{"FALSE", "ALARM(a) AND NOT ALARM(y)"} {
		if err := h.compose("x", rule); err != nil {
			t.Fatal(err)
		}
		if err := h.compose("y", "ALARM(x)"); err != nil {
			t.Fatal(err)
		}
	}
	h.set("a", types.StateValueAlarm)
	if h.alarm("a").StateValue != types.StateValueAlarm {
		t.Error("the alarm did not turn")
	}
}

func TestRules(t *testing.T) {
	h := start(t)
	for rule, text := range map[string]string{
		"ALARM(":                  "ends too early",
		"ALARM(a) XOR ALARM(b)":   "unexpected token at position 9",
		"ALARM()":                 "empty name",
		"ALARM(gone) OR OK(lost)": "Could not save the composite alarm as alarms [gone, lost] in the alarm rule do not exist",
		"ALARM(arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a)":   "is not an alarm of this account and region",
		strings.Repeat("(", 300) + "TRUE" + strings.Repeat(")", 300): "elements",
	} {
		err := h.compose("x", rule)
		wantError(t, err, "ValidationError", text)
	}
}

// The actions of a composite alarm wait for its suppressor.
func TestSuppressor(t *testing.T) {
	h := start(t)
	keep := func(in *cloudwatch.PutMetricAlarmInput) { in.TreatMissingData = aws.String("ignore") }
	h.watch("a", "m", keep)
	h.watch("maintenance", "n", keep)
	topic := "arn:aws:sns:us-east-1:111122223333:nobody"
	suppressed := func(in *cloudwatch.PutCompositeAlarmInput) {
		in.ActionsSuppressor, in.ActionsSuppressorWaitPeriod, in.ActionsSuppressorExtensionPeriod = aws.String("maintenance"), aws.Int32(60), aws.Int32(120)
		in.AlarmActions = []string{topic}
	}
	if err := h.compose("c", "ALARM(a)", suppressed); err != nil {
		t.Fatal(err)
	}
	h.want("maintenance", types.StateValueInsufficientData, "")
	by := func() types.ActionsSuppressedBy { return h.composite("c").ActionsSuppressedBy }
	actions := func() int {
		t.Helper()
		return len(must(h.DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{
			AlarmName: aws.String("c"), AlarmTypes: []types.AlarmType{types.AlarmTypeCompositeAlarm}, HistoryItemType: types.HistoryItemTypeAction,
		}))(t).AlarmHistoryItems)
	}
	var got []any
	h.set("a", types.StateValueAlarm)
	got = append(got, by())
	h.set("maintenance", types.StateValueAlarm)
	got = append(got, by())
	h.Advance(5 * time.Second)
	h.set("maintenance", types.StateValueOk)
	got = append(got, by(), actions())
	h.set("a", types.StateValueAlarm)
	h.Advance(3 * time.Minute)
	got = append(got, by(), actions())
	want := []any{types.ActionsSuppressedByWaitPeriod, types.ActionsSuppressedByAlarm, types.ActionsSuppressedByExtensionPeriod, 0, types.ActionsSuppressedBy(""), 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("suppression (-want +got):\n%s", d)
	}
}
