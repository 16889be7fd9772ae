package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
)

func TestBoundary(t *testing.T) {
	t.Parallel()
	w := start(t)
	arn, second := w.policy(t, "p", anything), w.policy(t, "q", anything)
	for _, h := range w.holders(t, w.Client, "ann", true) {
		if h.putBound == nil {
			continue
		}
		t.Run(h.kind, func(t *testing.T) {
			ok(t)(h.putBound(arn))
			ok(t)(h.putBound(readOnly))
			refused(t, "NoSuchEntity", "Scope ARN: "+iamARN("policy", "none")+" does not exist or is not attachable.")(h.putBound(iamARN("policy", "none")))
			refused(t, "InvalidInput", "-")(h.putBound("longpolicynamebutnoarn"))
			refused(t, "PolicyNotAttachable", "-")(h.putBound("arn:aws:iam::aws:policy/aws-service-role/AWSConfigServiceRolePolicy"))
			ok(t)(h.clearBound(""))
			ok(t)(h.clearBound(""))
		})
	}
	if b := must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("ann")}))(t).Role.PermissionsBoundary; b != nil {
		t.Errorf("left is %v", b)
	}

	// Delegated administration: somebody who can do everything to users and roles that have a boundary, and can neither take it away nor change it.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
	within := `,"Condition":{"StringEquals":{"iam:PermissionsBoundary":"` + arn + `"}}`
	deputy := w.user("deputy",
		`"Action":["iam:CreateRole","iam:PutRolePolicy","iam:AttachRolePolicy","iam:DeleteRolePolicy","iam:DetachRolePolicy","iam:UpdateAssumeRolePolicy",`+
			`"iam:PutRolePermissionsBoundary","iam:PutUserPermissionsBoundary","iam:PutUserPolicy","iam:AttachUserPolicy"],"Resource":"*"`+within)
	create := func(name string, boundary *string) (any, error) {
		return deputy.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustEC2, PermissionsBoundary: boundary})
	}
	t.Run("Create", func(t *testing.T) {
		denied(t)(create("new", nil))
		denied(t)(create("new", &second))
		ok(t)(create("new", &arn))
	})
	for _, h := range w.holders(t, deputy, "bob", true) {
		if h.putBound == nil {
			continue
		}
		t.Run("Delegated/"+h.kind, func(t *testing.T) {
			denied(t)(h.attach(readOnly))
			denied(t)(h.put("in", anyone))
			denied(t)(h.putBound(second))
			ok(t)(h.putBound(arn))
			ok(t)(h.attach(readOnly))
			ok(t)(h.put("in", anyone))
			denied(t)(h.putBound(second))
			denied(t)(h.clearBound(""))
		})
	}
	t.Run("Trust", func(t *testing.T) {
		put := func(name string) (any, error) {
			return deputy.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trustEC2})
		}
		denied(t)(put("ann"))
		ok(t)(put("bob"))
	})
	// Actions that cannot be asked about a boundary have none.
	t.Run("OtherActions", func(t *testing.T) {
		cond := `,"Condition":{"StringNotEquals":{"iam:PermissionsBoundary":"` + arn + `"}}`
		c := w.user("carl", anything, `"Effect":"Deny","Action":"iam:*","Resource":"*"`+cond)
		ok(t)(c.GetRole(ctx, &iam.GetRoleInput{RoleName: new("bob")}))
		denied(t)(c.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: new("bob")}))
	})
}
