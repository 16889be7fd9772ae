package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
)

// The cast. Our account is 111122223333; Bob's is 444455556666.
var (
	rootUser = policytest.Callers[1]
	ann      = policytest.Callers[2]
	bob      = policytest.Callers[3]
	ops      = policytest.Callers[4] // a session of role team/ops
	fay      = policytest.Callers[6] // federated by ann
	events   = policytest.Callers[8]
)

func statement(effect, principal, action, resource, condition string) string {
	s := fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q`, effect, action, resource)
	if principal != "" {
		s += `,"Principal":` + principal
	}
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + "}"
}

func of(t testing.TB, kind policy.Kind, statements ...string) *policy.Policy {
	return must(t, kind, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
}

func TestDecide(t *testing.T) {
	identity := func(effect, action string) []*policy.Policy {
		return []*policy.Policy{of(t, policy.Identity, statement(effect, "", action, "*", ""))}
	}
	limit := func(kind policy.Kind, effect, action string) *policy.Policy {
		return of(t, kind, statement(effect, "", action, "*", ""))
	}
	named := func(principal string) *policy.Policy {
		return of(t, policy.Resource, statement("Allow", principal, "kms:*", "*", ""))
	}
	aws := func(arn string) string { return fmt.Sprintf(`{"AWS":%q}`, arn) }
	levels := func(ps ...*policy.Policy) (out [][]*policy.Policy) {
		for _, p := range ps {
			out = append(out, []*policy.Policy{p})
		}
		return out
	}
	all := limit(policy.SCP, "Allow", "*")
	notKMS := limit(policy.Boundary, "Allow", "s3:*")
	delegated := must(t, policy.Resource, defaultKeyPolicy)

	const because = "User: %s is not authorized to perform: kms:Encrypt on resource: " + keyARN
	for name, c := range map[string]struct {
		r    policy.Request
		want string // the end of the message; empty for allowed
	}{
		"AllowedByIdentity":     {policy.Request{Principal: ann, Identity: identity("Allow", "kms:Encrypt")}, ""},
		"AllowedByGroup":        {policy.Request{Principal: ann, Groups: identity("Allow", "kms:*")}, ""},
		"NothingAllows":         {policy.Request{Principal: ann}, " because no identity-based policy allows the kms:Encrypt action"},
		"ExplicitDeny":          {policy.Request{Principal: ann, Identity: append(identity("Allow", "*"), identity("Deny", "KMS:enc*")...)}, " with an explicit deny in an identity-based policy"},
		"RootNeedsNoPolicy":     {policy.Request{Principal: rootUser}, ""},
		"Stranger":              {policy.Request{ResourcePolicy: named(aws(policytest.Ours))}, " because no resource-based policy allows the kms:Encrypt action"},
		"AnyoneOnPublic":        {policy.Request{ResourcePolicy: named(`"*"`)}, ""},
		"Service":               {policy.Request{Principal: events, ResourcePolicy: named(`{"Service":"events.amazonaws.com"}`)}, ""},
		"OtherService":          {policy.Request{Principal: events, ResourcePolicy: named(`{"Service":"sns.amazonaws.com"}`)}, " because no resource-based policy allows the kms:Encrypt action"},
		"BoundaryLimits":        {policy.Request{Principal: ann, Identity: identity("Allow", "*"), Boundary: notKMS}, " because no permissions boundary allows the kms:Encrypt action"},
		"BoundaryDenies":        {policy.Request{Principal: ann, Identity: identity("Allow", "*"), Boundary: limit(policy.Boundary, "Deny", "kms:*")}, " with an explicit deny in a permissions boundary"},
		"SessionLimits":         {policy.Request{Principal: ops, Identity: identity("Allow", "*"), Session: levels(limit(policy.Session, "Allow", "s3:*"))[0]}, " because no session policy allows the kms:Encrypt action"},
		"FederatedWithoutAny":   {policy.Request{Principal: fay, Identity: identity("Allow", "*")}, " because no session policy allows the kms:Encrypt action"},
		"FederatedBoth":         {policy.Request{Principal: fay, Identity: identity("Allow", "*"), Session: levels(limit(policy.Session, "Allow", "kms:*"))[0]}, ""},
		"EverySCPLevelAllows":   {policy.Request{Principal: ann, Identity: identity("Allow", "*"), SCP: levels(all, all)}, ""},
		"OneSCPLevelDoesNot":    {policy.Request{Principal: ann, Identity: identity("Allow", "*"), SCP: levels(all, limit(policy.SCP, "Allow", "s3:*"), all)}, " because no service control policy allows the kms:Encrypt action"},
		"EmptySCPLevel":         {policy.Request{Principal: ann, Identity: identity("Allow", "*"), SCP: [][]*policy.Policy{{all}, {}}}, " because no service control policy allows the kms:Encrypt action"},
		"SCPDenies":             {policy.Request{Principal: rootUser, SCP: [][]*policy.Policy{{all, limit(policy.SCP, "Deny", "kms:*")}}}, " with an explicit deny in a service control policy"},
		"RCPDenies":             {policy.Request{Principal: rootUser, RCP: levels(of(t, policy.RCP, statement("Allow", `"*"`, "*", "*", ""), statement("Deny", `"*"`, "kms:*", "*", "")))}, " with an explicit deny in a resource control policy"},
		"EndpointLimits":        {policy.Request{Principal: rootUser, Endpoint: of(t, policy.Endpoint, statement("Allow", `"*"`, "s3:*", "*", ""))}, " because no VPC endpoint policy allows the kms:Encrypt action"},
		"ResourceDenies":        {policy.Request{Principal: rootUser, ResourcePolicy: of(t, policy.Resource, statement("Deny", `"*"`, "kms:*", "*", ""))}, " with an explicit deny in a resource-based policy"},
		"CrossAccountBoth":      {policy.Request{Principal: bob, Identity: identity("Allow", "kms:*"), ResourcePolicy: named(aws(policytest.Theirs))}, ""},
		"CrossAccountNoPolicy":  {policy.Request{Principal: bob, Identity: identity("Allow", "kms:*")}, " because no resource-based policy allows the kms:Encrypt action"},
		"CrossAccountUnnamed":   {policy.Request{Principal: bob, Identity: identity("Allow", "kms:*"), ResourcePolicy: named(aws(policytest.Ours))}, " because no resource-based policy allows the kms:Encrypt action"},
		"CrossAccountNoIAM":     {policy.Request{Principal: bob, ResourcePolicy: named(aws(bob.ARN))}, " because no identity-based policy allows the kms:Encrypt action"},
		"CrossAccountPublic":    {policy.Request{Principal: bob, ResourcePolicy: named(`"*"`)}, " because no identity-based policy allows the kms:Encrypt action"},
		"KeyPolicyDelegates":    {policy.Request{Principal: ann, Identity: identity("Allow", "kms:*"), ResourcePolicy: delegated, ResourcePolicyRequired: true}, ""},
		"KeyPolicyNoIAM":        {policy.Request{Principal: ann, ResourcePolicy: delegated, ResourcePolicyRequired: true}, " because no identity-based policy allows the kms:Encrypt action"},
		"KeyPolicyForgetsIAM":   {policy.Request{Principal: ann, Identity: identity("Allow", "kms:*"), ResourcePolicy: named(aws(ops.Issuer)), ResourcePolicyRequired: true}, " because no resource-based policy allows the kms:Encrypt action"},
		"KeyPolicyForgetsRoot":  {policy.Request{Principal: rootUser, ResourcePolicy: named(aws(ann.ARN)), ResourcePolicyRequired: true}, " because no resource-based policy allows the kms:Encrypt action"},
		"KeyPolicyNamesUser":    {policy.Request{Principal: ann, ResourcePolicy: named(aws(ann.ARN)), ResourcePolicyRequired: true}, ""},
		"KeyPolicyNamesID":      {policy.Request{Principal: ann, ResourcePolicy: named(aws(ann.ID)), ResourcePolicyRequired: true}, ""},
		"NormalAccountAlone":    {policy.Request{Principal: ann, ResourcePolicy: named(aws(policytest.Ours))}, " because no identity-based policy allows the kms:Encrypt action"},
		"Grant":                 {policy.Request{Principal: ann, ResourcePolicy: named(aws(ops.Issuer)), ResourcePolicyRequired: true, Grant: &policy.Grant{ID: "g"}}, ""},
		"GrantAcrossAccounts":   {policy.Request{Principal: bob, Grant: &policy.Grant{Grantee: bob.ARN}}, " because no identity-based policy allows the kms:Encrypt action"},
		"GrantAndIAM":           {policy.Request{Principal: bob, Identity: identity("Allow", "kms:*"), Grant: &policy.Grant{Grantee: bob.ARN}}, ""},
		"GrantToRoleInBoundary": {policy.Request{Principal: ops, Boundary: notKMS, Grant: &policy.Grant{Grantee: ops.Issuer}}, " because no permissions boundary allows the kms:Encrypt action"},
		"GrantDoesNotUndoDeny":  {policy.Request{Principal: ann, Identity: identity("Deny", "kms:*"), Grant: &policy.Grant{}}, " with an explicit deny in an identity-based policy"},
		"BareStatementIsVoid":   {policy.Request{Principal: ann, ResourcePolicy: must(t, policy.Resource, `{"Statement":{"Effect":"Allow","Principal":"*"}}`)}, " because no identity-based policy allows the kms:Encrypt action"},

		// A resource policy that names the user or the session is not held back by what the
		// boundary and the session policy leave out; one that names the role is [identity 84].
		"NamedUserPassesBoundary":    {policy.Request{Principal: ann, Boundary: notKMS, ResourcePolicy: named(aws(ann.ARN))}, ""},
		"NamedSessionPassesBoundary": {policy.Request{Principal: ops, Boundary: notKMS, ResourcePolicy: named(aws(ops.ARN))}, ""},
		"NamedSessionPassesSession":  {policy.Request{Principal: ops, Session: levels(limit(policy.Session, "Allow", "s3:*"))[0], ResourcePolicy: named(aws(ops.ARN))}, ""},
		"EverybodyPassesBoundary":    {policy.Request{Principal: ops, Boundary: notKMS, ResourcePolicy: named(`"*"`)}, ""},
		"NamedRole":                  {policy.Request{Principal: ops, ResourcePolicy: named(aws(ops.Issuer))}, ""},
		"NamedRoleInBoundary":        {policy.Request{Principal: ops, Boundary: notKMS, ResourcePolicy: named(aws(ops.Issuer))}, " because no permissions boundary allows the kms:Encrypt action"},
		"NamedRoleInSession":         {policy.Request{Principal: ops, Session: levels(limit(policy.Session, "Allow", "s3:*"))[0], ResourcePolicy: named(aws(ops.Issuer))}, " because no session policy allows the kms:Encrypt action"},
		"NamedSessionStillDenied":    {policy.Request{Principal: ops, Boundary: limit(policy.Boundary, "Deny", "kms:*"), ResourcePolicy: named(aws(ops.ARN))}, " with an explicit deny in a permissions boundary"},
		"AcrossAccountsNoPass":       {policy.Request{Principal: bob, Identity: identity("Allow", "*"), Boundary: notKMS, ResourcePolicy: named(aws(bob.ARN))}, " because no permissions boundary allows the kms:Encrypt action"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.r
			r.Action, r.Resource, r.ResourceAccount = "kms:Encrypt", keyARN, policytest.Ours
			want := c.want
			if want != "" {
				who := r.Principal.ARN
				switch r.Principal.Kind {
				case policy.Anonymous:
					who = "anonymous"
				case policy.Service:
					who = r.Principal.ServiceName
				}
				want = fmt.Sprintf(because, who) + want
			}
			d := policy.Decide(&r)
			if d.Message() != want || d.Allowed != (want == "") {
				t.Errorf("Decide: allowed %t, message\n got %q\nwant %q", d.Allowed, d.Message(), want)
			}
		})
	}
}

func TestDecideTrust(t *testing.T) {
	trust := func(principal string) *policy.Policy {
		return must(t, policy.Trust, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":`+principal+`,"Action":"sts:AssumeRole"}}`)
	}
	allowed := []*policy.Policy{of(t, policy.Identity, statement("Allow", "", "sts:AssumeRole", "*", ""))}
	const role = "arn:aws:iam::111122223333:role/web"
	for name, c := range map[string]struct {
		r    policy.Request
		want string
	}{
		"AccountAndIAM":    {policy.Request{Principal: ann, Identity: allowed, ResourcePolicy: trust(`{"AWS":"111122223333"}`)}, ""},
		"AccountAlone":     {policy.Request{Principal: ann, ResourcePolicy: trust(`{"AWS":"111122223333"}`)}, " because no identity-based policy allows the sts:AssumeRole action"},
		"UserAlone":        {policy.Request{Principal: ann, ResourcePolicy: trust(`{"AWS":"` + ann.ARN + `"}`)}, ""},
		"IAMAlone":         {policy.Request{Principal: ann, Identity: allowed, ResourcePolicy: trust(`{"Service":"ec2.amazonaws.com"}`)}, " because no role trust policy allows the sts:AssumeRole action"},
		"FederatedAllowed": {policy.Request{Principal: policytest.Callers[7], ResourcePolicy: trust(`{"Federated":"accounts.google.com"}`)}, ""},
		"OtherProvider":    {policy.Request{Principal: policytest.Callers[7], ResourcePolicy: trust(`{"Federated":"cognito-identity.amazonaws.com"}`)}, " because no role trust policy allows the sts:AssumeRole action"},
		"ExplicitDeny": {policy.Request{Principal: ann, Identity: allowed, ResourcePolicy: must(t, policy.Trust, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"sts:*"}}`)},
			" with an explicit deny in the role trust policy"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.r
			r.Action, r.Resource, r.ResourceAccount, r.ResourcePolicyRequired = "sts:AssumeRole", role, policytest.Ours, true
			if d := policy.Decide(&r); !strings.HasSuffix(d.Message(), c.want) || d.Allowed != (c.want == "") {
				t.Errorf("Decide: allowed %t, message %q, want %q", d.Allowed, d.Message(), c.want)
			}
		})
	}
}

func TestDecideNotPrincipal(t *testing.T) {
	for name, c := range map[string]struct {
		list     string
		who      policy.Principal
		boundary bool
		denied   bool
	}{
		"ListedUserBesideAccount":    {`"arn:aws:iam::111122223333:root","` + ann.ARN + `"`, ann, false, false},
		"AccountListsOnlyRoot":       {`"111122223333"`, ann, false, true},
		"RootOfListedAccount":        {`"111122223333"`, rootUser, false, false},
		"RoleWithoutItsSession":      {`"` + ops.Issuer + `"`, ops, false, true},
		"SessionWithoutItsRole":      {`"` + ops.ARN + `"`, ops, false, true},
		"RoleAndSession":             {`"` + ops.Issuer + `","` + ops.ARN + `"`, ops, false, false},
		"SomebodyElse":               {`"` + ann.ARN + `"`, bob, false, true},
		"ListedUserBehindABoundary":  {`"` + ann.ARN + `"`, ann, true, true},
		"AnonymousIsNobodyInTheList": {`"` + ann.ARN + `"`, policy.Principal{}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &policy.Request{Principal: c.who, Action: "kms:Encrypt", Resource: keyARN, ResourceAccount: policytest.Ours,
				ResourcePolicy: must(t, policy.Resource, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":[`+c.list+`]},"Action":"*","Resource":"*"}}`)}
			if c.boundary {
				r.Boundary = of(t, policy.Boundary, statement("Allow", "", "*", "*", ""))
			}
			if d := policy.Decide(r); (d.Outcome == policy.ExplicitDeny) != c.denied {
				t.Errorf("Decide: %v, want denied %t", d.Outcome, c.denied)
			}
		})
	}
}

