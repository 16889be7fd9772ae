package iam_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
	"github.com/holdfast-cloud/holdfast/identity"
)

// texts are the documents of policies.
func texts(policies []*policy.Policy) (list []string) {
	for _, p := range policies {
		list = append(list, p.Text())
	}
	return list
}

// entries are context values as requests have them.
func entries(values policy.Values) (list []types.ContextEntry) {
	for k, v := range values {
		list = append(list, types.ContextEntry{ContextKeyName: &k, ContextKeyValues: v, ContextKeyType: types.ContextKeyTypeEnumStringList})
	}
	return list
}

// simulated are the actions and resources of generated cases.
var (
	simulatedActions   = []string{"kms:Encrypt", "kms:Decrypt", "s3:GetObject", "s3:GetObjectTagging", "KMS:encrypt"}
	simulatedResources = []string{
		"arn:aws:kms:eu-west-1:111122223333:key/k1", "arn:aws:kms:us-east-1:444455556666:key/k2", "arn:aws:s3:::home/ann/a:b.txt",
		"arn:aws:s3:::home/*/x", "arn:aws:s3:::home/red/é", "arn:aws:sns:eu-west-1:111122223333:topic",
	}
)

// generated prepares a world's request for a simulation: what simulations do not know is left out.
func generated(t *testing.T, g *policytest.Generator) *policy.Request {
	t.Helper()
	w := g.World()
	r, err := w.Request(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Session, r.Endpoint, r.Grant, r.RCP = nil, nil, nil, nil
	if r.ResourcePolicy != nil && r.ResourcePolicy.Kind() != policy.Resource {
		r.ResourcePolicy = nil
	}
	values := r.Context.(policy.Values)
	for k, v := range values {
		if len(v) == 0 {
			delete(values, k)
		}
	}
	if _, there := values.Lookup("aws:userid"); !there {
		values.Set("aws:userid", "red") // that of a session is not known
	}
	return r
}

// compare holds the answer to a simulation against the engine's for the same request, action by action and resource by resource.
func compare(t *testing.T, r *policy.Request, resources []string, results []types.EvaluationResult, counts map[policy.Outcome]int) {
	t.Helper()
	owner := r.ResourceAccount
	for _, result := range results {
		worst := policy.Allow
		for i, resource := range resources {
			q := *r
			q.Action, q.Resource, q.ResourceAccount = *result.EvalActionName, resource, owner
			if a, err := arn.Parse(resource); err == nil && a.Account != "" {
				q.ResourceAccount = a.Account
			}
			q.ResourcePolicyRequired = q.ResourcePolicy != nil && strings.HasPrefix(strings.ToLower(q.Action), "kms:")
			want := policy.Decide(&q)
			counts[want.Outcome]++
			if want.Outcome == policy.ExplicitDeny || worst == policy.Allow {
				worst = want.Outcome
			}
			got := result.ResourceSpecificResults[i]
			if *got.EvalResourceName != resource || string(got.EvalResourceDecision) != want.Outcome.String() {
				t.Fatalf("%s on %s by %s is %s, want %s by %s", q.Action, resource, q.Principal.ARN, got.EvalResourceDecision, want.Outcome, want.Kind)
			}
			told := want.Kind == policy.Identity || want.Kind == policy.Resource
			if want.Policy != nil && told && len(got.MatchedStatements) == 0 {
				t.Fatalf("%s on %s: no statement matches %s", q.Action, resource, want.Outcome)
			}
		}
		if string(result.EvalDecision) != worst.String() {
			t.Fatalf("%s is %s in all, want %s", *result.EvalActionName, result.EvalDecision, worst)
		}
	}
}

// What a simulation of a principal answers is what the engine decides for it at the door: see compare.
func TestSimulationIsTheEngine(t *testing.T) {
	t.Parallel()
	w := start(t)
	g := policytest.New(20260101)
	counts := map[policy.Outcome]int{}
	for i := range 60 {
		r := generated(t, g)
		in := &iam.SimulatePrincipalPolicyInput{
			ActionNames: simulatedActions, ResourceArns: simulatedResources, ContextEntries: entries(r.Context.(policy.Values)),
			ResourceOwner: new("arn:aws:iam::" + r.ResourceAccount + ":root"),
		}
		if r.ResourcePolicy != nil {
			in.ResourcePolicy = new(r.ResourcePolicy.Text())
		}
		if r.Boundary != nil {
			in.PermissionsBoundaryPolicyInputList = []string{r.Boundary.Text()}
		}
		r.SCP = nil
		name := fmt.Sprintf("ann%d", i)
		if i%3 == 0 {
			r.Groups = nil
			role := must(w.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustEC2, Path: new("/team/")}))(t).Role
			for j, p := range r.Identity {
				ok(t)(w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: new(fmt.Sprint("p", j)), PolicyDocument: new(p.Text())}))
			}
			in.PolicySourceArn = role.Arn
			r.Principal = policy.Principal{
				Kind: policy.Role, Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + name + "/s", Issuer: *role.Arn, ID: *role.RoleId, SessionName: "s",
			}
		} else {
			u := identity.User{Account: account, Name: name}
			u.Inline = map[string]string{}
			for j, text := range texts(r.Identity) {
				u.Inline[fmt.Sprint("p", j)] = text
			}
			in.PolicyInputList = texts(r.Groups)
			ok(t)(nil, w.PutUser(ctx, u))
			in.PolicySourceArn = new(iamARN("user", name))
			r.Principal = policy.Principal{Kind: policy.User, Account: account, ARN: *in.PolicySourceArn, UserName: name}
		}
		out := must(w.SimulatePrincipalPolicy(ctx, in))(t)
		if len(out.EvaluationResults) != len(simulatedActions) || out.IsTruncated {
			t.Fatalf("%d results", len(out.EvaluationResults))
		}
		compare(t, r, simulatedResources, out.EvaluationResults, counts)
	}
	if counts[policy.Allow] < 50 || counts[policy.ExplicitDeny] < 50 || counts[policy.ImplicitDeny] < 50 {
		t.Errorf("the cases are lopsided: %v", counts)
	}
	t.Logf("decisions: %v", counts)
}

