package ssm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"

	prefix = "arn:aws:ssm:us-east-1:" + home + ":parameter"
)

var epoch = time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)

// house is a cloud whose clock stands still unless it is moved, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*ssm.Client
	t *testing.T
}

func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, append([]func(*cloud.Config){func(cfg *cloud.Config) { cfg.Clock = clock.NewFrozen(epoch) }}, options...)...)
	return &house{c, ssm.NewFromConfig(c.Config()), t}
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds an error against a code and a part of the message.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) || e.ErrorCode() != code || r.HTTPStatusCode() != 400 || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s and %q", err, code, text)
	}
}

// input is a request for a String.
func input(name, value string, options ...func(*ssm.PutParameterInput)) *ssm.PutParameterInput {
	in := &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString}
	for _, o := range options {
		o(in)
	}
	return in
}

func overwrite(in *ssm.PutParameterInput)  { in.Overwrite = aws.Bool(true) }
func secure(in *ssm.PutParameterInput)     { in.Type = types.ParameterTypeSecureString }
func inAdvanced(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierAdvanced }
func untyped(in *ssm.PutParameterInput)    { in.Type = "" }

func policies(text string) func(*ssm.PutParameterInput) {
	return func(in *ssm.PutParameterInput) { in.Policies, in.Tier = &text, types.ParameterTierAdvanced }
}

func (h *house) put(name, value string, options ...func(*ssm.PutParameterInput)) *ssm.PutParameterOutput {
	h.t.Helper()
	return must(h.PutParameter(h.t.Context(), input(name, value, options...)))(h.t)
}

// get reads a parameter, decrypted.
func (h *house) get(name string) *types.Parameter {
	h.t.Helper()
	return must(h.GetParameter(h.t.Context(), &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)}))(h.t).Parameter
}

func (h *house) label(name string, version int64, labels ...string) *ssm.LabelParameterVersionOutput {
	h.t.Helper()
	return must(h.LabelParameterVersion(h.t.Context(), &ssm.LabelParameterVersionInput{Name: &name, ParameterVersion: &version, Labels: labels}))(h.t)
}

// key makes a KMS key, and returns its ARN.
func (h *house) key() string {
	h.t.Helper()
	return *must(kms.NewFromConfig(h.Config()).CreateKey(h.t.Context(), &kms.CreateKeyInput{}))(h.t).KeyMetadata.Arn
}
