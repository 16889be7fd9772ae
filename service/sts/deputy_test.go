package sts_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	api "github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// A service that acts for several customers must not be used by one against another: a role can ask for whom it acts.
func TestConfusedDeputy(t *testing.T) {
	h := build(t)
	trail := "arn:aws:cloudtrail:us-east-1:" + home + ":trail/mine"
	r := h.role(home, "delivery", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"sts:AssumeRole",`+
		`"Condition":{"ArnLike":{"aws:SourceArn":"`+trail+`"},"StringEquals":{"aws:SourceAccount":"`+home+`"}}}}`)
	open := h.role(home, "open", trust(`{"Service":"cloudtrail.amazonaws.com"}`, ""))
	for _, tt := range []struct {
		name, service, source, role string
		wants                       bool
	}{
		{"OK", "cloudtrail.amazonaws.com", trail, r, true},
		{"AnotherSource", "cloudtrail.amazonaws.com", "arn:aws:cloudtrail:us-east-1:" + other + ":trail/mine", r, false},
		{"NoSource", "cloudtrail.amazonaws.com", "", r, false},
		{"AnotherService", "config.amazonaws.com", trail, r, false},
		{"WithoutConditions", "cloudtrail.amazonaws.com", "", open, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tx, err := h.store.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Discard()
			c := &call.Call{
				Context: t.Context(), Op: api.OpAssumeRole, Scope: call.Scope{Partition: "aws", Account: call.OwnAccount, Region: "us-east-1"},
				Caller: identity.Service(tt.service), Time: h.clock.Now(), Source: call.Source{Service: tt.service, ARN: tt.source},
			}
			c.Bind("sts", nil, func() (store.Tx, error) { return tx, nil })
			out, err := h.service.AssumeRole(c, &api.AssumeRoleRequest{RoleArn: &tt.role, RoleSessionName: new("delivery")})
			if (err == nil) != tt.wants {
				t.Fatalf("AssumeRole = %v", err)
			}
			if err != nil {
				denied, ok := errors.AsType[*call.Denied](err)
				if want := "User: " + tt.service + " is not authorized to perform: sts:AssumeRole on resource: " + tt.role; !ok || denied.Message != want {
					t.Errorf("got %v, want %s", err, want)
				}
				return
			}
			if _, err := h.directory.Session(t.Context(), *out.Credentials.AccessKeyId, *out.Credentials.SessionToken); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecodeAuthorizationMessage(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann", allow(`"sts:DecodeAuthorizationMessage"`))
	message := func(account string) string {
		t.Helper()
		text, err := evidence.Encode(h.keys, account, &evidence.Failure{ID: "AIDA", ARN: "arn:aws:iam::" + account + ":user/bob", Action: "kms:Encrypt", Resource: "arn:x"})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text := message(home)
	out, err := ann.DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &text})
	if err != nil || out.DecodedMessage == nil || len(*out.DecodedMessage) < 20 {
		t.Errorf("DecodeAuthorizationMessage = %+v, %v", out, err)
	}
	_, err = h.user(home, "bob").DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &text})
	wantError(t, err, "AccessDenied", "User: arn:aws:iam::"+home+":user/bob is not authorized to perform: sts:DecodeAuthorizationMessage")
	elsewhere, err := evidence.Encode(seal.Ephemeral(), home, &evidence.Failure{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{message(other), elsewhere, text[:len(text)-4], "x"} {
		_, err := ann.DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &bad})
		wantError(t, err, "InvalidAuthorizationMessageException", "Message is not valid")
	}
}
