package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Decisions of our engine beside those of cedar-go, whose language is made for the same purpose, on the same policies, entities and requests. Ten policies are
// described once and written in both languages:
//
//	Holdfast           ten documents, attached to a user
//	cedar-go, lists    a permit or forbid for each statement, for that user, with the list of its actions; those with a star are groups that actions belong to
//	cedar-go, groups   the same with a group for each statement that its actions belong to, which suits Cedar better and has to be kept when services grow
//
// Everything is parsed before, contexts and entities are built before, and both have to give the same answers, or nothing is measured.

// rule is a statement.
type rule struct {
	deny     bool
	actions  []string
	resource string // with stars
	regions  []string
	team     bool // the resource's team is the user's
	noMFA    bool // holds for calls without
	service  string
}

// question is a request.
type question struct {
	action, resource, region, team string
	mfa                            bool
	service                        string // iam:PassedToService
}

const user, userTeam, account = "arn:aws:iam::111122223333:user/ann", "red", "111122223333"

// tenPolicies are of the size that those of AWS have.
func tenPolicies() (out [][]rule) {
	verbs := []string{"BatchGet", "Describe", "Get", "List", "Lookup", "Create", "Delete", "Put", "Update", "Tag", "Untag", "Start", "Stop"}
	nouns := []string{"Item", "Table", "Bucket", "Queue", "Policy", "Configuration"}
	for i, service := range []string{"s3", "sqs", "sns", "dynamodb", "logs", "ecr", "lambda", "states", "secretsmanager"} {
		var actions []string
		for j := range 5 + i*4 {
			actions = append(actions, service+":"+verbs[j%len(verbs)]+nouns[j%len(nouns)])
		}
		out = append(out, []rule{
			{actions: actions, resource: "*"},
			{actions: []string{"cloudwatch:GetMetric*", "cloudwatch:ListMetrics", "ec2:DescribeVpcs", "tag:GetResources", "kms:DescribeKey", "kms:ListAliases"}, resource: "*"},
			{actions: []string{"iam:PassRole"}, resource: "arn:aws:iam::*:role/" + service + "*", service: service + ".amazonaws.com"},
			{actions: []string{service + ":Get*", service + ":List*"}, resource: "arn:aws:" + service + ":*:*:shared/*", team: true},
			{deny: true, actions: []string{service + ":Delete*"}, resource: "*", noMFA: true},
		})
	}
	return append(out, []rule{
		{actions: []string{"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:DescribeKey"}, resource: "arn:aws:kms:*:" + account + ":key/*", regions: []string{"eu-west-1", "eu-central-1"}},
		{actions: []string{"kms:CreateKey", "kms:List*", "kms:Get*"}, resource: "*"},
		{deny: true, actions: []string{"kms:ScheduleKeyDeletion", "kms:DisableKey"}, resource: "*"},
	})
}

var questions = []question{
	{action: "kms:Decrypt", resource: "arn:aws:kms:eu-west-1:111122223333:key/k1", region: "eu-west-1", team: "red", mfa: true},
	{action: "kms:GenerateDataKeyWithoutPlaintext", resource: "arn:aws:kms:eu-west-1:111122223333:key/k1", region: "eu-central-1", team: "blue"},
	{action: "kms:Decrypt", resource: "arn:aws:kms:us-east-1:111122223333:key/k1", region: "us-east-1", team: "red"},
	{action: "kms:Decrypt", resource: "arn:aws:kms:eu-west-1:444455556666:key/k2", region: "eu-west-1", team: "red"},
	{action: "kms:ScheduleKeyDeletion", resource: "arn:aws:kms:eu-west-1:111122223333:key/k1", region: "eu-west-1", team: "red", mfa: true},
	{action: "kms:DescribeKey", resource: "arn:aws:kms:us-east-1:111122223333:key/k1", region: "us-east-1", team: "red"},
	{action: "s3:GetBucket", resource: "arn:aws:s3:eu-west-1:111122223333:shared/a", region: "eu-west-1", team: "red"},
	{action: "s3:GetBucket", resource: "arn:aws:s3:eu-west-1:111122223333:private/a", region: "eu-west-1", team: "blue"},
	{action: "secretsmanager:DeleteBucket", resource: "arn:aws:secretsmanager:eu-west-1:111122223333:secret/a", region: "eu-west-1", team: "red"},
	{action: "secretsmanager:DeleteBucket", resource: "arn:aws:secretsmanager:eu-west-1:111122223333:secret/a", region: "eu-west-1", team: "red", mfa: true},
	{action: "iam:PassRole", resource: "arn:aws:iam::111122223333:role/lambda-x", region: "us-east-1", service: "lambda.amazonaws.com"},
	{action: "iam:PassRole", resource: "arn:aws:iam::111122223333:role/lambda-x", region: "us-east-1", service: "ec2.amazonaws.com"},
	{action: "glue:GetTable", resource: "arn:aws:glue:eu-west-1:111122223333:table/t", region: "eu-west-1", team: "red"},
}

