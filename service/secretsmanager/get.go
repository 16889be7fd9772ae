package secretsmanager

import (
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// GetSecretValue returns what a version of a secret says. It comes out of the caches, so that no transaction is begun; who asks is asked about each time, by the secret's policies and by its key's.
func (s *Service) GetSecretValue(c *call.Call, in *secretsmanager.GetSecretValueRequest) (*secretsmanager.GetSecretValueResponse, error) {
	t, err := parse(c, optional.Value(in.SecretId))
	if err != nil {
		return nil, err
	}
	sec, err := s.cached(c, t)
	if err != nil {
		return nil, err
	}
	if sec, err = s.settled(c, t, sec); err != nil {
		return nil, err
	}
	a := (&access{reading: in}).with("secretsmanager:versionid", optional.Value(in.VersionId))
	if err := s.authorize(c, t, sec, a); err != nil {
		return nil, err
	}
	if err := sec.alive(); err != nil {
		return nil, err
	}
	v, err := s.wanted(c, sec, optional.Value(in.VersionId), optional.Value(in.VersionStage))
	if err != nil {
		return nil, err
	}
	plain, err := s.decrypt(c, sec, v)
	if err != nil {
		return nil, err
	}
	s.used(c, sec, v)
	out := &secretsmanager.GetSecretValueResponse{ARN: &sec.arn, Name: &sec.Name, VersionId: &v.ID, VersionStages: sec.labels(v.ID), CreatedDate: &v.Created}
	if v.Binary {
		out.SecretBinary = plain
	} else {
		out.SecretString = new(string(plain))
	}
	return out, nil
}

// wanted is the version that a request asks for.
func (s *Service) wanted(c *call.Call, sec *secret, id, label string) (*versionRecord, error) {
	named := id
	if label == "" && id == "" {
		label = currentLabel
	}
	if label != "" {
		at := sec.Labels[label]
		switch {
		case id != "" && at != id:
			if _, err := s.found(c, sec, id); err != nil {
				return nil, err
			}
			return nil, invalidRequest("You provided a VersionStage that is not associated to the provided VersionId.")
		case at == "":
			return nil, noValue("staging label: " + label)
		}
		named = at
	}
	v, err := s.found(c, sec, named)
	if err == nil && v.Sum == nil || missing(err) {
		if id == "" {
			return nil, noValue("staging label: " + label)
		}
		return nil, noValue("VersionId: " + id)
	}
	return v, err
}

// found is a version of a secret, from the cache, or from the call's transaction if it was made there.
func (s *Service) found(c *call.Call, sec *secret, id string) (*versionRecord, error) {
	v, err := s.versions.Get(c.Context, versionPlace{sec.place(), id})
	if missing(err) {
		v, err = s.version(c, sec, id)
	}
	if missing(err) {
		return nil, noValue("VersionId: " + id)
	}
	return v, err
}

func noValue(of string) error {
	return &secretsmanager.ResourceNotFoundException{Message: "Secrets Manager can't find the specified secret value for " + of}
}

// BatchGetSecretValue returns the current values of several secrets, by their names or by filters. Each is a call of GetSecretValue, with permission and record of its own.
func (s *Service) BatchGetSecretValue(c *call.Call, in *secretsmanager.BatchGetSecretValueRequest) (*secretsmanager.BatchGetSecretValueResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	switch {
	case len(in.SecretIdList) > 0 && len(in.Filters) > 0, len(in.SecretIdList) == 0 && len(in.Filters) == 0:
		return nil, invalidParameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case len(in.SecretIdList) > 0 && (in.MaxResults != nil || in.NextToken != nil):
		return nil, invalidParameter("'MaxResults' and 'NextToken' can be used with 'Filters' only.")
	}
	out := &secretsmanager.BatchGetSecretValueResponse{SecretValues: []secretsmanager.SecretValueEntry{}, Errors: []secretsmanager.APIErrorType{}}
	ids := in.SecretIdList
	if len(in.Filters) > 0 {
		if err := c.AuthorizeAction(secretsmanager.OpListSecrets.Action, &call.Resource{ARN: "*"}); err != nil {
			return nil, err
		}
		limit := maxBatch
		if in.MaxResults != nil {
			limit = int(*in.MaxResults)
		}
		list, next, err := s.page(c, listing{filters: in.Filters, limit: limit}, optional.Value(in.NextToken))
		if err != nil {
			return nil, err
		}
		out.NextToken = optional.NonZero(next)
		for _, r := range list {
			ids = append(ids, r.arn(c.Scope.Partition))
		}
	}
	for _, id := range ids {
		if err := s.batched(c, id, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const maxBatch = 20

// batched adds the value of a secret to a batch, or why it has none.
func (s *Service) batched(c *call.Call, id string, out *secretsmanager.BatchGetSecretValueResponse) error {
	v, err := s.cfg.Self.GetSecretValue(c, &secretsmanager.GetSecretValueRequest{SecretId: &id})
	if err == nil {
		out.SecretValues = append(out.SecretValues, secretsmanager.SecretValueEntry{
			ARN: v.ARN, Name: v.Name, VersionId: v.VersionId, SecretBinary: v.SecretBinary, SecretString: v.SecretString, VersionStages: v.VersionStages, CreatedDate: v.CreatedDate,
		})
		return nil
	}
	code, message := "", ""
	if denied, ok := errors.AsType[*call.Denied](err); ok {
		code, message = "AccessDeniedException", denied.Message
	} else if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		code, message = e.Schema().Error.Code, wire.Message(e)
	} else if e, ok := errors.AsType[*wire.Error](err); ok && !e.Fault {
		code, message = e.Code, e.Message
	} else {
		return err
	}
	out.Errors = append(out.Errors, secretsmanager.APIErrorType{SecretId: &id, ErrorCode: &code, Message: &message})
	return nil
}

// accessed is the day on which a value of the secret was last read, if it was.
func (s *Service) accessed(sec *secret) time.Time {
	at := sec.Accessed
	for _, u := range s.uses.Pending(func(p versionPlace) bool { return p.place == sec.place() }) {
		if u.day.After(at) {
			at = u.day
		}
	}
	return at
}
