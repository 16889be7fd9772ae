package cloud

import (
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	snsapi "github.com/holdfast-cloud/holdfast/api/sns"
	sqsapi "github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/s3"
)

func (c *core) openS3(_ Config, partition string) ([]door.Room, error) {
	config := s3.Config{
		Store: c.store, Blob: c.blob, Principals: c.directory, KMS: kmsapi.Client{Transport: doorway{c}}, Partition: partition,
		Queues: sqsapi.Client{Transport: doorway{c}}, Topics: snsapi.Client{Transport: doorway{c}}, Functions: lambdaapi.Client{Transport: doorway{c}},
	}
	if c.peers != nil {
		config.Serves = c.peers.Serves
	}
	buckets, err := s3.New(config)
	if err != nil {
		return nil, err
	}
	c.sweeper.Owners[s3.BlobPrefix] = buckets.Unnamed
	c.caches["bucket_policies"] = buckets.CacheStats
	return []door.Room{buckets.Room()}, nil
}