// The same, of policies that requests bring along, SCPs among them.
func TestCustomSimulationIsTheEngine(t *testing.T) {
	t.Parallel()
	w := start(t)
	g := policytest.New(20260102)
	counts := map[policy.Outcome]int{}
	for range 60 {
		r := generated(t, g)
		r.Identity, r.Groups = append(r.Identity, r.Groups...), nil
		if len(r.Identity) == 0 {
			continue
		}
		r.Principal = policy.Principal{Kind: policy.User, Account: account, ARN: iamARN("user", "ann"), UserName: "ann"}
		in := &iam.SimulateCustomPolicyInput{
			ActionNames: simulatedActions, ResourceArns: simulatedResources, ContextEntries: entries(r.Context.(policy.Values)), PolicyInputList: texts(r.Identity),
			ResourceOwner: new("arn:aws:iam::" + r.ResourceAccount + ":root"), CallerArn: &r.Principal.ARN,
		}
		if r.ResourcePolicy != nil {
			in.ResourcePolicy = new(r.ResourcePolicy.Text())
		}
		if r.Boundary != nil {
			in.PermissionsBoundaryPolicyInputList = []string{r.Boundary.Text()}
		}
		for _, level := range r.SCP {
			in.OrderedOrganizationPolicyInputList = append(in.OrderedOrganizationPolicyInputList, types.OrderedOrganizationPolicyType{ServiceControlPolicyInputList: texts(level)})
		}
		out := must(w.SimulateCustomPolicy(ctx, in))(t)
		compare(t, r, simulatedResources, out.EvaluationResults, counts)
		for _, result := range out.EvaluationResults {
			if (result.OrganizationsDecisionDetail != nil) != (len(r.SCP) > 0) || (result.PermissionsBoundaryDecisionDetail != nil) != (r.Boundary != nil) {
				t.Fatalf("details: %+v, %+v", result.OrganizationsDecisionDetail, result.PermissionsBoundaryDecisionDetail)
			}
		}
	}
	t.Logf("decisions: %v", counts)
}

// Calls at the door end as simulations of them say, which know what the door knows: where the call comes from, what is in the request, the key's policy.
func TestSimulationIsTheDoor(t *testing.T) {
	t.Parallel()
	w := start(t)
	g := policytest.New(20260103)
	root := kms.NewFromConfig(w.Config())
	key := must(root.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata
	keyPolicy := must(root.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: key.KeyId}))(t).Policy
	real := strings.NewReplacer("arn:aws:kms:eu-west-1:111122223333:key/k1", *key.Arn, "eu-", "us-", "e*-w", "u*-e")
	allowed := 0
	const cases = 80
	for i := range cases {
		name := fmt.Sprint("ann", i)
		r := generated(t, g)
		u := identity.User{Account: account, Name: name, Tags: map[string]string{"team": "red"}}
		u.Inline = make(map[string]string)
		for j, text := range texts(append(r.Identity, r.Groups...)) {
			u.Inline[fmt.Sprint("p", j)] = real.Replace(text)
		}
		cfg := w.User(account, name)
		ok(t)(nil, w.PutUser(ctx, u))
		_, err := kms.NewFromConfig(cfg).Encrypt(ctx, &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("x"), EncryptionContext: map[string]string{"app": "red"}})
		if err != nil {
			refused(t, "AccessDeniedException", "-")(nil, err)
		}
		result := must(w.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
			PolicySourceArn: new(iamARN("user", name)), ActionNames: []string{"kms:Encrypt"}, ResourceArns: []string{*key.Arn}, ResourcePolicy: keyPolicy,
			ContextEntries: entries(policy.Values{
				"aws:sourceip": {"127.0.0.1"}, "aws:currenttime": {w.Clock.Now().UTC().Format(time.RFC3339)}, "kms:encryptioncontext:app": {"red"},
			}),
		}))(t).EvaluationResults[0]
		if got := result.EvalDecision == "allowed"; got != (err == nil) {
			t.Fatalf("the simulation of\n%v\nsays %s, the door %v", u.Inline, result.EvalDecision, err)
		}
		if err == nil {
			allowed++
		} else if explicit := strings.Contains(err.Error(), "explicit deny"); explicit != (result.EvalDecision == "explicitDeny") {
			t.Fatalf("the simulation says %s, the door %v", result.EvalDecision, err)
		}
	}
	if allowed < cases/10 || allowed > cases*9/10 {
		t.Errorf("%d of %d calls are allowed", allowed, cases)
	}
	t.Logf("%d of %d calls are allowed", allowed, cases)
}
