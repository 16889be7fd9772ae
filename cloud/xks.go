package cloud

import (
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/xks"
)

func (c *core) openXKS(_ Config, _ string) ([]door.Room, error) {
	x, err := xks.New(xks.Config{Store: c.store, Seal: c.keyring, KMS: kmsapi.Client{Transport: doorway{c}}, Version: Version})
	if err != nil {
		return nil, err
	}
	return []door.Room{x.Room()}, nil
}