func TestMessageForms(t *testing.T) {
	for _, c := range []struct {
		r    policy.Request
		want string
	}{
		{policy.Request{Principal: ops, Action: "kms:CreateKey"}, "User: arn:aws:sts::111122223333:assumed-role/ops/s1 is not authorized to perform: kms:CreateKey because no identity-based policy allows the kms:CreateKey action"},
		{policy.Request{Principal: ann, Action: "kms:ListKeys", Resource: "*"}, "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: kms:ListKeys on resource: * because no identity-based policy allows the kms:ListKeys action"},
		{policy.Request{Principal: ann, Action: "kms:ListKeys", Session: []*policy.Policy{of(t, policy.Session, statement("Deny", "", "*", "*", ""))}},
			"User: arn:aws:iam::111122223333:user/ann is not authorized to perform: kms:ListKeys with an explicit deny in a session policy"},
		{policy.Request{Principal: ann, Action: "kms:ListKeys", Endpoint: of(t, policy.Endpoint, statement("Deny", `"*"`, "*", "*", ""))},
			"User: arn:aws:iam::111122223333:user/ann is not authorized to perform: kms:ListKeys with an explicit deny in a VPC endpoint policy"},
	} {
		if d := policy.Decide(&c.r); d.Message() != c.want {
			t.Errorf("Message:\n got %q\nwant %q", d.Message(), c.want)
		}
	}
}

