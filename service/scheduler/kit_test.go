package scheduler_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"

	roleARN  = "arn:aws:iam::" + home + ":role/runner"
	groupARN = "arn:aws:scheduler:us-east-1:" + home + ":schedule-group/"
	nameARN  = "arn:aws:scheduler:us-east-1:" + home + ":schedule/"

	trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole",
		"Condition":{"StringEquals":{"aws:SourceAccount":"` + home + `","aws:SourceArn":"` + groupARN + `default"}}}]}`
)

// epoch is a Friday.
var epoch = time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)

// house is a cloud whose clock stands still unless it is moved, with a role that schedules of the default group may use for everything, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*scheduler.Client
	t *testing.T
}

func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, append([]func(*cloud.Config){func(cfg *cloud.Config) { cfg.Clock = clock.NewFrozen(epoch) }}, options...)...)
	h := &house{c, scheduler.NewFromConfig(c.Config()), t}
	h.Role(home, "runner", trust, allow("*", "*"))
	return h
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds an error against a code, a status and a part of the message.
func wantError(t *testing.T, err error, code string, status int, text string) {
	t.Helper()
	var e smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) || e.ErrorCode() != code || r.HTTPStatusCode() != status || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with status %d and %q", err, code, status, text)
	}
}

// users is a target that makes an IAM user, whose name is a part of the input: who was made when tells what was invoked.
func users(name string) *types.Target {
	return &types.Target{Arn: aws.String("arn:aws:scheduler:::aws-sdk:iam:createUser"), RoleArn: aws.String(roleARN), Input: aws.String(`{"UserName":"` + name + `"}`)}
}

// input is a request for a schedule.
func input(name, expression string, target *types.Target, options ...func(*scheduler.CreateScheduleInput)) *scheduler.CreateScheduleInput {
	in := &scheduler.CreateScheduleInput{
		Name: &name, ScheduleExpression: &expression, Target: target, FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff},
	}
	for _, o := range options {
		o(in)
	}
	return in
}

// update is the request that puts such a schedule in place of one that is there.
func update(in *scheduler.CreateScheduleInput) *scheduler.UpdateScheduleInput {
	return &scheduler.UpdateScheduleInput{
		Name: in.Name, GroupName: in.GroupName, ScheduleExpression: in.ScheduleExpression, ScheduleExpressionTimezone: in.ScheduleExpressionTimezone, Target: in.Target,
		FlexibleTimeWindow: in.FlexibleTimeWindow, State: in.State, StartDate: in.StartDate, EndDate: in.EndDate, Description: in.Description, KmsKeyArn: in.KmsKeyArn,
		ActionAfterCompletion: in.ActionAfterCompletion,
	}
}

func (h *house) create(name, expression string, target *types.Target, options ...func(*scheduler.CreateScheduleInput)) {
	h.t.Helper()
	must(h.CreateSchedule(h.t.Context(), input(name, expression, target, options...)))(h.t)
}

// to moves the clock to a time.
func (h *house) to(at time.Time) {
	h.t.Helper()
	h.Advance(at.Sub(h.Clock.Now()))
}

// invoked returns the names of the users that schedules made or wanted to make, in order, with the time since epoch.
func (h *house) invoked() (calls []string) {
	h.t.Helper()
	for _, e := range h.Trail(home) {
		if e.EventName == "CreateUser" {
			name, _ := e.RequestParameters["userName"].(string)
			at, _, _ := strings.Cut(string(e.Raw[strings.Index(string(e.Raw), `"eventTime":"`)+13:]), `"`)
			when, err := time.Parse(time.RFC3339, at)
			if err != nil {
				h.t.Fatalf("eventTime: %v", err)
			}
			if e.ErrorCode != "" {
				name += "(" + e.ErrorCode + ")"
			}
			calls = append(calls, name+"@"+when.Sub(epoch).String())
		}
	}
	return calls
}
