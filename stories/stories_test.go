// Package stories_test tells what Holdfast promises, one test a promise, through the official AWS SDK. Whoever reads them knows what to expect; whoever
// breaks one has broken a promise.
package stories_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// newKey makes a key as k's user, under a policy if one is given.
func newKey(t *testing.T, k *kms.Client, policy ...string) *types.KeyMetadata {
	t.Helper()
	in := &kms.CreateKeyInput{}
	if len(policy) > 0 {
		in.Policy = &policy[0]
	}
	out, err := k.CreateKey(t.Context(), in)
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	return out.KeyMetadata
}

func encrypt(t *testing.T, k *kms.Client, key *types.KeyMetadata, text string) []byte {
	t.Helper()
	out, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte(text)})
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	return out.CiphertextBlob
}

func decrypt(t *testing.T, k *kms.Client, ciphertext []byte) (string, error) {
	t.Helper()
	out, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: ciphertext})
	if err != nil {
		return "", err
	}
	return string(out.Plaintext), nil
}

func wantText(t *testing.T, k *kms.Client, ciphertext []byte, want string) {
	t.Helper()
	if got, err := decrypt(t, k, ciphertext); err != nil || got != want {
		t.Errorf("Decrypt = %q, %v, want %q", got, err, want)
	}
}

// wantRefusal wants an error of a code whose message says why.
func wantRefusal(t *testing.T, err error, code, why string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), why) {
		t.Errorf("answered %v, want %s with %q", err, code, why)
	}
}

func onDisk(dir string) func(*cloud.Config) { return func(c *cloud.Config) { c.Dir = dir } }

// What was encrypted decrypts after a restart.
func TestWhatWasEncryptedDecryptsAfterARestart(t *testing.T) {
	dir := t.TempDir()
	var ciphertext []byte
	t.Run("Before", func(t *testing.T) {
		k := kms.NewFromConfig(cloudtest.Start(t, onDisk(dir)).Config())
		ciphertext = encrypt(t, k, newKey(t, k), "Attack at dawn.")
	})
	t.Run("After", func(t *testing.T) {
		k := kms.NewFromConfig(cloudtest.Start(t, onDisk(dir)).Config())
		wantText(t, k, ciphertext, "Attack at dawn.")
	})
}

// Policies decide, and a refusal tells the reason.
func TestAPolicyDecidesAndTellsTheReason(t *testing.T) {
	c := cloudtest.Start(t)
	root := kms.NewFromConfig(c.Config())
	allowed := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*"}]}`
	ann, bob := kms.NewFromConfig(c.User(c.Account, "ann", allowed)), kms.NewFromConfig(c.User(c.Account, "bob"))

	// A key's default policy leaves the decision to the identity policies of its account.
	key := newKey(t, root)
	ciphertext := encrypt(t, ann, key, "plans")
	wantText(t, ann, ciphertext, "plans")
	_, err := decrypt(t, bob, ciphertext)
	wantRefusal(t, err, "AccessDeniedException", "because no identity-based policy allows the kms:Decrypt action")

	// A key's own policy has the last word.
	_, err = root.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key.KeyId, Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + c.Account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + c.Account + `:user/bob"},"Action":"kms:Decrypt","Resource":"*"},
		{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::` + c.Account + `:user/ann"},"Action":"kms:Decrypt","Resource":"*"}]}`)})
	if err != nil {
		t.Fatalf("PutKeyPolicy: %v", err)
	}
	wantText(t, bob, ciphertext, "plans")
	_, err = decrypt(t, ann, ciphertext)
	wantRefusal(t, err, "AccessDeniedException", "with an explicit deny in a resource-based policy")
}

// A grant lets another principal in, and retiring it shuts them out.
func TestAGrantLetsAnotherIn(t *testing.T) {
	c := cloudtest.Start(t)
	root, ann := kms.NewFromConfig(c.Config()), kms.NewFromConfig(c.User(c.Account, "ann"))
	key := newKey(t, root)
	ciphertext := encrypt(t, root, key, "plans")
	_, err := decrypt(t, ann, ciphertext)
	wantRefusal(t, err, "AccessDeniedException", "not authorized to perform: kms:Decrypt")

	grant, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{
		KeyId: key.KeyId, GranteePrincipal: aws.String("arn:aws:iam::" + c.Account + ":user/ann"), Operations: []types.GrantOperation{types.GrantOperationDecrypt},
	})
	if err != nil {
		t.Fatalf("CreateGrant: %v", err)
	}
	wantText(t, ann, ciphertext, "plans")
	_, err = ann.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")})
	wantRefusal(t, err, "AccessDeniedException", "kms:Encrypt")

	if _, err := root.RevokeGrant(t.Context(), &kms.RevokeGrantInput{KeyId: key.KeyId, GrantId: grant.GrantId}); err != nil {
		t.Fatalf("RevokeGrant: %v", err)
	}
	_, err = decrypt(t, ann, ciphertext)
	wantRefusal(t, err, "AccessDeniedException", "not authorized to perform: kms:Decrypt")
}

