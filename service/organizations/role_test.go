package organizations_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// The role of a new account lets in whom the management account lets out, and nobody else.
func TestAccessRole(t *testing.T) {
	w := organized(t)
	a := w.account("a")
	role := "arn:aws:iam::" + a + ":role/OrganizationAccountAccessRole"
	assume := func(c aws.Config, role string) (*kms.Client, error) {
		out, err := sts.NewFromConfig(c).AssumeRole(bg, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("test")})
		if err != nil {
			return nil, err
		}
		c.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
		return kms.NewFromConfig(c), nil
	}
	const mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`
	inside, err := assume(w.User(management, "ann", mayAssume), role)
	if err != nil {
		t.Fatal(err)
	}
	k := must(inside.CreateKey(bg, &kms.CreateKeyInput{}))(t).KeyMetadata
	if *k.AWSAccountId != a {
		t.Errorf("the role's key is in account %s, want %s", *k.AWSAccountId, a)
	}
	_, err = assume(w.User(management, "bob"), role)
	fails(t, err, "AccessDenied")
	_, err = assume(w.User(stranger, "ann", mayAssume), role)
	fails(t, err, "AccessDenied")

	out := must(w.CreateAccount(bg, &organizations.CreateAccountInput{AccountName: aws.String("b"), Email: aws.String("b@corp.example"), RoleName: aws.String("Boss")}))(t)
	st := must(w.DescribeCreateAccountStatus(bg, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: out.CreateAccountStatus.Id}))(t)
	if _, err := assume(w.User(management, "ann", mayAssume), "arn:aws:iam::"+*st.CreateAccountStatus.AccountId+":role/Boss"); err != nil {
		t.Error(err)
	}
}
