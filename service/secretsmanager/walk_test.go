package secretsmanager_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is a request of an operation, on the secret s unless it is about none, and what it needs beside its own action.
type walked struct {
	name, on string
	also     []string // actions
	region   string   // "" is home's
	run      func(h *house, c *secretsmanager.Client) error
}

func answer[T any](_ T, err error) error { return err }

const (
	onSecret      = "secret:s-??????"
	walkedVersion = "11111111-2222-4333-8444-555555555555"
	credentials   = `{"engine":"postgres","host":"127.0.0.1","port":1,"username":"u","password":"p"}`
)

var secretID = aws.String("s")

var walks = []walked{
	{"CreateSecret", onSecret, []string{"secretsmanager:TagResource", "secretsmanager:ReplicateSecretToRegions"}, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.CreateSecret(h.t.Context(), &secretsmanager.CreateSecretInput{
			Name: secretID, SecretString: aws.String(credentials), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}, AddReplicaRegions: replicas("eu-central-1"), ClientRequestToken: aws.String(walkedVersion),
		}))
	}},
	{"DescribeSecret", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.DescribeSecret(h.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: secretID}))
	}},
	{"GetSecretValue", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.GetSecretValue(h.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: secretID}))
	}},
	{"BatchGetSecretValue", "*", []string{"secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"}, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.BatchGetSecretValue(h.t.Context(), &secretsmanager.BatchGetSecretValueInput{Filters: filter("name", "s")}))
	}},
	{"PutSecretValue", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.PutSecretValue(h.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: secretID, SecretString: aws.String(credentials)}))
	}},
	{"UpdateSecretVersionStage", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.UpdateSecretVersionStage(h.t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: secretID, VersionStage: aws.String("mine"), MoveToVersionId: aws.String(walkedVersion)}))
	}},
	{"UpdateSecret", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.UpdateSecret(h.t.Context(), &secretsmanager.UpdateSecretInput{SecretId: secretID, Description: aws.String("d")}))
	}},
	{"ListSecretVersionIds", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.ListSecretVersionIds(h.t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: secretID}))
	}},
	{"ListSecrets", "*", nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.ListSecrets(h.t.Context(), &secretsmanager.ListSecretsInput{}))
	}},
	{"TagResource", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.TagResource(h.t.Context(), &secretsmanager.TagResourceInput{SecretId: secretID, Tags: []types.Tag{{Key: aws.String("l"), Value: aws.String("v")}}}))
	}},
	{"UntagResource", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.UntagResource(h.t.Context(), &secretsmanager.UntagResourceInput{SecretId: secretID, TagKeys: []string{"l"}}))
	}},
	{"PutResourcePolicy", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.PutResourcePolicy(h.t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: secretID, ResourcePolicy: aws.String(letIn(`{"AWS":"`+home+`"}`, "secretsmanager:DescribeSecret"))}))
	}},
	{"GetResourcePolicy", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.GetResourcePolicy(h.t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: secretID}))
	}},
	{"ValidateResourcePolicy", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.ValidateResourcePolicy(h.t.Context(), &secretsmanager.ValidateResourcePolicyInput{SecretId: secretID, ResourcePolicy: aws.String("{}")}))
	}},
	{"DeleteResourcePolicy", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.DeleteResourcePolicy(h.t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: secretID}))
	}},
	{"GetRandomPassword", "*", nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.GetRandomPassword(h.t.Context(), &secretsmanager.GetRandomPasswordInput{}))
	}},
	{"ReplicateSecretToRegions", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.ReplicateSecretToRegions(h.t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: secretID, AddReplicaRegions: replicas(remote)}))
	}},
	{"StopReplicationToReplica", onSecret, nil, remote, func(h *house, c *secretsmanager.Client) error {
		return answer(c.StopReplicationToReplica(h.t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: secretID}))
	}},
	{"RemoveRegionsFromReplication", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.RemoveRegionsFromReplication(h.t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: secretID, RemoveReplicaRegions: []string{"eu-central-1"}}))
	}},
	{"RotateSecret", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.RotateSecret(h.t.Context(), &secretsmanager.RotateSecretInput{SecretId: secretID, RotateImmediately: aws.Bool(false), RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}}))
	}},
	{"CancelRotateSecret", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.CancelRotateSecret(h.t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: secretID}))
	}},
	{"DeleteSecret", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.DeleteSecret(h.t.Context(), &secretsmanager.DeleteSecretInput{SecretId: secretID}))
	}},
	{"RestoreSecret", onSecret, nil, "", func(h *house, c *secretsmanager.Client) error {
		return answer(c.RestoreSecret(h.t.Context(), &secretsmanager.RestoreSecretInput{SecretId: secretID}))
	}},
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who, action := "walker-"+o.name, "secretsmanager:"+o.name
			as := func(policy string) *secretsmanager.Client {
				cfg := h.User(home, who, policy)
				if o.region != "" {
					cfg.Region = o.region
				}
				return secretsmanager.NewFromConfig(cfg)
			}
			on := o.on
			if on != "*" {
				on = "arn:aws:secretsmanager:*:" + home + ":" + o.on
			}
			also := ""
			for _, a := range o.also {
				also += `,{"Effect":"Allow","Action":"` + a + `","Resource":"*"}`
			}
			err := o.run(h, as(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"`+action+`","Resource":"*"},
				{"Effect":"Allow","Action":"`+action+`","Resource":"arn:aws:secretsmanager:us-east-1:`+home+`:secret:elsewhere-*"}]}`))
			wantError(t, err, "AccessDeniedException", "is not authorized to perform: "+action)
			just := `{"Effect":"Allow","Action":"` + action + `","Resource":"` + on + `"}`
			if also != "" && o.name != "BatchGetSecretValue" { // which tells of each secret by itself
				err := o.run(h, as(`{"Version":"2012-10-17","Statement":[`+just+`]}`))
				wantError(t, err, "AccessDeniedException", "is not authorized to perform: "+o.also[0])
			}
			if err := o.run(h, as(`{"Version":"2012-10-17","Statement":[`+just+also+`]}`)); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				found := false
				for _, e := range slices.Backward(h.Trail(home)) {
					if e.EventName != o.name || e.ErrorCode != code || e.UserIdentity.ARN != "arn:aws:iam::"+home+":user/"+who {
						continue
					}
					found = true
					read := slices.ContainsFunc([]string{"Get", "List", "Describe", "Batch"}, func(p string) bool { return strings.HasPrefix(o.name, p) })
					if e.EventSource != "secretsmanager.amazonaws.com" || e.ReadOnly != read || strings.Contains(string(e.Raw), `"password`) {
						t.Errorf("recorded as %s", e.Raw)
					}
					break
				}
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
				}
			}
		})
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}
