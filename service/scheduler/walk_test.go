package scheduler_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is a request of an operation, and the permission that it needs.
type walked struct {
	name, action, on string
	also             string // another statement, for what the operation needs beside
	run              func(h *house, c *scheduler.Client) error
}

func answer[T any](_ T, err error) error { return err }

const passing = `,{"Effect":"Allow","Action":"iam:PassRole","Resource":"` + roleARN + `","Condition":{"StringEquals":{"iam:PassedToService":"scheduler.amazonaws.com"}}}`

var walks = []walked{
	{"CreateScheduleGroup", "scheduler:CreateScheduleGroup", groupARN + "g", "", func(h *house, c *scheduler.Client) error {
		return answer(c.CreateScheduleGroup(h.t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("g")}))
	}},
	{"GetScheduleGroup", "scheduler:GetScheduleGroup", groupARN + "g", "", func(h *house, c *scheduler.Client) error {
		return answer(c.GetScheduleGroup(h.t.Context(), &scheduler.GetScheduleGroupInput{Name: aws.String("g")}))
	}},
	{"ListScheduleGroups", "scheduler:ListScheduleGroups", "*", "", func(h *house, c *scheduler.Client) error {
		return answer(c.ListScheduleGroups(h.t.Context(), &scheduler.ListScheduleGroupsInput{}))
	}},
	{"TagResource", "scheduler:TagResource", groupARN + "g", "", func(h *house, c *scheduler.Client) error {
		return answer(c.TagResource(h.t.Context(), &scheduler.TagResourceInput{ResourceArn: aws.String(groupARN + "g"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))
	}},
	{"ListTagsForResource", "scheduler:ListTagsForResource", groupARN + "g", "", func(h *house, c *scheduler.Client) error {
		return answer(c.ListTagsForResource(h.t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: aws.String(groupARN + "g")}))
	}},
	{"UntagResource", "scheduler:UntagResource", groupARN + "g", "", func(h *house, c *scheduler.Client) error {
		return answer(c.UntagResource(h.t.Context(), &scheduler.UntagResourceInput{ResourceArn: aws.String(groupARN + "g"), TagKeys: []string{"k"}}))
	}},
	{"CreateSchedule", "scheduler:CreateSchedule", nameARN + "default/s", passing, func(h *house, c *scheduler.Client) error {
		return answer(c.CreateSchedule(h.t.Context(), input("s", "rate(1 day)", users("s"))))
	}},
	{"GetSchedule", "scheduler:GetSchedule", nameARN + "default/s", "", func(h *house, c *scheduler.Client) error {
		return answer(c.GetSchedule(h.t.Context(), &scheduler.GetScheduleInput{Name: aws.String("s")}))
	}},
	{"ListSchedules", "scheduler:ListSchedules", "*", "", func(h *house, c *scheduler.Client) error {
		return answer(c.ListSchedules(h.t.Context(), &scheduler.ListSchedulesInput{}))
	}},
	{"UpdateSchedule", "scheduler:UpdateSchedule", nameARN + "default/s", passing, func(h *house, c *scheduler.Client) error {
		return answer(c.UpdateSchedule(h.t.Context(), update(input("s", "rate(2 days)", users("s")))))
	}},
	{"DeleteSchedule", "scheduler:DeleteSchedule", nameARN + "default/s", "", func(h *house, c *scheduler.Client) error {
		return answer(c.DeleteSchedule(h.t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String("s")}))
	}},
	{"DeleteScheduleGroup", "scheduler:DeleteScheduleGroup", groupARN + "g", "", func(h *house, c *scheduler.Client) error {
		return answer(c.DeleteScheduleGroup(h.t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("g")}))
	}},
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who := "walker-" + o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + o.action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + o.action + `","Resource":"arn:aws:scheduler:us-east-1:` + home + `:schedule*/elsewhere*"}]}`
			err := o.run(h, scheduler.NewFromConfig(h.User(home, who, others)))
			wantError(t, err, "AccessDeniedException", 403, "is not authorized to perform: "+o.action)
			if o.also != "" {
				err := o.run(h, scheduler.NewFromConfig(h.User(home, who, allow(o.action, o.on))))
				wantError(t, err, "AccessDeniedException", 403, "is not authorized to perform: iam:PassRole on resource: "+roleARN)
			}
			just := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + o.action + `","Resource":"` + o.on + `"}` + o.also + `]}`
			if err := o.run(h, scheduler.NewFromConfig(h.User(home, who, just))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				if e.EventSource != "scheduler.amazonaws.com" || e.ReadOnly != (o.name[:3] == "Get" || o.name[:4] == "List") {
					t.Errorf("recorded as %s", e.Raw)
				}
				if o.on != "*" && !slices.ContainsFunc(e.Resources, func(r struct{ AccountID, Type, ARN string }) bool { return r.ARN == o.on && r.AccountID == home }) {
					t.Errorf("the record has the resources %v", e.Resources)
				}
			}
		})
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

// The tags of groups are somebody else's business in another account, where no policy lets anybody in.
func TestOtherAccounts(t *testing.T) {
	h := start(t)
	must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("g")}))(t)
	c := scheduler.NewFromConfig(h.User(other, "ann", allow("*", "*")))
	_, err := c.ListTagsForResource(t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: aws.String(groupARN + "g")})
	wantError(t, err, "AccessDeniedException", 403, "scheduler:ListTagsForResource")
	_, err = c.TagResource(t.Context(), &scheduler.TagResourceInput{ResourceArn: aws.String(groupARN + "g"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	wantError(t, err, "AccessDeniedException", 403, "scheduler:TagResource")
	_, err = c.UntagResource(t.Context(), &scheduler.UntagResourceInput{ResourceArn: aws.String(groupARN + "g"), TagKeys: []string{"k"}})
	wantError(t, err, "AccessDeniedException", 403, "scheduler:UntagResource")
	_, err = c.CreateSchedule(t.Context(), input("s", "rate(1 day)", users("s")))
	wantError(t, err, "AccessDeniedException", 403, "not authorized to perform: iam:PassRole on resource: "+roleARN)
	_, err = c.GetScheduleGroup(t.Context(), &scheduler.GetScheduleGroupInput{Name: aws.String("g")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule group g does not exist.")
}

// A group's tags are those of its schedules when a policy asks.
func TestTagsInPolicies(t *testing.T) {
	h := start(t)
	must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("g"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}}))(t)
	h.Role(home, "runner", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	inG := func(in *scheduler.CreateScheduleInput) { in.GroupName = aws.String("g") }
	h.create("s", "rate(1 day)", users("s"), inG)
	for team, ok := range map[string]bool{"red": true, "blue": false} {
		c := scheduler.NewFromConfig(h.User(home, team, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"scheduler:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"`+team+`"}}}]}`))
		_, err := c.GetSchedule(t.Context(), &scheduler.GetScheduleInput{GroupName: aws.String("g"), Name: aws.String("s")})
		if ok && err != nil {
			t.Error(err)
		} else if !ok {
			wantError(t, err, "AccessDeniedException", 403, "scheduler:GetSchedule")
		}
	}
	c := scheduler.NewFromConfig(h.User(home, "setter", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"scheduler:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"red"}}}]}`))
	_, err := c.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("h"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
	wantError(t, err, "AccessDeniedException", 403, "scheduler:CreateScheduleGroup")
	must(c.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("h"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}}))(t)
}
