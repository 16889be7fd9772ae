package secretsmanager_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// nowhere are credentials of a database that does not answer.
const nowhere = `{"engine":"postgres","host":"127.0.0.1","port":1,"username":"app","password":"first"}`

// rotations are the events of rotations, as NAME or NAME(MESSAGE), those of one moment in the order of their names.
func (h *house) rotations() (failed, all []string) {
	h.t.Helper()
	for _, e := range h.Trail(home) {
		if !strings.HasPrefix(e.EventName, "Rotation") {
			continue
		}
		all = append(all, e.EventName)
		if e.EventName == "RotationFailed" {
			_, message, _ := strings.Cut(string(e.Raw), `"errorMessage":"`)
			message, _, _ = strings.Cut(message, `"`)
			failed = append(failed, message)
		}
	}
	return failed, all
}

// Secrets Manager reads and encrypts what it rotates by the rights that the secret's account has through it, also when nobody calls: with its own key and with a customer's.
func TestRotationOfItsOwnAccord(t *testing.T) {
	h := start(t)
	key := must(kms.NewFromConfig(h.Config()).CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
	h.create("own", nowhere)
	h.create("theirs", nowhere, func(in *secretsmanager.CreateSecretInput) { in.KmsKeyId = key })
	for _, id := range []string{"own", "theirs"} {
		must(h.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
			SecretId: &id, RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(1 day)")},
		}))(t)
		h.Advance(0)
		failed, _ := h.rotations()
		if len(failed) == 0 || !strings.HasPrefix(failed[len(failed)-1], "error during setSecret step") || strings.Contains(failed[len(failed)-1], "first") {
			t.Errorf("%s: failed with %q", id, failed)
		}
		pending := h.value(id, "AWSPENDING")
		if strings.Contains(pending, "first") || !strings.Contains(pending, `"username":"app"`) || h.get(id) != nowhere {
			t.Errorf("%s: AWSPENDING is %s, AWSCURRENT %s", id, pending, h.get(id))
		}
	}
	h.Advance(36 * time.Hour)
	if _, all := h.rotations(); len(all) < 20 {
		t.Errorf("events %v", all)
	}
}

// value is what the version says that has a label.
func (h *house) value(id, label string) string {
	h.t.Helper()
	return *must(h.GetSecretValue(h.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &label}))(h.t).SecretString
}

// Who sets rotation up has to be allowed to read the superuser's secret, and to invoke the function.
func TestRotationIsAuthorized(t *testing.T) {
	h := start(t)
	master, _ := h.create("super", strings.Replace(nowhere, "app", "root", 1))
	h.create("db", strings.TrimSuffix(nowhere, "}")+`,"masterarn":"`+master+`"}`)
	clerk := h.by(home, "clerk", allow("secretsmanager:RotateSecret", "*"))
	_, err := clerk.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("db")})
	wantError(t, err, "AccessDeniedException", "secretsmanager:GetSecretValue on resource: "+master)
	of := func(effect string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}]}`
	}
	_, err = h.by(home, "barred", allow("secretsmanager:*", "*"), of("Deny")).RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("db")})
	wantError(t, err, "AccessDeniedException", "secretsmanager:GetSecretValue on resource: "+master)
	_, err = clerk.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("db"), RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:" + home + ":function:mine")})
	wantError(t, err, "AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function.")
	_, err = h.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("db"), RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:" + home + ":function:mine")})
	wantError(t, err, "AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function.")
	_, err = h.by(home, "stranger").CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: aws.String("db")})
	wantError(t, err, "AccessDeniedException", "secretsmanager:CancelRotateSecret")
	if d := h.described("db"); d.RotationEnabled != nil {
		t.Errorf("described as %+v", d)
	}
	must(h.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: aws.String("db"), RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:" + home + ":function:SecretsManagerRDSPostgreSQLRotationMultiUser"),
	}))(t)
	if d := h.described("db"); !*d.RotationEnabled || !strings.HasSuffix(*d.RotationLambdaARN, "RotationMultiUser") {
		t.Errorf("described as %+v", d)
	}
	h.create("db2", strings.TrimSuffix(nowhere, "}")+`,"masterarn":"`+master+`"}`)
	reader := h.by(home, "reader", allow("secretsmanager:RotateSecret", "*"), of("Allow"))
	must(reader.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("db2")}))(t)
}
