package cloudtrail_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/holdfast-cloud/holdfast/engine/trailfile/verify"
)

// logged makes a trail that logs.
func (w *world) logged(name string, change ...func(*cloudtrail.CreateTrailInput)) {
	w.t.Helper()
	w.trail(name, change...)
	must(w.StartLogging(w.t.Context(), &cloudtrail.StartLoggingInput{Name: &name}))(w.t)
}

func validated(in *cloudtrail.CreateTrailInput) { in.EnableLogFileValidation = aws.Bool(true) }

func (w *world) s3() *s3.Client {
	return s3.NewFromConfig(w.Config(), func(o *s3.Options) { o.UsePathStyle = true })
}

// Files, Open and Signature make the bucket of the world's trails a verify.Source.
func (w *world) Files(ctx context.Context, fn func(string) error) error {
	pages := s3.NewListObjectsV2Paginator(w.s3(), &s3.ListObjectsV2Input{Bucket: aws.String(logs)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if err := fn(*o.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	out, err := w.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(logs), Key: &name})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (w *world) Signature(ctx context.Context, name string) (string, error) {
	out, err := w.s3().HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(logs), Key: &name})
	if err != nil {
		return "", err
	}
	return out.Metadata["signature"], nil
}

// objects are the names of all files in the bucket.
func (w *world) objects() (names []string) {
	w.t.Helper()
	err := w.Files(w.t.Context(), func(name string) error {
		names = append(names, name)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

// keys are the public keys of regions, as the verifier reads them.
func (w *world) keys(regions ...string) verify.PublicKeys {
	w.t.Helper()
	var list struct{ PublicKeyList []types.PublicKey }
	for _, region := range regions {
		out := must(w.in(region).ListPublicKeys(w.t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: aws.Time(w.Clock.Now().Add(-1000 * 24 * time.Hour))}))(w.t)
		list.PublicKeyList = append(list.PublicKeyList, out.PublicKeyList...)
	}
	return must(verify.ReadPublicKeys(bytes.NewReader(must(json.Marshal(list))(w.t))))(w.t)
}

// delivered are the events in the bucket's log files, with the key of the file that each is in.
func (w *world) delivered() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, name := range w.objects() {
		if !strings.Contains(name, "/CloudTrail/") || strings.HasSuffix(name, "/") { // the folder is there when a trail is made
			continue
		}
		body := must(w.Open(w.t.Context(), name))(w.t)
		var file struct {
			Records []struct{ EventID, RecipientAccountID, AwsRegion string }
		}
		if err := json.NewDecoder(must(gzip.NewReader(body))(w.t)).Decode(&file); err != nil {
			w.t.Fatal(err)
		}
		body.Close()
		for _, r := range file.Records {
			if found[r.EventID] != "" {
				w.t.Errorf("event %s is in %s and %s", r.EventID, found[r.EventID], name)
			}
			if !strings.Contains(name, "/"+r.RecipientAccountID+"/CloudTrail/"+r.AwsRegion+"/") {
				w.t.Errorf("an event of account %s in %s lies in %s", r.RecipientAccountID, r.AwsRegion, name)
			}
			found[r.EventID] = name
		}
	}
	return found
}

// wantDelivered checks that events are in the bucket, and returns how many there are.
func (w *world) wantDelivered(ids []string) int {
	w.t.Helper()
	got := w.delivered()
	for _, id := range ids {
		if got[id] == "" {
			w.t.Errorf("event %s was not delivered", id)
		}
	}
	return len(got)
}

// since are the IDs of the management events of an account since the last that has a name, that one included.
func (w *world) since(account, name string) (ids []string) {
	w.t.Helper()
	all := w.Trail(account)
	for i := len(all) - 1; i >= 0; i-- {
		var r struct{ ManagementEvent bool }
		if err := json.Unmarshal([]byte(all[i].Raw), &r); err != nil {
			w.t.Fatal(err)
		}
		if r.ManagementEvent {
			ids = append(ids, all[i].EventID)
		}
		if all[i].EventName == name {
			slices.Reverse(ids)
			return ids
		}
	}
	w.t.Fatalf("no %s is on record", name)
	return nil
}

func (w *world) status(name string) *cloudtrail.GetTrailStatusOutput {
	w.t.Helper()
	return must(w.GetTrailStatus(w.t.Context(), &cloudtrail.GetTrailStatusInput{Name: &name}))(w.t)
}

func TestDelivery(t *testing.T) {
	w := start(t)
	w.logged("all", multiRegion)
	local, elsewhere := kms.NewFromConfig(w.Config()), kms.NewFromConfig(w.Config(), func(o *kms.Options) { o.Region = "eu-west-1" })
	for range 3 {
		must(local.CreateKey(t.Context(), nil))(t)
		must(elsewhere.CreateKey(t.Context(), nil))(t)
		must(elsewhere.ListKeys(t.Context(), nil))(t)
		w.Advance(5 * time.Minute)
	}
	want := w.since(w.Account, "StartLogging")
	if got := w.wantDelivered(want); len(want) < 10 || got != len(want) {
		t.Errorf("%d events were delivered, want %d", got, len(want))
	}
	st := w.status("all")
	if !*st.IsLogging || st.LatestDeliveryTime == nil || aws.ToString(st.LatestDeliveryError) != "" {
		t.Errorf("the status is %+v", st)
	}
	resp := must(http.Get(w.URL + "/metrics"))(t)
	metrics := string(must(io.ReadAll(resp.Body))(t))
	resp.Body.Close()
	if !strings.Contains(metrics, "\nholdfast_trail_events_total "+strconv.Itoa(len(want))+"\n") || !strings.Contains(metrics, "\nholdfast_trail_lag_seconds 0\n") {
		t.Errorf("the metrics of %d delivered events:\n%s", len(want), metrics)
	}
	files := len(w.objects())
	w.Advance(24 * time.Hour)
	if n := len(w.objects()); n != files+1 { // of GetTrailStatus
		t.Errorf("a day in which nothing happens leaves %d files", n-files)
	}
}

// A trail that has data events of its own bucket comes to rest.
func TestDeliveryCausesNone(t *testing.T) {
	w := start(t)
	w.logged("data")
	must(w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("data"), EventSelectors: []types.EventSelector{{
		ReadWriteType: types.ReadWriteTypeAll, IncludeManagementEvents: aws.Bool(true),
		DataResources: []types.DataResource{{Type: aws.String("AWS::S3::Object"), Values: []string{"arn:aws:s3"}}},
	}}}))(t)
	puts := func() (n int) {
		for _, r := range w.Trail(w.Account) {
			if r.EventName == "PutObject" {
				n++
			}
		}
		return n
	}
	before := puts()
	w.Advance(time.Hour)
	if n := puts() - before; n != 1 {
		t.Errorf("%d files were delivered in an hour in which nothing happened", n)
	}
}

