package cloud

import (
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/service/iam"
	"github.com/holdfast-cloud/holdfast/service/organizations"
	"github.com/holdfast-cloud/holdfast/service/sts"
)

func (c *core) openIAM(cfg Config, partition string) ([]door.Room, error) {
	i, err := iam.New(iam.Config{
		Directory: c.directory, Organizations: c.members, Seal: c.keyring, Partition: partition, PublicURL: cfg.PublicURL,
	})
	if err != nil {
		return nil, err
	}
	return []door.Room{i.Room()}, nil
}

func (c *core) openOrganizations(_ Config, partition string) ([]door.Room, error) {
	o, err := organizations.New(organizations.Config{Partition: partition})
	if err != nil {
		return nil, err
	}
	return []door.Room{o.Room()}, nil
}

func (c *core) openSTS(cfg Config, partition string) (_ []door.Room, err error) {
	if c.sts, err = sts.New(sts.Config{
		Store: c.store, Seal: c.keyring, Directory: c.directory, Organizations: c.members, Verifier: oidc.New(cfg.IdentityProviders), Partition: partition,
		World: new(clock.Real), PublicURL: cfg.PublicURL,
	}); err != nil {
		return nil, err
	}
	return []door.Room{c.sts.Room()}, nil
}
