package interop_test

import (
	"errors"
	"testing"

	sdkkms "github.com/aws/aws-sdk-go-v2/service/kms"
	sdktypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	sdksqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
	"github.com/holdfast-cloud/holdfast/wire/wiretest/sqs"
)

func TestAWSJSON11(t *testing.T) {
	var d double
	url := serve(t, wire.AWSJSON, &d, kms.OpEncrypt, kms.OpDescribeKey, kms.OpTagResource)
	client := sdkkms.NewFromConfig(wiretest.Client(url))

	t.Run("Encrypt", func(t *testing.T) {
		d = double{
			want: &kms.EncryptRequest{KeyId: new("alias/<é>"), Plaintext: []byte{0, 1, 255}, EncryptionContext: map[string]string{"a\"": "b\\", "😀": ""},
				GrantTokens: []string{"t"}, EncryptionAlgorithm: "SYMMETRIC_DEFAULT", DryRun: new(false)},
			out: &kms.EncryptResponse{CiphertextBlob: []byte{9, 8}, KeyId: new("k\u2028\n"), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"},
		}
		got, err := client.Encrypt(t.Context(), &sdkkms.EncryptInput{KeyId: new("alias/<é>"), Plaintext: []byte{0, 1, 255},
			EncryptionContext: map[string]string{"a\"": "b\\", "😀": ""}, GrantTokens: []string{"t"},
			EncryptionAlgorithm: sdktypes.EncryptionAlgorithmSpecSymmetricDefault, DryRun: new(false)})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "CiphertextBlob", []byte{9, 8}, got.CiphertextBlob)
		same(t, "KeyId", "k\u2028\n", *got.KeyId)
		ours(t, wire.AWSJSON, url, kms.OpEncrypt, &d)
	})
	t.Run("DescribeKey", func(t *testing.T) {
		d = double{
			want: &kms.DescribeKeyRequest{KeyId: new("a")},
			out: &kms.DescribeKeyResponse{KeyMetadata: &kms.KeyMetadata{KeyId: new("a"), CreationDate: &when, Enabled: new(true),
				EncryptionAlgorithms:     []kms.EncryptionAlgorithmSpec{"SYMMETRIC_DEFAULT"},
				MultiRegionConfiguration: &kms.MultiRegionConfiguration{ReplicaKeys: []kms.MultiRegionKey{{Arn: new("x")}, {Arn: new("y")}}}}},
		}
		got, err := client.DescribeKey(t.Context(), &sdkkms.DescribeKeyInput{KeyId: new("a")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "CreationDate", when, *got.KeyMetadata.CreationDate)
		same(t, "ReplicaKeys", "y", *got.KeyMetadata.MultiRegionConfiguration.ReplicaKeys[1].Arn)
		ours(t, wire.AWSJSON, url, kms.OpDescribeKey, &d)
	})
	t.Run("NoOutput", func(t *testing.T) {
		d = double{
			want: &kms.TagResourceRequest{KeyId: new("a"), Tags: []kms.Tag{{TagKey: new("k"), TagValue: new("")}}},
			out:  kms.OpTagResource.NewOutput(),
		}
		if _, err := client.TagResource(t.Context(), &sdkkms.TagResourceInput{KeyId: new("a"), Tags: []sdktypes.Tag{{TagKey: new("k"), TagValue: new("")}}}); err != nil {
			t.Fatal(err)
		}
		ours(t, wire.AWSJSON, url, kms.OpTagResource, &d)
	})
	t.Run("ModeledError", func(t *testing.T) {
		d = double{want: &kms.DescribeKeyRequest{KeyId: new("a")}, err: &kms.NotFoundException{Message: "no a"}}
		_, err := client.DescribeKey(t.Context(), &sdkkms.DescribeKeyInput{KeyId: new("a")})
		if e, ok := errors.AsType[*sdktypes.NotFoundException](err); !ok || e.ErrorMessage() != "no a" {
			t.Errorf("DescribeKey: %v, want NotFoundException: no a", err)
		}
		ours(t, wire.AWSJSON, url, kms.OpDescribeKey, &d)
	})
	t.Run("PlainError", func(t *testing.T) {
		d = double{want: &kms.DescribeKeyRequest{KeyId: new("a")}, err: &wire.Error{Code: "AccessDeniedException", Message: "no", Status: 400}}
		_, err := client.DescribeKey(t.Context(), &sdkkms.DescribeKeyInput{KeyId: new("a")})
		isError(t, err, "AccessDeniedException", "no")
		ours(t, wire.AWSJSON, url, kms.OpDescribeKey, &d)
	})
	t.Run("Validation", func(t *testing.T) {
		d = double{}
		_, err := client.DescribeKey(t.Context(), &sdkkms.DescribeKeyInput{KeyId: new("")})
		isError(t, err, "ValidationException", "1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1")
	})
}

// SQS is awsJson 1.0, with errors under the names that the query protocol gave them.
func TestAWSJSON10QueryCompatible(t *testing.T) {
	var d double
	url := serve(t, wire.AWSJSON, &d, sqs.OpGetQueueUrl, sqs.OpSendMessage, sqs.OpReceiveMessage)
	client := sdksqs.NewFromConfig(wiretest.Client(url), func(o *sdksqs.Options) { o.DisableMessageChecksumValidation = true })

	t.Run("SendMessage", func(t *testing.T) {
		d = double{
			want: &sqs.SendMessageRequest{QueueUrl: new("q"), MessageBody: new("b"), DelaySeconds: new(int32(3)),
				MessageAttributes: map[string]sqs.MessageAttributeValue{"a": {DataType: new("Binary"), BinaryValue: []byte("x")}}},
			out: &sqs.SendMessageResult{MessageId: new("m")},
		}
		got, err := client.SendMessage(t.Context(), &sdksqs.SendMessageInput{QueueUrl: new("q"), MessageBody: new("b"), DelaySeconds: 3,
			MessageAttributes: map[string]sqstypes.MessageAttributeValue{"a": {DataType: new("Binary"), BinaryValue: []byte("x")}}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "MessageId", "m", *got.MessageId)
		ours(t, wire.AWSJSON, url, sqs.OpSendMessage, &d)
	})
	t.Run("QueryError", func(t *testing.T) {
		d = double{want: &sqs.GetQueueUrlRequest{QueueName: new("q")}, err: &sqs.QueueDoesNotExist{Message: "no q"}}
		_, err := client.GetQueueUrl(t.Context(), &sdksqs.GetQueueUrlInput{QueueName: new("q")})
		isError(t, err, "AWS.SimpleQueueService.NonExistentQueue", "no q") // the name of the query protocol, from the header
		if _, ok := errors.AsType[*sqstypes.QueueDoesNotExist](err); !ok {
			t.Errorf("GetQueueUrl: %T, want QueueDoesNotExist", err)
		}
		ours(t, wire.AWSJSON, url, sqs.OpGetQueueUrl, &d)
	})
}