func TestDeliveryEncrypts(t *testing.T) {
	w := start(t)
	keys := kms.NewFromConfig(w.Config())
	policy := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + w.Account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:DescribeKey","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:GenerateDataKey*","Resource":"*",
		 "Condition":{"StringEquals":{"aws:SourceArn":"` + w.arn("sealed") + `"},
			"StringLike":{"kms:EncryptionContext:aws:cloudtrail:arn":"arn:aws:cloudtrail:*:` + w.Account + `:trail/*"}}}]}`
	key := must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &policy}))(t).KeyMetadata
	w.logged("sealed", validated, func(in *cloudtrail.CreateTrailInput) { in.KmsKeyId = key.Arn })
	w.Advance(5 * time.Minute)
	w.Advance(time.Hour)
	var log, digest string
	for _, name := range w.objects() {
		head := must(w.s3().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(logs), Key: &name}))(t)
		switch {
		case strings.HasSuffix(name, "/"):
		case strings.Contains(name, "/CloudTrail/"):
			log = string(head.ServerSideEncryption) + " " + aws.ToString(head.SSEKMSKeyId)
		default:
			digest = string(head.ServerSideEncryption)
		}
	}
	if log != "aws:kms "+*key.Arn || digest != "AES256" {
		t.Errorf("log files are encrypted with %q, digests with %q", log, digest)
	}
	// Without its key a trail delivers nothing, and all when it has it again.
	must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.Arn}))(t)
	w.Advance(time.Hour)
	if st := w.status("sealed"); aws.ToString(st.LatestDeliveryError) != "KMS.DisabledException" {
		t.Errorf("LatestDeliveryError is %s", aws.ToString(st.LatestDeliveryError))
	}
	must(keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key.Arn}))(t)
	want := w.since(w.Account, "StartLogging")
	w.Advance(2 * time.Hour)
	w.wantDelivered(want)
}

func TestDeliveryFails(t *testing.T) {
	w := start(t)
	w.logged("denied")
	must(w.s3().DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String(logs)}))(t)
	w.Advance(10 * time.Minute)
	if st := w.status("denied"); aws.ToString(st.LatestDeliveryError) != "AccessDenied" || st.LatestDeliveryTime != nil {
		t.Errorf("the status is %+v", st)
	}
	for _, name := range w.objects() {
		must(w.s3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(logs), Key: &name}))(t)
	}
	must(w.s3().DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(logs)}))(t)
	w.Advance(time.Hour)
	if st := w.status("denied"); aws.ToString(st.LatestDeliveryError) != "NoSuchBucket" {
		t.Errorf("the status is %+v", st)
	}
	w.bucket(logs, writable(logs))
	want := w.since(w.Account, "StartLogging")
	w.Advance(2 * time.Hour)
	w.wantDelivered(want)
	if st := w.status("denied"); aws.ToString(st.LatestDeliveryError) != "" || st.LatestDeliveryTime == nil {
		t.Errorf("the status is %+v", st)
	}
}

// Digests of two accounts and two regions prove all that was delivered.
func TestDigests(t *testing.T) {
	w := start(t)
	w.organize()
	member := w.member("one")
	w.logged("org", multiRegion, shared, validated)
	act := func() {
		for _, region := range []string{"us-east-1", "eu-west-1"} {
			must(kms.NewFromConfig(w.Config(), func(o *kms.Options) { o.Region = region }).CreateKey(t.Context(), nil))(t)
			must(kms.NewFromConfig(w.Root(member), func(o *kms.Options) { o.Region = region }).CreateKey(t.Context(), nil))(t)
		}
	}
	act()
	w.Advance(5 * time.Hour)
	act()
	want := append(w.since(w.Account, "StartLogging"), w.since(member, "CreateKey")...)
	must(w.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("org")}))(t)
	w.Advance(5 * time.Hour)
	records := w.wantDelivered(want)
	report := must(verify.Verify(t.Context(), w, verify.Options{Keys: w.keys("us-east-1", "eu-west-1")}))(t)
	if !report.Valid() || len(report.Chains) != 4 || len(report.Notes) > 0 {
		t.Errorf("the verifier says %+v", report)
	}
	for _, c := range report.Chains {
		if records -= c.Records; c.Logs == 0 || c.Digests < 6 || c.Digests > 7 { // it begins before an hour or at one
			t.Errorf("chain %+v", c)
		}
	}
	if records != 0 {
		t.Errorf("%d records are not proven", records)
	}
	if st := w.status("org"); st.LatestDigestDeliveryTime == nil || aws.ToString(st.LatestDigestDeliveryError) != "" {
		t.Errorf("the status is %+v", st)
	}
}

// Each year has its key, and all stay to be asked for.
func TestSigningKeys(t *testing.T) {
	w := start(t)
	w.logged("long", validated)
	w.Advance(time.Hour)
	stop := func() {
		must(w.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("long")}))(t)
		w.Advance(2 * time.Hour)
	}
	stop()
	w.Advance(366 * 24 * time.Hour)
	must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("long")}))(t)
	w.Advance(time.Hour)
	stop()
	keys := must(w.ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: aws.Time(w.Clock.Now().Add(-400 * 24 * time.Hour))}))(t).PublicKeyList
	if len(keys) != 2 || keys[0].ValidityEndTime.Before(keys[0].ValidityStartTime.Add(364*24*time.Hour)) {
		t.Fatalf("%d keys: %+v", len(keys), keys)
	}
	if now := must(w.ListPublicKeys(t.Context(), nil))(t).PublicKeyList; len(now) != 1 || *now[0].Fingerprint != *keys[1].Fingerprint {
		t.Errorf("now there are %d keys", len(now))
	}
	report := must(verify.Verify(t.Context(), w, verify.Options{Keys: w.keys("us-east-1")}))(t)
	if !report.Valid() {
		t.Errorf("the verifier says %+v", report)
	}
}
