package sts_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

func TestGetCallerIdentity(t *testing.T) {
	c := cloudtest.Start(t)
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`
	for _, tt := range []struct {
		name   string
		config aws.Config
		want   string
	}{
		{"Root", c.Config(), "arn:aws:iam::" + c.Account + ":root"},
		{"RootOfAnotherAccount", c.Root("999988887777"), "arn:aws:iam::999988887777:root"},
		// Nobody can be kept from asking who they are.
		{"UserWithoutRights", c.User(c.Account, "ann", deny), "arn:aws:iam::" + c.Account + ":user/ann"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := sts.NewFromConfig(tt.config).GetCallerIdentity(t.Context(), nil)
			if err != nil || *out.Arn != tt.want || *out.UserId == "" || len(*out.Account) != 12 {
				t.Errorf("GetCallerIdentity() = %+v, %v, want %s", out, err, tt.want)
			}
		})
	}
	var got []string
	for _, e := range c.Trail(c.Account) {
		got = append(got, e.EventName+" "+e.EventSource+" "+e.UserIdentity.ARN)
	}
	want := []string{
		"GetCallerIdentity sts.amazonaws.com arn:aws:iam::" + c.Account + ":root",
		"GetCallerIdentity sts.amazonaws.com arn:aws:iam::" + c.Account + ":user/ann",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

// A presigned URL proves to a third party who somebody is; EKS and Vault work so.
func TestPresignedGetCallerIdentity(t *testing.T) {
	c := cloudtest.Start(t)
	url, err := sts.NewPresignClient(sts.NewFromConfig(c.User(c.Account, "ann"))).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url, want string
		status    int
	}{
		{url.URL, "<Arn>arn:aws:iam::" + c.Account + ":user/ann</Arn>", 200},
		{strings.Replace(url.URL, "X-Amz-Signature=", "X-Amz-Signature=0", 1), "SignatureDoesNotMatch", 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), url.Method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range url.SignedHeader {
			r.Header[k] = v
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(b), tt.want) {
			t.Errorf("%s %s answered %d %s, %v, want %d %s", r.Method, tt.url, resp.StatusCode, b, err, tt.status, tt.want)
		}
	}
}
