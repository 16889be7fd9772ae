package secretsmanager

import (
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
)

// replica is a copy of a secret in another region, as the primary secret knows it.
type replica struct {
	Region  string
	Key     string `json:",omitempty"` // KmsKeyId as it was given; "" is aws/secretsmanager
	Status  secretsmanager.StatusType
	Message string `json:",omitempty"`
}

// changed saves a secret that was changed, and has its replicas follow.
func (s *Service) changed(c *call.Call, sec *secret) error {
	sec.Changed = c.Time
	return sec.save(c)
}