func decisions(_ context.Context, o options) error {
	ours, err := inIAM()
	if err != nil {
		return err
	}
	lists, statements, err := inCedar(false)
	if err != nil {
		return err
	}
	groups, _, err := inCedar(true)
	if err != nil {
		return err
	}
	engines := []*engine{{name: "Holdfast", decide: ours}, {name: "cedar-go, lists", decide: lists}, {name: "cedar-go, groups", decide: groups}}
	allowed := 0
	for i, q := range questions {
		for _, e := range engines {
			if e.decide(i) != ours(i) {
				return fmt.Errorf("%s on %s: Holdfast says %t, %s does not", q.action, q.resource, ours(i), e.name)
			}
		}
		if ours(i) {
			allowed++
		}
	}
	fmt.Printf("## Decisions\n\nTen policies of %d statements, %d requests in turn of which %d are allowed, on one core.\n\n", statements, len(questions), allowed)

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the collector works on the same core
	for start := time.Now(); time.Since(start) < 2*o.seconds; {
		for _, e := range engines {
			e.turn()
		}
	}
	fmt.Println("| engine | decisions/s per core | a decision | allocations |\n| --- | ---: | ---: | ---: |")
	for _, e := range engines {
		slices.Sort(e.turns)
		each := e.turns[len(e.turns)/10] // of the turns that other processes disturbed least
		fmt.Printf("| %s | %.0f | %.2f µs | %d |\n", e.name, 1e9/each, each/1e3, e.allocations/e.decisions)
	}
	fmt.Println()
	return nil
}

type engine struct {
	name                   string
	decide                 func(question int) bool
	turns                  []float64 // nanoseconds a decision
	decisions, allocations uint64
}

// turn measures rounds through the questions for a millisecond or so: shorter than the time that a busy machine lets a process run.
func (e *engine) turn() {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	start := time.Now()
	took := time.Duration(0)
	for took < time.Millisecond {
		for i := range questions {
			e.decide(i)
		}
		n += len(questions)
		took = time.Since(start)
	}
	runtime.ReadMemStats(&after)
	e.turns = append(e.turns, float64(took.Nanoseconds())/float64(n))
	e.decisions += uint64(n)
	e.allocations += after.Mallocs - before.Mallocs
}

