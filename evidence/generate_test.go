package evidence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/evidence"
)

// allows reports whether the policies allow an action on a resource.
func allows(policies []*policy.Policy, action, resource string) bool {
	return policy.Decide(&policy.Request{
		Principal: policy.Principal{Kind: policy.User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/u"}, Action: action, Resource: resource, Identity: policies,
	}).Allowed
}

func generate(t *testing.T, u *evidence.Usage) (docs []string, policies []*policy.Policy) {
	t.Helper()
	docs, err := u.Policies()
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs {
		policies = append(policies, parse(t, policy.Identity, doc))
		size := 0
		for _, c := range doc {
			if !strings.ContainsRune(" \t\n", c) {
				size++
			}
		}
		if size > evidence.PolicySize {
			t.Errorf("a document of %d characters", size)
		}
	}
	return docs, policies
}

func TestPolicies(t *testing.T) {
	var none evidence.Usage
	if docs, err := none.Policies(); err != nil || len(docs) != 0 {
		t.Errorf("of nothing: %v, %v", docs, err)
	}
	pairs := [][2]string{
		{"kms:Encrypt", "arn:aws:kms:us-east-1:1:key/a"}, {"kms:Decrypt", "arn:aws:kms:us-east-1:1:key/a"}, {"kms:ListKeys", "*"}, {"kms:CreateKey", ""},
		{"s3:GetObject", "arn:aws:s3:::b/${odd}*?$"}, {"kms:Decrypt", "arn:aws:kms:us-east-1:1:key/b"}, {"kms:ReEncryptTo", "arn:aws:kms:us-east-1:1:key/a"}, {"", "x"},
	}
	var u, v evidence.Usage
	for _, p := range pairs {
		if err := u.Add(p[0], p[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range slices.Backward(pairs) {
		if err := errors.Join(v.Add(p[0], p[1]), v.Add(p[0], p[1])); err != nil {
			t.Fatal(err)
		}
	}
	docs, policies := generate(t, &u)
	if again, _ := generate(t, &v); !slices.Equal(docs, again) || len(docs) != 1 {
		t.Errorf("the order of use makes a difference, or there are several:\n%s\n%s", docs, again)
	}
	want := `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "kms:CreateKey",
        "kms:ListKeys"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "kms:Decrypt"
      ],
      "Resource": [
        "arn:aws:kms:us-east-1:1:key/a",
        "arn:aws:kms:us-east-1:1:key/b"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "kms:Encrypt",
        "kms:ReEncryptTo"
      ],
      "Resource": [
        "arn:aws:kms:us-east-1:1:key/a"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "s3:GetObject"
      ],
      "Resource": [
        "arn:aws:s3:::b/${$}{odd}${*}${?}${$}"
      ]
    }
  ]
}
`
	if docs[0] != want {
		t.Errorf("generated\n%s\nwant\n%s", docs[0], want)
	}
	for _, p := range pairs[:7] {
		if !allows(policies, p[0], p[1]) {
			t.Errorf("%s on %s is not allowed", p[0], p[1])
		}
	}
	for _, p := range [][2]string{
		{"kms:Encrypt", "arn:aws:kms:us-east-1:1:key/b"}, {"kms:Verify", "arn:aws:kms:us-east-1:1:key/a"}, {"s3:GetObject", "arn:aws:s3:::b/${odd}xx$"}, {"kms:CreateGrant", "*"},
	} {
		if allows(policies, p[0], p[1]) {
			t.Errorf("%s on %s is allowed", p[0], p[1])
		}
	}
}

func TestPoliciesAreSplit(t *testing.T) {
	var u evidence.Usage
	var pairs [][2]string
	for i := range 200 {
		for j := range 3 {
			pairs = append(pairs, [2]string{fmt.Sprintf("kms:Action%d", j), fmt.Sprintf("arn:aws:kms:us-east-1:111122223333:key/%036d", i)})
		}
		pairs = append(pairs, [2]string{fmt.Sprintf("ec2:Action%030d", i), "*"}, [2]string{fmt.Sprintf("s3:Action%d", i), fmt.Sprintf("arn:aws:s3:::bucket/%d", i)})
	}
	for _, p := range pairs {
		if err := u.Add(p[0], p[1]); err != nil {
			t.Fatal(err)
		}
	}
	docs, policies := generate(t, &u)
	if len(docs) < 4 {
		t.Errorf("%d documents", len(docs))
	}
	for _, p := range pairs {
		if !allows(policies, p[0], p[1]) {
			t.Errorf("%s on %s is not allowed", p[0], p[1])
		}
	}
	if allows(policies, "kms:Action0", "arn:aws:kms:us-east-1:111122223333:key/x") || allows(policies, "s3:Action1", "arn:aws:s3:::bucket/2") {
		t.Error("more is allowed")
	}
	var huge evidence.Usage
	if err := huge.Add("a:B", "arn:"+strings.Repeat("x", evidence.PolicySize)); err != nil {
		t.Fatal(err)
	}
	if _, err := huge.Policies(); err == nil {
		t.Error("a resource that fits into no policy fits")
	}
	var err error
	for i := 0; err == nil && i < 100_000; i++ {
		err = huge.Add("a:B", fmt.Sprint(i))
	}
	if !errors.Is(err, evidence.ErrTooMuch) {
		t.Errorf("without end: %v", err)
	}
}

func TestPrincipalOf(t *testing.T) {
	const session = `{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/worker/s1"}}`
	for _, tt := range []struct {
		record, principal string
		want              bool
	}{
		{record, "arn:aws:iam::111122223333:role/team/worker", true},
		{record, "arn:aws:sts::111122223333:assumed-role/worker/s1", true},
		{record, "arn:aws:iam::111122223333:role/worker", false},
		{record, "arn:aws:iam::111122223333:user/worker", false},
		{session, "arn:aws:iam::1:role/path/worker", true},
		{session, "arn:aws:iam::1:role/work", false},
		{session, "arn:aws:iam::2:role/worker", false},
		{session, "worker", false},
		{`{"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/u"}}`, "arn:aws:iam::1:user/u", true},
		{`{"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/u"}}`, "arn:aws:iam::1:user/U", false},
		{`{`, "", false},
	} {
		if got := evidence.PrincipalOf([]byte(tt.record), tt.principal); got != tt.want {
			t.Errorf("PrincipalOf(%s, %s) = %v", tt.record, tt.principal, got)
		}
	}
}
