package iam_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	account = "111122223333"
	other   = "444455556666"
)

var ctx = context.Background()

// What requests hold that could hold anything.
var (
	red    = []types.Tag{{Key: new("team"), Value: new("red")}}
	keys   = []string{"team"}
	anyone = document(`"Action":"s3:*","Resource":"*"`)
)

// world is a cloud and its root user's client.
type world struct {
	*cloudtest.Cloud
	*iam.Client
}

func start(t *testing.T, options ...func(*cloud.Config)) *world {
	t.Helper()
	c := cloudtest.Start(t, options...)
	return &world{c, iam.NewFromConfig(c.Config())}
}

// user is the client of a user of the default account with the statements given, e.g. `"Action":"iam:*","Resource":"*"`.
func (w *world) user(name string, statements ...string) *iam.Client {
	return iam.NewFromConfig(w.User(account, name, documents(statements)...))
}

func documents(statements []string) (list []string) {
	for _, s := range statements {
		list = append(list, document(s))
	}
	return list
}

// document is a policy with the statements given; those that do not say it allow.
func document(statements ...string) string {
	for i, s := range statements {
		if !strings.Contains(s, `"Effect"`) {
			s = `"Effect":"Allow",` + s
		}
		statements[i] = "{" + s + "}"
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// trusting is the trust policy of a role that a principal may assume, e.g. `"AWS":"111122223333"`.
func trusting(principal string) string {
	return document(`"Principal":{` + principal + `},"Action":"sts:AssumeRole"`)
}

var trustEC2 = trusting(`"Service":"ec2.amazonaws.com"`)

func iamARN(kind, name string) string { return "arn:aws:iam::" + account + ":" + kind + "/" + name }

// decoded is a document as an answer has it.
func decoded(t *testing.T, encoded *string) string {
	t.Helper()
	if encoded == nil {
		t.Fatal("there is no document")
	}
	if strings.ContainsAny(*encoded, `{}"+ /*`) {
		t.Fatalf("the document is not percent-encoded: %s", *encoded)
	}
	text, err := url.PathUnescape(*encoded)
	ok(t)(nil, err)
	return text
}

// ok fails the test unless a call succeeded. It is called as ok(t)(client.Operation(...)).
func ok(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("got %v, want success", err)
		}
	}
}

// must returns what a call answered, and fails the test if that is an error.
func must[T any](out T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t)(nil, err)
		return out
	}
}

// refused fails the test unless a call was answered with the error code, and the message unless that is "-". It is called as
// refused(t, code, message)(client.Operation(...)).
func refused(t *testing.T, code, message string) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		var api smithy.APIError
		switch {
		case err == nil:
			t.Fatalf("got success, want %s", code)
		case !errors.As(err, &api):
			t.Fatalf("got %v, want %s", err, code)
		case api.ErrorCode() != code:
			t.Fatalf("got %s %q, want %s", api.ErrorCode(), api.ErrorMessage(), code)
		case message != "-" && api.ErrorMessage() != message:
			t.Fatalf("got message\n\t%q, want\n\t%q", api.ErrorMessage(), message)
		}
	}
}

func denied(t *testing.T) func(any, error) { return refused(t, "AccessDenied", "-") }

// recorded returns the last audit record of an operation that ended with the error code, or with success if that is "".
func (w *world) recorded(t *testing.T, operation, code string) (e cloudtest.Event) {
	t.Helper()
	raw, err := w.Events(ctx, audit.Filter{Account: account})
	ok(t)(raw, err)
	for _, r := range slices.Backward(raw) {
		if !bytes.Contains(r, []byte(`"`+operation+`"`)) {
			continue
		}
		e = cloudtest.Event{Raw: r}
		ok(t)(nil, json.Unmarshal(r, &e))
		if e.EventName == operation && e.ErrorCode == code {
			return e
		}
	}
	t.Fatalf("there is no record of %s ending with %q", operation, code)
	return e
}
