package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
)

func replicas(regions ...string) (list []types.ReplicaRegionType) {
	for _, r := range regions {
		list = append(list, types.ReplicaRegionType{Region: aws.String(r)})
	}
	return list
}

// there is what the root user reads of a secret in another region.
func (h *house) there(region, id string) string {
	h.t.Helper()
	out, err := h.in(region).GetSecretValue(h.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return err.Error()
	}
	return *out.SecretString
}

func TestReplication(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	arn, v1 := h.create("prod/db", "1", func(in *secretsmanager.CreateSecretInput) {
		in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	})
	remoteARN := strings.Replace(arn, region, remote, 1)
	out := must(h.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn, AddReplicaRegions: replicas(remote)}))(t)
	if s := out.ReplicationStatus; len(s) != 1 || s[0].Status != types.StatusTypeInSync || *s[0].Region != remote || *s[0].KmsKeyId != "alias/aws/secretsmanager" {
		t.Errorf("status %+v", s)
	}
	if got := h.there(remote, "prod/db"); got != "1" {
		t.Errorf("the replica says %s", got)
	}
	r := must(h.in(remote).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &remoteARN}))(t)
	if *r.ARN != remoteARN || *r.PrimaryRegion != region || len(r.ReplicationStatus) != 0 || *r.Tags[0].Value != "v" || r.VersionIdsToStages[v1][0] != "AWSCURRENT" {
		t.Errorf("the replica is %+v", r)
	}
	if d := h.described(arn); *d.PrimaryRegion != region {
		t.Errorf("the primary secret is %+v", d)
	}

	t.Run("Follows", func(t *testing.T) {
		v2 := h.put(arn, "2")
		must(h.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: &arn, Description: aws.String("d")}))(t)
		must(h.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &arn, TagKeys: []string{"k"}}))(t)
		r := must(h.in(remote).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &remoteARN}))(t)
		want := map[string][]string{v1: {"AWSPREVIOUS"}, v2: {"AWSCURRENT"}}
		if h.there(remote, remoteARN) != "2" || *r.Description != "d" || len(r.Tags) != 0 || cmp.Diff(want, r.VersionIdsToStages) != "" {
			t.Errorf("the replica is %+v", r)
		}
		if err := h.move(arn, "AWSCURRENT", v2, v1); err != nil {
			t.Fatal(err)
		}
		if got := h.there(remote, remoteARN); got != "1" {
			t.Errorf("the replica says %s", got)
		}
		if err := h.setPolicy(arn, letIn(`{"AWS":"arn:aws:iam::`+home+`:root"}`, "secretsmanager:GetSecretValue"), false); err != nil {
			t.Fatal(err)
		}
		if p := must(h.in(remote).GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &remoteARN}))(t); p.ResourcePolicy == nil {
			t.Error("the replica has no policy")
		}
	})
	t.Run("CannotBeChanged", func(t *testing.T) {
		const not = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
		c := h.in(remote)
		_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &remoteARN, SecretString: aws.String("x")})
		wantError(t, err, "InvalidRequestException", not)
		_, err = c.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: &remoteARN, Description: aws.String("x")})
		wantError(t, err, "InvalidRequestException", not)
		_, err = c.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &remoteARN, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		wantError(t, err, "InvalidRequestException", not)
		_, err = c.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &remoteARN})
		wantError(t, err, "InvalidRequestException", not)
		_, err = c.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &remoteARN, AddReplicaRegions: replicas("us-west-2")})
		wantError(t, err, "InvalidRequestException", not)
	})
	t.Run("PrimaryCannotBeDeleted", func(t *testing.T) {
		_, err := h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn})
		wantError(t, err, "InvalidParameterException", "You can't delete secret prod/db that still has replica regions "+remote)
		_, err = h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, ForceDeleteWithoutRecovery: aws.Bool(true)})
		wantError(t, err, "InvalidParameterException", "replica regions")
	})
	t.Run("BadRegions", func(t *testing.T) {
		for _, r := range []string{region, remote, "mars-1"} {
			_, err := h.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn, AddReplicaRegions: replicas(r)})
			wantError(t, err, "InvalidParameterException", "region")
		}
		_, err := h.RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &arn, RemoveReplicaRegions: []string{"us-west-2"}})
		wantError(t, err, "InvalidParameterException", "not replicated to region us-west-2")
	})
	t.Run("Removed", func(t *testing.T) {
		out := must(h.RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &arn, RemoveReplicaRegions: []string{remote}}))(t)
		if len(out.ReplicationStatus) != 0 || !strings.Contains(h.there(remote, remoteARN), "ResourceNotFoundException") || h.described(arn).PrimaryRegion != nil {
			t.Errorf("got %+v", out)
		}
	})
	t.Run("Promoted", func(t *testing.T) {
		must(h.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn, AddReplicaRegions: replicas(remote)}))(t)
		_, err := h.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: &arn})
		wantError(t, err, "InvalidRequestException", "in the region of a replica")
		if out := must(h.in(remote).StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: &remoteARN}))(t); *out.ARN != remoteARN {
			t.Errorf("got %s", *out.ARN)
		}
		must(h.in(remote).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &remoteARN, SecretString: aws.String("own")}))(t)
		if h.there(remote, remoteARN) != "own" || h.get(arn) != "1" || len(h.described(arn).ReplicationStatus) != 0 {
			t.Error("the replica was not promoted")
		}
	})
	t.Run("NameIsTaken", func(t *testing.T) {
		out := must(h.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn, AddReplicaRegions: replicas(remote)}))(t)
		if s := out.ReplicationStatus[0]; s.Status != types.StatusTypeFailed || *s.StatusMessage != "Replication failed: Secret name prod/db already exists in region "+remote+"." {
			t.Errorf("status %s %s", s.Status, aws.ToString(s.StatusMessage))
		}
		if got := h.there(remote, remoteARN); got != "own" {
			t.Errorf("the other secret says %s", got)
		}
		out = must(h.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn, AddReplicaRegions: replicas(remote), ForceOverwriteReplicaSecret: true}))(t)
		if s := out.ReplicationStatus[0]; s.Status != types.StatusTypeInSync || h.there(remote, remoteARN) != "1" {
			t.Errorf("status %s %s", s.Status, aws.ToString(s.StatusMessage))
		}
	})
	t.Run("ReplicaDeleted", func(t *testing.T) {
		must(h.in(remote).DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &remoteARN}))(t)
		if !strings.Contains(h.there(remote, remoteARN), "ResourceNotFoundException") || len(h.described(arn).ReplicationStatus) != 0 {
			t.Error("the replica is still there")
		}
	})
}