// lazy counts what it is asked.
type lazy struct{ asked map[string]int }

func (l lazy) Lookup(key string) ([]string, bool) {
	l.asked[key]++
	return []string{"red"}, key == "aws:principaltag/team"
}

func TestContextIsAskedOnlyForWhatMatters(t *testing.T) {
	l := lazy{map[string]int{}}
	r := &policy.Request{Principal: ann, Action: "kms:Encrypt", Resource: keyARN, ResourceAccount: policytest.Ours, Context: l, Identity: []*policy.Policy{
		of(t, policy.Identity, statement("Allow", "", "s3:*", "*", `{"Bool":{"aws:SecureTransport":"true"}}`),
			statement("Allow", "", "kms:*", "*", `{"StringEquals":{"aws:PrincipalTag/Team":"${aws:username, 'x'}d"}}`),
			statement("Allow", "", "kms:*", "*", `{"StringEquals":{"aws:PrincipalTag/Team":"${aws:nosuch, 're'}d"}}`))}}
	if d := policy.Decide(r); !d.Allowed || d.Statement != 2 {
		t.Errorf("Decide = %+v", d)
	}
	if diff := cmp.Diff(map[string]int{"aws:principaltag/team": 1, "aws:username": 1, "aws:nosuch": 1}, l.asked); diff != "" {
		t.Errorf("keys asked for (-want +got):\n%s", diff)
	}
}

