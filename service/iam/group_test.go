package iam_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	w := start(t)
	g, ann := aws.String("g"), aws.String("ann")
	w.newUser(t, "ann")
	join := func(group, user string) (any, error) {
		return w.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: &group, UserName: &user})
	}
	t.Run("Create", func(t *testing.T) {
		out := must(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: g, Path: aws.String("/p/")}))(t).Group
		if *out.Arn != iamARN("group/p", "g") || (*out.GroupId)[:4] != "AGPA" || *out.Path != "/p/" {
			t.Errorf("created %+v", out)
		}
		refused(t, "EntityAlreadyExists", "Group with name G already exists.")(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("G")}))
		denied(t)(w.user("nobody").CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("h")}))
		w.recorded(t, "CreateGroup", "AccessDenied")
	})
	t.Run("Membership", func(t *testing.T) {
		ok(t)(join("g", "ann"))
		ok(t)(join("g", "ann")) // is no error
		refused(t, "NoSuchEntity", noUser("x"))(join("g", "x"))
		refused(t, "NoSuchEntity", "The group with name x cannot be found.")(join("x", "ann"))
		refused(t, "NoSuchEntity", noUser("x"))(join("x", "x"))
		denied(t)(w.user("nobody").AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: g, UserName: aws.String("x")}))
		// A group's policies are its users'.
		member := w.user("member")
		denied(t)(member.ListGroups(ctx, nil))
		ok(t)(w.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: g, PolicyName: aws.String("p"), PolicyDocument: aws.String(document(`"Action":"iam:ListGroups","Resource":"*"`))}))
		ok(t)(join("g", "member"))
		ok(t)(member.ListGroups(ctx, nil))
		ok(t)(w.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: g, UserName: aws.String("member")}))
		ok(t)(w.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: g, UserName: aws.String("member")}))
		refused(t, "NoSuchEntity", noUser("x"))(w.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: aws.String("y"), UserName: aws.String("x")}))
		denied(t)(member.ListGroups(ctx, nil))
		ok(t)(w.DeleteGroupPolicy(ctx, &iam.DeleteGroupPolicyInput{GroupName: g, PolicyName: aws.String("p")}))
	})
	t.Run("Pages", func(t *testing.T) {
		for i := range 5 {
			name := fmt.Sprint("m", i)
			w.newUser(t, name)
			ok(t)(join("g", name))
		}
		var names []string
		for p := iam.NewGetGroupPaginator(w.Client, &iam.GetGroupInput{GroupName: g, MaxItems: aws.Int32(2)}); p.HasMorePages(); {
			for _, u := range must(p.NextPage(ctx))(t).Users {
				names = append(names, *u.UserName)
			}
		}
		if !slices.Equal(names, []string{"ann", "m0", "m1", "m2", "m3", "m4"}) {
			t.Errorf("in the group are %v", names)
		}
		refused(t, "NoSuchEntity", "-")(w.GetGroup(ctx, &iam.GetGroupInput{GroupName: aws.String("x")}))
	})
	t.Run("LimitExceeded", func(t *testing.T) {
		for i := range 9 {
			ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String(fmt.Sprint("g", i))}))
			ok(t)(join(fmt.Sprint("g", i), "ann"))
		}
		ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("full")}))
		refused(t, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")(join("full", "ann"))
		var names []string
		for p := iam.NewListGroupsForUserPaginator(w.Client, &iam.ListGroupsForUserInput{UserName: ann, MaxItems: aws.Int32(3)}); p.HasMorePages(); {
			for _, g := range must(p.NextPage(ctx))(t).Groups {
				names = append(names, *g.GroupName)
			}
		}
		if len(names) != 10 || !slices.IsSorted(names) {
			t.Errorf("ann is in %v", names)
		}
	})
	t.Run("List", func(t *testing.T) {
		if out := must(w.ListGroups(ctx, &iam.ListGroupsInput{PathPrefix: aws.String("/p")}))(t); len(out.Groups) != 1 || out.IsTruncated {
			t.Errorf("listed %+v", out.Groups)
		}
		refused(t, "NoSuchEntity", noUser("x"))(w.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: aws.String("x")}))
	})
	t.Run("Update", func(t *testing.T) {
		ok(t)(w.UpdateGroup(ctx, &iam.UpdateGroupInput{GroupName: g, NewGroupName: aws.String("h"), NewPath: aws.String("/q/")}))
		out := must(w.GetGroup(ctx, &iam.GetGroupInput{GroupName: aws.String("h")}))(t)
		if *out.Group.Arn != iamARN("group/q", "h") || len(out.Users) != 6 {
			t.Errorf("after the rename: %+v", out)
		}
		refused(t, "EntityAlreadyExists", "Group with name FULL already exists.")(w.UpdateGroup(ctx, &iam.UpdateGroupInput{GroupName: aws.String("h"), NewGroupName: aws.String("FULL")}))
		refused(t, "NoSuchEntity", "-")(w.UpdateGroup(ctx, &iam.UpdateGroupInput{GroupName: g, NewPath: aws.String("/")}))
	})
	t.Run("Delete", func(t *testing.T) {
		refused(t, "DeleteConflict", "Cannot delete entity, must remove users from group first.")(w.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: aws.String("h")}))
		full := aws.String("full")
		view := aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")
		ok(t)(w.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: full, PolicyArn: view}))
		refused(t, "DeleteConflict", "Cannot delete entity, must detach all policies first.")(w.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: full}))
		ok(t)(w.DetachGroupPolicy(ctx, &iam.DetachGroupPolicyInput{GroupName: full, PolicyArn: view}))
		ok(t)(w.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: full}))
		refused(t, "NoSuchEntity", "The group with name full cannot be found.")(w.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: full}))
	})
}
