package lambda_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestCreateFunction(t *testing.T) {
	h := start(t)
	out := h.create("f", func(in *lambda.CreateFunctionInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"MODE": "hidden-value"}}
		in.Tags = map[string]string{"team": "red"}
	})
	if *out.FunctionArn != functionARN+"f" || *out.Version != "$LATEST" || out.State != types.StateActive || *out.Timeout != 3 || *out.MemorySize != 128 ||
		*out.EphemeralStorage.Size != 512 || out.Environment.Variables["MODE"] != "hidden-value" || *out.LastModified != "2026-11-27T01:30:00.000+0000" ||
		*out.LoggingConfig.LogGroup != "/aws/lambda/f" || out.PackageType != types.PackageTypeZip || out.TracingConfig.Mode != types.TracingModePassThrough {
		t.Errorf("created %+v", out)
	}
	got := must(h.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(functionARN + "f")}))(t)
	if got.Configuration.Environment.Variables["MODE"] != "hidden-value" || got.Tags["team"] != "red" || *got.Configuration.CodeSha256 != *out.CodeSha256 {
		t.Errorf("got %+v", got.Configuration)
	}
	if text, status := download(t, *got.Code.Location); status != http.StatusOK || !bytes.Equal(text, zipOf("bootstrap", "#!/bin/sh\n")) {
		t.Errorf("the code is %d bytes with status %d", len(text), status)
	}
	if _, status := download(t, *got.Code.Location+"x"); status != http.StatusForbidden {
		t.Errorf("another location answers %d", status)
	}
	h.Advance(11 * time.Minute)
	if _, status := download(t, *got.Code.Location); status != http.StatusForbidden {
		t.Errorf("an old location answers %d", status)
	}
	for _, e := range h.Trail(home) {
		if bytes.Contains(e.Raw, []byte("hidden-value")) {
			t.Errorf("a variable is on record: %s", e.Raw)
		}
	}
}

func download(t *testing.T, url string) ([]byte, int) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text, r.StatusCode
}

