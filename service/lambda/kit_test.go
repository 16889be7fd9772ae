package lambda_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/runner"
)

func TestMain(m *testing.M) {
	runner.Init()
	os.Exit(m.Run())
}

const (
	home  = "111122223333"
	other = "444455556666"

	roleARN     = "arn:aws:iam::" + home + ":role/runner"
	functionARN = "arn:aws:lambda:us-east-1:" + home + ":function:"
	layerARN    = "arn:aws:lambda:us-east-1:" + home + ":layer:"

	trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
)

// epoch is a Friday.
var epoch = time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)

// house is a cloud whose clock stands still unless it is moved, with a role for functions that may do everything, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*lambda.Client
	t *testing.T
}

// start starts one. It skips the test where functions cannot be isolated: there are none then.
func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, append([]func(*cloud.Config){func(cfg *cloud.Config) { cfg.Clock = clock.NewFrozen(epoch) }}, options...)...)
	h := &house{c, lambda.NewFromConfig(c.Config()), t}
	h.Role(home, "runner", trust, allow("*", "*"))
	_, err := h.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{LayerName: aws.String("probe"), Content: &types.LayerVersionContentInput{ZipFile: zipOf("f", "")}})
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "NotImplemented" {
		t.Skip(e.ErrorMessage())
	}
	if _, err := h.DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: aws.String("probe"), VersionNumber: aws.Int64(1)}); err != nil {
		t.Fatal(err)
	}
	return h
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds an error against a code, a status and a part of the message.
func wantError(t testing.TB, err error, code string, status int, text string) {
	t.Helper()
	var e smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) || e.ErrorCode() != code || r.HTTPStatusCode() != status || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with status %d and %q", err, code, status, text)
	}
}

// zipOf is an archive of files, given as names and contents. All can be executed.
func zipOf(files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		header := &zip.FileHeader{Name: files[i], Method: zip.Deflate}
		header.SetMode(0o755)
		f, err := w.CreateHeader(header)
		if err == nil {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// input is a request for a function that does nothing.
func input(name string, options ...func(*lambda.CreateFunctionInput)) *lambda.CreateFunctionInput {
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Role: aws.String(roleARN), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code: &types.FunctionCode{ZipFile: zipOf("bootstrap", "#!/bin/sh\n")},
	}
	for _, o := range options {
		o(in)
	}
	return in
}

// create makes such a function.
func (h *house) create(name string, options ...func(*lambda.CreateFunctionInput)) *lambda.CreateFunctionOutput {
	h.t.Helper()
	return must(h.CreateFunction(h.t.Context(), input(name, options...)))(h.t)
}

// code gives $LATEST other code.
func (h *house) code(name, text string) *lambda.UpdateFunctionCodeOutput {
	h.t.Helper()
	return must(h.UpdateFunctionCode(h.t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: zipOf("bootstrap", text)}))(h.t)
}

// publish makes a version.
func (h *house) publish(name string) string {
	h.t.Helper()
	return *must(h.PublishVersion(h.t.Context(), &lambda.PublishVersionInput{FunctionName: &name}))(h.t).Version
}