// Every call is on record, those that were refused as well, and no record tells a secret.
func TestEveryCallIsOnRecord(t *testing.T) {
	c := cloudtest.Start(t)
	root, ann := kms.NewFromConfig(c.Config()), kms.NewFromConfig(c.User(c.Account, "ann"))
	key := newKey(t, root)
	ciphertext := encrypt(t, root, key, "the plans")
	wantText(t, root, ciphertext, "the plans")
	if _, err := decrypt(t, ann, ciphertext); err == nil {
		t.Fatal("ann was let in")
	}
	if _, err := root.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/nothing")}); err == nil {
		t.Fatal("nothing was found")
	}

	type line struct{ who, what, how string }
	got := make(map[line]int)
	for _, e := range c.Trail(c.Account) {
		who := e.UserIdentity.ARN[strings.LastIndex(e.UserIdentity.ARN, ":")+1:]
		got[line{who, e.EventName, e.ErrorCode}]++
		if strings.Contains(string(e.Raw), "the plans") || strings.Contains(string(e.Raw), "dGhlIHBsYW5z") {
			t.Errorf("a record tells the secret: %s", e.Raw)
		}
		if e.EventName == "Decrypt" && (len(e.Resources) != 1 || e.Resources[0].ARN != *key.Arn) {
			t.Errorf("the record of a Decrypt names the resources %v", e.Resources)
		}
	}
	for _, want := range []line{
		{"root", "CreateKey", ""}, {"root", "Encrypt", ""}, {"root", "Decrypt", ""}, {"user/ann", "Decrypt", "AccessDenied"}, {"root", "DescribeKey", "NotFoundException"},
	} {
		if got[want] != 1 {
			t.Errorf("%d records of %v, want one; all: %v", got[want], want, got)
		}
	}
}

// A user or a test moves the clock, and what is due by then happens at once and in order.
func TestMovingTheClockRotatesAndDeletes(t *testing.T) {
	c := cloudtest.Start(t)
	k := kms.NewFromConfig(c.Config())
	rotating, doomed := newKey(t, k), newKey(t, k)
	if _, err := k.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: rotating.KeyId, RotationPeriodInDays: aws.Int32(90)}); err != nil {
		t.Fatalf("EnableKeyRotation: %v", err)
	}
	if _, err := k.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: doomed.KeyId, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatalf("ScheduleKeyDeletion: %v", err)
	}
	before := encrypt(t, k, rotating, "from before")

	c.Advance(366 * 24 * time.Hour)

	out, err := k.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: rotating.KeyId})
	if err != nil || len(out.Rotations) != 4 {
		t.Fatalf("ListKeyRotations: %v, %v, want four", out, err)
	}
	for i, r := range out.Rotations {
		if days := r.RotationDate.Sub(*rotating.CreationDate).Hours() / 24; days < float64(90*(i+1))-.1 || days > float64(90*(i+1))+.1 {
			t.Errorf("rotation %d was after %.2f days, want %d", i+1, days, 90*(i+1))
		}
	}
	wantText(t, k, before, "from before")
	_, err = k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: doomed.KeyId})
	wantRefusal(t, err, "NotFoundException", "does not exist")
	events := make(map[string]int)
	for _, e := range c.Trail(c.Account) {
		events[e.EventName]++
	}
	if events["RotateKey"] != 4 || events["DeleteKey"] != 1 {
		t.Errorf("the trail tells of %v", events)
	}
}

// A key that waits for its deletion decrypts nothing, for nobody, and there is time to think again.
func TestAKeyThatWaitsForItsDeletionCanBeKept(t *testing.T) {
	c := cloudtest.Start(t)
	k := kms.NewFromConfig(c.Config())
	key := newKey(t, k)
	ciphertext := encrypt(t, k, key, "plans")
	if _, err := k.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatalf("ScheduleKeyDeletion: %v", err)
	}
	_, err := decrypt(t, k, ciphertext)
	wantRefusal(t, err, "KMSInvalidStateException", "is pending deletion")
	c.Advance(6 * 24 * time.Hour)
	if _, err := k.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: key.KeyId}); err != nil {
		t.Fatalf("CancelKeyDeletion: %v", err)
	}
	if _, err := k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key.KeyId}); err != nil {
		t.Fatalf("EnableKey: %v", err)
	}
	c.Advance(30 * 24 * time.Hour)
	wantText(t, k, ciphertext, "plans")
}

