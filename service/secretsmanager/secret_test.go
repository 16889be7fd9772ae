package secretsmanager_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
)

func TestCreateSecret(t *testing.T) {
	h := start(t)
	arn, version := h.create("prod/db", "first", func(in *secretsmanager.CreateSecretInput) {
		in.Description, in.Tags = aws.String("of the shop"), []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	})
	if !strings.HasPrefix(arn, secretARN+"prod/db-") || len(arn) != len(secretARN+"prod/db-")+6 {
		t.Errorf("ARN %s", arn)
	}
	d := h.described("prod/db")
	want := map[string][]string{version: {"AWSCURRENT"}}
	if *d.ARN != arn || *d.Description != "of the shop" || d.KmsKeyId != nil || d.LastAccessedDate != nil || d.RotationEnabled != nil || cmp.Diff(want, d.VersionIdsToStages) != "" || *d.Tags[0].Value != "red" ||
		!d.CreatedDate.Equal(epoch) || !d.LastChangedDate.Equal(epoch) || d.PrimaryRegion != nil {
		t.Errorf("described as %+v", d)
	}
	out := must(h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn}))(t)
	if *out.SecretString != "first" || out.SecretBinary != nil || *out.VersionId != version || !out.CreatedDate.Equal(epoch) || cmp.Diff([]string{"AWSCURRENT"}, out.VersionStages) != "" {
		t.Errorf("got %+v", out)
	}

	// https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
	t.Run("OnRecord", func(t *testing.T) {
		e := h.recorded("CreateSecret")[0]
		token, ok := e.RequestParameters["clientRequestToken"]
		if !ok || token != version || e.RequestParameters["name"] != "prod/db" || e.RequestParameters["secretString"] != "HIDDEN_DUE_TO_SECURITY_REASONS" || e.ResponseElements["arn"] != arn {
			t.Errorf("recorded as %s", e.Raw)
		}
	})
	t.Run("SameRequestAgain", func(t *testing.T) {
		again := must(h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/db"), SecretString: aws.String("first"), ClientRequestToken: &version}))(t)
		if *again.ARN != arn || *again.VersionId != version {
			t.Errorf("got %+v", again)
		}
	})
	t.Run("OtherValue", func(t *testing.T) {
		_, err := h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/db"), SecretString: aws.String("other"), ClientRequestToken: &version})
		wantError(t, err, "ResourceExistsException", "because that value is already in use for a version of secret "+arn)
	})
	t.Run("Exists", func(t *testing.T) {
		_, err := h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/db"), SecretString: aws.String("first")})
		wantError(t, err, "ResourceExistsException", "The operation failed because the secret prod/db already exists.")
		_, err = h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/db")})
		wantError(t, err, "ResourceExistsException", "The operation failed because the secret prod/db already exists.")
	})
	t.Run("BadName", func(t *testing.T) {
		for _, name := range []string{"Inv Name", " Inv Name", " Inv*Name? ", `Inv *?!]Name\\-`, "ä"} {
			_, err := h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name})
			wantError(t, err, "ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
			_, err = h.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
			wantError(t, err, "ValidationException", "Invalid name.")
		}
	})
	t.Run("BothValues", func(t *testing.T) {
		_, err := h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("b"), SecretString: aws.String("s"), SecretBinary: []byte("s")})
		wantError(t, err, "InvalidParameterException", "both a binary secret value and a string secret value")
	})
	t.Run("ServicesName", func(t *testing.T) {
		_, err := h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("rds!db-1")})
		wantError(t, err, "InvalidRequestException", "reserved")
	})
	t.Run("TooManyTags", func(t *testing.T) {
		var tags []types.Tag
		for i := range 51 {
			tags = append(tags, types.Tag{Key: aws.String(strings.Repeat("k", i+1)), Value: aws.String("v")})
		}
		_, err := h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("b"), Tags: tags})
		wantError(t, err, "LimitExceededException", "50 tags")
		_, err = h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("b"), Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("v")}}})
		wantError(t, err, "InvalidParameterException", "reserved")
	})
	t.Run("WithoutValue", func(t *testing.T) {
		arn, version := h.create("empty", "")
		if version != "" {
			t.Errorf("version %s", version)
		}
		_, err := h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
		out := must(h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretBinary: []byte{0, 1}, VersionStages: []string{"mine"}}))(t)
		if cmp.Diff([]string{"AWSCURRENT", "mine"}, out.VersionStages) != "" {
			t.Errorf("the first version has labels %v", out.VersionStages)
		}
		v := must(h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: aws.String("mine")}))(t)
		if v.SecretString != nil || string(v.SecretBinary) != "\x00\x01" {
			t.Errorf("got %+v", v)
		}
	})
}

// What a SecretId may be.
func TestSecretID(t *testing.T) {
	h := start(t)
	for _, name := range []string{"plain", "Valid/_+=.@-Name", "Valid/_+=.@-Name-a1b2", "Valid/_+=.@-Name-a1b2c3-"} {
		arn, _ := h.create(name, name)
		for _, id := range []string{name, arn, arn[:len(arn)-7]} {
			if got := h.get(id); got != name {
				t.Errorf("%s says %q", id, got)
			}
		}
	}
	t.Run("LooksLikeAWholeARN", func(t *testing.T) {
		arn, _ := h.create("Invalid-a1b2c3", "x")
		h.get(arn)
		_, err := h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(arn[:len(arn)-7])})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	})
	for name, id := range map[string]string{
		"Missing": "missing", "MissingARN": secretARN + "plain-aaaaaa", "OtherRegion": strings.Replace(secretARN, region, remote, 1) + "plain",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
			wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
			_, err = h.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &id})
			wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
			_, err = h.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &id})
			wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		})
	}
	t.Run("OtherService", func(t *testing.T) {
		_, err := h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("arn:aws:s3:::bucket")})
		wantError(t, err, "InvalidParameterException", "ARN")
	})
}

