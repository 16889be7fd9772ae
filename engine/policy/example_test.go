package policy_test

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

func ExampleDecide() {
	keyPolicy, err := policy.Parse([]byte(`{
		"Version": "2012-10-17",
		"Statement": {
			"Effect": "Allow",
			"Principal": {"AWS": "111122223333"},
			"Action": "kms:*",
			"Resource": "*"
		}
	}`), policy.Resource)
	if err != nil {
		fmt.Println(err)
		return
	}
	context := policy.Values{}
	context.Set("aws:SourceIp", "192.0.2.7")
	decision := policy.Decide(&policy.Request{
		Principal:              policy.Principal{Kind: policy.User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/ann"},
		Action:                 "kms:Encrypt",
		Resource:               "arn:aws:kms:eu-west-1:111122223333:key/1234",
		ResourceAccount:        "111122223333",
		Context:                context,
		ResourcePolicy:         keyPolicy,
		ResourcePolicyRequired: true,
	})
	fmt.Println(decision.Allowed)
	fmt.Println(decision.Message())
	// Output:
	// false
	// User: arn:aws:iam::111122223333:user/ann is not authorized to perform: kms:Encrypt on resource: arn:aws:kms:eu-west-1:111122223333:key/1234 because no identity-based policy allows the kms:Encrypt action
}

func ExampleParse() {
	_, err := policy.Parse([]byte(`{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "bucket/*"}
  ]
}`), policy.Identity)
	fmt.Println(err)
	// Output:
	// Resource bucket/* must be in ARN format or "*". (Statement[0].Resource, line 4, column 63)
}
