package cloud

import (
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	secretsapi "github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/ssm"
)

func (c *core) openSSM(Config, string) ([]door.Room, error) {
	s, err := ssm.New(ssm.Config{
		Store: c.store, Seal: c.keyring, Principals: c.directory, KMS: kmsapi.Client{Transport: doorway{c}}, Secrets: secretsapi.Client{Transport: doorway{c}},
	})
	if err != nil {
		return nil, err
	}
	return []door.Room{s.Room()}, nil
}
