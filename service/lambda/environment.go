package lambda

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Environment variables are encrypted under a data key of their own, which only KMS can open: with the key that was asked for, or aws/lambda. Who creates and reads the function
// does so with their own rights; the function's role is given a grant, with which it is decrypted to run. A role that was deleted and made again under its name has none.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html

const (
	// defaultKey is the AWS managed key of Lambda.
	defaultKey = "alias/aws/lambda"

	// maxEnvironment is how large the variables may be, as JSON: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	maxEnvironment = 4 << 10
)

// reserved are the variables that Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	"AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// checkEnvironment refuses variables that a function cannot have. What they hold is never told.
func checkEnvironment(variables map[string]string) error {
	var taken []string
	for _, k := range slices.Sorted(maps.Keys(variables)) {
		if slices.Contains(reserved, k) {
			taken = append(taken, k)
		}
	}
	if taken != nil {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are "+
			"currently not supported for modification. Reserved keys used in this request: %s", strings.Join(taken, ", "))
	}
	text, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	if len(text) > maxEnvironment {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit.")
	}
	return nil
}

func encryptionContext(arn string) map[string]string {
	return map[string]string{"aws:lambda:FunctionArn": arn}
}

// conceal encrypts the variables of a version of the function with this unqualified ARN, and lets its role decrypt them.
func (s *Service) conceal(c *call.Call, arn string, v *versionRecord, variables map[string]string) error {
	text, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	dataKey := make([]byte, 32)
	defer clear(dataKey)
	if _, err := io.ReadFull(c.Rand, dataKey); err != nil {
		return err
	}
	key := v.Key
	if key == "" {
		key = defaultKey
	}
	out, err := s.cfg.KMS.Encrypt(c, &kms.EncryptRequest{KeyId: &key, Plaintext: dataKey, EncryptionContext: encryptionContext(arn)})
	if err != nil {
		return ofKMS(err)
	}
	aead, err := aeadOf(dataKey)
	if err != nil {
		return err
	}
	grant, err := s.grantDecrypt(c, *out.KeyId, arn, v.Role)
	if err != nil {
		return err
	}
	v.Environment = &environmentRecord{KeyARN: *out.KeyId, Grant: grant, DataKey: out.CiphertextBlob, Text: aead.Seal(nil, nil, text, []byte(arn))}
	return nil
}

// environment returns the variables of a version of a function. c is who asks KMS for them: a caller who reads the function, or its role that is to run.
func (s *Service) environment(c *call.Call, f *functionRecord, v *versionRecord) (map[string]string, error) {
	if v.Environment == nil {
		return nil, nil
	}
	arn := functionARN(f.scope(s.cfg.Partition), f.Name, "")
	out, err := s.cfg.KMS.Decrypt(c, &kms.DecryptRequest{KeyId: &v.Environment.KeyARN, CiphertextBlob: v.Environment.DataKey, EncryptionContext: encryptionContext(arn)})
	if err != nil {
		return nil, err
	}
	defer clear(out.Plaintext)
	aead, err := aeadOf(out.Plaintext)
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, nil, v.Environment.Text, []byte(arn))
	if err != nil {
		return nil, fmt.Errorf("opening the environment of %s: %w", arn, err)
	}
	defer clear(text)
	var variables map[string]string
	if err := json.Unmarshal(text, &variables); err != nil {
		return nil, errors.New("the environment of " + arn + " is no JSON") // whose error could quote it
	}
	return variables, nil
}

// shownEnvironment is the environment as somebody reads it, who need not be let in by the key.
func (s *Service) shownEnvironment(c *call.Call, f *functionRecord, v *versionRecord) (*lambda.EnvironmentResponse, error) {
	if v.Environment == nil {
		return nil, nil
	}
	variables, err := s.environment(c, f, v)
	if err == nil {
		return &lambda.EnvironmentResponse{Variables: variables}, nil
	}
	code, message := "AccessDeniedException", ""
	if d, ok := errors.AsType[*call.Denied](err); ok {
		message = d.Message
	} else if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		code, message = e.Schema().Name, wire.Message(e)
	} else {
		return nil, err
	}
	return &lambda.EnvironmentResponse{Error: &lambda.EnvironmentError{ErrorCode: &code, Message: new(fmt.Sprintf(
		"Lambda was unable to decrypt your environment variables because the KMS access was denied. Please check your KMS permissions. KMS Exception: %s KMS Message: %s", code, message))}}, nil
}

// ofKMS is what the caller is told of an error of KMS. A refusal stays one.
func ofKMS(err error) error {
	if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		return invalid("Lambda was unable to configure access to your environment variables because the KMS key is invalid. Please check your KMS key settings. KMS Exception: %s KMS Message: %s",
			e.Schema().Name, wire.Message(e))
	}
	return err
}

// aeadOf draws its nonces at random, because FIPS 140-3 wants them drawn by the module that encrypts. A key encrypts one text.
func aeadOf(dataKey []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
