package stories_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	functiontypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
	"github.com/holdfast-cloud/holdfast/runner"
)

// archive is the code of a function that is one file.
func archive(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rotators are the rotation functions of testdata/rotator, one in Go and one in Python.
func rotators(t *testing.T) (inGo, inPython []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-o", path, "./testdata/rotator")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the function: %s", out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/rotator/rotator.py")
	if err != nil {
		t.Fatal(err)
	}
	return archive(t, "bootstrap", program), archive(t, "rotator.py", script)
}

// Functions of the customer's change passwords of real databases: they run in a sandbox, as their role lets them, and speak to Secrets Manager through its API in the four steps.
func TestFunctionsRotate(t *testing.T) {
	postgres, redis := dbtest.PostgreSQL(t), dbtest.Redis(t)
	c := cloudtest.Start(t, func(cfg *cloud.Config) {
		for _, s := range []*dbtest.Server{postgres, redis} {
			cfg.Functions.Reach = append(cfg.Functions.Reach, runner.Reach{Network: netip.PrefixFrom(netip.MustParseAddr(s.Host), 32), Port: uint16(s.Port)})
		}
	})
	inGo, inPython := rotators(t)
	t.Run("Go", func(t *testing.T) {
		newRotation(t, c.Config()).byFunction(c, rotated{"postgres/function", postgres, false}, &lambda.CreateFunctionInput{
			Runtime: functiontypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Code: &functiontypes.FunctionCode{ZipFile: inGo},
		})
	})
	t.Run("Python", func(t *testing.T) {
		newRotation(t, c.Config()).byFunction(c, rotated{"redis/function", redis, false}, &lambda.CreateFunctionInput{
			Runtime: functiontypes.RuntimePython312, Handler: aws.String("rotator.handler"), Code: &functiontypes.FunctionCode{ZipFile: inPython},
		})
	})
}

// byFunction has a function rotate a secret, twice, and looks at what came of it.
func (r *rotation) byFunction(c *cloudtest.Cloud, s rotated, in *lambda.CreateFunctionInput) {
	t := r.t
	t.Helper()
	r.create(s)
	first, _, err := r.fetch(t.Context(), s.name)
	if err != nil {
		t.Fatal(err)
	}
	functions := lambda.NewFromConfig(c.Config())
	in.FunctionName, in.Timeout = aws.String(s.server.Engine+"-rotator"), aws.Int32(60)
	in.Role = aws.String(c.Role(c.Account, *in.FunctionName, lambdaTrust, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Action":["secretsmanager:GetSecretValue","secretsmanager:PutSecretValue","secretsmanager:UpdateSecretVersionStage"],"Resource":"arn:aws:secretsmanager:*:*:secret:`+s.name+`-??????"}]}`))
	made, err := functions.CreateFunction(t.Context(), in)
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "NotImplemented" {
		t.Skip(e.ErrorMessage())
	}
	if err != nil {
		t.Fatal(err)
	}
	rotate := func() error {
		_, err := r.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &s.name, RotationLambdaARN: made.FunctionArn})
		return err
	}
	if err := rotate(); err == nil {
		t.Error("a function is called that does not let Secrets Manager in")
	}
	_, err = functions.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: in.FunctionName, StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: &c.Account,
	})
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := r.state(s.name)
	for range 2 {
		if err := rotate(); err != nil {
			t.Fatal(err)
		}
		version = r.settle(s.name, version)
		now, _, err := r.fetch(t.Context(), s.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.server.Login(t.Context(), now.Username, now.Password); err != nil {
			t.Errorf("logging in with the new password: %v", err)
		}
	}
	if err := s.server.Login(t.Context(), first.Username, first.Password); !errors.Is(err, dbtest.ErrRefused) {
		t.Errorf("logging in with the first password: %v", err)
	}
	if !slices.ContainsFunc(c.Trail(c.Account), func(e cloudtest.Event) bool {
		return e.EventName == "Invoke" && e.UserIdentity.InvokedBy == "secretsmanager.amazonaws.com" && e.ErrorCode == ""
	}) {
		t.Error("no invocation by Secrets Manager is on record")
	}
}