// What is not built says so by its name, in the words of its protocol, and never pretends.
func TestWhatIsNotBuiltSaysSo(t *testing.T) {
	c := cloudtest.Start(t)
	cfg := c.Config()
	for name, do := range map[string]func(ctx context.Context) error{
		"cloudtrail:ListDashboards": func(ctx context.Context) error {
			_, err := cloudtrail.NewFromConfig(cfg).ListDashboards(ctx, nil)
			return err
		},
		"sts:GetDelegatedAccessToken": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(cfg).GetDelegatedAccessToken(ctx, &sts.GetDelegatedAccessTokenInput{TradeInToken: aws.String("token")})
			return err
		},
		"s3:GetBucketVersioning": func(ctx context.Context) error {
			_, err := s3.NewFromConfig(cfg).GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String("bucket")})
			return err
		},
		"s3:UploadPart": func(ctx context.Context) error {
			_, err := s3.NewFromConfig(cfg).UploadPart(ctx, &s3.UploadPartInput{
				Bucket: aws.String("bucket"), Key: aws.String("a key/below"), UploadId: aws.String("1"), PartNumber: aws.Int32(1), Body: strings.NewReader("bytes"),
			})
			return err
		},
		"lambda:ListEventSourceMappings": func(ctx context.Context) error {
			_, err := lambda.NewFromConfig(cfg).ListEventSourceMappings(ctx, nil)
			return err
		},
		"logs:StartQuery": func(ctx context.Context) error {
			_, err := cloudwatchlogs.NewFromConfig(cfg).StartQuery(ctx, &cloudwatchlogs.StartQueryInput{
				LogGroupName: aws.String("group"), QueryString: aws.String("fields @message"), StartTime: aws.Int64(0), EndTime: aws.Int64(1),
			})
			return err
		},
		"events:ListEndpoints": func(ctx context.Context) error {
			_, err := eventbridge.NewFromConfig(cfg).ListEndpoints(ctx, nil)
			return err
		},
		"sns:ListPlatformApplications": func(ctx context.Context) error {
			_, err := sns.NewFromConfig(cfg).ListPlatformApplications(ctx, nil)
			return err
		},
		"ec2:DescribeInstances": func(ctx context.Context) error {
			_, err := ec2.NewFromConfig(cfg).DescribeInstances(ctx, nil)
			return err
		},
		"route53:ListHostedZones": func(ctx context.Context) error {
			_, err := route53.NewFromConfig(cfg).ListHostedZones(ctx, nil)
			return err
		},
		"cloudwatch:ListDashboards": func(ctx context.Context) error {
			_, err := cloudwatch.NewFromConfig(cfg).ListDashboards(ctx, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, do(t.Context()), "NotImplemented", "Holdfast does not implement "+name+".")
		})
	}
}

// One process answers for every region of the partition, and keeps them apart.
func TestRegionsAreApart(t *testing.T) {
	c := cloudtest.Start(t)
	in := func(region string) *kms.Client {
		cfg := c.Config()
		cfg.Region = region
		return kms.NewFromConfig(cfg)
	}
	key := newKey(t, in("eu-central-1"))
	if !strings.HasPrefix(*key.Arn, "arn:aws:kms:eu-central-1:"+c.Account+":key/") {
		t.Errorf("the key is %s", *key.Arn)
	}
	_, err := in("eu-west-1").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyId})
	wantRefusal(t, err, "NotFoundException", "does not exist")
	encrypt(t, in("eu-central-1"), key, "plans")
}

// Signatures are verified: nobody is who they only say they are.
func TestSignaturesAreVerified(t *testing.T) {
	c := cloudtest.Start(t)
	creds, err := c.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = kms.NewFromConfig(c.As(creds.AccessKeyID, "guessed")).ListKeys(t.Context(), nil)
	wantRefusal(t, err, "InvalidSignatureException", "does not match the signature you provided")
	_, err = kms.NewFromConfig(c.As("AKIAIOSFODNN7EXAMPLE", "guessed")).ListKeys(t.Context(), nil)
	wantRefusal(t, err, "UnrecognizedClientException", "security token included in the request is invalid")
}