// Replicas are encrypted under keys of their regions. One that cannot be is Failed, and the primary secret goes on.
func TestReplicaKeys(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	cfg := h.Config()
	cfg.Region = remote
	keys := kms.NewFromConfig(cfg)
	key := must(keys.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata
	out := must(h.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("s"), SecretString: aws.String("1"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(remote), KmsKeyId: key.KeyId}},
	}))(t)
	if s := out.ReplicationStatus[0]; s.Status != types.StatusTypeInSync || *s.KmsKeyId != *key.KeyId {
		t.Errorf("status %+v", s)
	}
	l := must(h.in(remote).ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s")}))(t)
	if got := l.Versions[0].KmsKeyIds; len(got) != 1 || got[0] != *key.Arn {
		t.Errorf("the replica is encrypted under %v", got)
	}
	must(keys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: key.KeyId}))(t)
	h.put("s", "2")
	if s := h.described("s").ReplicationStatus[0]; s.Status != types.StatusTypeFailed || !strings.HasPrefix(*s.StatusMessage, "Replication failed: ") || h.get("s") != "2" {
		t.Errorf("status %s %s", s.Status, aws.ToString(s.StatusMessage))
	}
	must(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: key.KeyId}))(t)
	if got := h.there(remote, "s"); got != "1" {
		t.Errorf("the replica says %s", got)
	}
	must(h.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), Description: aws.String("again")}))(t)
	if s := h.described("s").ReplicationStatus[0]; s.Status != types.StatusTypeInSync || s.StatusMessage != nil || h.there(remote, "s") != "2" {
		t.Errorf("status %s %s", s.Status, aws.ToString(s.StatusMessage))
	}
	// Who may not use the replica's key leaves it behind.
	putter := h.by(home, "putter", allow("secretsmanager:*", "*"))
	must(putter.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("3")}))(t)
	if s := h.described("s").ReplicationStatus[0]; s.Status != types.StatusTypeFailed || *s.StatusMessage != "Replication failed: Access to KMS is not allowed" || h.get("s") != "3" {
		t.Errorf("status %s %s", s.Status, aws.ToString(s.StatusMessage))
	}
}
