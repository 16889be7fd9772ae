package s3_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/holdfast-cloud/holdfast/internal/walk"
)

const (
	bucketARN = "arn:aws:s3:::" + bucketName
	keyARN    = bucketARN + "/k"

	// deliveryPolicy lets a service put objects. It is not public.
	deliveryPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"` + bucketARN + `/*"}]}`
)

// walked is a request of an operation, and the one permission that it needs.
type walked struct {
	name, action, on string
	event            string // its name in audit records, where that is another one
	run              func(h *house, c *s3.Client) error
}

func answer[T any](_ T, err error) error { return err }

var walks = []walked{
	{"CreateBucket", "s3:CreateBucket", "arn:aws:s3:::another-bucket", "", func(h *house, c *s3.Client) error {
		return answer(c.CreateBucket(h.t.Context(), &s3.CreateBucketInput{Bucket: aws.String("another-bucket")}))
	}},
	{"HeadBucket", "s3:ListBucket", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.HeadBucket(h.t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucketName)}))
	}},
	{"ListBuckets", "s3:ListAllMyBuckets", "*", "", func(h *house, c *s3.Client) error {
		return answer(c.ListBuckets(h.t.Context(), &s3.ListBucketsInput{}))
	}},
	{"GetBucketLocation", "s3:GetBucketLocation", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.GetBucketLocation(h.t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String(bucketName)}))
	}},
	{"PutBucketPolicy", "s3:PutBucketPolicy", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.PutBucketPolicy(h.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucketName), Policy: aws.String(deliveryPolicy)}))
	}},
	{"GetBucketPolicy", "s3:GetBucketPolicy", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.GetBucketPolicy(h.t.Context(), &s3.GetBucketPolicyInput{Bucket: aws.String(bucketName)}))
	}},
	{"GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.GetBucketPolicyStatus(h.t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: aws.String(bucketName)}))
	}},
	{"DeleteBucketPolicy", "s3:DeleteBucketPolicy", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.DeleteBucketPolicy(h.t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String(bucketName)}))
	}},
	{"PutBucketNotificationConfiguration", "s3:PutBucketNotification", bucketARN, "PutBucketNotification", func(h *house, c *s3.Client) error {
		return answer(c.PutBucketNotificationConfiguration(h.t.Context(), &s3.PutBucketNotificationConfigurationInput{
			Bucket: aws.String(bucketName), NotificationConfiguration: &types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}},
		}))
	}},
	{"GetBucketNotificationConfiguration", "s3:GetBucketNotification", bucketARN, "GetBucketNotification", func(h *house, c *s3.Client) error {
		return answer(c.GetBucketNotificationConfiguration(h.t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String(bucketName)}))
	}},
	{"PutObject", "s3:PutObject", keyARN, "", func(h *house, c *s3.Client) error {
		return answer(c.PutObject(h.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k"), Body: strings.NewReader("content")}))
	}},
	{"GetObject", "s3:GetObject", keyARN, "", func(h *house, c *s3.Client) error {
		out, err := c.GetObject(h.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")})
		if err == nil {
			out.Body.Close()
		}
		return err
	}},
	{"HeadObject", "s3:GetObject", keyARN, "", func(h *house, c *s3.Client) error {
		return answer(c.HeadObject(h.t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))
	}},
	{"ListObjects", "s3:ListBucket", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.ListObjects(h.t.Context(), &s3.ListObjectsInput{Bucket: aws.String(bucketName)}))
	}},
	{"ListObjectsV2", "s3:ListBucket", bucketARN, "ListObjects", func(h *house, c *s3.Client) error {
		return answer(c.ListObjectsV2(h.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)}))
	}},
	{"DeleteObject", "s3:DeleteObject", keyARN, "", func(h *house, c *s3.Client) error {
		return answer(c.DeleteObject(h.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))
	}},
	{"DeleteBucket", "s3:DeleteBucket", bucketARN, "", func(h *house, c *s3.Client) error {
		return answer(c.DeleteBucket(h.t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(bucketName)}))
	}},
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for i, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who := "walker-" + o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + o.action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + o.action + `","Resource":"arn:aws:s3:::elsewhere/*"}]}`
			err := o.run(h, client(h.User(home, who, others)))
			if strings.HasPrefix(o.name, "Head") {
				wantCode(t, err, "Forbidden", 403)
			} else {
				wantText(t, err, "AccessDenied", 403, "is not authorized to perform: "+o.action)
			}
			if err := o.run(h, client(h.User(home, who, allow(o.action, o.on)))); err != nil {
				t.Fatal(err)
			}
			name := o.event
			if name == "" {
				name = o.name
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", name, code)
					continue
				}
				if e.EventSource != "s3.amazonaws.com" {
					t.Errorf("recorded as %s", e.Raw)
				}
				for _, r := range e.Resources {
					if r.ARN != o.on && r.ARN != bucketARN || r.AccountID != home || !strings.HasPrefix(r.Type, "AWS::S3::") {
						t.Errorf("the record has the resource %v", r)
					}
				}
				if o.on != "*" && len(e.Resources) == 0 {
					t.Errorf("the record has no resource: %s", e.Raw)
				}
			}
		})
		done = append(done, walks[i].name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(user, operation, code string) (e event, found bool) {
	for _, e := range slices.Backward(h.events()) {
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}

// The record of what is done to an object names it as CloudTrail does, and is a data event.
func TestRecord(t *testing.T) {
	h := start(t)
	h.put("logs/k", "content", func(in *s3.PutObjectInput) { in.ACL = "bucket-owner-full-control" })
	h.get("logs/k")
	for name, wants := range map[string][]string{
		"PutObject": {`"bucketName":"` + bucketName + `"`, `"key":"logs/k"`, `"x-amz-acl":"bucket-owner-full-control"`, `"bytesTransferredIn":7`, `"SSEApplied":"Default_SSE_S3"`,
			`"x-amz-server-side-encryption":"AES256"`, `"eventCategory":"Data"`, `"managementEvent":false`, `"readOnly":false`},
		"GetObject":    {`"bucketName":"` + bucketName + `"`, `"bytesTransferredOut":7`, `"eventCategory":"Data"`, `"readOnly":true`},
		"CreateBucket": {`"bucketName":"` + bucketName + `"`, `"eventCategory":"Management"`},
	} {
		i := slices.IndexFunc(h.events(), func(e event) bool { return e.EventName == name })
		if i < 0 {
			t.Fatalf("there is no record of %s", name)
		}
		e := h.events()[i]
		for _, want := range wants {
			if !strings.Contains(string(e.Raw), want) {
				t.Errorf("the record of %s has no %s: %s", name, want, e.Raw)
			}
		}
		if name != "CreateBucket" && len(e.Resources) != 2 {
			t.Errorf("the record of %s has the resources %v", name, e.Resources)
		}
	}
}
