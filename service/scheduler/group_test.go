package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

func (h *house) groups(in scheduler.ListScheduleGroupsInput) string {
	h.t.Helper()
	var names []string
	for pages := scheduler.NewListScheduleGroupsPaginator(h.Client, &in); pages.HasMorePages(); {
		for _, g := range must(pages.NextPage(h.t.Context()))(h.t).ScheduleGroups {
			names = append(names, *g.Name+":"+string(g.State))
		}
	}
	return strings.Join(names, " ")
}

func TestGroups(t *testing.T) {
	h := start(t)
	if got := h.groups(scheduler.ListScheduleGroupsInput{}); got != "default:ACTIVE" {
		t.Errorf("at first, there are %s", got)
	}
	if g := must(h.GetScheduleGroup(t.Context(), &scheduler.GetScheduleGroupInput{Name: aws.String("default")}))(t); *g.Arn != groupARN+"default" || g.State != types.ScheduleGroupStateActive {
		t.Errorf("the default group is %s, %s", *g.Arn, g.State)
	}
	for _, name := range []string{"zoo", "ant", "antelope"} {
		if out := must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: &name}))(t); *out.ScheduleGroupArn != groupARN+name {
			t.Errorf("made %s", *out.ScheduleGroupArn)
		}
	}
	for want, in := range map[string]scheduler.ListScheduleGroupsInput{
		"ant:ACTIVE antelope:ACTIVE default:ACTIVE zoo:ACTIVE": {MaxResults: aws.Int32(1)},
		"ant:ACTIVE antelope:ACTIVE":                           {NamePrefix: aws.String("ant"), MaxResults: aws.Int32(1)},
		"default:ACTIVE":                                       {NamePrefix: aws.String("d")},
		"":                                                     {NamePrefix: aws.String("x")},
	} {
		if got := h.groups(in); got != want {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
	if g := must(h.GetScheduleGroup(t.Context(), &scheduler.GetScheduleGroupInput{Name: aws.String("zoo")}))(t); !g.CreationDate.Equal(epoch) || !g.LastModificationDate.Equal(epoch) {
		t.Errorf("the group is of %s, %s", g.CreationDate, g.LastModificationDate)
	}
	_, err := h.GetScheduleGroup(t.Context(), &scheduler.GetScheduleGroupInput{Name: aws.String("ox")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule group ox does not exist.")
	_, err = h.DeleteScheduleGroup(t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("ox")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule group ox does not exist.")
	_, err = h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("default")})
	wantError(t, err, "ConflictException", 409, "Schedule group default already exists.")
	_, err = h.DeleteScheduleGroup(t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("default")})
	wantError(t, err, "ValidationException", 400, "default schedule group")
	_, err = h.ListScheduleGroups(t.Context(), &scheduler.ListScheduleGroupsInput{NextToken: aws.String("x")})
	wantError(t, err, "ValidationException", 400, "NextToken")
}

func TestGroupQuota(t *testing.T) {
	h := start(t)
	for i := range 499 {
		must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String(fmt.Sprint("g", i))}))(t)
	}
	_, err := h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("one-more")})
	wantError(t, err, "ServiceQuotaExceededException", 402, "500 schedule groups")
}

// A group that is deleted takes its schedules along. Until they are gone, it takes no others.
func TestDeleteGroup(t *testing.T) {
	h := start(t)
	h.Role(home, "runner", allowTrust(`{"Service":"scheduler.amazonaws.com"}`), allow("*", "*"))
	must(h.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("g")}))(t)
	inG := func(in *scheduler.CreateScheduleInput) { in.GroupName = aws.String("g") }
	const schedules = 201 // more than are deleted at once
	for i := range schedules {
		h.create(fmt.Sprint("s", i), "at(2026-11-27T02:00:00)", users("s"), inG)
	}
	h.create("s0", "at(2026-11-27T02:00:00)", users("s-default"))
	for range 2 {
		must(h.DeleteScheduleGroup(t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("g"), ClientToken: aws.String("x")}))(t)
	}
	h.Advance(time.Second)
	if got := h.groups(scheduler.ListScheduleGroupsInput{}); got != "default:ACTIVE" {
		t.Errorf("there are %s", got)
	}
	if n := len(must(h.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{}))(t).Schedules); n != 1 {
		t.Errorf("%d schedules are left", n)
	}
	must(h.DeleteScheduleGroup(t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("g"), ClientToken: aws.String("x")}))(t)
	h.Advance(time.Hour)
	h.want("s-default@30m0s")
}

func TestTags(t *testing.T) {
	h := start(t)
	tag := func(kv ...string) (tags []types.Tag) {
		for i := 0; i < len(kv); i += 2 {
			tags = append(tags, types.Tag{Key: &kv[i], Value: &kv[i+1]})
		}
		return tags
	}
	list := func() string {
		t.Helper()
		var tags []string
		for _, x := range must(h.ListTagsForResource(t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: aws.String(groupARN + "default")}))(t).Tags {
			tags = append(tags, *x.Key+"="+*x.Value)
		}
		return strings.Join(tags, " ")
	}
	set := func(tags []types.Tag) error {
		_, err := h.TagResource(t.Context(), &scheduler.TagResourceInput{ResourceArn: aws.String(groupARN + "default"), Tags: tags})
		return err
	}
	if got := list(); got != "" {
		t.Errorf("at first, tags are %s", got)
	}
	if err := set(tag("b", "1", "a", "2")); err != nil {
		t.Fatal(err)
	}
	if err := set(tag("a", "3")); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "a=3 b=1" {
		t.Errorf("tags are %s", got)
	}
	must(h.UntagResource(t.Context(), &scheduler.UntagResourceInput{ResourceArn: aws.String(groupARN + "default"), TagKeys: []string{"a", "z"}}))(t)
	if got := list(); got != "b=1" {
		t.Errorf("tags are %s", got)
	}
	wantError(t, set(tag("aws:x", "1")), "ValidationException", 400, "reserved")
	wantError(t, set(tag("x", "1", "x", "2")), "ValidationException", 400, "more than once")
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint("k", i), "v")
	}
	wantError(t, set(tag(many...)), "ValidationException", 400, "at most 50 tags")
	_, err := h.ListTagsForResource(t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: aws.String(groupARN + "g")})
	wantError(t, err, "ResourceNotFoundException", 404, "Schedule group g does not exist.")
}
