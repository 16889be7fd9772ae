package cloudtrail_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const logs = "trail-logs" // the bucket that trails deliver to

// world is a cloud with a bucket that CloudTrail may write to, and the client of its account's root user.
type world struct {
	*cloudtest.Cloud
	*cloudtrail.Client
	t *testing.T
}

// start starts a cloud, and where it is not one that will be started again, at a minute past a time of delivery: none comes before a test moves the clock.
func start(t *testing.T, options ...func(*cloud.Config)) *world {
	t.Helper()
	c := cloudtest.Start(t, append(options, func(cfg *cloud.Config) {
		if cfg.Dir == "" {
			now := time.Now()
			cfg.Clock = clock.NewMovable(now.Truncate(time.Hour).Add(time.Hour + 11*time.Minute).Sub(now))
		}
	})...)
	w := &world{c, cloudtrail.NewFromConfig(c.Config()), t}
	w.bucket(logs, writable(logs))
	return w
}

// writable is a bucket policy by which CloudTrail may write log files.
func writable(bucket string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::%[1]s"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::%[1]s/*",
		 "Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}}]}`, bucket)
}

// bucket makes a bucket of the default account with a policy, unless that is empty.
func (w *world) bucket(name, policy string) {
	w.t.Helper()
	client := s3.NewFromConfig(w.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	in := &s3.CreateBucketInput{Bucket: &name}
	if w.Region != "us-east-1" {
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(w.Region)}
	}
	must(client.CreateBucket(w.t.Context(), in))(w.t)
	if policy != "" {
		must(client.PutBucketPolicy(w.t.Context(), &s3.PutBucketPolicyInput{Bucket: &name, Policy: &policy}))(w.t)
	}
}

// in is the client of the default account's root user in another region.
func (w *world) in(region string) *cloudtrail.Client { return in(w.Config(), region) }

func in(cfg aws.Config, region string) *cloudtrail.Client {
	cfg = cfg.Copy()
	cfg.Region = region
	return cloudtrail.NewFromConfig(cfg)
}

func (w *world) root(account string) *cloudtrail.Client {
	return cloudtrail.NewFromConfig(w.Root(account))
}

func (w *world) arn(name string) string {
	return "arn:aws:cloudtrail:" + w.Region + ":" + w.Account + ":trail/" + name
}

// trail makes a trail, with what change says about it.
func (w *world) trail(name string, change ...func(*cloudtrail.CreateTrailInput)) {
	w.t.Helper()
	in := &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: aws.String(logs)}
	for _, fn := range change {
		fn(in)
	}
	must(w.CreateTrail(w.t.Context(), in))(w.t)
}

func multiRegion(in *cloudtrail.CreateTrailInput) { in.IsMultiRegionTrail = aws.Bool(true) }

func shared(in *cloudtrail.CreateTrailInput) { in.IsOrganizationTrail = aws.Bool(true) }

// organize makes an organization of the default account that CloudTrail may act in.
func (w *world) organize() *organizations.Client {
	w.t.Helper()
	o := organizations.NewFromConfig(w.Config())
	must(o.CreateOrganization(w.t.Context(), &organizations.CreateOrganizationInput{}))(w.t)
	must(o.EnableAWSServiceAccess(w.t.Context(), &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String("cloudtrail.amazonaws.com")}))(w.t)
	return o
}

// member makes an account of the organization.
func (w *world) member(name string) string {
	w.t.Helper()
	o := organizations.NewFromConfig(w.Config())
	must(o.CreateAccount(w.t.Context(), &organizations.CreateAccountInput{AccountName: &name, Email: aws.String(name + "@corp.example")}))(w.t)
	for _, a := range must(o.ListAccounts(w.t.Context(), nil))(w.t).Accounts {
		if *a.Name == name {
			return *a.Id
		}
	}
	w.t.Fatalf("there is no account %s", name)
	return ""
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

// fails checks the code of an error, and its message if one is given.
func fails(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || message != "" && e.ErrorMessage() != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}

// startAgain opens the cloud that another one left in a directory.
func startAgain(t *testing.T, dir string) *world {
	t.Helper()
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	return &world{c, cloudtrail.NewFromConfig(c.Config()), t}
}

// last is the account's last audit record of an operation.
func (w *world) last(name string) cloudtest.Event {
	w.t.Helper()
	all := w.Cloud.Trail(w.Account)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].EventName == name {
			return all[i]
		}
	}
	w.t.Fatalf("there is no audit record of %s", name)
	return cloudtest.Event{}
}

// metric reads a counter of the cloud.
func metric(t *testing.T, c *cloudtest.Cloud, name string) int {
	t.Helper()
	resp := must(http.Get(c.URL + "/metrics"))(t)
	defer resp.Body.Close()
	for line := range strings.Lines(string(must(io.ReadAll(resp.Body))(t))) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return int(must(strconv.ParseFloat(strings.TrimSpace(value), 64))(t))
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
