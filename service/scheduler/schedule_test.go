package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type option = func(*scheduler.CreateScheduleInput)

// What is put is got, with what AWS fills in: as LocalStack's tests recorded it (test_scheduler.snapshot.json, TestSchedule::test_create_schedule and test_update_schedule).
func TestGet(t *testing.T) {
	h := start(t)
	in := input("s", "rate(1 minute)", users("s"), func(in *scheduler.CreateScheduleInput) {
		in.Description = aws.String("Test description")
		in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(60)}
	})
	if out := must(h.CreateSchedule(t.Context(), in))(t); *out.ScheduleArn != nameARN+"default/s" {
		t.Errorf("created %s", *out.ScheduleArn)
	}
	usual := &types.RetryPolicy{MaximumEventAgeInSeconds: aws.Int32(86400), MaximumRetryAttempts: aws.Int32(185)}
	want := &scheduler.GetScheduleOutput{
		ActionAfterCompletion: types.ActionAfterCompletionNone, Arn: aws.String(nameARN + "default/s"), CreationDate: &epoch, LastModificationDate: &epoch,
		Description: aws.String("Test description"), FlexibleTimeWindow: in.FlexibleTimeWindow, GroupName: aws.String("default"), Name: aws.String("s"),
		ScheduleExpression: aws.String("rate(1 minute)"), ScheduleExpressionTimezone: aws.String("UTC"), State: types.ScheduleStateEnabled,
		Target: &types.Target{Arn: in.Target.Arn, RoleArn: in.Target.RoleArn, Input: in.Target.Input, RetryPolicy: usual},
	}
	get := func() *scheduler.GetScheduleOutput {
		t.Helper()
		return must(h.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("s")}))(t)
	}
	ignore := []cmp.Option{cmpopts.IgnoreUnexported(scheduler.GetScheduleOutput{}, types.Target{}, types.RetryPolicy{}, types.FlexibleTimeWindow{}, types.DeadLetterConfig{}, types.SqsParameters{}),
		cmpopts.IgnoreTypes(middleware.Metadata{})}
	if d := cmp.Diff(want, get(), ignore...); d != "" {
		t.Errorf("created (-want +got):\n%s", d)
	}

	h.Advance(time.Second)
	start, end := epoch.Add(time.Hour), epoch.Add(2*time.Hour)
	in = input("s", "rate(2 minute)", users("other"), func(in *scheduler.CreateScheduleInput) {
		in.State, in.ActionAfterCompletion, in.ScheduleExpressionTimezone = types.ScheduleStateDisabled, types.ActionAfterCompletionDelete, aws.String("Asia/Tokyo")
		in.StartDate, in.EndDate = &start, &end
		in.Target.RetryPolicy = &types.RetryPolicy{MaximumRetryAttempts: aws.Int32(0)}
		in.Target.DeadLetterConfig = &types.DeadLetterConfig{Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":dead")}
	})
	must(h.UpdateSchedule(t.Context(), update(in)))(t)
	want.ActionAfterCompletion, want.State, want.ScheduleExpression, want.ScheduleExpressionTimezone = types.ActionAfterCompletionDelete, types.ScheduleStateDisabled, in.ScheduleExpression, in.ScheduleExpressionTimezone
	want.StartDate, want.EndDate, want.FlexibleTimeWindow, want.Description = &start, &end, in.FlexibleTimeWindow, nil
	want.LastModificationDate = aws.Time(epoch.Add(time.Second))
	want.Target = &types.Target{Arn: in.Target.Arn, RoleArn: in.Target.RoleArn, Input: in.Target.Input, DeadLetterConfig: in.Target.DeadLetterConfig,
		RetryPolicy: &types.RetryPolicy{MaximumEventAgeInSeconds: aws.Int32(86400), MaximumRetryAttempts: aws.Int32(0)}}
	if d := cmp.Diff(want, get(), ignore...); d != "" {
		t.Errorf("updated (-want +got):\n%s", d)
	}
}

// The expressions that AWS refuses, as LocalStack's tests recorded them (test_scheduler.snapshot.json, tests_create_schedule_with_invalid_schedule_expression).
func TestInvalidExpressions(t *testing.T) {
	h := start(t)
	for _, expr := range []string{
		"cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(INVALID)", "cron(0 dummy ? * MON-FRI *)", "cron(71 8 1 * ? *)", "cron()", "rate(10 seconds)", "rate(10 years)", "rate()", "rate(10)",
		"rate(10 minutess)", "rate(foo minutes)", "rate(-10 minutes)", "rate( 10 minutes )", " rate(10 minutes)", "at(2021-12-31T23:59:59Z)", "at(2021-12-31)",
	} {
		_, err := h.CreateSchedule(t.Context(), input("s", expr, users("s")))
		wantError(t, err, "ValidationException", 400, "Invalid Schedule Expression "+expr+".")
	}
}

