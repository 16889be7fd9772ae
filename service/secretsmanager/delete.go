package secretsmanager

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// Recovery windows in days.
const (
	minWindow     = 7
	defaultWindow = 30
	maxWindow     = 30
)

// DeleteSecret schedules the deletion of a secret, or deletes it at once.
func (s *Service) DeleteSecret(c *call.Call, in *secretsmanager.DeleteSecretRequest) (*secretsmanager.DeleteSecretResponse, error) {
	force := optional.Value(in.ForceDeleteWithoutRecovery)
	days := int64(defaultWindow)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
		switch {
		case force:
			return nil, invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		case days < minWindow || days > maxWindow:
			return nil, invalidParameter("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minWindow, maxWindow)
		}
	}
	if err := s.calm(c, in.SecretId); err != nil {
		return nil, err
	}
	t, err := parse(c, optional.Value(in.SecretId))
	if err != nil {
		return nil, err
	}
	sec, err := s.read(c, t)
	if err != nil {
		return nil, err
	}
	a := (&access{}).with("secretsmanager:forcedeletewithoutrecovery", boolean(in.ForceDeleteWithoutRecovery)).with("secretsmanager:recoverywindowindays", number(in.RecoveryWindowInDays))
	if err := s.authorize(c, t, sec, a); err != nil {
		if sec == nil && force && isNotFound(err) {
			return s.deletedNothing(c, t)
		}
		return nil, err
	}
	if err := sec.editable(c); err != nil {
		return nil, err
	}
	if len(sec.Replicas) > 0 {
		return nil, invalidParameter("You can't delete secret %s that still has replica regions %s", sec.Name, strings.Join(sec.replicaRegions(), ", "))
	}
	out := &secretsmanager.DeleteSecretResponse{ARN: &sec.arn, Name: &sec.Name}
	if force || sec.Primary != "" { // a replica is deleted at once
		out.DeletionDate = &c.Time
		if err := s.leave(c, sec); err != nil {
			return nil, err
		}
		return out, erase(c, &sec.secretRecord)
	}
	if err := sec.alive(); err != nil {
		return nil, err
	}
	sec.Deleted, sec.Due = c.Time, c.Time.Add(time.Duration(days)*day)
	out.DeletionDate = &sec.Due
	if err := c.At(sec.Due, sec.scope(c), deleteTimer, sec.Name, nil); err != nil {
		return nil, err
	}
	tell(c, "StartSecretDelete", &sec.secretRecord)
	return out, sec.save(c)
}

// deletedNothing is the answer of a forced deletion of a secret that is not there.
func (s *Service) deletedNothing(c *call.Call, t target) (*secretsmanager.DeleteSecretResponse, error) {
	name := t.arn
	if name == "" || t.suffix == "" {
		suffix, err := randomSuffix(c.Rand)
		if err != nil {
			return nil, err
		}
		name = c.Scope.ARN("secretsmanager", "secret:"+t.name+"-"+suffix)
	}
	return &secretsmanager.DeleteSecretResponse{ARN: &name, Name: &t.name, DeletionDate: &c.Time}, nil
}

// RestoreSecret cancels the deletion of a secret.
func (s *Service) RestoreSecret(c *call.Call, in *secretsmanager.RestoreSecretRequest) (*secretsmanager.RestoreSecretResponse, error) {
	sec, err := s.secret(c, in.SecretId)
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.RestoreSecretResponse{ARN: &sec.arn, Name: &sec.Name}
	if sec.Deleted.IsZero() {
		return out, nil
	}
	sec.Deleted, sec.Due = time.Time{}, time.Time{}
	if err := c.Cancel(sec.scope(c), deleteTimer, sec.Name); err != nil {
		return nil, err
	}
	tell(c, "CancelSecretDelete", &sec.secretRecord)
	if err := s.restored(c, sec); err != nil {
		return nil, err
	}
	return out, s.changed(c, sec)
}

// deleteDue deletes a secret whose recovery window has ended.
func (s *Service) deleteDue(c *call.Call, name string, _ []byte) error {
	r, err := secretTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.Due.IsZero() || r.Due.After(c.Time) {
		return nil
	}
	return erase(c, r)
}

// erase deletes a secret and all of its versions for good.
func erase(c *call.Call, r *secretRecord) error {
	versions := versionTable.In(r.Account, r.Region)
	for v, err := range versions.Scan(c.Tx(), store.Query{Prefix: store.Key{r.Name}}) {
		if err != nil {
			return err
		}
		if err := versions.Delete(c.Tx(), r.Name, v.ID); err != nil {
			return err
		}
	}
	if err := c.Cancel(r.scope(c), deleteTimer, r.Name); err != nil {
		return err
	}
	tell(c, "EndSecretDelete", r)
	return secretTable.In(r.Account, r.Region).Delete(c.Tx(), r.Name)
}

// tell puts an event about a secret into the audit trail:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
func tell(c *call.Call, name string, r *secretRecord) {
	details, err := json.Marshal(struct {
		SecretID string `json:"SecretId"`
	}{r.arn(c.Scope.Partition)})
	if err == nil { // strings encode
		c.Raise(call.Event{Name: name, Additional: details})
	}
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*secretsmanager.ResourceNotFoundException](err)
	return ok
}
