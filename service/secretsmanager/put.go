package secretsmanager

import (
	"fmt"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// PutSecretValue makes a version of a secret.
func (s *Service) PutSecretValue(c *call.Call, in *secretsmanager.PutSecretValueRequest) (*secretsmanager.PutSecretValueResponse, error) {
	sec, err := s.forUpdate(c, in.SecretId, &access{})
	if err != nil {
		return nil, err
	}
	v, err := given(in.SecretString, in.SecretBinary)
	switch {
	case err != nil:
		return nil, err
	case in.ClientRequestToken == nil:
		return nil, invalidRequest(tokenNeeded)
	case v == nil:
		return nil, invalidRequest("You must provide either SecretString or SecretBinary.")
	}
	if err := sec.permitted(in.RotationToken); err != nil {
		return nil, err
	}
	labels := in.VersionStages
	if len(labels) == 0 {
		labels = []string{currentLabel}
	}
	before := sec.Labels[currentLabel]
	made, err := s.putVersion(c, sec, *in.ClientRequestToken, v, labels)
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.PutSecretValueResponse{ARN: &sec.arn, Name: &sec.Name, VersionId: in.ClientRequestToken}
	if made {
		if err := s.newCurrent(c, sec, before); err != nil {
			return nil, err
		}
		if err := s.changed(c, sec); err != nil {
			return nil, err
		}
	}
	out.VersionStages = sec.labels(*in.ClientRequestToken)
	return out, nil
}

// UpdateSecretVersionStage attaches a label to a version, or takes it away.
func (s *Service) UpdateSecretVersionStage(c *call.Call, in *secretsmanager.UpdateSecretVersionStageRequest) (*secretsmanager.UpdateSecretVersionStageResponse, error) {
	label, from, to := optional.Value(in.VersionStage), optional.Value(in.RemoveFromVersionId), optional.Value(in.MoveToVersionId)
	sec, err := s.forUpdate(c, in.SecretId, (&access{}).with("secretsmanager:versionstage", label))
	if err != nil {
		return nil, err
	}
	if err := s.movable(c, sec, label, from, to); err != nil {
		return nil, err
	}
	before := sec.Labels[currentLabel]
	if err := s.moveLabel(c, sec, label, to); err != nil {
		return nil, err
	}
	if err := s.newCurrent(c, sec, before); err != nil {
		return nil, err
	}
	return &secretsmanager.UpdateSecretVersionStageResponse{ARN: &sec.arn, Name: &sec.Name}, s.changed(c, sec)
}

// movable refuses a move of a label that the secret's versions do not allow.
func (s *Service) movable(c *call.Call, sec *secret, label, from, to string) error {
	at := sec.Labels[label]
	switch {
	case from == "" && to == "":
		return invalidParameter("You must provide either RemoveFromVersionId or MoveToVersionId.")
	case label == currentLabel && to == "":
		return invalidParameter("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	}
	for _, id := range []string{from, to} {
		if id == "" {
			continue
		}
		if _, err := s.version(c, sec, id); missing(err) {
			return &secretsmanager.ResourceNotFoundException{Message: "Secrets Manager can't find the specified secret version: " + id + "."}
		} else if err != nil {
			return err
		}
	}
	if label == currentLabel {
		if v, err := s.version(c, sec, to); err != nil {
			return err
		} else if v.Sum == nil {
			return invalidRequest("You can't attach staging label AWSCURRENT to version %s because it has no value.", to)
		}
	}
	switch {
	case from == "" && at != "" && at != to:
		return invalidParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.",
			label, at)
	case from != "" && at != from:
		return invalidParameter("The parameter RemoveFromVersionId is not valid. Staging label %s is not currently attached to version %s.", label, from)
	}
	return nil
}

// ListSecretVersionIds lists the versions of a secret, by their age.
func (s *Service) ListSecretVersionIds(c *call.Call, in *secretsmanager.ListSecretVersionIdsRequest) (*secretsmanager.ListSecretVersionIdsResponse, error) {
	sec, err := s.secret(c, in.SecretId)
	if err != nil {
		return nil, err
	}
	deprecated := optional.Value(in.IncludeDeprecated)
	list, next, err := s.versionPage(c, sec, pageSize(in.MaxResults), optional.Value(in.NextToken), deprecated)
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.ListSecretVersionIdsResponse{ARN: &sec.arn, Name: &sec.Name, NextToken: optional.NonZero(next), Versions: []secretsmanager.SecretVersionsListEntry{}}
	for _, v := range list {
		e := secretsmanager.SecretVersionsListEntry{VersionId: &v.ID, CreatedDate: &v.Created, LastAccessedDate: optional.NonZero(v.Accessed), VersionStages: sec.labels(v.ID)}
		for _, copy := range v.Copies {
			key := copy.Key
			if copy.Default {
				key = "DefaultEncryptionKey"
			}
			if !slices.Contains(e.KmsKeyIds, key) {
				e.KmsKeyIds = append(e.KmsKeyIds, key)
			}
		}
		if u, ok := s.uses.Last(versionPlace{sec.place(), v.ID}); ok {
			e.LastAccessedDate = &u.day
		}
		out.Versions = append(out.Versions, e)
	}
	return out, nil
}

func (s *Service) versionPage(c *call.Call, sec *secret, limit int, token string, deprecated bool) ([]*versionRecord, string, error) {
	keep := func(v *versionRecord) bool { return deprecated || !v.Deprecated }
	q := versionQuery(sec, limit)
	list, next, err := versionTable.In(sec.Account, sec.Region).Page(c.Tx(), q, token, fmt.Sprint(deprecated), keep)
	return list, next, badToken(err)
}
