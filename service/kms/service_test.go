package kms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	account = "111122223333"
	other   = "444455556666"
)

// world is a cloud and its root user's client.
type world struct {
	*cloudtest.Cloud
	*kms.Client
}

func start(t *testing.T, options ...func(*cloud.Config)) *world {
	t.Helper()
	c := cloudtest.Start(t, options...)
	return &world{c, kms.NewFromConfig(c.Config())}
}

// user is the client of a user of an account with the statements given, e.g. `"Action":"kms:*","Resource":"*"`.
func (w *world) user(account, name string, statements ...string) *kms.Client {
	var policies []string
	for _, s := range statements {
		if !strings.Contains(s, `"Effect"`) {
			s = `"Effect":"Allow",` + s
		}
		policies = append(policies, `{"Version":"2012-10-17","Statement":[{`+s+`}]}`)
	}
	return kms.NewFromConfig(w.User(account, name, policies...))
}

// anything lets a user do everything that key policies leave to IAM policies.
const anything = `"Action":"kms:*","Resource":"*"`

func userARN(account, name string) string { return "arn:aws:iam::" + account + ":user/" + name }

// key makes a key and returns its ARN.
func (w *world) key(t *testing.T, change ...func(*kms.CreateKeyInput)) string {
	t.Helper()
	in := &kms.CreateKeyInput{}
	for _, f := range change {
		f(in)
	}
	out, err := w.CreateKey(ctx, in)
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	return *out.KeyMetadata.Arn
}

func of(spec types.KeySpec, usage types.KeyUsageType) func(*kms.CreateKeyInput) {
	return func(in *kms.CreateKeyInput) { in.KeySpec, in.KeyUsage = spec, usage }
}

func under(policy string) func(*kms.CreateKeyInput) {
	return func(in *kms.CreateKeyInput) { in.Policy, in.BypassPolicyLockoutSafetyCheck = &policy, true }
}

// keyPolicy is a key policy with root's rights and the statements given.
func keyPolicy(statements ...string) string {
	all := append([]string{fmt.Sprintf(`"Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"`, account)}, statements...)
	for i, s := range all {
		if !strings.Contains(s, `"Effect"`) {
			s = `"Effect":"Allow",` + s
		}
		all[i] = "{" + s + "}"
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(all, ",") + `]}`
}

// only is a key policy in which root may administer the key and no more, so that IAM policies decide nothing of its use.
func only(statements ...string) string {
	admin := fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":["kms:Put*","kms:Get*","kms:Describe*","kms:List*","kms:Schedule*","kms:CreateAlias","kms:DeleteAlias","kms:UpdateAlias","kms:TagResource","kms:UntagResource"],"Resource":"*"}`, account)
	for _, s := range statements {
		if !strings.Contains(s, `"Effect"`) {
			s = `"Effect":"Allow",` + s
		}
		admin += ",{" + s + "}"
	}
	return `{"Version":"2012-10-17","Statement":[` + admin + `]}`
}

func (w *world) put(t *testing.T, key, policy string) {
	t.Helper()
	if _, err := w.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &key, Policy: &policy, BypassPolicyLockoutSafetyCheck: true}); err != nil {
		t.Fatalf("PutKeyPolicy: %v", err)
	}
}

func (w *world) disable(t *testing.T, key string) {
	t.Helper()
	ok(t)(w.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &key}))
}

func (w *world) schedule(t *testing.T, key string) {
	t.Helper()
	ok(t)(w.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(7)}))
}

func (w *world) encrypt(t *testing.T, key, text string, context ...string) []byte {
	t.Helper()
	out, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte(text), EncryptionContext: pairs(context)})
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	return out.CiphertextBlob
}

func (w *world) decrypts(t *testing.T, blob []byte, want string, context ...string) *kms.DecryptOutput {
	t.Helper()
	out, err := w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: pairs(context)})
	if err != nil {
		t.Fatalf("Decrypt: %v", err)
	}
	if string(out.Plaintext) != want {
		t.Fatalf("Decrypt gave %q, want %q", out.Plaintext, want)
	}
	return out
}

func pairs(kv []string) map[string]string {
	if len(kv) == 0 {
		return nil
	}
	m := make(map[string]string)
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

var ctx = context.Background()

// ok fails the test unless a call succeeded. It is called as ok(t)(client.Operation(...)).
func ok(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("got %v, want success", err)
		}
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

func denied(t *testing.T) func(any, error) { return refused(t, "AccessDeniedException", "-") }

// foreign is how another account's key is refused.
const foreign = "on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"

// code is the error code of an answer, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// recorded returns the last audit record of an operation in an account that ended with the error code, or with success if that is "".
func (w *world) recorded(t *testing.T, account, operation, code string) (e cloudtest.Event) {
	t.Helper()
	name := fmt.Appendf(nil, `"eventName":%q`, operation)
	for _, limit := range []int{100, 0} { // all are many
		raw, err := w.Events(ctx, audit.Filter{Account: account, Limit: limit})
		ok(t)(raw, err)
		for _, r := range slices.Backward(raw) {
			if !bytes.Contains(r, name) {
				continue
			}
			e = cloudtest.Event{Raw: r}
			ok(t)(nil, json.Unmarshal(r, &e))
			if e.EventName == operation && e.ErrorCode == code {
				return e
			}
		}
	}
	t.Fatalf("account %s has no record of %s ending with %q", account, operation, code)
	return e
}

func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// china puts a cloud into the partition aws-cn.
func china(cfg *cloud.Config) { cfg.Region = "cn-north-1" }

const day = 24 * time.Hour

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
