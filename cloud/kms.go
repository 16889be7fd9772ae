package cloud

import (
	"github.com/holdfast-cloud/holdfast/api/catalog"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/kms"
)

func (c *core) openKMS(cfg Config, partition string) ([]door.Room, error) {
	managed := make(map[string]bool)
	for _, svc := range catalog.Services() {
		managed[svc.ActionPrefix] = true
	}
	config := kms.Config{
		Store: c.store, Seal: c.keyring, Principals: c.directory, Partition: partition, ManagedServices: managed, Attestation: cfg.Attestation, CloudHSM: cfg.CloudHSM,
		Proxies: cfg.ExternalKeyStores, Meter: c.meter,
		Report: func(err error) { cfg.Log.Error("kms", "cause", err.Error()) },
	}
	c.join(&config)
	keys, err := kms.New(config)
	if err != nil {
		return nil, err
	}
	c.background(keys.Run)
	c.caches["kms_keys"] = keys.CacheStats
	c.keys = keys
	return []door.Room{keys.Room()}, nil
}
