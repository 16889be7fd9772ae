package s3_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// document is a bucket policy of one statement.
func document(principal, action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"` + resource + `"` + condition + `}]}`
}

func TestBucketPolicy(t *testing.T) {
	h := start(t)
	h.put("k", "content")
	bucket := aws.String(bucketName)
	get := func(cfg aws.Config) error {
		out, err := client(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
		if err == nil {
			out.Body.Close()
		}
		return err
	}
	_, err := h.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: bucket})
	wantCode(t, err, "NoSuchBucketPolicy", 404)
	_, err = h.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: bucket})
	wantCode(t, err, "NoSuchBucketPolicy", 404)

	// Within the account either policy is enough; across accounts it takes both.
	nobody := h.User(home, "nobody")
	stranger := h.User(other, "stranger", allow("s3:GetObject", "*"))
	trusted := h.User(other, "trusted")
	wantCode(t, get(nobody), "AccessDenied", 403)
	wantCode(t, get(stranger), "AccessDenied", 403)
	text := document(`{"AWS":["arn:aws:iam::`+home+`:user/nobody","arn:aws:iam::`+other+`:root"]}`, "s3:GetObject", bucketARN+"/*", "")
	h.policy(text)
	if err := get(nobody); err != nil {
		t.Error(err)
	}
	if err := get(stranger); err != nil {
		t.Error(err)
	}
	wantCode(t, get(trusted), "AccessDenied", 403)
	if out := must(h.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: bucket}))(t); *out.Policy != text {
		t.Errorf("the policy is %s", *out.Policy)
	}
	if out := must(h.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: bucket}))(t); *out.PolicyStatus.IsPublic {
		t.Error("the bucket is told to be public")
	}
	t.Run("OtherAccount", func(t *testing.T) {
		h.policy(document(`{"AWS":"arn:aws:iam::`+other+`:root"}`, "s3:*", bucketARN, ""))
		_, err := client(h.User(other, "admin", allow("*", "*"))).GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: bucket})
		wantCode(t, err, "MethodNotAllowed", 405)
	})
	t.Run("Deny", func(t *testing.T) {
		h.policy(strings.Replace(document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"Bool":{"aws:SecureTransport":"false"}}`), "Allow", "Deny", 1))
		wantText(t, get(h.Config()), "AccessDenied", 403, "with an explicit deny in a resource-based policy")
	})
	for range 2 { // the second time there is nothing to delete
		must(h.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: bucket}))(t)
	}
	wantCode(t, get(nobody), "AccessDenied", 403)
	if err := get(h.Config()); err != nil {
		t.Error(err)
	}
}

// Nobody can lock the owner of a bucket out of its policy. Only the root user is the owner.
func TestRootIsNotLockedOut(t *testing.T) {
	h := start(t)
	bucket := aws.String(bucketName)
	h.policy(strings.Replace(document(`"*"`, "s3:*", bucketARN, ""), "Allow", "Deny", 1))
	_, err := client(h.User(home, "admin", allow("*", "*"))).DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: bucket})
	wantText(t, err, "AccessDenied", 403, "with an explicit deny in a resource-based policy")
	_, err = client(h.Root(other)).DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: bucket})
	wantCode(t, err, "AccessDenied", 403)
	_, err = h.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket})
	wantCode(t, err, "AccessDenied", 403)
	must(h.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: bucket}))(t)
	h.policy(document(`{"AWS":"`+home+`"}`, "s3:GetObject", bucketARN+"/*", ""))
	h.policy(strings.Replace(document(`"*"`, "s3:*", bucketARN, ""), "Allow", "Deny", 1))
	must(h.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: bucket}))(t)
	must(h.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket}))(t)
}

func TestPutBucketPolicyRefused(t *testing.T) {
	h := start(t)
	for _, c := range []struct{ name, document, text string }{
		{"NoJSON", `{"Version":`, "Policies must be valid JSON and the first byte must be '{'"},
		{"NoObject", `"x"`, "Policies must be valid JSON and the first byte must be '{'"},
		{"Long", `{` + strings.Repeat(" ", 20<<10) + `}`, "exceeds the maximum allowed document size"},
		{"OtherBucket", document(`{"AWS":"`+home+`"}`, "s3:GetObject", "arn:aws:s3:::another-bucket/*", ""), "Policy has invalid resource"},
		{"OtherService", document(`{"AWS":"`+home+`"}`, "kms:Encrypt", bucketARN, ""), "Policy has invalid action"},
		{"NoSuchUser", document(`{"AWS":"arn:aws:iam::`+home+`:user/ghost"}`, "s3:GetObject", bucketARN+"/*", ""), "Invalid principal in policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucketName), Policy: &c.document})
			wantText(t, err, "MalformedPolicy", 400, c.text)
		})
	}
	for name, c := range map[string]struct {
		document string
		public   bool
	}{
		"Everybody":       {document(`"*"`, "s3:GetObject", bucketARN+"/*", ""), true},
		"EverybodyAWS":    {document(`{"AWS":"*"}`, "s3:GetObject", bucketARN+"/*", ""), true},
		"AnyAddress":      {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`), true},
		"SomeAddresses":   {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`), false},
		"Organization":    {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}`), false},
		"AnyOrganization": {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"StringLike":{"aws:PrincipalOrgID":"o-*"}}`), true},
		"IfExists":        {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1234567890"}}`), true},
		"AnySource":       {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}`), true},
		"Source":          {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:`+home+`:*"}}`), false},
		"TLS":             {document(`"*"`, "s3:GetObject", bucketARN+"/*", `{"Bool":{"aws:SecureTransport":"true"}}`), true},
		"Service":         {deliveryPolicy, false},
		"Account":         {document(`{"AWS":"`+home+`"}`, "s3:GetObject", bucketARN+"/*", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucketName), Policy: &c.document})
			if c.public {
				wantText(t, err, "AccessDenied", 403, "BlockPublicPolicy")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
