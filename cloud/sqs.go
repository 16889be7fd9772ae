package cloud

import (
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/sqs"
)

func (c *core) openSQS(cfg Config, partition string) ([]door.Room, error) {
	queues, err := sqs.New(sqs.Config{
		Store: c.store, Clock: c.clock, Seal: c.keyring, Principals: c.directory, KMS: kmsapi.Client{Transport: doorway{c}}, Partition: partition, PublicURL: cfg.PublicURL, Meter: c.meter,
	})
	if err != nil {
		return nil, err
	}
	c.queues = queues
	c.background(queues.Run)
	c.caches["queue_policies"] = queues.CacheStats
	return []door.Room{queues.Room()}, nil
}
