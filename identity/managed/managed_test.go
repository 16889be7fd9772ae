package managed_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/actions"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity/managed"
)

var partitions = []string{"aws", "aws-cn", "aws-us-gov"}

// TestAll compiles every policy in every partition.
func TestAll(t *testing.T) {
	id := regexp.MustCompile(`^ANPA[A-Z2-7]{17}$`)
	name := regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	for _, partition := range partitions {
		seen := map[string]bool{}
		last := ""
		for p := range managed.In(partition) {
			arn := p.ARN(partition)
			switch {
			case p.Name <= last:
				t.Errorf("%s follows %s", p.Name, last)
			case !name.MatchString(p.Name), !strings.HasPrefix(p.Path, "/"), !strings.HasSuffix(p.Path, "/"):
				t.Errorf("%s is no ARN of a policy", arn)
			case seen[p.ID], !id.MatchString(p.ID):
				t.Errorf("the ID of %s is %q", p.Name, p.ID)
			case p.Description == "", p.Version != "v1", p.Created.IsZero(), p.Updated.Before(p.Created):
				t.Errorf("%s is not described: %q, version %q, %v, %v", p.Name, p.Description, p.Version, p.Created, p.Updated)
			}
			last, seen[p.ID] = p.Name, true
			c := p.Compiled()
			if c.Kind() != policy.Identity || c.Name() != arn || c.Text() != p.Document || c.Version() != policy.Version2012 {
				t.Errorf("%s compiles to %s %s, version %s", arn, c.Kind(), c.Name(), c.Version())
			}
			if got, ok := managed.Find(arn); !ok || got != p || got.Compiled() != c {
				t.Errorf("Find(%s) = %v, %v", arn, got, ok)
			}
			for _, other := range partitions {
				if other != partition && strings.Contains(p.Document, "arn:"+other+":") {
					t.Errorf("%s names ARNs of %s", arn, other)
				}
			}
		}
		if len(seen) < 170 {
			t.Errorf("%d policies in %s", len(seen), partition)
		}
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ outcome, arn, path string }{
		{"OK", "arn:aws:iam::aws:policy/AdministratorAccess", "/"},
		{"JobFunction", "arn:aws:iam::aws:policy/job-function/Billing", "/job-function/"},
		{"ServiceRole", "arn:aws-cn:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "/service-role/"},
		{"ServiceLinkedRole", "arn:aws-us-gov:iam::aws:policy/aws-service-role/AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy", "/aws-service-role/"},
		{"RootTask", "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy", "/root-task/"},
		{"OtherAccount", "arn:aws:iam::111122223333:policy/AdministratorAccess", ""},
		{"WrongPath", "arn:aws:iam::aws:policy/Billing", ""},
		{"WrongCase", "arn:aws:iam::aws:policy/administratoraccess", ""},
		{"UnknownPartition", "arn:aws-moon:iam::aws:policy/AdministratorAccess", ""},
		{"NotAnARN", "AdministratorAccess", ""},
		{"Empty", "", ""},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			p, ok := managed.Find(c.arn)
			if ok != (c.path != "") {
				t.Fatalf("Find(%q) = %v, %v", c.arn, p, ok)
			}
			if ok && p.Path != c.path {
				t.Errorf("Find(%q) has path %q, want %q", c.arn, p.Path, c.path)
			}
		})
	}
}

func TestPartition(t *testing.T) {
	p, _ := managed.Find("arn:aws-cn:iam::aws:policy/IAMUserChangePassword")
	if !strings.Contains(p.Document, `"arn:aws-cn:iam::*:user/${aws:username}"`) {
		t.Errorf("in aws-cn the document is %s", p.Document)
	}
	if n := len(slices.Collect(managed.In("aws-moon"))); n != 0 {
		t.Errorf("%d policies in a partition that is not known", n)
	}
}

func TestAttachable(t *testing.T) {
	for arn, want := range map[string]bool{
		"arn:aws:iam::aws:policy/ReadOnlyAccess":                                      true,
		"arn:aws:iam::aws:policy/service-role/AWS_ConfigRole":                         true,
		"arn:aws:iam::aws:policy/aws-service-role/AWSOrganizationsServiceTrustPolicy": false,
		"arn:aws:iam::aws:policy/root-task/SQSUnlockQueuePolicy":                      false,
	} {
		if p, ok := managed.Find(arn); !ok || p.Attachable() != want || p.RootTask() != strings.Contains(arn, "/root-task/") {
			t.Errorf("%s: found %v, attachable %v", arn, ok, p.Attachable())
		}
	}
}

