package ssm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"
)

func policyFor(who, arn string, actions ...string) *string {
	return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + who + `"},"Action":["` + strings.Join(actions, `","`) + `"],"Resource":"` + arn + `"}]}`)
}

// TestSharing lets another account read, as far as the policy says.
func TestSharing(t *testing.T) {
	h := start(t)
	key := h.key()
	h.put("/shared/a", "v", inAdvanced)
	h.put("/shared/s", "v", inAdvanced, secure, func(in *ssm.PutParameterInput) { in.KeyId = &key })
	h.put("/shared/standard", "v")
	h.put("/shared/managed", "v", inAdvanced, secure)
	theirs := ssm.NewFromConfig(h.User(other, "ann", allow("ssm:*", "*"), allow("kms:Decrypt", "*")))
	read := func(arn string) error {
		_, err := theirs.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &arn, WithDecryption: aws.Bool(true)})
		return err
	}
	arn := prefix + "/shared/a"
	wantError(t, read(arn), "AccessDeniedException", "because no resource-based policy allows the ssm:GetParameter action")
	wantError(t, read(prefix+"/shared/none"), "AccessDeniedException", "because no resource-based policy allows the ssm:GetParameter action")

	put := must(h.PutResourcePolicy(t.Context(), &ssm.PutResourcePolicyInput{ResourceArn: &arn, Policy: policyFor(other, arn, "ssm:GetParameter", "ssm:DescribeParameters")}))(t)
	p := must(theirs.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &arn}))(t).Parameter
	if *p.Value != "v" || *p.Name != "/shared/a" || *p.ARN != arn {
		t.Errorf("another account reads %+v", p)
	}
	wantError(t, answer(theirs.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: &arn})), "AccessDeniedException", "ssm:GetParameterHistory")
	seen := func() (arns []string) {
		for _, p := range must(theirs.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{Shared: aws.Bool(true)}))(t).Parameters {
			arns = append(arns, *p.ARN)
		}
		return arns
	}
	if d := cmp.Diff([]string{arn}, seen()); d != "" {
		t.Errorf("shared with them (-want +got):\n%s", d)
	}
	if n := len(must(theirs.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{}))(t).Parameters); n != 0 {
		t.Errorf("%d parameters are theirs", n)
	}
	t.Run("SecureString", func(t *testing.T) {
		arn := prefix + "/shared/s"
		must(h.PutResourcePolicy(t.Context(), &ssm.PutResourcePolicyInput{ResourceArn: &arn, Policy: policyFor(other, arn, "ssm:GetParameter")}))(t)
		wantError(t, read(arn), "AccessDeniedException", "kms:Decrypt")
		document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + home + `","` + other + `"]},"Action":"kms:*","Resource":"*"}]}`
		must(kms.NewFromConfig(h.Config()).PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &key, PolicyName: aws.String("default"), Policy: &document}))(t)
		if err := read(arn); err != nil {
			t.Error(err)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		as := func(arn string, policy *string) error {
			return answer(h.PutResourcePolicy(t.Context(), &ssm.PutResourcePolicyInput{ResourceArn: &arn, Policy: policy}))
		}
		standard, managed := prefix+"/shared/standard", prefix+"/shared/managed"
		wantError(t, as(standard, policyFor(other, standard, "ssm:GetParameter")), "ResourcePolicyInvalidParameterException", "advanced parameter tier")
		wantError(t, as(managed, policyFor(other, managed, "ssm:GetParameter")), "ResourcePolicyInvalidParameterException", "customer managed key")
		wantError(t, as(prefix+"/shared/none", policyFor(other, arn, "ssm:GetParameter")), "ResourceNotFoundException", "could not be found")
		wantError(t, as(arn, policyFor(other, arn, "ssm:GetParameter")), "ResourcePolicyLimitExceededException", "one resource policy")
		h.put("/shared/b", "v", inAdvanced)
		b := prefix + "/shared/b"
		for _, bad := range []*string{policyFor("*", b, "ssm:GetParameter"), policyFor(other, b, "ssm:PutParameter"), policyFor(other, b, "ssm:*"), policyFor(other, arn, "ssm:GetParameter"), aws.String("{}")} {
			wantError(t, as(b, bad), "MalformedResourcePolicyDocumentException", "malformed or invalid")
		}
		wantError(t, as(b, policyFor(other, b, strings.Repeat("x", 1000))), "ResourcePolicyLimitExceededException", "1024 bytes")
		_, err := theirs.PutResourcePolicy(t.Context(), &ssm.PutResourcePolicyInput{ResourceArn: &arn, Policy: policyFor(other, arn, "ssm:GetParameter")})
		wantError(t, err, "AccessDeniedException", "ssm:PutResourcePolicy")
	})
	t.Run("UpdateAndDelete", func(t *testing.T) {
		with := func(id, hash *string) *ssm.PutResourcePolicyInput {
			return &ssm.PutResourcePolicyInput{ResourceArn: &arn, Policy: policyFor(other, arn, "ssm:GetParameterHistory"), PolicyId: id, PolicyHash: hash}
		}
		wantError(t, answer(h.PutResourcePolicy(t.Context(), with(aws.String("x"), put.PolicyHash))), "ResourcePolicyNotFoundException", "")
		wantError(t, answer(h.PutResourcePolicy(t.Context(), with(put.PolicyId, aws.String("x")))), "ResourcePolicyConflictException", "")
		updated := must(h.PutResourcePolicy(t.Context(), with(put.PolicyId, put.PolicyHash)))(t)
		if *updated.PolicyId != *put.PolicyId || *updated.PolicyHash == *put.PolicyHash {
			t.Errorf("updated to %s, %s", *updated.PolicyId, *updated.PolicyHash)
		}
		must(theirs.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: &arn}))(t)
		wantError(t, read(arn), "AccessDeniedException", "ssm:GetParameter")
		if got := seen(); len(got) != 0 {
			t.Errorf("they still see %v", got)
		}
		wantError(t, answer(h.DeleteResourcePolicy(t.Context(), &ssm.DeleteResourcePolicyInput{ResourceArn: &arn, PolicyId: put.PolicyId, PolicyHash: put.PolicyHash})), "ResourcePolicyConflictException", "")
		must(h.DeleteResourcePolicy(t.Context(), &ssm.DeleteResourcePolicyInput{ResourceArn: &arn, PolicyId: updated.PolicyId, PolicyHash: updated.PolicyHash}))(t)
		wantError(t, answer(theirs.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: &arn})), "AccessDeniedException", "")
	})
}

