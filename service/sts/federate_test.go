package sts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

func TestGetSessionToken(t *testing.T) {
	h := build(t)
	ann, root := h.user(home, "ann", deny(`"*"`)), h.user(home, "") // nobody can be kept from it
	for _, tt := range []struct {
		name string
		as   *sts.Client
		ask  *int32
		want time.Duration
		arn  string
	}{
		{"User", ann, nil, 12 * time.Hour, "arn:aws:iam::" + home + ":user/ann"},
		{"UserLonger", ann, aws.Int32(129600), 36 * time.Hour, "arn:aws:iam::" + home + ":user/ann"},
		{"Root", root, nil, time.Hour, "arn:aws:iam::" + home + ":root"},
		{"RootLonger", root, aws.Int32(129600), time.Hour, "arn:aws:iam::" + home + ":root"},
		{"RootShorter", root, aws.Int32(900), 15 * time.Minute, "arn:aws:iam::" + home + ":root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := h.clock.Now()
			out, err := tt.as.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: tt.ask})
			if err != nil {
				t.Fatal(err)
			}
			if d := out.Credentials.Expiration.Sub(now); d < tt.want-time.Minute || d > tt.want+time.Minute {
				t.Errorf("they last %s, want %s", d, tt.want)
			}
			if got := h.whoami(out.Credentials); got != tt.arn {
				t.Errorf("they are %s", got)
			}
			if r := h.last(home); !strings.Contains(r, `"mfaAuthenticated":"false"`) || !strings.Contains(r, `"creationDate"`) {
				t.Errorf("the record is %s", r)
			}
		})
	}
	for _, seconds := range []int32{899, 129601} {
		_, err := ann.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: &seconds})
		wantError(t, err, "ValidationError", "1 validation error detected")
	}
}

// Temporary credentials may not be used for everything:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
func TestWhatTemporaryCredentialsMayNot(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann", allow(`"*"`))
	arn := h.role(home, "r", trust(account(home), ""), allow(`"*"`))
	session, err := ann.GetSessionToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	federated, err := ann.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob"), Policy: aws.String(allow(`"*"`))})
	if err != nil {
		t.Fatal(err)
	}
	assumed, err := ann.AssumeRole(t.Context(), role(arn))
	if err != nil {
		t.Fatal(err)
	}
	operations := []struct {
		name string
		call func(*sts.Client) error
	}{
		{"AssumeRole", func(c *sts.Client) error { _, err := c.AssumeRole(t.Context(), role(arn)); return err }},
		{"GetSessionToken", func(c *sts.Client) error { _, err := c.GetSessionToken(t.Context(), nil); return err }},
		{"GetFederationToken", func(c *sts.Client) error {
			_, err := c.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob")})
			return err
		}},
		{"GetAccessKeyInfo", func(c *sts.Client) error {
			_, err := c.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: assumed.Credentials.AccessKeyId})
			return err
		}},
		{"GetCallerIdentity", func(c *sts.Client) error { _, err := c.GetCallerIdentity(t.Context(), nil); return err }},
	}
	for _, tt := range []struct {
		who string
		k   *types.Credentials
		may string
	}{
		{"Session", session.Credentials, "AssumeRole GetCallerIdentity"},
		{"Federated", federated.Credentials, "GetCallerIdentity"},
		{"Assumed", assumed.Credentials, "AssumeRole GetAccessKeyInfo GetCallerIdentity"},
	} {
		for _, op := range operations {
			err := op.call(h.with(tt.k))
			if strings.Contains(tt.may, op.name) {
				if err != nil {
					t.Errorf("%s cannot %s: %v", tt.who, op.name, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s can %s", tt.who, op.name)
				continue
			}
			wantError(t, err, "AccessDenied", "Cannot call "+op.name+" with session credentials")
		}
	}
}

func TestGetFederationToken(t *testing.T) {
	c := cloudtest.Start(t)
	ann := c.User(c.Account, "ann", allow(`["sts:GetFederationToken","sts:TagSession","kms:ListKeys","kms:ListAliases"]`))
	in := func(policy string) *sts.GetFederationTokenInput {
		in := &sts.GetFederationTokenInput{Name: aws.String("bob"), Tags: []types.Tag{tag("team", "red")}}
		if policy != "" {
			in.Policy = &policy
		}
		return in
	}
	for _, tt := range []struct {
		name, policy   string
		as             aws.Config
		lists, creates bool
	}{
		{"NoPolicyNoRights", "", ann, false, false},
		{"Both", allow(`["kms:ListKeys","kms:CreateKey"]`), ann, true, false},
		{"ByTag", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}}`, ann, true, false},
		{"OfRoot", allow(`"kms:CreateKey"`), c.Config(), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := sts.NewFromConfig(tt.as).GetFederationToken(t.Context(), in(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			arn := "arn:aws:sts::" + c.Account + ":federated-user/bob"
			if *out.FederatedUser.Arn != arn || *out.FederatedUser.FederatedUserId != c.Account+":bob" || out.PackedPolicySize == nil {
				t.Errorf("answered %+v, %v", out.FederatedUser, out.PackedPolicySize)
			}
			bob := with(c, out.Credentials)
			if got := whoami(t, bob); got != arn {
				t.Errorf("it is %s", got)
			}
			_, lists := kms.NewFromConfig(bob).ListKeys(t.Context(), nil)
			_, creates := kms.NewFromConfig(bob).CreateKey(t.Context(), nil)
			if (lists == nil) != tt.lists || (creates == nil) != tt.creates {
				t.Errorf("ListKeys: %v, CreateKey: %v", lists, creates)
			}
		})
	}
	t.Run("Denied", func(t *testing.T) {
		_, err := sts.NewFromConfig(c.User(c.Account, "carl")).GetFederationToken(t.Context(), in(""))
		wantError(t, err, "AccessDenied", "User: arn:aws:iam::"+c.Account+":user/carl is not authorized to perform: sts:GetFederationToken on resource: arn:aws:sts::"+c.Account+":federated-user/bob")
		_, err = sts.NewFromConfig(c.User(c.Account, "carl", allow(`"sts:GetFederationToken"`))).GetFederationToken(t.Context(), in(""))
		wantError(t, err, "AccessDenied", "User: arn:aws:iam::"+c.Account+":user/carl is not authorized to perform: sts:TagSession")
	})
	t.Run("Malformed", func(t *testing.T) {
		_, err := sts.NewFromConfig(ann).GetFederationToken(t.Context(), in("{"))
		wantError(t, err, "MalformedPolicyDocument", "")
	})
}

func TestGetAccessKeyInfo(t *testing.T) {
	h := build(t)
	ann := h.user(home, "ann", allow(`"sts:GetAccessKeyInfo"`))
	session, err := h.user(other, "bob").GetSessionToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ann.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: session.Credentials.AccessKeyId})
	if err != nil || *out.Account != other {
		t.Errorf("GetAccessKeyInfo = %+v, %v", out, err)
	}
	for _, id := range []string{"AKIA1111111111111111", "ABIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE1"} {
		_, err = ann.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &id})
		wantError(t, err, "ValidationError", "Invalid access key ID: "+id)
	}
	_, err = h.user(home, "carl").GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: session.Credentials.AccessKeyId})
	wantError(t, err, "AccessDenied", "User: arn:aws:iam::"+home+":user/carl is not authorized to perform: sts:GetAccessKeyInfo")
}
