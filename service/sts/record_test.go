package sts_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/engine/totp"
)

// given is what a record says was answered.
type given struct {
	Credentials struct {
		AccessKeyID     string `json:"accessKeyId"`
		SecretAccessKey string `json:"secretAccessKey"`
		SessionToken    string `json:"sessionToken"`
		Expiration      string `json:"expiration"`
	} `json:"credentials"`
	AssumedRoleUser struct {
		ID  string `json:"assumedRoleId"`
		ARN string `json:"arn"`
	} `json:"assumedRoleUser"`
}

// wantGiven fails unless the youngest record of an account says which credentials were given, and nothing that somebody could use.
func (h *house) wantGiven(account string, k *types.Credentials) (got given) {
	h.t.Helper()
	text := h.last(account)
	var record struct {
		ReadOnly bool  `json:"readOnly"`
		Response given `json:"responseElements"`
	}
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		h.t.Fatal(err)
	}
	got = record.Response
	const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"
	if c := got.Credentials; !record.ReadOnly || c.AccessKeyID != *k.AccessKeyId || c.SecretAccessKey != hidden || c.SessionToken != hidden || c.Expiration == "" {
		h.t.Errorf("the record of %s is %s", account, text)
	}
	if strings.Contains(text, *k.SecretAccessKey) || strings.Contains(text, *k.SessionToken) {
		h.t.Errorf("the record of %s tells the credentials", account)
	}
	return got
}

// Who finds an access key in the trail finds who got it: in the trail of the caller, and in that of the role's owner.
func TestCredentialsOnRecord(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann", allow(`"sts:*"`))
	serial, seed := h.device("ann", "ann")
	t.Run("AssumeRole", func(t *testing.T) {
		out, err := ann.AssumeRole(t.Context(), role(h.role(other, "guest", trust(account(home), ""))))
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{home, other} {
			got := h.wantGiven(account, out.Credentials)
			if got.AssumedRoleUser.ARN != *out.AssumedRoleUser.Arn || got.AssumedRoleUser.ID != *out.AssumedRoleUser.AssumedRoleId {
				t.Errorf("the record of %s has %+v, want %+v", account, got.AssumedRoleUser, out.AssumedRoleUser)
			}
		}
	})
	t.Run("GetSessionToken", func(t *testing.T) {
		h.advance(time.Second) // records of one moment have no order
		code := seed.Code(h.clock.Now())
		out, err := ann.GetSessionToken(t.Context(), mfa(serial, code))
		if err != nil {
			t.Fatal(err)
		}
		h.wantGiven(home, out.Credentials)
		if r := h.last(home); strings.Contains(r, `"`+code+`"`) || !strings.Contains(r, `"tokenCode":"HIDDEN`) {
			t.Errorf("the record tells the one-time code: %s", r)
		}
	})
	t.Run("GetFederationToken", func(t *testing.T) {
		h.advance(time.Second) // records of one moment have no order
		out, err := ann.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: new("bob")})
		if err != nil {
			t.Fatal(err)
		}
		h.wantGiven(home, out.Credentials)
	})
	t.Run("Denied", func(t *testing.T) {
		h.advance(totp.Period)
		in := role(h.role(other, "closed", trust(account(outside), "")))
		in.SerialNumber, in.TokenCode = &serial, new(seed.Code(h.clock.Now()))
		if _, err := ann.AssumeRole(t.Context(), in); code(err) != "AccessDenied" {
			t.Fatal(err)
		}
		if r := h.last(home); strings.Contains(r, *in.TokenCode) || !strings.Contains(r, `"responseElements":null`) {
			t.Errorf("the record is %s", r)
		}
	})
}