// TestSecrets reads secrets of Secrets Manager by names of parameters.
func TestSecrets(t *testing.T) {
	h := start(t)
	secrets := secretsmanager.NewFromConfig(h.Config())
	made := must(secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("app/db"), SecretString: aws.String("first")}))(t)
	must(secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), SecretString: aws.String("second")}))(t)
	const name = "/aws/reference/secretsmanager/app/db"
	p := h.get(name)
	if *p.Name != name || *p.Value != "second" || p.Type != "SecureString" || p.Version != 0 || *p.ARN != *made.ARN {
		t.Errorf("GetParameter = %+v", p)
	}
	var source map[string]any
	if err := json.Unmarshal([]byte(*p.SourceResult), &source); err != nil || source["name"] != "app/db" || source["ARN"] != *made.ARN || source["secretString"] != "second" {
		t.Errorf("SourceResult = %s, %v", *p.SourceResult, err)
	}
	for selector, want := range map[string]string{"AWSPREVIOUS": "first", *made.VersionId: "first", "AWSCURRENT": "second"} {
		if p := h.get(name + ":" + selector); *p.Value != want || *p.Selector != ":"+selector {
			t.Errorf("%s: %s %s", selector, *p.Value, *p.Selector)
		}
	}
	out := must(h.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{name, name + "-none"}, WithDecryption: aws.Bool(true)}))(t)
	if len(out.Parameters) != 1 || !cmp.Equal(out.InvalidParameters, []string{name + "-none"}) {
		t.Errorf("GetParameters = %+v", out)
	}
	_, err := h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(name)})
	wantError(t, err, "ValidationException", "WithDecryption flag must be True for retrieving a Secret Manager secret.")
	_, err = h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(name + "-none"), WithDecryption: aws.Bool(true)})
	wantError(t, err, "ParameterNotFound", "Secret "+name+"-none not found.")
	half := ssm.NewFromConfig(h.User(home, "half", allow("ssm:GetParameter", prefix+name)))
	_, err = half.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(name), WithDecryption: aws.Bool(true)})
	wantError(t, err, "AccessDeniedException", "is not authorized to perform: secretsmanager:GetSecretValue")
	for _, e := range h.Trail(home) {
		if strings.Contains(string(e.Raw), `"second"`) {
			t.Errorf("it is on record: %s", e.Raw)
		}
	}
}

// TestPublic reads AWS's parameters on regions and services.
func TestPublic(t *testing.T) {
	h := start(t)
	const regions = "/aws/service/global-infrastructure/regions"
	p := h.get(regions + "/eu-central-1/longName")
	if *p.Value != "Europe (Frankfurt)" || *p.ARN != "arn:aws:ssm:us-east-1::parameter"+regions+"/eu-central-1/longName" {
		t.Errorf("GetParameter = %s, %s", *p.Value, *p.ARN)
	}
	if p := h.get(*p.ARN + ":1"); *p.Value != "Europe (Frankfurt)" || *p.Selector != ":1" {
		t.Errorf("by ARN: %+v", p)
	}
	if got := h.below(regions, false); len(got) < 30 || got[0] != regions+"/af-south-1" {
		t.Errorf("regions: %v", got)
	}
	built := strings.Join(h.below("/aws/service/global-infrastructure/services", false), " ")
	if !strings.Contains(built, "services/ssm") || strings.Contains(built, "services/ec2") {
		t.Errorf("services: %s", built)
	}
	if got := h.below(regions+"/eu-west-1/services", true); !strings.Contains(strings.Join(got, " "), "/kms") {
		t.Errorf("services of a region: %v", got)
	}
	_, err := h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")})
	wantError(t, err, "ParameterNotFound", "")
	c := ssm.NewFromConfig(h.User(home, "nobody", allow("kms:*", "*")))
	_, err = c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(regions + "/us-east-1")})
	wantError(t, err, "AccessDeniedException", "on resource: arn:aws:ssm:us-east-1::parameter"+regions+"/us-east-1")
}
