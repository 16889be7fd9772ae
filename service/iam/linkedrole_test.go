package iam_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

func TestServiceLinkedRole(t *testing.T) {
	t.Parallel()
	w := start(t)
	create := func(c *iam.Client, service string, suffix *string) (*iam.CreateServiceLinkedRoleOutput, error) {
		return c.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service, CustomSuffix: suffix, Description: new("d")})
	}
	name := new("AWSServiceRoleForConfig")
	t.Run("OK", func(t *testing.T) {
		r := must(create(w.Client, "config.amazonaws.com", nil))(t).Role
		if *r.RoleName != *name || *r.Path != "/aws-service-role/config.amazonaws.com/" || *r.Arn != iamARN("role", "aws-service-role/config.amazonaws.com/"+*name) || *r.Description != "d" {
			t.Errorf("CreateServiceLinkedRole gave %+v", r)
		}
		if trust := decoded(t, r.AssumeRolePolicyDocument); !strings.Contains(trust, `"Principal":{"Service":"config.amazonaws.com"}`) {
			t.Errorf("the trust policy is %s", trust)
		}
		list := must(w.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name}))(t).AttachedPolicies
		if len(list) != 1 || *list[0].PolicyArn != "arn:aws:iam::aws:policy/aws-service-role/AWSConfigServiceRolePolicy" {
			t.Errorf("it has %v", list)
		}
	})
	t.Run("InvalidInput", func(t *testing.T) {
		refused(t, "InvalidInput", "Service role name AWSServiceRoleForConfig has been taken in this account, please try a different suffix.")(create(w.Client, "config.amazonaws.com", nil))
		refused(t, "InvalidInput", "Custom suffix is not allowed for rds.amazonaws.com")(create(w.Client, "rds.amazonaws.com", new("x")))
		refused(t, "InvalidInput", "-")(create(w.Client, "nothing.amazonaws.com", nil))
		refused(t, "InvalidInput", "-")(create(w.Client, "config", nil))
	})
	t.Run("Suffix", func(t *testing.T) {
		for _, suffix := range []*string{nil, new("a"), new("b")} {
			ok(t)(create(w.Client, "autoscaling.amazonaws.com", suffix))
		}
		ok(t)(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("AWSServiceRoleForAutoScaling_a")}))
	})
	t.Run("UnmodifiableEntity", func(t *testing.T) {
		const message = "Cannot perform the operation on the protected role 'AWSServiceRoleForConfig' - this role is only modifiable by AWS"
		policy := new(readOnly)
		for _, f := range []func() (any, error){
			func() (any, error) { return w.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}) },
			func() (any, error) {
				return w.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: name, MaxSessionDuration: aws.Int32(7200)})
			},
			func() (any, error) {
				return w.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: &trustEC2})
			},
			func() (any, error) {
				return w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: policy})
			},
			func() (any, error) {
				return w.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: policy})
			},
			func() (any, error) {
				return w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: name, PolicyDocument: &anyone})
			},
			func() (any, error) {
				return w.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: name})
			},
			func() (any, error) {
				return w.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: policy})
			},
			func() (any, error) {
				return w.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: name})
			},
		} {
			refused(t, "UnmodifiableEntity", message)(f())
		}
		ok(t)(w.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: name, Description: new("mine")}))
	})
	t.Run("Delete", func(t *testing.T) {
		task := must(w.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: name}))(t).DeletionTaskId
		if !strings.HasPrefix(*task, "task/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig/") {
			t.Errorf("the task is %s", *task)
		}
		got := must(w.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task}))(t)
		if got.Status != types.DeletionTaskStatusTypeSucceeded || got.Reason != nil {
			t.Errorf("the status is %+v", got)
		}
		refused(t, "NoSuchEntity", "-")(w.GetRole(ctx, &iam.GetRoleInput{RoleName: name}))
		refused(t, "NoSuchEntity", "-")(w.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: name}))
		w.role(t, "plain")
		refused(t, "NoSuchEntity", "-")(w.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: new("plain")}))
		refused(t, "NoSuchEntity", "-")(w.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: new(*task + "x")}))
		refused(t, "InvalidInput", "-")(w.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: new("x")}))
	})
	t.Run("AWSServiceName", func(t *testing.T) {
		one := w.user("ann", `"Action":["iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","iam:GetServiceLinkedRoleDeletionStatus"],"Resource":"`+
			iamARN("role", "aws-service-role/*")+`","Condition":{"StringLike":{"iam:AWSServiceName":"rds.amazonaws.com"}}`)
		denied(t)(create(one, "config.amazonaws.com", nil))
		denied(t)(create(one, "nothing.amazonaws.com", nil))
		ok(t)(create(one, "rds.amazonaws.com", nil))
		task := must(one.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: new("AWSServiceRoleForRDS")}))(t).DeletionTaskId
		ok(t)(one.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task}))
	})
}
