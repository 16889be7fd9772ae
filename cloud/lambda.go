package cloud

import (
	"strings"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	s3api "github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/lambda"
)

func (c *core) openLambda(cfg Config, partition string) ([]door.Room, error) {
	public := strings.TrimSuffix(cfg.PublicURL, "/")
	s, err := lambda.New(lambda.Config{
		Store: c.store, Blob: c.blob, Principals: c.directory, Partition: partition,
		KMS: kmsapi.Client{Transport: doorway{c}}, S3: s3api.Client{Transport: doorway{c}},
		FunctionURL: func(_, id string) string { return public + "/_holdfast/lambda-url/" + id + "/" },
	})
	if err != nil {
		return nil, err
	}
	c.sweeper.Owners[lambda.BlobPrefix] = s.Unnamed
	c.caches["function_policies"] = s.CacheStats
	return []door.Room{s.Room()}, nil
}