// What is wrong with a request, and what AWS says where that is known.
func TestRefusals(t *testing.T) {
	h := start(t)
	universal := func(action, input string) option {
		return func(in *scheduler.CreateScheduleInput) {
			in.Target.Arn, in.Target.Input = aws.String("arn:aws:scheduler:::aws-sdk:"+action), aws.String(input)
		}
	}
	target := func(arn string) option {
		return func(in *scheduler.CreateScheduleInput) { in.Target.Arn = &arn }
	}
	h.Role(home, "nobodys", allowTrust(`{"AWS":"`+home+`"}`), allow("*", "*"))
	h.Role(home, "otherGroups", strings.ReplaceAll(trust, "schedule-group/default", "schedule-group/g"), allow("*", "*"))
	for name, c := range map[string]struct {
		change option
		code   string
		status int
		text   string
	}{
		"NoGroup":     {func(in *scheduler.CreateScheduleInput) { in.GroupName = aws.String("nowhere") }, "ResourceNotFoundException", 404, "Schedule group nowhere does not exist."},
		"Zone":        {func(in *scheduler.CreateScheduleInput) { in.ScheduleExpressionTimezone = aws.String("Mars/Olympus") }, "ValidationException", 400, "Mars/Olympus"},
		"LocalZone":   {func(in *scheduler.CreateScheduleInput) { in.ScheduleExpressionTimezone = aws.String("Local") }, "ValidationException", 400, "Local"},
		"StartIsOver": {func(in *scheduler.CreateScheduleInput) { in.StartDate = aws.Time(epoch.Add(-6 * time.Minute)) }, "ValidationException", 400, "The StartDate you specify cannot be earlier than 5 minutes ago."},
		"EndBeforeStart": {func(in *scheduler.CreateScheduleInput) {
			in.StartDate, in.EndDate = aws.Time(epoch.Add(time.Hour)), &epoch
		}, "ValidationException", 400,
			"The StartDate you specify must come before the EndDate you specify."},
		"NoWindow": {func(in *scheduler.CreateScheduleInput) {
			in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible}
		}, "ValidationException", 400, "MaximumWindowInMinutes"},
		"LongWindow": {func(in *scheduler.CreateScheduleInput) {
			in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(1441)}
		}, "ValidationException", 400, "less than or equal to 1440"},
		"NoRole": {func(in *scheduler.CreateScheduleInput) { in.Target.RoleArn = aws.String(roleARN + "2") }, "ValidationException", 400, "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."},
		"RoleOfNobody": {func(in *scheduler.CreateScheduleInput) {
			in.Target.RoleArn = aws.String("arn:aws:iam::" + home + ":role/nobodys")
		}, "ValidationException", 400, "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."},
		"RoleOfAnother": {func(in *scheduler.CreateScheduleInput) {
			in.Target.RoleArn = aws.String("arn:aws:iam::" + home + ":role/otherGroups")
		}, "ValidationException", 400, "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."},

		"NoARN":           {target("queue"), "ValidationException", 400, "Provided Arn is not in correct format."},
		"Bucket":          {target("arn:aws:s3:::bucket"), "ValidationException", 400, "Provided Arn is not in correct format."},
		"OtherPartition":  {target("arn:aws-cn:sqs:us-east-1:" + home + ":q"), "ValidationException", 400, "Provided Arn is not in correct format."},
		"APIDestination":  {target("arn:aws:events:us-east-1:" + home + ":api-destination/d/1"), "ValidationException", 400, "Provided Arn is not in correct format."},
		"UniversalARN":    {target("arn:aws:scheduler:us-east-1:" + home + ":aws-sdk:iam:createUser"), "ValidationException", 400, "Provided Arn is not in correct format."},
		"NoAction":        {target("arn:aws:scheduler:::aws-sdk:iam"), "ValidationException", 400, "Provided Arn is not in correct format."},
		"Unbuilt":         {target("arn:aws:scheduler:::aws-sdk:ec2:stopInstances"), "NotImplemented", 501, "aws-sdk:ec2:stopInstances"},
		"UnbuiltHere":     {universal("eventbridge:createEndpoint", "{}"), "NotImplemented", 501, "aws-sdk:eventbridge:createEndpoint"},
		"UnbuiltTemplate": {target("arn:aws:states:us-east-1:" + home + ":stateMachine:m"), "NotImplemented", 501, "states:startexecution"},
		"ReadOnly":        {universal("iam:listUsers", "{}"), "ValidationException", 400, "listUsers is not a supported api action for iam."},
		"NoJSON":          {universal("iam:createUser", "{"), "ValidationException", 400, "Invalid RequestJson provided. Reason The payload is not well-formed JSON."},
		"TwoJSONs":        {universal("iam:createUser", `{"UserName":"u"} {}`), "ValidationException", 400, "Invalid RequestJson provided."},
		"NoObject":        {universal("iam:createUser", "[]"), "ValidationException", 400, "Invalid RequestJson provided. Reason The payload is not a JSON object."},
		"Missing":         {universal("kms:createAlias", `{"aliasName":"a"}`), "ValidationException", 400, "Invalid RequestJson provided. Reason Request payload is missing the following field(s): AliasName, TargetKeyId."},
		"WrongType":       {universal("iam:createUser", `{"UserName":7}`), "ValidationException", 400, "The field UserName must be a string."},
		"LongInput":       {universal("iam:createUser", `{"UserName":"`+strings.Repeat("u", 256<<10)+`"}`), "ValidationException", 400, "longer than 262144 bytes"},
		"ForeignParameter": {func(in *scheduler.CreateScheduleInput) {
			in.Target.SqsParameters = &types.SqsParameters{MessageGroupId: aws.String("g")}
		}, "ValidationException", 400, "parameters of the target"},
		"BadName": {func(in *scheduler.CreateScheduleInput) { in.Name = aws.String("a name") }, "ValidationException", 400, "1 validation error detected"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input("s", "rate(1 day)", users("s"), c.change)
			_, err := h.CreateSchedule(t.Context(), in)
			if c.code == "" {
				return
			}
			wantError(t, err, c.code, c.status, c.text)
		})
	}
	_, err := h.UpdateSchedule(t.Context(), update(input("s", "rate(1 day)", users("s"))))
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule s does not exist.")
	_, err = h.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("s"), GroupName: aws.String("g")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule group g does not exist.")
	_, err = h.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String("not-existing-schedule-name")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule not-existing-schedule-name does not exist.")
	_, err = h.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{NextToken: aws.String("x")})
	wantError(t, err, "ValidationException", 400, "NextToken")
	_, err = h.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{GroupName: aws.String("g")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule group g does not exist.")
}