// inIAM writes the policies for our engine.
func inIAM() (func(int) bool, error) {
	var attached []*policy.Policy
	for _, rules := range tenPolicies() {
		var statements []any
		for _, r := range rules {
			conditions := map[string]any{}
			if len(r.regions) > 0 {
				conditions["StringEquals"] = map[string]any{"aws:RequestedRegion": r.regions}
			}
			if r.team {
				conditions["StringEquals"] = map[string]any{"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}
			}
			if r.service != "" {
				conditions["StringEquals"] = map[string]any{"iam:PassedToService": r.service}
			}
			if r.noMFA {
				conditions["BoolIfExists"] = map[string]any{"aws:MultiFactorAuthPresent": "false"}
			}
			statements = append(statements, map[string]any{"Effect": map[bool]string{true: "Deny", false: "Allow"}[r.deny], "Action": r.actions, "Resource": r.resource, "Condition": conditions})
		}
		text, err := json.Marshal(map[string]any{"Version": policy.Version2012, "Statement": statements})
		if err != nil {
			return nil, err
		}
		p, err := policy.Parse(text, policy.Identity)
		if err != nil {
			return nil, fmt.Errorf("parsing %s: %w", text, err)
		}
		attached = append(attached, p)
	}
	requests := make([]policy.Request, len(questions))
	for i, q := range questions {
		values := policy.Values{}
		values.Set("aws:RequestedRegion", q.region)
		values.Set("aws:PrincipalTag/team", userTeam)
		if q.team != "" {
			values.Set("aws:ResourceTag/team", q.team)
		}
		if q.service != "" {
			values.Set("iam:PassedToService", q.service)
		}
		if q.mfa {
			values.Set("aws:MultiFactorAuthPresent", "true")
		}
		requests[i] = policy.Request{
			Principal: policy.Principal{Kind: policy.User, Account: account, ARN: user, UserName: "ann"},
			Action:    q.action, Resource: q.resource, ResourceAccount: account, Context: values, Identity: attached,
		}
	}
	return func(i int) bool { return policy.Decide(&requests[i]).Allowed }, nil
}

// inCedar writes the policies for cedar-go, and counts them.
func inCedar(grouped bool) (decide func(int) bool, statements int, err error) {
	var b strings.Builder
	groups := map[string][]string{} // what is in each
	for _, rules := range tenPolicies() {
		for _, r := range rules {
			var actions, conditions []string
			for _, a := range r.actions {
				actions = append(actions, "Action::"+strconv.Quote(a))
				if strings.Contains(a, "*") {
					groups[a] = []string{a}
				}
			}
			scope := "[" + strings.Join(actions, ", ") + "]"
			if grouped {
				name := "group" + strconv.Itoa(statements)
				groups[name], scope = r.actions, "Action::"+strconv.Quote(name)
			}
			if r.resource != "*" {
				conditions = append(conditions, "resource.arn like "+strconv.Quote(r.resource))
			}
			if len(r.regions) > 0 {
				conditions = append(conditions, `["`+strings.Join(r.regions, `","`)+`"].contains(context.region)`)
			}
			if r.team {
				conditions = append(conditions, "resource has team && resource.team == principal.team")
			}
			if r.service != "" {
				conditions = append(conditions, "context has service && context.service == "+strconv.Quote(r.service))
			}
			if r.noMFA {
				conditions = append(conditions, "!(context has mfa && context.mfa)")
			}
			fmt.Fprintf(&b, "%s (principal == User::%q, action in %s, resource)", map[bool]string{true: "forbid", false: "permit"}[r.deny], user, scope)
			if len(conditions) > 0 {
				fmt.Fprintf(&b, " when { %s }", strings.Join(conditions, " && "))
			}
			b.WriteString(";\n")
			statements++
		}
	}
	set, err := cedar.NewPolicySetFromBytes("bench", []byte(b.String()))
	if err != nil {
		return nil, 0, fmt.Errorf("parsing the Cedar policies: %w", err)
	}
	entities := cedar.EntityMap{}
	add := func(uid cedar.EntityUID, attributes cedar.RecordMap, parents ...cedar.EntityUID) {
		entities[uid] = cedar.Entity{UID: uid, Attributes: cedar.NewRecord(attributes), Parents: cedar.NewEntityUIDSet(parents...)}
	}
	principal := cedar.NewEntityUID("User", user)
	add(principal, cedar.RecordMap{"team": cedar.String(userTeam)})
	requests := make([]cedar.Request, len(questions))
	stores := make([]cedar.EntityMap, len(questions)) // the resource's attributes differ from question to question
	for i, q := range questions {
		action, resource := cedar.NewEntityUID("Action", cedar.String(q.action)), cedar.NewEntityUID("Resource", cedar.String(q.resource))
		var parents []cedar.EntityUID
		for g, patterns := range groups {
			in := func(p string) bool {
				prefix, star := strings.CutSuffix(p, "*")
				return p == q.action || star && strings.HasPrefix(q.action, prefix)
			}
			if slices.ContainsFunc(patterns, in) {
				parents = append(parents, cedar.NewEntityUID("Action", cedar.String(g)))
			}
		}
		add(action, nil, parents...)
		attributes := cedar.RecordMap{"arn": cedar.String(q.resource)}
		if q.team != "" {
			attributes["team"] = cedar.String(q.team)
		}
		add(resource, attributes)
		about := cedar.RecordMap{"region": cedar.String(q.region)}
		if q.service != "" {
			about["service"] = cedar.String(q.service)
		}
		if q.mfa {
			about["mfa"] = cedar.True
		}
		requests[i] = cedar.Request{Principal: principal, Action: action, Resource: resource, Context: cedar.NewRecord(about)}
		stores[i] = cedar.EntityMap{principal: entities[principal], action: entities[action], resource: entities[resource]}
	}
	return func(i int) bool {
		d, _ := cedar.Authorize(set, stores[i], requests[i])
		return d == cedar.Allow
	}, statements, nil
}
