package interop_test

import (
	"errors"
	"testing"

	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
)

func TestQuery(t *testing.T) {
	var d double
	url := serve(t, wire.Query, &d, sts.OpAssumeRole, sts.OpGetCallerIdentity)
	client := sdksts.NewFromConfig(wiretest.Client(url))

	t.Run("AssumeRole", func(t *testing.T) {
		role := "arn:aws:iam::111122223333:role/" + "r+ä &="
		d = double{
			want: &sts.AssumeRoleRequest{RoleArn: &role, RoleSessionName: new("s@x"), DurationSeconds: new(int32(900)),
				Tags:              []sts.Tag{{Key: new("a"), Value: new("")}, {Key: new("b"), Value: new("2")}, {Key: new("c"), Value: new("3")}},
				TransitiveTagKeys: []string{"a", "b"}},
			out: &sts.AssumeRoleResponse{
				Credentials:     &sts.Credentials{AccessKeyId: new("ASIAEXAMPLEEXAMPLE12"), SecretAccessKey: new("s<&>"), SessionToken: new("t"), Expiration: &when},
				AssumedRoleUser: &sts.AssumedRoleUser{AssumedRoleId: new("id:s"), Arn: new("arn")}, PackedPolicySize: new(int32(7))},
		}
		got, err := client.AssumeRole(t.Context(), &sdksts.AssumeRoleInput{RoleArn: &role, RoleSessionName: new("s@x"), DurationSeconds: new(int32(900)),
			Tags:              []ststypes.Tag{{Key: new("a"), Value: new("")}, {Key: new("b"), Value: new("2")}, {Key: new("c"), Value: new("3")}},
			TransitiveTagKeys: []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "SecretAccessKey", "s<&>", *got.Credentials.SecretAccessKey)
		same(t, "Expiration", when, *got.Credentials.Expiration)
		same(t, "PackedPolicySize", 7, *got.PackedPolicySize)
		ours(t, wire.Query, url, sts.OpAssumeRole, &d)
	})
	t.Run("NoInput", func(t *testing.T) {
		d = double{want: sts.OpGetCallerIdentity.NewInput(), out: &sts.GetCallerIdentityResponse{Account: new("111122223333")}}
		got, err := client.GetCallerIdentity(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Account", "111122223333", *got.Account)
		ours(t, wire.Query, url, sts.OpGetCallerIdentity, &d)
	})
	t.Run("ModeledError", func(t *testing.T) {
		d = double{want: &sts.AssumeRoleRequest{RoleArn: new("arn:aws:iam::111122223333:role/r"), RoleSessionName: new("ss")}, err: &sts.MalformedPolicyDocumentException{Message: "bad <policy>"}}
		_, err := client.AssumeRole(t.Context(), &sdksts.AssumeRoleInput{RoleArn: new("arn:aws:iam::111122223333:role/r"), RoleSessionName: new("ss")})
		isError(t, err, "MalformedPolicyDocument", "bad <policy>")
		if _, ok := errors.AsType[*ststypes.MalformedPolicyDocumentException](err); !ok {
			t.Errorf("AssumeRole: %T, want MalformedPolicyDocumentException", err)
		}
		ours(t, wire.Query, url, sts.OpAssumeRole, &d)
	})
	t.Run("PlainError", func(t *testing.T) {
		d = double{want: sts.OpGetCallerIdentity.NewInput(), err: &wire.Error{Code: "AccessDenied", Message: "no", Status: 403}}
		_, err := client.GetCallerIdentity(t.Context(), nil)
		isError(t, err, "AccessDenied", "no")
		ours(t, wire.Query, url, sts.OpGetCallerIdentity, &d)
	})
}
