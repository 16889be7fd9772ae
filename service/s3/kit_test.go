package s3_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"
)

// house is a cloud with a bucket in it, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*s3.Client
	t *testing.T
}

const bucketName = "trail-logs"

func start(t *testing.T) *house {
	t.Helper()
	c := cloudtest.Start(t)
	h := &house{c, client(c.Config()), t}
	must(h.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}))(t)
	return h
}

// client is the SDK's, which can only be told of one endpoint for all buckets by their path.
func client(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = true
		// As config.LoadDefaultConfig has it.
		o.RequestChecksumCalculation, o.ResponseChecksumValidation = aws.RequestChecksumCalculationWhenSupported, aws.ResponseChecksumValidationWhenSupported
	})
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantCode holds the code and the status of an error against those given.
func wantCode(t *testing.T, err error, code string, status int) {
	t.Helper()
	var e smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) || e.ErrorCode() != code || r.HTTPStatusCode() != status {
		t.Errorf("got %v, want %s with status %d", err, code, status)
	}
}

// wantText is wantCode with a part of the message.
func wantText(t *testing.T, err error, code string, status int, text string) {
	t.Helper()
	wantCode(t, err, code, status)
	var e smithy.APIError
	if errors.As(err, &e) && !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("the message is %q, want %q in it", e.ErrorMessage(), text)
	}
}

func (h *house) put(key, content string, options ...func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	h.t.Helper()
	in := &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: strings.NewReader(content)}
	for _, o := range options {
		o(in)
	}
	return must(h.PutObject(h.t.Context(), in))(h.t)
}

func (h *house) get(key string, options ...func(*s3.GetObjectInput)) (*s3.GetObjectOutput, string) {
	h.t.Helper()
	in := &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key}
	for _, o := range options {
		o(in)
	}
	out := must(h.GetObject(h.t.Context(), in))(h.t)
	defer out.Body.Close()
	content, err := io.ReadAll(out.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return out, string(content)
}

func (h *house) policy(document string) {
	h.t.Helper()
	must(h.PutBucketPolicy(h.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucketName), Policy: &document}))(h.t)
}

// keys lists the bucket.
func (h *house) keys() (keys []string) {
	h.t.Helper()
	for _, o := range must(h.ListObjectsV2(h.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)}))(h.t).Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

type event = cloudtest.Event

func (h *house) events() []event { return h.Trail(home) }
