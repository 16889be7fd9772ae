package s3_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// withKMS asks for encryption with a key of KMS.
func withKMS(key string) func(*s3.PutObjectInput) {
	return func(in *s3.PutObjectInput) {
		in.ServerSideEncryption = types.ServerSideEncryptionAwsKms
		if key != "" {
			in.SSEKMSKeyId = &key
		}
	}
}

func TestKMS(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	key := must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata
	must(keys.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/logs"), TargetKeyId: key.KeyId}))(t)
	content := strings.Repeat("under a key of one's own. ", 10_000)
	t.Run("OK", func(t *testing.T) {
		for _, name := range []string{*key.KeyId, *key.Arn, "alias/logs"} {
			put := h.put("k", content, withKMS(name), func(in *s3.PutObjectInput) {
				in.SSEKMSEncryptionContext = aws.String(base64.StdEncoding.EncodeToString([]byte(`{"aws:cloudtrail:arn":"arn:trail"}`)))
				in.BucketKeyEnabled = aws.Bool(false)
			})
			out, got := h.get("k")
			if got != content || put.ServerSideEncryption != types.ServerSideEncryptionAwsKms || aws.ToString(put.SSEKMSKeyId) != *key.Arn || aws.ToString(out.SSEKMSKeyId) != *key.Arn {
				t.Errorf("by %s: %d bytes, put under %s, got under %s", name, len(got), aws.ToString(put.SSEKMSKeyId), aws.ToString(out.SSEKMSKeyId))
			}
			if len(*put.ETag) != 34 || *put.ETag != *out.ETag {
				t.Errorf("the ETag is %s, then %s", *put.ETag, *out.ETag)
			}
		}
		if _, got := h.get("k", func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=70000-70009") }); got != content[70000:70010] {
			t.Errorf("a part is %q", got)
		}
		for _, name := range []string{"GenerateDataKey", "Decrypt"} {
			i := slices.IndexFunc(h.events(), func(e event) bool { return e.EventName == name })
			if i < 0 {
				t.Fatalf("there is no record of %s", name)
			}
			raw := string(h.events()[i].Raw)
			for _, want := range []string{`"aws:s3:arn":"` + keyARN + `"`, `"aws:cloudtrail:arn":"arn:trail"`, `"invokedBy":"s3.amazonaws.com"`} {
				if !strings.Contains(raw, want) {
					t.Errorf("the record of %s has no %s: %s", name, want, raw)
				}
			}
		}
	})
	t.Run("ManagedKey", func(t *testing.T) {
		put := h.put("managed", content, withKMS(""))
		if _, got := h.get("managed"); got != content || !strings.HasPrefix(aws.ToString(put.SSEKMSKeyId), "arn:aws:kms:us-east-1:"+home+":key/") {
			t.Errorf("%d bytes under %s", len(got), aws.ToString(put.SSEKMSKeyId))
		}
	})
	t.Run("BucketKey", func(t *testing.T) {
		put := h.put("k2", content, withKMS("alias/logs"), func(in *s3.PutObjectInput) { in.BucketKeyEnabled = aws.Bool(true) })
		if out, got := h.get("k2"); got != content || !aws.ToBool(put.BucketKeyEnabled) || !aws.ToBool(out.BucketKeyEnabled) {
			t.Error("an object under a bucket key is not told so")
		}
	})
	get := func(c *s3.Client) error {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")})
		if err == nil {
			out.Body.Close()
		}
		return err
	}
	put := func(c *s3.Client, name string) error {
		in := &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("other"), Body: strings.NewReader(content)}
		withKMS(name)(in)
		return answer(c.PutObject(t.Context(), in))
	}
	t.Run("CallersRights", func(t *testing.T) {
		storage := `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
		use := `{"Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"VIA"}}}`
		user := func(name string, statements ...string) *s3.Client {
			return client(h.User(home, name, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`))
		}
		without := user("without", storage)
		wantText(t, put(without, "alias/logs"), "AccessDenied", 403, "kms:GenerateDataKey")
		wantText(t, get(without), "AccessDenied", 403, "kms:Decrypt")
		elsewhere := user("elsewhere", storage, strings.ReplaceAll(use, "VIA", "s3.eu-west-1.amazonaws.com"))
		wantCode(t, get(elsewhere), "AccessDenied", 403)
		with := user("with", storage, strings.ReplaceAll(use, "VIA", "s3.us-east-1.amazonaws.com"))
		if err := put(with, "alias/logs"); err != nil {
			t.Error(err)
		}
		if err := get(with); err != nil {
			t.Error(err)
		}
		must(without.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))(t)
		_, err := without.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled})
		wantCode(t, err, "Forbidden", 403)
	})
	t.Run("NotFound", func(t *testing.T) {
		wantCode(t, put(h.Client, "alias/ghost"), "KMS.NotFoundException", 400)
		wantCode(t, put(h.Client, "11111111-2222-3333-4444-555555555555"), "KMS.NotFoundException", 400)
	})
	t.Run("BadContext", func(t *testing.T) {
		_, err := h.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("x"), Body: strings.NewReader("x"),
			ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSEncryptionContext: aws.String("{}")})
		wantCode(t, err, "InvalidArgument", 400)
	})
	t.Run("Disabled", func(t *testing.T) {
		must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyId}))(t)
		wantCode(t, put(h.Client, "alias/logs"), "KMS.DisabledException", 400)
		wantCode(t, get(h.Client), "KMS.DisabledException", 400)
	})
	if slices.Contains(h.keys(), "x") {
		t.Error("what was refused left an object")
	}
}