func TestUpdateSecret(t *testing.T) {
	h := start(t)
	arn, first := h.create("s", "1")
	h.Advance(time.Hour)
	out := must(h.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: &arn, Description: aws.String("d")}))(t)
	d := h.described(arn)
	if out.VersionId != nil || *d.Description != "d" || !d.LastChangedDate.Equal(epoch.Add(time.Hour)) || len(d.VersionIdsToStages) != 1 {
		t.Errorf("described as %+v", d)
	}
	out = must(h.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: &arn, SecretString: aws.String("2")}))(t)
	want := map[string][]string{first: {"AWSPREVIOUS"}, *out.VersionId: {"AWSCURRENT"}}
	if d := cmp.Diff(want, h.described(arn).VersionIdsToStages); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if got := h.get(arn); got != "2" {
		t.Errorf("it says %q", got)
	}
	_, err := h.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: &arn, SecretString: aws.String("3"), ClientRequestToken: &first})
	wantError(t, err, "ResourceExistsException", first)
}

func TestDeleteSecret(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	arn, _ := h.create("s", "1")
	for days, text := range map[int64]string{6: "between 7 and 30 days", 31: "between 7 and 30 days"} {
		_, err := h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: &days})
		wantError(t, err, "InvalidParameterException", text)
	}
	_, err := h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: aws.Int64(7), ForceDeleteWithoutRecovery: aws.Bool(true)})
	wantError(t, err, "InvalidParameterException", "in conjunction with")

	out := must(h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn}))(t)
	if want := epoch.AddDate(0, 0, 30); !out.DeletionDate.Equal(want) || !h.described(arn).DeletedDate.Equal(want) {
		t.Errorf("deleted on %s", out.DeletionDate)
	}
	t.Run("ScheduledForDeletion", func(t *testing.T) {
		const marked = "You can't perform this operation on the secret because it was marked for deletion."
		_, err := h.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		wantError(t, err, "InvalidRequestException", marked)
		_, err = h.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String("2")})
		wantError(t, err, "InvalidRequestException", marked)
		_, err = h.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &arn, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		wantError(t, err, "InvalidRequestException", marked)
		_, err = h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn})
		wantError(t, err, "InvalidRequestException", marked)
		_, err = h.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s")})
		wantError(t, err, "InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
		if l := must(h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{}))(t); len(l.SecretList) != 0 {
			t.Errorf("listed %d", len(l.SecretList))
		}
		if l := must(h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)}))(t); len(l.SecretList) != 1 || !l.SecretList[0].DeletedDate.Equal(epoch) {
			t.Errorf("listed %+v", l.SecretList)
		}
	})
	t.Run("Restored", func(t *testing.T) {
		must(h.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &arn}))(t)
		h.Advance(31 * 24 * time.Hour)
		if h.get(arn) != "1" || h.described(arn).DeletedDate != nil {
			t.Error("it was not restored")
		}
	})
	t.Run("AfterTheWindow", func(t *testing.T) {
		must(h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: aws.Int64(7)}))(t)
		h.Advance(7*24*time.Hour - time.Second)
		h.described(arn)
		h.Advance(time.Second)
		_, err := h.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		if n := len(h.recorded("EndSecretDelete")); n != 1 {
			t.Errorf("%d events tell of the deletion", n)
		}
		again, _ := h.create("s", "2")
		if again == arn || h.get("s") != "2" {
			t.Errorf("the next secret of the name is %s", again)
		}
	})
	t.Run("Forced", func(t *testing.T) {
		must(h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
		_, err := h.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		out := must(h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
		if !strings.HasPrefix(*out.ARN, secretARN+"s-") || *out.Name != "s" {
			t.Errorf("got %+v", out)
		}
		_, err = h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("s")})
		wantError(t, err, "ResourceNotFoundException", "")
		h.create("s", "3")
	})
}

// The days on which values were read are told, and not the hours.
func TestLastAccessed(t *testing.T) {
	h := start(t)
	arn, version := h.create("s", "1")
	h.get(arn)
	day := epoch.Truncate(24 * time.Hour)
	if at := h.described(arn).LastAccessedDate; at == nil || !at.Equal(day) {
		t.Errorf("last read on %v", at)
	}
	h.Advance(48 * time.Hour)
	h.get(arn)
	if at := h.described(arn).LastAccessedDate; !at.Equal(day.Add(48 * time.Hour)) {
		t.Errorf("last read on %v", at)
	}
	l := must(h.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &arn}))(t)
	if v := l.Versions[0]; *v.VersionId != version || !v.LastAccessedDate.Equal(day.Add(48*time.Hour)) || !slices.Equal(v.KmsKeyIds, []string{"DefaultEncryptionKey"}) {
		t.Errorf("listed as %+v", v)
	}
}
