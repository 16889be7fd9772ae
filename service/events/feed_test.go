package events_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// log has a trail log what happens.
func (h *house) log() {
	h.t.Helper()
	buckets := s3.NewFromConfig(h.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	must(buckets.CreateBucket(h.t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs")}))(h.t)
	must(buckets.PutBucketPolicy(h.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::logs"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*"}]}`)}))(h.t)
	trails := cloudtrail.NewFromConfig(h.Config())
	must(trails.CreateTrail(h.t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String("logs")}))(h.t)
	must(trails.StartLogging(h.t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("all")}))(h.t)
}

func TestAPICalls(t *testing.T) {
	h := start(t)
	q, reads := h.queue(home, "q", true), h.queue(home, "reads", true)
	calls := `{"source":["aws.kms"],"detail-type":["AWS API Call via CloudTrail"]}`
	h.rule(h.Client, "", "calls", calls, to(q))
	keys := kms.NewFromConfig(h.Config())
	create := func() string {
		t.Helper()
		return *must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
	}
	create()
	if got := q.bodies(); len(got) != 0 {
		t.Errorf("got %v, and no trail logs", got)
	}
	h.log()
	must(h.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("reads"), EventPattern: &calls, State: types.RuleStateEnabledWithAllCloudtrailManagementEvents}))(t)
	must(h.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("reads"), Targets: []types.Target{{Id: aws.String("0"), Arn: aws.String(reads.arn())}}}))(t)
	key := create()
	must(keys.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key}))(t)
	_, err := keys.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/none")})
	wantError(t, err, "NotFoundException", "")
	names := func(q *queue) (names []string) {
		t.Helper()
		for _, body := range q.bodies() {
			e := read(t, body)
			var d struct{ EventName, EventSource, EventID string }
			if err := json.Unmarshal(e.Detail, &d); err != nil || d.EventSource != "kms.amazonaws.com" || e.Account != home || e.Region != "us-east-1" {
				t.Errorf("got %s", body)
			}
			names = append(names, d.EventName)
		}
		slices.Sort(names) // reads are on record sooner
		return names
	}
	if got := fmt.Sprint(names(q)); got != "[CreateKey]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(names(reads)); got != "[CreateKey DescribeKey DescribeKey]" {
		t.Errorf("got %s of all", got)
	}
}

// A change of a key's state comes without a trail, and once.
func TestStateChanges(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q", true)
	h.rule(h.Client, "", "r", `{"source":["aws.kms"]}`, to(q))
	keys := kms.NewFromConfig(h.Config())
	key := must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata
	must(keys.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: key.KeyId, RotationPeriodInDays: aws.Int32(90)}))(t)
	h.Advance(91 * 24 * time.Hour)
	got := q.bodies()
	if len(got) != 1 || read(t, got[0]).DetailType != "KMS CMK Rotation" || read(t, got[0]).Resources[0] != *key.Arn {
		t.Errorf("rotated: %v", got)
	}
	must(keys.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: aws.Int32(7)}))(t)
	h.Advance(8 * 24 * time.Hour)
	got = q.bodies()
	if len(got) != 1 || read(t, got[0]).DetailType != "KMS CMK Deletion" || string(read(t, got[0]).Detail) != `{"key-id":"`+*key.KeyId+`"}` {
		t.Errorf("deleted: %v", got)
	}
}
