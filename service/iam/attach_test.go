package iam_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
)

// holder is a user, a group or a role, with what can be done to all three.
type holder struct {
	kind, quota          string
	size                 int
	attach, detach       func(arn string) (any, error)
	attached             func(prefix, marker *string, items int32) ([]types.AttachedPolicy, bool, *string, error)
	put                  func(name, document string) (any, error)
	get                  func(name string) (*string, error)
	remove               func(name string) (any, error)
	names                func(marker *string, items int32) ([]string, bool, *string, error)
	putBound, clearBound func(arn string) (any, error) // nil for groups
}

// holders makes a user, a group and a role of a name for the client to act on; make is false for names that are not there.
func (w *world) holders(t *testing.T, c *iam.Client, name string, make bool) []*holder {
	t.Helper()
	if make {
		w.User(account, name)
		ok(t)(w.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: &name}))
		w.role(t, name)
	}
	return []*holder{
		{"user", "PoliciesPerUser", 2048,
			func(arn string) (any, error) {
				return c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &name, PolicyArn: &arn})
			},
			func(arn string) (any, error) {
				return c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: &name, PolicyArn: &arn})
			},
			func(prefix, marker *string, items int32) ([]types.AttachedPolicy, bool, *string, error) {
				out, err := c.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: &name, PathPrefix: prefix, Marker: marker, MaxItems: &items})
				if err != nil {
					return nil, false, nil, err
				}
				return out.AttachedPolicies, out.IsTruncated, out.Marker, nil
			},
			func(policy, document string) (any, error) {
				return c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: &policy, PolicyDocument: &document})
			},
			func(policy string) (*string, error) {
				out, err := c.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &name, PolicyName: &policy})
				if err != nil {
					return nil, err
				}
				return out.PolicyDocument, nil
			},
			func(policy string) (any, error) {
				return c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &name, PolicyName: &policy})
			},
			func(marker *string, items int32) ([]string, bool, *string, error) {
				out, err := c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: &name, Marker: marker, MaxItems: &items})
				if err != nil {
					return nil, false, nil, err
				}
				return out.PolicyNames, out.IsTruncated, out.Marker, nil
			},
			func(arn string) (any, error) {
				return c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: &name, PermissionsBoundary: &arn})
			},
			func(string) (any, error) {
				return c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: &name})
			}},
		{"group", "PoliciesPerGroup", 5120,
			func(arn string) (any, error) {
				return c.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: &name, PolicyArn: &arn})
			},
			func(arn string) (any, error) {
				return c.DetachGroupPolicy(ctx, &iam.DetachGroupPolicyInput{GroupName: &name, PolicyArn: &arn})
			},
			func(prefix, marker *string, items int32) ([]types.AttachedPolicy, bool, *string, error) {
				out, err := c.ListAttachedGroupPolicies(ctx, &iam.ListAttachedGroupPoliciesInput{GroupName: &name, PathPrefix: prefix, Marker: marker, MaxItems: &items})
				if err != nil {
					return nil, false, nil, err
				}
				return out.AttachedPolicies, out.IsTruncated, out.Marker, nil
			},
			func(policy, document string) (any, error) {
				return c.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: &name, PolicyName: &policy, PolicyDocument: &document})
			},
			func(policy string) (*string, error) {
				out, err := c.GetGroupPolicy(ctx, &iam.GetGroupPolicyInput{GroupName: &name, PolicyName: &policy})
				if err != nil {
					return nil, err
				}
				return out.PolicyDocument, nil
			},
			func(policy string) (any, error) {
				return c.DeleteGroupPolicy(ctx, &iam.DeleteGroupPolicyInput{GroupName: &name, PolicyName: &policy})
			},
			func(marker *string, items int32) ([]string, bool, *string, error) {
				out, err := c.ListGroupPolicies(ctx, &iam.ListGroupPoliciesInput{GroupName: &name, Marker: marker, MaxItems: &items})
				if err != nil {
					return nil, false, nil, err
				}
				return out.PolicyNames, out.IsTruncated, out.Marker, nil
			},
			nil, nil},
		{"role", "PoliciesPerRole", 10240,
			func(arn string) (any, error) {
				return c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: &arn})
			},
			func(arn string) (any, error) {
				return c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: &arn})
			},
			func(prefix, marker *string, items int32) ([]types.AttachedPolicy, bool, *string, error) {
				out, err := c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &name, PathPrefix: prefix, Marker: marker, MaxItems: &items})
				if err != nil {
					return nil, false, nil, err
				}
				return out.AttachedPolicies, out.IsTruncated, out.Marker, nil
			},
			func(policy, document string) (any, error) {
				return c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &policy, PolicyDocument: &document})
			},
			func(policy string) (*string, error) {
				out, err := c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &policy})
				if err != nil {
					return nil, err
				}
				return out.PolicyDocument, nil
			},
			func(policy string) (any, error) {
				return c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy})
			},
			func(marker *string, items int32) ([]string, bool, *string, error) {
				out, err := c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &name, Marker: marker, MaxItems: &items})
				if err != nil {
					return nil, false, nil, err
				}
				return out.PolicyNames, out.IsTruncated, out.Marker, nil
			},
			func(arn string) (any, error) {
				return c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: &arn})
			},
			func(string) (any, error) {
				return c.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name})
			}},
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	w := start(t)
	arn := w.policy(t, "p0", anything)
	gone := new(iamARN("policy", "none"))
	for _, h := range w.holders(t, w.Client, "ann", true) {
		t.Run(h.kind, func(t *testing.T) {
			ok(t)(h.attach(arn))
			ok(t)(h.attach(arn))
			list, truncated, marker, err := h.attached(nil, nil, 10)
			if err != nil || truncated || marker != nil || len(list) != 1 || *list[0].PolicyArn != arn || *list[0].PolicyName != "p0" {
				t.Errorf("attached are %v, %v", list, err)
			}
			refused(t, "NoSuchEntity", "Policy "+*gone+" does not exist or is not attachable.")(h.attach(*gone))
			refused(t, "InvalidInput", "ARN longpolicynamebutnoarn is not valid.")(h.attach("longpolicynamebutnoarn"))
			refused(t, "NoSuchEntity", "-")(h.attach("arn:aws:iam::" + other + ":policy/p0"))
			refused(t, "NoSuchEntity", "-")(h.attach("arn:aws-cn:iam::aws:policy/ReadOnlyAccess"))
			refused(t, "PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role.")(h.attach("arn:aws:iam::aws:policy/aws-service-role/AWSConfigServiceRolePolicy"))
			refused(t, "NoSuchEntity", "Policy "+*gone+" was not found.")(h.detach(*gone))
			refused(t, "InvalidInput", "-")(h.detach("longpolicynamebutnoarn"))
			ok(t)(h.detach(arn))
			refused(t, "NoSuchEntity", "Policy "+arn+" was not found.")(h.detach(arn))
			ok(t)(h.attach(readOnly))
			ok(t)(h.detach(readOnly))
		})
	}
	t.Run("LimitExceeded", func(t *testing.T) {
		arns := []string{}
		for i := range 11 {
			name := fmt.Sprintf("q%02d", i)
			arns = append(arns, *must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, Path: new(fmt.Sprintf("/%d/", i%2)), PolicyDocument: &anyone}))(t).Policy.Arn)
		}
		for _, h := range w.holders(t, w.Client, "full", true) {
			for _, a := range arns[:10] {
				ok(t)(h.attach(a))
			}
			refused(t, "LimitExceeded", "Cannot exceed quota for "+h.quota+": 10")(h.attach(arns[10]))
			ok(t)(h.attach(arns[0]))
			var names []string
			var marker *string
			for pages := 0; ; {
				list, truncated, next, err := h.attached(new("/1/"), marker, 2)
				ok(t)(nil, err)
				for _, p := range list {
					names = append(names, *p.PolicyName)
				}
				pages++
				if marker = next; !truncated {
					if pages != 3 {
						t.Errorf("%d pages", pages)
					}
					break
				}
			}
			if want := []string{"q01", "q03", "q05", "q07", "q09"}; !cmp.Equal(names, want) {
				t.Errorf("listed %v, want %v", names, want)
			}
			_, _, _, err := h.attached(nil, new("x"), 1)
			refused(t, "ValidationError", "Invalid Marker.")(nil, err)
		}
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		for _, h := range w.holders(t, w.Client, "none", false) {
			want := "The " + h.kind + " with name none cannot be found."
			refused(t, "NoSuchEntity", want)(h.attach(arn))
			refused(t, "NoSuchEntity", want)(h.detach(arn))
			_, _, _, err := h.attached(nil, nil, 1)
			refused(t, "NoSuchEntity", want)(nil, err)
			refused(t, "NoSuchEntity", want)(h.put("p", anyone))
			refused(t, "NoSuchEntity", want)(h.remove("p"))
			_, err = h.get("p")
			refused(t, "NoSuchEntity", want)(nil, err)
			_, _, _, err = h.names(nil, 1)
			refused(t, "NoSuchEntity", want)(nil, err)
			if h.putBound != nil {
				refused(t, "NoSuchEntity", want)(h.putBound(arn))
				refused(t, "NoSuchEntity", want)(h.clearBound(arn))
			}
		}
	})
	// Who may attach one policy must not be able to attach another.
	t.Run("PolicyARN", func(t *testing.T) {
		some := w.user("someone", `"Action":["iam:Attach*","iam:Detach*"],"Resource":"*","Condition":{"ArnEquals":{"iam:PolicyARN":"`+readOnly+`"}}`)
		for _, h := range w.holders(t, some, "ann", false) {
			ok(t)(h.attach(readOnly))
			denied(t)(h.attach(arn))
			denied(t)(h.attach(*gone))
			ok(t)(h.detach(readOnly))
			denied(t)(h.detach(arn))
		}
	})
}

func TestListEntitiesForPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	arn := w.policy(t, "p", anything)
	for _, name := range []string{"a", "b"} {
		for _, h := range w.holders(t, w.Client, name, true) {
			ok(t)(h.attach(arn))
			if name == "b" && h.putBound != nil {
				ok(t)(h.putBound(arn))
			}
		}
	}
	for _, h := range w.holders(t, w.Client, "c", true) {
		if h.putBound != nil {
			ok(t)(h.putBound(arn))
		}
	}
	w.role(t, "deep", func(in *iam.CreateRoleInput) { in.Path = new("/deep/") })
	ok(t)(w.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("deep"), PolicyArn: &arn}))
	list := func(in iam.ListEntitiesForPolicyInput) (names []string) {
		in.PolicyArn = &arn
		for {
			out := must(w.ListEntitiesForPolicy(ctx, &in))(t)
			for _, g := range out.PolicyGroups {
				names = append(names, "group "+*g.GroupName)
			}
			for _, u := range out.PolicyUsers {
				names = append(names, "user "+*u.UserName)
			}
			for _, r := range out.PolicyRoles {
				names = append(names, "role "+*r.RoleName)
				if *r.RoleId == "" {
					t.Error("a role without an ID")
				}
			}
			if !out.IsTruncated {
				return names
			}
			in.Marker = out.Marker
		}
	}
	for name, tt := range map[string]struct {
		in   iam.ListEntitiesForPolicyInput
		want []string
	}{
		"All":        {iam.ListEntitiesForPolicyInput{}, []string{"group a", "group b", "user a", "user b", "user c", "role a", "role b", "role deep", "role c"}},
		"Pages":      {iam.ListEntitiesForPolicyInput{MaxItems: aws.Int32(1)}, []string{"group a", "group b", "user a", "user b", "user c", "role a", "role b", "role deep", "role c"}},
		"Users":      {iam.ListEntitiesForPolicyInput{EntityFilter: types.EntityTypeUser}, []string{"user a", "user b", "user c"}},
		"Groups":     {iam.ListEntitiesForPolicyInput{EntityFilter: types.EntityTypeGroup}, []string{"group a", "group b"}},
		"Nothing":    {iam.ListEntitiesForPolicyInput{EntityFilter: types.EntityTypeAWSManagedPolicy}, nil},
		"Path":       {iam.ListEntitiesForPolicyInput{PathPrefix: new("/deep/")}, []string{"role deep"}},
		"Boundaries": {iam.ListEntitiesForPolicyInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsBoundary}, []string{"user b", "user c", "role b", "role c"}},
		"Policies":   {iam.ListEntitiesForPolicyInput{PolicyUsageFilter: types.PolicyUsageTypePermissionsPolicy, EntityFilter: types.EntityTypeRole}, []string{"role a", "role b", "role deep"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, list(tt.in)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