func TestOrganizations(t *testing.T) {
	for kind, doc := range map[policy.Kind]string{policy.SCP: managed.FullAWSAccess, policy.RCP: managed.RCPFullAWSAccess} {
		if _, err := policy.Parse([]byte(doc), kind); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

// decide asks for an action, on a resource of the caller's account, as a user with one managed policy.
func decide(p *managed.Policy, principal policy.Principal, action, resource string) policy.Decision {
	return policy.Decide(&policy.Request{
		Principal: principal, Action: action, Resource: resource, ResourceAccount: principal.Account, Identity: []*policy.Policy{p.Compiled()},
	})
}

func user() policy.Principal {
	return policy.Principal{
		Kind: policy.User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/ann", ID: "AIDAANNANNANNANNANNAN", UserName: "ann",
	}
}

// TestDecisions reads testdata/decisions.txt: a policy's name, then a line for what it allows and one for what it does not.
func TestDecisions(t *testing.T) {
	text, err := os.ReadFile("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*managed.Policy{}
	for p := range managed.All() {
		byName[p.Name] = p
	}
	var p *managed.Policy
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if fields[0] != "allows" && fields[0] != "denies" {
			if p = byName[fields[0]]; p == nil {
				t.Fatalf("there is no policy %s", fields[0])
			}
			continue
		}
		for _, field := range fields[1:] {
			action, resource, _ := strings.Cut(field, "@")
			if d := decide(p, user(), action, resource); d.Allowed != (fields[0] == "allows") {
				t.Errorf("%s: %s on %q is allowed: %v", p.Name, action, resource, d.Allowed)
			}
		}
	}
}

// TestReadingPoliciesOnlyRead tries every action that is not for reading on the policies that are.
func TestReadingPoliciesOnlyRead(t *testing.T) {
	// What has to be started to be read: reports, queries, drift detection.
	started := []string{
		"cloudformation:DetectStackDrift", "cloudformation:DetectStackResourceDrift", "cloudformation:DetectStackSetDrift",
		"config:DeliverConfigSnapshot", "iam:GenerateCredentialReport", "iam:GenerateOrganizationsAccessReport",
		"iam:GenerateServiceLastAccessedDetails", "logs:StartLiveTail", "logs:StartQuery", "logs:StopLiveTail", "logs:StopQuery",
		"iam:SimulateCustomPolicy", "iam:SimulatePrincipalPolicy",
	}
	for _, arn := range []string{
		"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/SecurityAudit", "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",
	} {
		p, ok := managed.Find(arn)
		if !ok {
			t.Fatalf("%s is missing", arn)
		}
		request := policy.Request{Principal: user(), ResourceAccount: "111122223333", Identity: []*policy.Policy{p.Compiled()}}
		allowed := 0
		for s := range actions.Services() {
			for _, a := range s.Actions {
				request.Action = s.Prefix + ":" + a.Name
				if !policy.Decide(&request).Allowed {
					continue
				}
				allowed++
				if a.Level != actions.List && a.Level != actions.Read && !slices.Contains(started, request.Action) {
					t.Errorf("%s allows %s, of level %s", p.Name, request.Action, a.Level)
				}
			}
		}
		t.Logf("%s allows %d actions", p.Name, allowed)
		if allowed < 4000 {
			t.Errorf("%s allows no more than %d actions", p.Name, allowed)
		}
	}
}

// TestRootTasks: the root user may do everything, so a root session is scoped by what its task policy denies.
func TestRootTasks(t *testing.T) {
	root := policy.Principal{Kind: policy.Root, Account: "111122223333", ARN: "arn:aws:iam::111122223333:root", ID: "111122223333"}
	for _, c := range []struct {
		name, action, resource string
		allowed                bool
	}{
		{"IAMAuditRootUserCredentials", "iam:ListAccessKeys", root.ARN, true},
		{"IAMAuditRootUserCredentials", "iam:ListAccessKeys", "arn:aws:iam::111122223333:user/ann", false},
		{"IAMAuditRootUserCredentials", "iam:DeleteAccessKey", root.ARN, false},
		{"IAMDeleteRootUserCredentials", "iam:DeleteAccessKey", root.ARN, true},
		{"IAMDeleteRootUserCredentials", "iam:CreateLoginProfile", root.ARN, false},
		{"IAMCreateRootUserPassword", "iam:CreateLoginProfile", root.ARN, true},
		{"S3UnlockBucketPolicy", "s3:DeleteBucketPolicy", "arn:aws:s3:::locked", true},
		{"S3UnlockBucketPolicy", "s3:DeleteBucket", "arn:aws:s3:::locked", false},
		{"SQSUnlockQueuePolicy", "sqs:SetQueueAttributes", "arn:aws:sqs:eu-west-1:111122223333:locked", true},
		{"SQSUnlockQueuePolicy", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:locked", false},
	} {
		p, ok := managed.Find("arn:aws:iam::aws:policy/root-task/" + c.name)
		if !ok {
			t.Fatalf("%s is missing", c.name)
		}
		if d := decide(p, root, c.action, c.resource); d.Allowed != c.allowed {
			t.Errorf("%s: %s on %s is allowed: %v", c.name, c.action, c.resource, d.Allowed)
		}
	}
}

func ExampleFind() {
	p, ok := managed.Find("arn:aws-cn:iam::aws:policy/job-function/Billing")
	fmt.Println(ok, p.Name, p.Compiled().Name())
	// Output: true Billing arn:aws-cn:iam::aws:policy/job-function/Billing
}

func BenchmarkReadOnlyAccess(b *testing.B) {
	p, _ := managed.Find("arn:aws:iam::aws:policy/ReadOnlyAccess")
	request := policy.Request{Principal: user(), Action: "kms:DescribeKey", ResourceAccount: "111122223333", Identity: []*policy.Policy{p.Compiled()}}
	for b.Loop() {
		if !policy.Decide(&request).Allowed {
			b.Fatal("denied")
		}
	}
}
