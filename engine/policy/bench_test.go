package policy_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
)

const keyARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

const defaultKeyPolicy = `{
	"Version": "2012-10-17",
	"Id": "key-default-1",
	"Statement": [{
		"Sid": "Enable IAM User Permissions",
		"Effect": "Allow",
		"Principal": {"AWS": "arn:aws:iam::111122223333:root"},
		"Action": "kms:*",
		"Resource": "*"
	}]
}`

func must(t testing.TB, kind policy.Kind, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text), kind)
	if err != nil {
		t.Fatalf("Parse(%s, %v) = %v", text, kind, err)
	}
	return p
}

// tenPolicies are of the sort that a busy role carries; only the last allows kms:Decrypt.
func tenPolicies(t testing.TB) (out []*policy.Policy) {
	for _, service := range []string{"s3", "sqs", "sns", "dynamodb", "logs", "ecr", "lambda", "states", "secretsmanager"} {
		out = append(out, must(t, policy.Identity, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
			{"Sid":"Read","Effect":"Allow","Action":["%[1]s:Get*","%[1]s:List*","%[1]s:Describe*","%[1]s:BatchGet*"],
			 "Resource":["arn:aws:%[1]s:*:111122223333:app-*","arn:aws:%[1]s:::app-${aws:username}/*"]},
			{"Sid":"Write","Effect":"Allow","Action":["%[1]s:PutItem","%[1]s:SendMessage","%[1]s:PutObject","%[1]s:Invoke"],
			 "Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"},"Bool":{"aws:SecureTransport":"true"}}},
			{"Sid":"Fence","Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*",
			 "Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}}]}`, service)))
	}
	return append(out, must(t, policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey*"],"Resource":"arn:aws:kms:*:111122223333:key/*",
		"Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]},"StringLike":{"kms:ViaService":["s3.*.amazonaws.com"]}}}}`))
}

// managedPolicies are ten of the size and the form of those that AWS manages: long lists of actions of one service and its neighbours.
// Only the last allows kms:Decrypt.
func managedPolicies(t testing.TB) (out []*policy.Policy) {
	verbs := []string{"BatchGet", "Describe", "Get", "List", "Lookup", "Create", "Delete", "Put", "Update", "Tag", "Untag", "Start", "Stop"}
	nouns := []string{"Item", "Table", "Bucket", "Queue", "Policy", "Configuration"}
	for i, service := range []string{"s3", "sqs", "sns", "dynamodb", "logs", "ecr", "lambda", "states", "secretsmanager"} {
		var actions []string
		for j := range 5 + i*4 {
			actions = append(actions, strconv.Quote(service+":"+verbs[j%len(verbs)]+nouns[j%len(nouns)]))
		}
		out = append(out, must(t, policy.Identity, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":[%[2]s],"Resource":"*"},
			{"Effect":"Allow","Action":["cloudwatch:GetMetric*","cloudwatch:ListMetrics","ec2:DescribeVpcs","ec2:DescribeSubnets","tag:GetResources","kms:DescribeKey","kms:ListAliases"],"Resource":"*"},
			{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/service-role/%[1]s*","Condition":{"StringEquals":{"iam:PassedToService":"%[1]s.amazonaws.com"}}},
			{"Effect":"Allow","Action":["%[1]s:Get*","%[1]s:List*"],"Resource":"arn:aws:%[1]s:*:*:shared/*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}},
			{"Effect":"Deny","Action":["%[1]s:Delete*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}`,
			service, strings.Join(actions, ","))))
	}
	return append(out, must(t, policy.Identity, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:CreateAlias","kms:CreateKey","kms:DeleteAlias",
		"kms:Describe*","kms:GenerateRandom","kms:Get*","kms:List*","kms:TagResource","kms:UntagResource","kms:Encrypt","kms:Decrypt","kms:GenerateDataKey*"],"Resource":"*"}]}`))
}

// managedRequest is asked by somebody with ten such policies whose account lies two units deep in an organization, at each level of which
// everything is allowed, and something denied.
func managedRequest(t testing.TB) *policy.Request {
	r := fullRequest(t)
	r.Identity = managedPolicies(t)
	full := must(t, policy.SCP, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	region := must(t, policy.SCP, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":["iam:*","organizations:*","route53:*","support:*","sts:*"],"Resource":"*",
		"Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","eu-central-1"]},"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/admin"}}}}`)
	guard := must(t, policy.SCP, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":["cloudtrail:StopLogging","cloudtrail:DeleteTrail","kms:ScheduleKeyDeletion","organizations:LeaveOrganization"],"Resource":"*"}}`)
	r.SCP = [][]*policy.Policy{{full}, {full, region}, {full, guard}}
	return r
}

var benchContext = policy.Values{
	"aws:requestedregion":   {"eu-west-1"},
	"aws:securetransport":   {"true"},
	"aws:sourceip":          {"10.1.2.3"},
	"aws:principaltag/team": {"red"},
	"kms:viaservice":        {"s3.eu-west-1.amazonaws.com"},
}

func keyRequest(t testing.TB) *policy.Request {
	return &policy.Request{
		Principal: policytest.Callers[2], Action: "kms:Decrypt", Resource: keyARN, ResourceAccount: policytest.Ours, Context: benchContext,
		Identity:       []*policy.Policy{must(t, policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`)},
		ResourcePolicy: must(t, policy.Resource, defaultKeyPolicy), ResourcePolicyRequired: true,
	}
}

func fullRequest(t testing.TB) *policy.Request {
	r := keyRequest(t)
	r.Identity = tenPolicies(t)
	return r
}

func BenchmarkDefaultKeyPolicyRoot(b *testing.B) {
	r := keyRequest(b)
	r.Principal, r.Identity = policytest.Callers[1], nil
	run(b, r)
}

func BenchmarkDefaultKeyPolicyUser(b *testing.B) { run(b, keyRequest(b)) }

func BenchmarkTenIdentityPolicies(b *testing.B) { run(b, fullRequest(b)) }

func BenchmarkTenManagedPolicies(b *testing.B) { run(b, managedRequest(b)) }

func BenchmarkEveryKind(b *testing.B) {
	r := fullRequest(b)
	full := must(b, policy.SCP, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	r.SCP = [][]*policy.Policy{{full}, {full}, {full}}
	r.RCP = [][]*policy.Policy{{must(b, policy.RCP, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`)}}
	r.Boundary, r.Session = full, []*policy.Policy{full}
	run(b, r)
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse([]byte(defaultKeyPolicy), policy.Resource); err != nil {
			b.Fatal(err)
		}
	}
}

func run(b *testing.B, r *policy.Request) {
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Decide(r); !d.Allowed {
			b.Fatal(d.Message())
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	for name, r := range map[string]*policy.Request{"DefaultKeyPolicy": keyRequest(t), "TenPolicies": fullRequest(t), "Managed": managedRequest(t)} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, func() {
				if d := policy.Decide(r); !d.Allowed {
					t.Fatal(d.Message())
				}
			}); n > 0 {
				t.Errorf("Decide allocates %v times, want none", n)
			}
		})
	}
}
