package stories_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/engine/trailfile/verify"
)

// hoursOnRecord is how long people work in the story of the trail: each way of tampering has an hour of its own.
const hoursOnRecord = 9

// What people in two accounts do is delivered as files, which AWS's own tool and Holdfast's find valid. Whatever is done to the files afterwards is found, and named.
func TestFilesOfATrailTellEverythingAndWhatWasDoneToThem(t *testing.T) {
	now := time.Now()
	c := cloudtest.Start(t, func(c *cloud.Config) { // ten minutes after the hour, so that no hour ends while they work
		c.Clock = clock.NewMovable(now.Truncate(time.Hour).Add(time.Hour + 10*time.Minute).Sub(now))
	})
	began := c.Clock.Now().UTC().Truncate(time.Hour)
	other := c.Root(production)
	other.Region = "eu-west-1"
	whole := newTrailBucket(t, c.Config(), "trail-of-everything")
	trail := whole.trail(t, c.Account, "everything", "audit", "", true)
	closed := newTrailBucket(t, other, "trail-of-production")
	theirs := closed.trail(t, production, "ours", "", trailKey(t, other, "ours"), false)

	p := newPeople(t, c, other)
	for range hoursOnRecord {
		p.work(t)
		c.Advance(time.Hour)
	}
	ended := c.Clock.Now().UTC().Truncate(time.Hour)

	t.Run("EveryCallIsInTheFiles", func(t *testing.T) {
		p.wantOnRecord(t, whole.records(t, "audit/AWSLogs/"+c.Account+"/CloudTrail/"), closed.records(t, "AWSLogs/"+production+"/CloudTrail/"))
	})
	t.Run("HoldfastFindsThemValid", func(t *testing.T) {
		for _, b := range []*trailBucket{whole, closed} {
			if said := b.exportAndVerify(t, c.URL, ended); !strings.Contains(said, "\nVALID") {
				t.Errorf("%s: %s", b.name, said)
			}
		}
	})
	cli := newCLI(t, c.URL)
	t.Run("AWSFindsThemValid", func(t *testing.T) {
		for _, v := range []struct {
			b             *trailBucket
			trail, region string
		}{{whole, trail, "us-east-1"}, {whole, trail, "eu-west-1"}, {closed, theirs, "eu-west-1"}} {
			t.Run(v.b.name+"/"+v.region, func(t *testing.T) {
				t.Parallel()
				said, err := cli.validateLogs(v.b.cfg, v.trail, v.region, began, ended)
				if err != nil || strings.Contains(said, "INVALID") || !strings.Contains(said, fmt.Sprintf("%d/%[1]d digest files valid", hoursOnRecord)) || !strings.Contains(said, " log files valid") {
					t.Errorf("validate-logs: %v\n%s", err, said)
				}
			})
		}
	})

	logs, digests := whole.keys(t, "audit/AWSLogs/"+c.Account+"/CloudTrail/us-east-1/"), whole.keys(t, "audit/AWSLogs/"+c.Account+"/CloudTrail-Digest/us-east-1/")
	if len(digests) != hoursOnRecord {
		t.Fatalf("there are %d digests, want %d", len(digests), hoursOnRecord)
	}
	keys := whole.publicKeys(t, began)
	ways := tamperings(whole.byDigest(t, digests, logs), digests)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			undo := whole.undo(t, w.files)
			w.tamper(t, whole)
			want := w.want
			if got := whole.findings(t, keys); !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
			undo()
		})
	}
	if got := whole.findings(t, keys); len(got) > 0 {
		t.Fatalf("after all was put back, found %q", got)
	}
	t.Run("AWSFindsThemToo", func(t *testing.T) {
		for _, w := range ways {
			w.tamper(t, whole)
		}
		said, err := cli.validateLogs(whole.cfg, trail, "us-east-1", began, ended)
		if err == nil {
			t.Error("validate-logs is content")
		}
		for _, w := range ways {
			for _, line := range w.aws {
				if !strings.Contains(said, line) {
					t.Errorf("%s: validate-logs does not say %q", w.name, line)
				}
			}
		}
		if t.Failed() {
			t.Log(said)
		}
	})
}

