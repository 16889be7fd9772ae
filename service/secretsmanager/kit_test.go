package secretsmanager_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home   = "111122223333"
	other  = "444455556666"
	region = "us-east-1"
	remote = "eu-west-1"

	secretARN = "arn:aws:secretsmanager:us-east-1:" + home + ":secret:"
)

// epoch is a Friday.
var epoch = time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)

// house is a cloud whose clock stands still unless it is moved, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*secretsmanager.Client
	t *testing.T
}

func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, append([]func(*cloud.Config){func(cfg *cloud.Config) { cfg.Clock = clock.NewFrozen(epoch) }}, options...)...)
	return &house{c, secretsmanager.NewFromConfig(c.Config()), t}
}

// by is the client of a user with policies.
func (h *house) by(account, name string, policies ...string) *secretsmanager.Client {
	h.t.Helper()
	return secretsmanager.NewFromConfig(h.User(account, name, policies...))
}

// in is the root user's client in another region.
func (h *house) in(region string) *secretsmanager.Client {
	cfg := h.Config()
	cfg.Region = region
	return secretsmanager.NewFromConfig(cfg)
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
		t.Errorf("got %v, want %s with status 400 and %q", err, code, text)
	}
}

// create makes a secret with a text, and returns its ARN and the ID of its version.
func (h *house) create(name, text string, options ...func(*secretsmanager.CreateSecretInput)) (arn, version string) {
	h.t.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name}
	if text != "" {
		in.SecretString = &text
	}
	for _, o := range options {
		o(in)
	}
	out := must(h.CreateSecret(h.t.Context(), in))(h.t)
	return *out.ARN, aws.ToString(out.VersionId)
}

// put gives a secret another text, and returns the ID of the version.
func (h *house) put(id, text string, labels ...string) string {
	h.t.Helper()
	return *must(h.PutSecretValue(h.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &text, VersionStages: labels}))(h.t).VersionId
}

// get returns a secret's current text.
func (h *house) get(id string) string {
	h.t.Helper()
	return *must(h.GetSecretValue(h.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id}))(h.t).SecretString
}

// described is what DescribeSecret says.
func (h *house) described(id string) *secretsmanager.DescribeSecretOutput {
	h.t.Helper()
	return must(h.DescribeSecret(h.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &id}))(h.t)
}

// events are the names of the service's events in home's trail, and of the calls that ended well.
func (h *house) recorded(name string) (events []cloudtest.Event) {
	for _, e := range h.Trail(home) {
		if e.EventName == name {
			events = append(events, e)
		}
	}
	return events
}
