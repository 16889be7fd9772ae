package ssm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// A parameter below /aws/reference/secretsmanager/ is a secret of Secrets Manager, that the caller reads:
// https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html

// source is what SourceResult tells of a secret.
type source struct {
	ARN     string     `json:"ARN"`
	Name    string     `json:"name"`
	Version string     `json:"versionId"`
	Text    string     `json:"secretString"`
	Stages  []string   `json:"versionStages"`
	Created *time.Time `json:"createdDate,omitempty"`
}

// getSecret reads a secret as a parameter. It authorizes that as reading a parameter, too.
func (s *Service) getSecret(c *call.Call, r *reference, decrypt bool) (*ssm.Parameter, error) {
	if err := authorize(c, &call.Resource{ARN: r.in(c.Scope), Type: parameterType}, &conditions{}); err != nil {
		return nil, err
	}
	if !decrypt {
		return nil, invalid("WithDecryption flag must be True for retrieving a Secret Manager secret.")
	}
	in := &secretsmanager.GetSecretValueRequest{SecretId: new(strings.TrimPrefix(r.asked, secretsSpace))}
	switch {
	case r.selector == "":
	case isUUID(r.selector):
		in.VersionId = &r.selector
	default:
		in.VersionStage = &r.selector
	}
	secret, err := s.cfg.Secrets.GetSecretValue(c, in)
	if _, ok := errors.AsType[*secretsmanager.ResourceNotFoundException](err); ok {
		return nil, &ssm.ParameterNotFound{Message: fmt.Sprintf(
			"An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret %s not found.", r.asked)}
	}
	if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		return nil, invalid("An error occurred (%s) when referencing Secrets Manager: %s", e.Schema().Error.Code, wire.Message(e))
	}
	if err != nil {
		return nil, err
	}
	return secretParameter(r, secret)
}

// secretParameter is a secret as a parameter.
func secretParameter(r *reference, secret *secretsmanager.GetSecretValueResponse) (*ssm.Parameter, error) {
	if secret.SecretString == nil {
		return nil, invalid("The secret %s is binary and cannot be read as a parameter.", r.asked)
	}
	text, err := json.Marshal(source{
		ARN: optional.Value(secret.ARN), Name: optional.Value(secret.Name), Version: optional.Value(secret.VersionId), Text: *secret.SecretString, Stages: secret.VersionStages, Created: secret.CreatedDate,
	})
	if err != nil {
		return nil, err
	}
	out := &ssm.Parameter{
		Name: &r.asked, Type: ssm.ParameterTypeSecureString, Value: secret.SecretString, Version: new(int64(0)), SourceResult: new(string(text)),
		LastModifiedDate: secret.CreatedDate, ARN: secret.ARN, DataType: new(textType),
	}
	if r.selector != "" {
		out.Selector = new(":" + r.selector)
	}
	return out, nil
}

// isUUID reports whether a selector of a secret is the ID of a version, and not a staging label.
func isUUID(s string) bool {
	return len(s) == 36 && strings.Trim(s, "0123456789abcdefABCDEF-") == "" && strings.Count(s, "-") == 4
}