// tampering is one way to do wrong to files of a trail.
type tampering struct {
	name   string
	files  []string // that it touches
	tamper func(*testing.T, *trailBucket)
	want   []string // what verify finds
	aws    []string // what the AWS CLI says; nothing if it does not see it
}

// tamperings are ways of tampering that can all be done at once and be told apart. logs are the log files that each digest names.
func tamperings(logs [][]string, digests []string) []tampering {
	first, removed, beside := logs[0][0], logs[1][0], logs[2][0]
	added := strings.TrimSuffix(beside, ".json.gz") + "x.json.gz"
	invalid := func(what, key, why string) string {
		return what + " file\ts3://trail-of-everything/" + key + "\tINVALID: " + why
	}
	return []tampering{
		{"ARecordIsChanged", []string{first}, func(t *testing.T, b *trailBucket) {
			b.edit(t, first, `"eventName":"Encrypt"`, `"eventName":"ListKeys"`)
		}, []string{"changed log file " + first, "changed record " + first}, []string{invalid("Log", first, "hash value doesn't match")}},
		{"ALogFileIsRemoved", []string{removed}, func(t *testing.T, b *trailBucket) { b.remove(t, removed) },
			[]string{"removed log file " + removed}, []string{invalid("Log", removed, "not found")}},
		{"ALogFileIsAdded", []string{added}, func(t *testing.T, b *trailBucket) { b.put(t, added, b.get(t, beside)) }, []string{"added log file " + added}, nil},
		{"ADigestIsChanged", []string{digests[3]}, func(t *testing.T, b *trailBucket) {
			b.edit(t, digests[3], `"s3Object":"`, `"s3Object":"x`)
		}, []string{"changed digest " + digests[3]}, []string{invalid("Digest", digests[3], "signature verification failed")}},
		{"ADigestIsRemoved", []string{digests[4]}, func(t *testing.T, b *trailBucket) { b.remove(t, digests[4]) },
			[]string{"removed digest " + digests[4]}, []string{invalid("Digest", digests[4], "not found")}},
		{"DigestsAreSwapped", digests[6:8], func(t *testing.T, b *trailBucket) {
			one, two := b.get(t, digests[6]), b.get(t, digests[7])
			b.put(t, digests[6], two)
			b.put(t, digests[7], one)
		}, []string{"moved digest " + digests[7], "moved digest " + digests[6]},
			[]string{invalid("Digest", digests[7], "has been moved from its original location"), invalid("Digest", digests[6], "has been moved from its original location")}},
		{"ALogFileIsCompressedAgain", []string{logs[8][0]}, func(t *testing.T, b *trailBucket) { b.edit(t, logs[8][0], "", "") }, nil, nil},
	}
}

// trailBucket is a bucket that a trail delivers to, as its owner sees it.
type trailBucket struct {
	name string
	cfg  aws.Config
	s3   *s3.Client
}

func newTrailBucket(t *testing.T, cfg aws.Config, name string) *trailBucket {
	t.Helper()
	b := &trailBucket{name, cfg, s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })}
	in := &s3.CreateBucketInput{Bucket: &name}
	if cfg.Region != "us-east-1" {
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(cfg.Region)}
	}
	done(t)(b.s3.CreateBucket(t.Context(), in))
	return b
}

