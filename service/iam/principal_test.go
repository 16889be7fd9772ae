package iam_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/holdfast-cloud/holdfast/identity"
)

func TestTrustPrincipals(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.User(account, "ann")
	w.User(other, "ann")
	w.role(t, "there")
	name := new("app")
	w.role(t, *name)
	put := func(principal string) (any, error) {
		return w.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: new(trusting(principal))})
	}
	shown := func(t *testing.T) string {
		t.Helper()
		return decoded(t, must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: name}))(t).Role.AssumeRolePolicyDocument)
	}
	for _, principal := range []string{
		`"AWS":"*"`, `"AWS":"` + other + `"`, `"AWS":"arn:aws:iam::` + other + `:root"`, `"AWS":"` + iamARN("user", "ann") + `"`,
		`"AWS":"arn:aws:iam::` + other + `:user/ann"`, `"AWS":["` + iamARN("role", "there") + `","arn:aws:sts::` + account + `:assumed-role/there/s"]`,
		`"Service":["lambda.amazonaws.com","ec2.amazonaws.com"]`, `"Federated":"cognito-identity.amazonaws.com"`,
		`"Federated":"` + iamARN("saml-provider", "later") + `"`,
	} {
		ok(t)(put(principal))
		if got := shown(t); got != trusting(principal) {
			t.Errorf("put %s, got %s", principal, got)
		}
	}
	for principal, message := range map[string]string{
		`"AWS":"` + iamARN("user", "none") + `"`:                     `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/none"`,
		`"AWS":"` + iamARN("user", "path/ann") + `"`:                 `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/path/ann"`,
		`"AWS":"` + iamARN("role", "none") + `"`:                     `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:role/none"`,
		`"AWS":"arn:aws:sts::` + account + `:assumed-role/none/s"`:   `Invalid principal in policy: "AWS":"arn:aws:sts::111122223333:assumed-role/none/s"`,
		`"AWS":"` + iamARN("group", "g") + `"`:                       `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g"`,
		`"AWS":"AIDACKCEVSQ6C2EXAMPLE"`:                              `Invalid principal in policy: "AWS":"AIDACKCEVSQ6C2EXAMPLE"`,
		`"AWS":"AROACKCEVSQ6C2EXAMPLE"`:                              `Invalid principal in policy: "AWS":"AROACKCEVSQ6C2EXAMPLE"`,
		`"Federated":"` + iamARN("role", "there") + `"`:              "Federated principals must be valid domain names or SAML metadata ARNs",
		`"Federated":"https://id.example.com/"`:                      "Federated principals must be valid domain names or SAML metadata ARNs",
		`"AWS":"arn:aws-cn:iam::` + account + `:user/ann"`:           "-",
		`"AWS":["` + account + `","` + iamARN("user", "none") + `"]`: "-",
	} {
		refused(t, "MalformedPolicyDocument", message)(put(principal))
	}
	t.Run("Deleted", func(t *testing.T) {
		ok(t)(put(`"AWS":["` + iamARN("role", "there") + `","` + account + `"]`))
		id := *must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("there")}))(t).Role.RoleId
		ok(t)(w.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("there")}))
		want := trusting(`"AWS":["` + id + `","` + account + `"]`)
		if got := shown(t); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		// Somebody who has the name later is not meant.
		w.role(t, "there")
		if got := shown(t); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		refused(t, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"`+id+`"`)(put(`"AWS":"` + id + `"`))
		listed := must(w.ListRoles(ctx, &iam.ListRolesInput{}))(t).Roles
		if got := decoded(t, listed[0].AssumeRolePolicyDocument); got != want {
			t.Errorf("ListRoles gave %s", got)
		}
	})
	t.Run("ByID", func(t *testing.T) {
		id := *must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: new("there")}))(t).Role.RoleId
		ok(t)(put(`"AWS":"` + id + `"`))
		if got := shown(t); got != trusting(`"AWS":"`+iamARN("role", "there")+`"`) {
			t.Errorf("got %s", got)
		}
		ok(t)(w.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("there")}))
		if got := shown(t); !strings.Contains(got, id) {
			t.Errorf("got %s", got)
		}
		ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "ann"}))
	})
}
