package cloudtrail

import (
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// encryptionKey returns the ARN of the KMS key that a request names in one of four ways, or "" for none. CloudTrail looks at the key itself: the key's policy has to let it.
func (s *Service) encryptionKey(c *call.Call, trailARN, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	name := id
	switch {
	case strings.HasPrefix(id, "arn:"):
	case strings.HasPrefix(id, "alias/"):
		name = c.Scope.ARN("kms", id)
	default:
		name = c.Scope.ARN("kms", "key/"+id)
	}
	a, err := arn.Parse(name)
	if err != nil || a.Service != "kms" || a.Partition != s.cfg.Partition || !strings.HasPrefix(a.Resource, "key/") && !strings.HasPrefix(a.Resource, "alias/") {
		return "", badKey(id)
	}
	there, err := atKey(c, trailARN, name)
	if err != nil {
		return "", err
	}
	out, err := s.cfg.KMS.DescribeKey(there, &kms.DescribeKeyRequest{KeyId: &name})
	if _, denied := errors.AsType[*call.Denied](err); denied {
		// KMS does not tell other accounts, nor services, which keys there are. It tells the caller, who may not be asked, either.
		if _, asked := s.cfg.KMS.DescribeKey(c, &kms.DescribeKeyRequest{KeyId: &name}); isNotFound(asked) {
			err = asked
		}
	}
	if err != nil {
		return "", ofKMS(err, id)
	}
	k := out.KeyMetadata
	switch {
	case k.KeyState == kms.KeyStateDisabled, k.KeyState == kms.KeyStatePendingDeletion, k.KeyState == kms.KeyStatePendingImport:
		return "", &cloudtrail.KmsException{Message: "The KMS key " + id + " is in the state " + string(k.KeyState) + "."}
	case k.KeySpec != kms.KeySpecSymmetricDefault || k.KeyUsage != kms.KeyUsageTypeEncryptDecrypt:
		return "", badKey(id)
	}
	return optional.Value(k.Arn), nil
}

// atKey is the call as CloudTrail makes it for a trail in the region of its key.
func atKey(c *call.Call, trailARN, keyARN string) (*call.Call, error) {
	a, err := arn.Parse(keyARN)
	if err != nil {
		return nil, err
	}
	there := c.AsServiceFor(trailARN)
	there.Scope.Region = a.Region
	return there, nil
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*kms.NotFoundException](err)
	return ok
}

func badKey(id string) error {
	return &cloudtrail.InvalidKmsKeyIdException{Message: "The KMS key ID " + id + " is not valid."}
}

// ofKMS is what CloudTrail says of an error of KMS.
func ofKMS(err error, id string) error {
	if isNotFound(err) {
		return &cloudtrail.KmsKeyNotFoundException{Message: "The KMS key " + id + " does not exist."}
	}
	if _, ok := errors.AsType[*kms.InvalidArnException](err); ok {
		return badKey(id)
	}
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return &cloudtrail.InsufficientEncryptionPolicyException{Message: "Insufficient permissions to access the KMS key " + id + "."}
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return &cloudtrail.KmsException{Message: wire.Message(m)}
	}
	return err
}

// reach refuses a trail whose log files CloudTrail could not put into their bucket, or not encrypt.
func (s *Service) reach(c *call.Call, t *trailRecord) error {
	trailARN := t.arn(s.cfg.Partition)
	folders := []string{t.Account + "/CloudTrail/"}
	if t.Organization != "" {
		folders = append(folders, t.Organization+"/"+t.Account+"/CloudTrail/")
	}
	for _, folder := range folders {
		if err := s.writable(c, t, trailARN, folder); err != nil {
			return err
		}
	}
	if t.Key == "" {
		return nil
	}
	there, err := atKey(c, trailARN, t.Key)
	if err != nil {
		return err
	}
	_, err = s.cfg.KMS.GenerateDataKeyWithoutPlaintext(there, &kms.GenerateDataKeyWithoutPlaintextRequest{
		KeyId: &t.Key, KeySpec: kms.DataKeySpecAes256, EncryptionContext: map[string]string{"aws:cloudtrail:arn": trailARN},
	})
	if err != nil {
		return ofKMS(err, t.Key)
	}
	return nil
}

// reachAll is reach, for all that the trail delivers to.
func (s *Service) reachAll(c *call.Call, t *trailRecord) error {
	for _, reach := range []func(*call.Call, *trailRecord) error{s.reach, s.reachTopic, s.reachLogs} {
		if err := reach(c, t); err != nil {
			return err
		}
	}
	return nil
}

// writable refuses a trail whose bucket is not there or does not take objects of CloudTrail. It tries to replace an object by one condition that is never met, which S3 looks at when it has
// decided whether the object may be put: so nothing has to be left in the bucket.
func (s *Service) writable(c *call.Call, t *trailRecord, trailARN, folder string) error {
	key := "AWSLogs/" + folder
	if t.Prefix != "" {
		key = t.Prefix + "/" + key
	}
	in := t.object(key, nil)
	in.IfMatch = new(`"never"`)
	if t.Key != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = s3.ServerSideEncryptionAwsKms, &t.Key
	}
	failure, err := s.putObject(c, trailARN, in)
	switch {
	case err != nil:
		return err
	case failure == "NoSuchKey", failure == "PreconditionFailed":
		return nil
	case failure == "NoSuchBucket":
		return &cloudtrail.S3BucketDoesNotExistException{Message: "S3 bucket " + t.Bucket + " does not exist!"}
	case failure == "AccessDenied" && t.Key == "":
		return &cloudtrail.InsufficientS3BucketPolicyException{Message: "Incorrect S3 bucket policy is detected for bucket: " + t.Bucket}
	case failure == "AccessDenied":
		return &cloudtrail.InsufficientEncryptionPolicyException{Message: "Insufficient permissions to access S3 bucket " + t.Bucket + " or KMS key " + t.Key + "."}
	}
	return errors.New("S3 does not take log files: " + failure)
}