func TestExplain(t *testing.T) {
	p := of(t, policy.Identity,
		statement("Allow", "", "kms:*", "*", `{"StringEquals":{"aws:ResourceTag/team":"red"}}`),
		statement("Allow", "", "s3:*", "*", `{"StringEquals":{"s3:prefix":"x"}}`),
		statement("Allow", "", "kms:Enc*", "*", ""),
		statement("Allow", "", "kms:Enc*", "arn:aws:kms:*:*:key/${aws:PrincipalTag/key}", "")).Named("p1")
	x := policy.Explain(&policy.Request{Principal: ann, Action: "kms:Encrypt", Resource: keyARN, Identity: []*policy.Policy{p}})
	if !x.Decision.Allowed || x.Decision.Statement != 2 || x.Decision.Policy.Name() != "p1" {
		t.Errorf("Decision = %+v", x.Decision)
	}
	if len(x.Matched) != 1 || x.Matched[0].Statement.Index != 2 || x.Matched[0].Kind != policy.Identity {
		t.Errorf("Matched = %+v", x.Matched)
	}
	if diff := cmp.Diff([]string{"aws:PrincipalTag/key", "aws:ResourceTag/team"}, x.Missing); diff != "" {
		t.Errorf("Missing (-want +got):\n%s", diff)
	}
}