// allowTrust is a trust policy for a principal.
func allowTrust(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}]}`
}

// A request that is sent again does nothing again; another one with the same token, or the same with another, is refused.
func TestClientToken(t *testing.T) {
	h := start(t)
	in := input("s", "rate(1 day)", users("s"), func(in *scheduler.CreateScheduleInput) { in.ClientToken = aws.String("one") })
	for range 2 {
		must(h.CreateSchedule(t.Context(), in))(t)
	}
	changed := *in
	changed.Target = users("t")
	_, err := h.CreateSchedule(t.Context(), &changed)
	wantError(t, err, "ConflictException", 409, "Schedule s already exists.")
	changed = *in
	changed.ClientToken = aws.String("two")
	_, err = h.CreateSchedule(t.Context(), &changed)
	wantError(t, err, "ConflictException", 409, "Schedule s already exists.")
	for range 2 {
		must(h.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: in.Name, ClientToken: aws.String("three")}))(t)
	}
	_, err = h.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: in.Name, ClientToken: aws.String("four")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule s does not exist.")
	h.Advance(2 * time.Hour)
	_, err = h.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: in.Name, ClientToken: aws.String("three")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule s does not exist.")

	for range 2 {
		must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("g"), ClientToken: aws.String("one")}))(t)
	}
	_, err = h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("g"), ClientToken: aws.String("two")})
	wantError(t, err, "ConflictException", 409, "Schedule group g already exists.")
}

func TestList(t *testing.T) {
	h := start(t)
	h.Role(home, "runner", allowTrust(`{"Service":"scheduler.amazonaws.com"}`), allow("*", "*"))
	for _, g := range []string{"alpha", "beta"} {
		must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: &g}))(t)
		for i := range 5 {
			h.create(fmt.Sprintf("%s-%d", g[:1], i), "rate(1 day)", users("s"), func(in *scheduler.CreateScheduleInput) {
				if in.GroupName = &g; i == 3 {
					in.State = types.ScheduleStateDisabled
				}
			})
		}
	}
	h.create("d", "rate(1 day)", users("s"))
	list := func(in scheduler.ListSchedulesInput) string {
		t.Helper()
		var names []string
		for pages := scheduler.NewListSchedulesPaginator(h.Client, &in); pages.HasMorePages(); {
			for _, s := range must(pages.NextPage(t.Context()))(t).Schedules {
				if *s.Target.Arn == "" || *s.Arn != nameARN+*s.GroupName+"/"+*s.Name {
					t.Errorf("listed %s", *s.Arn)
				}
				names = append(names, *s.Name)
			}
		}
		return strings.Join(names, " ")
	}
	for want, in := range map[string]scheduler.ListSchedulesInput{
		"a-0 a-1 a-2 a-3 a-4 b-0 b-1 b-2 b-3 b-4 d": {MaxResults: aws.Int32(3)},
		"b-0 b-1 b-2 b-3 b-4":                       {GroupName: aws.String("beta"), MaxResults: aws.Int32(1)},
		"a-3 b-3":                                   {State: types.ScheduleStateDisabled, MaxResults: aws.Int32(1)},
		"a-0 a-1 a-2 a-3 a-4":                       {NamePrefix: aws.String("a-"), MaxResults: aws.Int32(2)},
		"b-1":                                       {NamePrefix: aws.String("b-1"), GroupName: aws.String("beta")},
		"":                                          {NamePrefix: aws.String("a-"), GroupName: aws.String("beta")},
	} {
		if got := list(in); got != want {
			t.Errorf("listed %s, want %s", got, want)
		}
	}
	first := must(h.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{MaxResults: aws.Int32(1)}))(t)
	_, err := h.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{NextToken: first.NextToken, State: types.ScheduleStateDisabled})
	wantError(t, err, "ValidationException", 400, "NextToken")
}