// trail begins to log a trail that delivers to the bucket, whose policy lets it, and returns its ARN.
func (b *trailBucket) trail(t *testing.T, account, name, prefix, key string, everywhere bool) string {
	t.Helper()
	arn := "arn:aws:cloudtrail:" + b.cfg.Region + ":" + account + ":trail/" + name
	object, in := "arn:aws:s3:::"+b.name+"/", &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: &b.name, EnableLogFileValidation: aws.Bool(true), IsMultiRegionTrail: &everywhere}
	if prefix != "" {
		object, in.S3KeyPrefix = object+prefix+"/", &prefix
	}
	if key != "" {
		in.KmsKeyId = &key
	}
	done(t)(b.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &b.name, Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::` + b.name + `","Condition":{"StringEquals":{"aws:SourceArn":"` + arn + `"}}},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"` + object + `AWSLogs/` + account + `/*",
		 "Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control","aws:SourceArn":"` + arn + `"}}}]}`)}))
	trails := cloudtrail.NewFromConfig(b.cfg)
	made, err := trails.CreateTrail(t.Context(), in)
	done(t)(made, err)
	done(t)(trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: made.TrailARN}))
	return *made.TrailARN
}

// trailKey is a KMS key that a trail may encrypt its files under.
func trailKey(t *testing.T, cfg aws.Config, trail string) string {
	t.Helper()
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	done(t)(who, err)
	return *newKey(t, kms.NewFromConfig(cfg), `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+*who.Account+`:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:GenerateDataKey*","Resource":"*","Condition":{
			"StringEquals":{"aws:SourceArn":"arn:aws:cloudtrail:`+cfg.Region+`:`+*who.Account+`:trail/`+trail+`"},
			"StringLike":{"kms:EncryptionContext:aws:cloudtrail:arn":"arn:aws:cloudtrail:*:`+*who.Account+`:trail/*"}}},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:DescribeKey","Resource":"*"}]}`).Arn
}

// keys are those of objects that begin with a prefix, in order.
func (b *trailBucket) keys(t *testing.T, prefix string) (keys []string) {
	t.Helper()
	for pages := s3.NewListObjectsV2Paginator(b.s3, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}

// object is what is stored under a key.
type object struct {
	body     []byte
	metadata map[string]string
}

func (b *trailBucket) get(t *testing.T, key string) object {
	t.Helper()
	out, err := b.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		t.Fatalf("GetObject %s: %v", key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return object{body, out.Metadata}
}

func (b *trailBucket) put(t *testing.T, key string, o object) {
	t.Helper()
	done(t)(b.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(o.body), Metadata: o.metadata}))
}

func (b *trailBucket) remove(t *testing.T, key string) {
	t.Helper()
	done(t)(b.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}))
}

// edit replaces something once in a compressed object, and compresses it in another way.
func (b *trailBucket) edit(t *testing.T, key, old, new string) {
	t.Helper()
	o := b.get(t, key)
	content := inflate(t, o.body)
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%s has no %s", key, old)
	}
	var body bytes.Buffer
	zip, err := gzip.NewWriterLevel(&body, gzip.NoCompression)
	done(t)(zip, err)
	done(t)(zip.Write(bytes.Replace(content, []byte(old), []byte(new), 1)))
	done(t)(nil, zip.Close())
	b.put(t, key, object{body.Bytes(), o.metadata})
}

// undo returns what makes objects again as they are now.
func (b *trailBucket) undo(t *testing.T, keys []string) func() {
	t.Helper()
	there, were := b.keys(t, ""), map[string]object{}
	for _, k := range keys {
		if slices.Contains(there, k) {
			were[k] = b.get(t, k)
		}
	}
	return func() {
		t.Helper()
		for _, k := range keys {
			if o, ok := were[k]; ok {
				b.put(t, k, o)
			} else {
				b.remove(t, k)
			}
		}
	}
}

func inflate(t *testing.T, body []byte) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// byDigest are the log files that each digest names.
func (b *trailBucket) byDigest(t *testing.T, digests, logs []string) (named [][]string) {
	t.Helper()
	for _, d := range digests {
		var said struct{ LogFiles []struct{ S3Object string } }
		done(t)(nil, json.Unmarshal(inflate(t, b.get(t, d).body), &said))
		var files []string
		for _, f := range said.LogFiles {
			if files = append(files, f.S3Object); !slices.Contains(logs, f.S3Object) {
				t.Errorf("%s names %s, which is not there", d, f.S3Object)
			}
		}
		if len(files) == 0 {
			t.Fatalf("%s names no log files", d)
		}
		named = append(named, files)
	}
	return named
}

// records are those in all log files below a prefix.
func (b *trailBucket) records(t *testing.T, prefix string) (all []event) {
	t.Helper()
	for _, key := range b.keys(t, prefix) {
		var file struct{ Records []event }
		if err := json.Unmarshal(inflate(t, b.get(t, key).body), &file); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		all = append(all, file.Records...)
	}
	return all
}

// event is what the story asks of a record.
type event struct {
	EventID, SharedEventID, EventName, ErrorCode, AWSRegion, RecipientAccountID string
	RequestID                                                                   string
	UserIdentity                                                                struct{ Type, ARN, AccountID, UserName, InvokedBy string }
}

func (b *trailBucket) publicKeys(t *testing.T, began time.Time) verify.PublicKeys {
	t.Helper()
	out, err := cloudtrail.NewFromConfig(b.cfg).ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: &began})
	done(t)(out, err)
	text, err := json.Marshal(out)
	done(t)(text, err)
	keys, err := verify.ReadPublicKeys(bytes.NewReader(text))
	done(t)(keys, err)
	return keys
}

// findings are what verify finds in the bucket's own region, in short.
func (b *trailBucket) findings(t *testing.T, keys verify.PublicKeys) (all []string) {
	t.Helper()
	report, err := verify.Verify(t.Context(), bucketSource{b}, verify.Options{Keys: keys, Region: b.cfg.Region})
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	for _, f := range report.Findings {
		all = append(all, string(f.Kind)+" "+f.What+" "+f.Key)
	}
	return all
}

// exportAndVerify copies the bucket with the command, and checks the copy with it.
func (b *trailBucket) exportAndVerify(t *testing.T, url string, to time.Time) string {
	t.Helper()
	credentials, err := b.cfg.Credentials.Retrieve(t.Context())
	done(t)(credentials, err)
	t.Setenv("AWS_ACCESS_KEY_ID", credentials.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", credentials.SecretAccessKey)
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	dir, keys := filepath.Join(t.TempDir(), "trail"), filepath.Join(t.TempDir(), "keys.json")
	holdfast(t, "", "trail", "export", "--endpoint", url, "--region", b.cfg.Region, "--bucket", b.name, "--to", dir)
	holdfast(t, "", "trail", "keys", "--endpoint", url, "--region", "us-east-1,eu-west-1", "--to", keys)
	return holdfast(t, "", "trail", "verify", dir, "--public-keys", keys, "--end", to.Format(time.RFC3339))
}

// bucketSource is a bucket as verify reads it.
type bucketSource struct{ *trailBucket }

func (b bucketSource) Files(ctx context.Context, fn func(string) error) error {
	for pages := s3.NewListObjectsV2Paginator(b.s3, &s3.ListObjectsV2Input{Bucket: &b.name}); pages.HasMorePages(); {
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

func (b bucketSource) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	out, err := b.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &name})
	if _, gone := errors.AsType[*s3types.NoSuchKey](err); gone {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (b bucketSource) Signature(ctx context.Context, name string) (string, error) {
	out, err := b.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &name})
	if err != nil {
		return "", err
	}
	return out.Metadata["signature"], nil
}

// people work in two accounts.
type people struct {
	account             string
	root, ann, bob, cem *kms.Client // root and ann, who is a user, of the first account; bob of the other; cem is a session of a role
	away                *kms.Client // root of the first account, in another region
	there, bobThere     *kms.Client // root of the other account, and bob, in the region of its trail
	home                *iam.Client
	key                 string // of the first account; bob may use it
	hours               int
}

func newPeople(t *testing.T, c *cloudtest.Cloud, other aws.Config) *people {
	t.Helper()
	home, there := iam.NewFromConfig(c.Config()), iam.NewFromConfig(other)
	annConfig, bobConfig := newUser(t, c, home, "ann"), newUser(t, c, there, "bob")
	for who, admin := range map[string]*iam.Client{"ann": home, "bob": there} {
		done(t)(admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &who, PolicyName: aws.String("work"), PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","sts:AssumeRole"],"Resource":"*"}]}`)}))
	}
	done(t)(home.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(
		trust("AWS", "arn:aws:iam::"+c.Account+":user/ann", "sts:AssumeRole", ""))}))
	done(t)(home.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("work"), PolicyDocument: aws.String(allow("kms:Decrypt", "*"))}))
	entered, err := sts.NewFromConfig(annConfig).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + c.Account + ":role/reader"), RoleSessionName: aws.String("cem"), DurationSeconds: aws.Int32(3600)})
	done(t)(entered, err)
	root := kms.NewFromConfig(c.Config())
	elsewhere, bobThere := c.Config(), bobConfig.Copy()
	elsewhere.Region, bobThere.Region = "eu-west-1", "eu-west-1"
	key := newKey(t, root, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+c.Account+`:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+production+`:root"},"Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*"}]}`)
	return &people{account: c.Account, root: root, ann: kms.NewFromConfig(annConfig), bob: kms.NewFromConfig(bobConfig), cem: kms.NewFromConfig(session(c, entered.Credentials)),
		away: kms.NewFromConfig(elsewhere), there: kms.NewFromConfig(other), bobThere: kms.NewFromConfig(bobThere), home: home, key: *key.Arn}
}

// work is what they do in an hour.
func (p *people) work(t *testing.T) {
	t.Helper()
	p.hours++
	blob, err := p.ann.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &p.key, Plaintext: []byte("on record")})
	done(t)(blob, err)
	done(t)(p.bob.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob.CiphertextBlob, KeyId: &p.key}))
	if p.hours == 1 { // the session is over after that
		done(t)(p.cem.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob.CiphertextBlob}))
	}
	_, err = p.ann.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &p.key})
	wantRefusal(t, err, "AccessDeniedException", "kms:ScheduleKeyDeletion")
	done(t)(p.root.TagResource(t.Context(), &kms.TagResourceInput{KeyId: &p.key, Tags: []kmstypes.Tag{{TagKey: aws.String("hour"), TagValue: aws.String(fmt.Sprint(p.hours))}}}))
	done(t)(p.home.TagUser(t.Context(), &iam.TagUserInput{UserName: aws.String("ann"), Tags: []iamtypes.Tag{{Key: aws.String("hour"), Value: aws.String(fmt.Sprint(p.hours))}}}))
	done(t)(p.away.CreateKey(t.Context(), &kms.CreateKeyInput{}))
	done(t)(p.there.CreateKey(t.Context(), &kms.CreateKeyInput{}))
	_, err = p.bobThere.ListKeys(t.Context(), nil)
	wantRefusal(t, err, "AccessDeniedException", "kms:ListKeys")
}

// wantOnRecord wants each of their calls in the files of their account, once.
func (p *people) wantOnRecord(t *testing.T, here, there []event) {
	t.Helper()
	wantCalls(t, p.account, here, map[string]int{
		"IAMUser ann Encrypt us-east-1":                          p.hours,
		"IAMUser ann ScheduleKeyDeletion AccessDenied us-east-1": p.hours,
		"of another account: Decrypt us-east-1":                  p.hours, // bob's
		"AssumedRole Decrypt us-east-1":                          1,
		"Root TagResource us-east-1":                             p.hours,
		"Root TagUser us-east-1":                                 p.hours,
		"Root CreateKey eu-west-1":                               p.hours,
	})
	// The trail of the other account logs one region.
	wantCalls(t, production, there, map[string]int{
		"Root CreateKey eu-west-1":                    p.hours,
		"IAMUser bob ListKeys AccessDenied eu-west-1": p.hours,
		"of another account: Decrypt us-east-1":       0,
		"IAMUser bob Decrypt us-east-1":               0,
	})
	shared := map[string]bool{}
	for _, e := range here {
		if e.UserIdentity.AccountID == production {
			shared[e.SharedEventID] = true
		}
	}
	if delete(shared, ""); len(shared) != p.hours {
		t.Errorf("bob's calls have %d shared event IDs, want %d", len(shared), p.hours)
	}
}

// wantCalls wants calls in the files of an account so many times, and no event twice.
func wantCalls(t *testing.T, account string, events []event, want map[string]int) {
	t.Helper()
	did, ids := map[string]int{}, map[string]bool{}
	for _, e := range events {
		if ids[e.EventID] {
			t.Errorf("event %s is in the files twice", e.EventID)
		}
		ids[e.EventID] = true
		if e.RecipientAccountID != account {
			t.Errorf("a record of %s is in the files of %s", e.RecipientAccountID, account)
		}
		who := e.UserIdentity.Type + " " + e.UserIdentity.UserName
		if e.UserIdentity.AccountID != "" && e.UserIdentity.AccountID != account {
			who = "of another account:"
		}
		did[strings.Join(strings.Fields(who+" "+e.EventName+" "+e.ErrorCode+" "+e.AWSRegion), " ")]++
	}
	for call, n := range want {
		if did[call] != n {
			t.Errorf("%q is in the files of %s %d times, want %d", call, account, did[call], n)
		}
	}
	if t.Failed() {
		for _, call := range slices.Sorted(maps.Keys(did)) {
			t.Logf("%3d %s", did[call], call)
		}
	}
}
