package cloud

import (
	"slices"

	"github.com/holdfast-cloud/holdfast/api/catalog"
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	secretsapi "github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/ssm"
	"github.com/holdfast-cloud/holdfast/wire"
)

func (c *core) openSSM(_ Config, partition string) ([]door.Room, error) {
	s, err := ssm.New(ssm.Config{
		Store: c.store, Seal: c.keyring, Principals: c.directory, Partition: partition, KMS: kmsapi.Client{Transport: doorway{c}}, Secrets: secretsapi.Client{Transport: doorway{c}},
		Services: func() []*wire.Service {
			return slices.DeleteFunc(catalog.Services(), func(s *wire.Service) bool { return !slices.Contains(c.services, s.Package) })
		},
	})
	if err != nil {
		return nil, err
	}
	c.caches["parameters"] = s.CacheStats
	return []door.Room{s.Room()}, nil
}