func TestCreateFunctionErrors(t *testing.T) {
	h := start(t)
	h.create("there")
	h.Role(home, "nobodys", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	h.Role(home, "poor", trust)
	const invalid = "InvalidParameterValueException"
	for name, c := range map[string]struct {
		change func(*lambda.CreateFunctionInput)
		code   string
		status int
		text   string
	}{
		"Exists":    {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String("there") }, "ResourceConflictException", 409, "Function already exist: there"},
		"LongName":  {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String(strings.Repeat("f", 65)) }, invalid, 400, "less than or equal to 64"},
		"Qualified": {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String("f:1") }, invalid, 400, "qualifier"},
		"OtherRegion": {func(in *lambda.CreateFunctionInput) {
			in.FunctionName = aws.String("arn:aws:lambda:eu-west-1:" + home + ":function:f")
		}, "ResourceNotFoundException", 404, "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
		"OtherAccount": {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String(other + ":function:f") }, "AccessDeniedException", 403, "lambda:CreateFunction"},
		"NoRole":       {func(in *lambda.CreateFunctionInput) { in.Role = aws.String(roleARN + "2") }, invalid, 400, "The role defined for the function cannot be assumed by Lambda."},
		"RoleOfOthers": {func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::" + home + ":role/nobodys") }, invalid, 400, "The role defined for the function cannot be assumed by Lambda."},
		"NoHandler":    {func(in *lambda.CreateFunctionInput) { in.Handler = nil }, invalid, 400, "Runtime and Handler are mandatory parameters"},
		"OldRuntime":   {func(in *lambda.CreateFunctionInput) { in.Runtime = types.RuntimePython37 }, invalid, 400, "no longer supported"},
		"Java":         {func(in *lambda.CreateFunctionInput) { in.Runtime = types.RuntimeJava21 }, "NotImplemented", 501, "Runtime java21"},
		"Image":        {func(in *lambda.CreateFunctionInput) { in.PackageType = types.PackageTypeImage }, "NotImplemented", 501, "PackageType Image"},
		"VPC": {func(in *lambda.CreateFunctionInput) {
			in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
		}, "NotImplemented", 501, "VpcConfig"},
		"SnapStart": {func(in *lambda.CreateFunctionInput) {
			in.SnapStart = &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions}
		}, invalid, 400, "provided.al2023 is not supported for SnapStart enabled functions."},
		"Signed": {func(in *lambda.CreateFunctionInput) {
			in.CodeSigningConfigArn = aws.String("arn:aws:lambda:us-east-1:" + home + ":code-signing-config:csc-0123456789abcdef0")
		}, "NotImplemented", 501, "CodeSigningConfigArn"},
		"Memory":   {func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(10241) }, invalid, 400, "less than or equal to 10240"},
		"Timeout":  {func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(901) }, invalid, 400, "less than or equal to 900"},
		"NoCode":   {func(in *lambda.CreateFunctionInput) { in.Code = &types.FunctionCode{} }, invalid, 400, "Please provide a source for function code."},
		"TwoCodes": {func(in *lambda.CreateFunctionInput) { in.Code.S3Bucket = aws.String("bucket") }, invalid, 400, "Please do not provide other FunctionCode parameters when providing a ZipFile."},
		"NoZip":    {func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = []byte("text") }, invalid, 400, "Could not unzip uploaded file."},
		"NoBucket": {func(in *lambda.CreateFunctionInput) {
			in.Code = &types.FunctionCode{S3Bucket: aws.String("bucket"), S3Key: aws.String("k")}
		}, invalid, 400, "Error occurred while GetObject. S3 Error Code: NoSuchBucket."},
		"Reserved": {func(in *lambda.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"AWS_REGION": "x", "LAMBDA_TASK_ROOT": "y"}}
		}, invalid, 400, "Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT"},
		"LargeEnvironment": {func(in *lambda.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"BIG": strings.Repeat("x", 4096)}}
		}, invalid, 400, "exceeded the 4KB limit."},
		"NoKey": {func(in *lambda.CreateFunctionInput) {
			in.Environment, in.KMSKeyArn = &types.Environment{Variables: map[string]string{"MODE": "x"}}, aws.String("arn:aws:kms:us-east-1:"+home+":key/11111111-1111-1111-1111-111111111111")
		}, invalid, 400, "KMS Exception: NotFoundException"},
		"DeadLetters": {func(in *lambda.CreateFunctionInput) {
			in.Role, in.DeadLetterConfig = aws.String("arn:aws:iam::"+home+":role/poor"), &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:sqs:us-east-1:" + home + ":q")}
		}, invalid, 400, "The provided execution role does not have permissions to call SendMessage on SQS"},
		"NoQueue": {func(in *lambda.CreateFunctionInput) {
			in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:s3:::bucket")}
		}, invalid, 400, "DeadLetterConfig"},
		"NoLayer": {func(in *lambda.CreateFunctionInput) { in.Layers = []string{layerARN + "l:1"} }, invalid, 400, "Layer version " + layerARN + "l:1 does not exist."},
		"Layers":  {func(in *lambda.CreateFunctionInput) { in.Layers = make6(layerARN) }, invalid, 400, "Cannot reference more than 5 layers."},
		"Levels": {func(in *lambda.CreateFunctionInput) {
			in.LoggingConfig = &types.LoggingConfig{ApplicationLogLevel: types.ApplicationLogLevelWarn}
		}, invalid, 400, "the LogFormat must be JSON"},
		"Tag":      {func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"aws:x": "y"} }, invalid, 400, "reserved"},
		"BadName":  {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String("a b") }, "ValidationException", 400, "1 validation error detected"},
		"BadParts": {func(in *lambda.CreateFunctionInput) { in.Architectures = []types.Architecture{"x86_64", "arm64"} }, "ValidationException", 400, "1 validation error detected"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.CreateFunction(t.Context(), input("f", c.change))
			wantError(t, err, c.code, c.status, c.text)
		})
	}
	_, err := h.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")})
	wantError(t, err, "ResourceNotFoundException", 404, "Function not found: "+functionARN+"f")
}

