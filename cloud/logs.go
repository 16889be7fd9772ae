package cloud

import (
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/logs"
)

func (c *core) openLogs(_ Config, partition string) ([]door.Room, error) {
	s, err := logs.New(logs.Config{
		Seal: c.keyring, Principals: c.directory, KMS: kmsapi.Client{Transport: doorway{c}}, Lambda: lambdaapi.Client{Transport: doorway{c}}, Partition: partition, Meter: c.meter,
	})
	if err != nil {
		return nil, err
	}
	c.caches["log_policies"] = s.CacheStats
	return []door.Room{s.Room()}, nil
}
