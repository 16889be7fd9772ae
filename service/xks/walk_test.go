package xks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// open are the operations that no policy is asked about.
var open = map[string]string{"GetHealthStatus": "needs no permission, and nobody can be denied it"}

// TestWalk proves for every operation that a user needs just its action and the one of KMS that it stands for, each on just that key, is denied without either of
// them, and that both the proxy's and KMS's records tell of it.
func TestWalk(t *testing.T) {
	h := build(t)
	made := h.encrypt("hello", "")
	var done []string
	for _, o := range []struct {
		name, kms string
		run       func(c xks.Client) error
	}{
		{"Encrypt", "Encrypt", func(c xks.Client) error { _, err := c.Encrypt(nil, encryption(h.key, "hello", "")); return err }},
		{"Decrypt", "Decrypt", func(c xks.Client) error { _, err := c.Decrypt(nil, decryption(h.key, made, "")); return err }},
		{"GetKeyMetadata", "DescribeKey", func(c xks.Client) error { _, err := c.GetKeyMetadata(nil, metadata(h.key)); return err }},
	} {
		done = append(done, o.name)
		t.Run(o.name, func(t *testing.T) {
			on := "arn:aws:kms:us-east-1:" + h.Account + ":key/" + h.key
			allow := func(action, element string) string {
				return fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":%q,%q:%q}}`, action, element, on)
			}
			own, theirs := "kms-xks-proxy:"+o.name, "kms:"+o.kms
			for lacking, policies := range map[string][]string{
				own:           {allow(theirs, "Resource")},
				own + " ":     {allow(own, "NotResource"), allow("kms:*", "Resource")},
				theirs:        {allow(own, "Resource")},
				theirs + " ":  {allow(own, "Resource"), allow(theirs, "NotResource")},
				theirs + "  ": {allow("kms-xks-proxy:*", "Resource")},
			} {
				action := strings.TrimSpace(lacking)
				wantCode(t, o.run(h.as("walk"+o.name, policies...)), "AccessDeniedException", "is not authorized to perform: "+action+" on resource: "+on)
				if e := h.record(o.name, "kms-xks-proxy.amazonaws.com"); e.ErrorCode != "AccessDenied" {
					t.Errorf("a denial is recorded as %s", e.Raw)
				}
			}
			user := h.as("walk"+o.name, allow(own, "Resource"), allow(theirs, "Resource"))
			if err := o.run(user); err != nil {
				t.Fatal(err)
			}
			outer, inner := h.record(o.name, "kms-xks-proxy.amazonaws.com"), h.record(o.kms, "kms.amazonaws.com")
			for _, e := range []cloudtest.Event{outer, inner} {
				if e.ErrorCode != "" || !e.ReadOnly || e.UserIdentity.ARN != "arn:aws:iam::"+h.Account+":user/walk"+o.name || len(e.Resources) != 1 || e.Resources[0].ARN != on {
					t.Errorf("recorded as %s", e.Raw)
				}
				if strings.Contains(string(e.Raw), "aGVsbG8") || strings.Contains(string(e.Raw), "hello") {
					t.Errorf("the plaintext is on record: %s", e.Raw)
				}
			}
			if inner.UserIdentity.InvokedBy != "kms-xks-proxy.amazonaws.com" {
				t.Errorf("KMS does not know who passed the call on: %s", inner.Raw)
			}
			about, _ := outer.RequestParameters["requestMetadata"].(map[string]any)
			for name, want := range map[string]string{"awsPrincipalArn": aliceARN, "kmsKeyArn": theirKey, "kmsViaService": "ebs", "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae"} {
				if about[name] != want {
					t.Errorf("the record says of %s: %v, want %s", name, about[name], want)
				}
			}
		})
	}
	if err := walk.Check(walk.File, done, open); err != nil {
		t.Error(err)
	}
}

// record is the last record of an event.
func (h *house) record(name, source string) cloudtest.Event {
	h.t.Helper()
	for _, e := range slices.Backward(h.Trail(h.Account)) {
		if e.EventName == name && e.EventSource == source {
			return e
		}
	}
	h.t.Fatalf("there is no record of %s of %s", name, source)
	return cloudtest.Event{}
}

// Policies decide by what the calling KMS tells, and by KMS's own conditions.
func TestConditions(t *testing.T) {
	h := build(t)
	for _, tt := range []struct {
		key, value string
		want       string
	}{
		{"kms-xks-proxy:awsPrincipalArn", aliceARN, ""}, {"kms-xks-proxy:awsPrincipalArn", "arn:aws:iam::999988887777:user/Bob", "AccessDeniedException"},
		{"kms-xks-proxy:kmsKeyArn", theirKey, ""}, {"kms-xks-proxy:kmsOperation", "GenerateDataKey", ""}, {"kms-xks-proxy:kmsViaService", "ebs", ""},
		{"kms-xks-proxy:awsSourceVpc", "vpc-1", "AccessDeniedException"}, {"kms-xks-proxy:awsSourceVpce", "vpce-1", "AccessDeniedException"},
		{"kms-xks-proxy:nothing", "x", "AccessDeniedException"},
	} {
		user := h.as("conditions", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Action":"kms-xks-proxy:*","Resource":"*","Condition":{"StringEquals":{"`+tt.key+`":"`+tt.value+`"}}}]}`)
		_, err := user.Encrypt(nil, encryption(h.key, "hello", ""))
		if code(err) != tt.want {
			t.Errorf("allowed with %s %s: got %v, want %q", tt.key, tt.value, err, tt.want)
		}
	}
	for value, want := range map[string]string{"kms-xks-proxy.us-east-1.amazonaws.com": "", "ebs.us-east-1.amazonaws.com": "AccessDeniedException"} {
		user := h.as("via", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms-xks-proxy:*","Resource":"*"},
			{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"`+value+`"}}}]}`)
		_, err := user.Encrypt(nil, encryption(h.key, "hello", ""))
		if code(err) != want {
			t.Errorf("allowed via %s: got %v, want %q", value, err, want)
		}
	}
	// The key's own policy has the last word.
	locked := h.newKey(&kms.CreateKeyInput{Policy: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + h.Account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"kms:Encrypt","Resource":"*","Condition":{"Null":{"kms:ViaService":"false"}}}]}`)})
	_, err := h.proxy.Encrypt(nil, encryption(locked, "hello", ""))
	wantCode(t, err, "AccessDeniedException", "explicit deny")
	// A grant counts as much as a policy.
	user := h.as("grantee", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms-xks-proxy:*","Resource":"*"}}`)
	_, err = user.Encrypt(nil, encryption(h.key, "hello", ""))
	wantCode(t, err, "AccessDeniedException", "kms:Encrypt")
	if _, err := h.kms.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: &h.key, GranteePrincipal: new("arn:aws:iam::" + h.Account + ":user/grantee"), Operations: []types.GrantOperation{"Encrypt"}}); err != nil {
		t.Fatal(err)
	}
	if _, err = user.Encrypt(nil, encryption(h.key, "hello", "")); err != nil {
		t.Errorf("with a grant: %v", err)
	}
}
