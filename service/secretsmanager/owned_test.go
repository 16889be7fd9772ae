package secretsmanager_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// A secret that belongs to a service, here to EventBridge, is read by its customer, and changed by the service alone.
func TestOwnedByService(t *testing.T) {
	h := start(t)
	buses := eventbridge.NewFromConfig(h.Config())
	must(buses.CreateConnection(t.Context(), &eventbridge.CreateConnectionInput{
		Name: aws.String("c"), AuthorizationType: eventtypes.ConnectionAuthorizationTypeBasic, AuthParameters: &eventtypes.CreateConnectionAuthRequestParameters{
			BasicAuthParameters: &eventtypes.CreateConnectionBasicAuthRequestParameters{Username: aws.String("ann"), Password: aws.String("p")},
		},
	}))(t)
	id := must(buses.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(t).SecretArn
	if got := h.get(*id); got != `{"username":"ann","password":"p"}` {
		t.Errorf("it says %s", got)
	}
	about := h.described(*id)
	if aws.ToString(about.OwningService) != "events" {
		t.Errorf("it belongs to %s", aws.ToString(about.OwningService))
	}
	if list := must(h.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{Filters: filter("owning-service", "events")}))(t).SecretList; len(list) != 1 || *list[0].ARN != *id {
		t.Errorf("of EventBridge there are %v", list)
	}
	var version *string
	for v := range about.VersionIdsToStages {
		version = &v
	}
	for name, do := range map[string]func() error{
		"PutSecretValue": func() error {
			return answer(h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: aws.String("mine")}))
		},
		"UpdateSecret": func() error {
			return answer(h.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: id, Description: aws.String("mine")}))
		},
		"UpdateSecretVersionStage": func() error {
			return answer(h.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: id, VersionStage: aws.String("mine"), MoveToVersionId: version}))
		},
		"RotateSecret": func() error {
			return answer(h.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: id, RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:" + home + ":function:f")}))
		},
		"ReplicateSecretToRegions": func() error {
			return answer(h.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: id, AddReplicaRegions: replicas(remote)}))
		},
		"DeleteSecret": func() error {
			return answer(h.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: aws.Bool(true)}))
		},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, do(), "InvalidRequestException", "managed by another service") })
	}
	wantError(t, answer(h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("events!connection/c/mine")})), "InvalidRequestException", "reserved")
	if got := h.get(*id); got != `{"username":"ann","password":"p"}` {
		t.Errorf("in the end it says %s", got)
	}
}