func make6(prefix string) (list []string) {
	for _, n := range "abcdef" {
		list = append(list, prefix+string(n)+":1")
	}
	return list
}

// Code comes from a bucket with the caller's rights, and with nobody else's.
func TestCodeInS3(t *testing.T) {
	h := start(t)
	buckets := s3.NewFromConfig(h.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	must(buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("code")}))(t)
	must(buckets.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("code"), Key: aws.String("f.zip"), Body: bytes.NewReader(zipOf("bootstrap", "from a bucket"))}))(t)
	fromS3 := func(in *lambda.CreateFunctionInput) {
		in.Code = &types.FunctionCode{S3Bucket: aws.String("code"), S3Key: aws.String("f.zip")}
	}
	may := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:*","iam:PassRole"],"Resource":"*"}]}`
	_, err := lambda.NewFromConfig(h.User(home, "ann", may)).CreateFunction(t.Context(), input("f", fromS3))
	wantError(t, err, "AccessDeniedException", 403, "s3:GetObject")
	if out := h.create("f", fromS3); out.CodeSize != int64(len(zipOf("bootstrap", "from a bucket"))) {
		t.Errorf("the code has %d bytes", out.CodeSize)
	}
	_, err = h.CreateFunction(t.Context(), input("g", fromS3, func(in *lambda.CreateFunctionInput) { in.Code.S3Key = aws.String("g.zip") }))
	wantError(t, err, "InvalidParameterValueException", 400, "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.")
}

// A key of the customer's decides who reads variables: those whom it lets in, and the others are told so.
func TestEnvironmentKey(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	key := *must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
	h.create("f", func(in *lambda.CreateFunctionInput) {
		in.KMSKeyArn, in.Environment = &key, &types.Environment{Variables: map[string]string{"MODE": "one"}}
	})
	may := allow("lambda:*", "*")
	ann := lambda.NewFromConfig(h.User(home, "ann", may))
	got := must(ann.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("f")}))(t)
	if got.Environment == nil || got.Environment.Error == nil || *got.Environment.Error.ErrorCode != "AccessDeniedException" || len(got.Environment.Variables) > 0 {
		t.Errorf("somebody without the key reads %+v", got.Environment)
	}
	if got := must(h.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("f")}))(t); got.Environment.Variables["MODE"] != "one" || *got.KMSKeyArn != key {
		t.Errorf("read %+v", got.Environment)
	}
	// Writing variables again needs no other grant: a key has only so many.
	must(h.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), Environment: &types.Environment{Variables: map[string]string{"MODE": "one"}}}))(t)
	grants := must(keys.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: &key}))(t).Grants
	if len(grants) != 1 || *grants[0].GranteePrincipal != roleARN || grants[0].Constraints.EncryptionContextEquals["aws:lambda:FunctionArn"] != functionARN+"f" {
		t.Errorf("the key has the grants %+v", grants)
	}
	_, err := ann.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), Environment: &types.Environment{Variables: map[string]string{"MODE": "two"}}})
	wantError(t, err, "AccessDeniedException", 403, "kms:Encrypt")
	// Back to the key of Lambda, with the variables as they are; and away with them.
	out := must(h.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), KMSKeyArn: aws.String("")}))(t)
	if out.KMSKeyArn != nil || out.Environment.Variables["MODE"] != "one" {
		t.Errorf("updated to %+v", out.Environment)
	}
	if got := must(ann.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("f")}))(t); got.Environment.Variables["MODE"] != "one" {
		t.Errorf("read %+v", got.Environment)
	}
	out = must(h.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), Environment: &types.Environment{}}))(t)
	if out.Environment != nil {
		t.Errorf("still there: %+v", out.Environment)
	}
}
