package cloud

import (
	"context"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	secretsapi "github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/secretsmanager"
	"github.com/holdfast-cloud/holdfast/wire"
)

func (c *core) openSecretsManager(cfg Config, partition string) ([]door.Room, error) {
	service := secretsapi.Service.Package
	settings := secretsmanager.Config{
		Store: c.store, Clock: c.clock, Seal: c.keyring, Principals: c.directory, Partition: partition, KMS: kmsapi.Client{Transport: doorway{c}},
		Self: secretsapi.Client{Transport: doorway{c}},
		Perform: func(ctx context.Context, account, region string, do func(*call.Call) error) error {
			return c.door.Perform(ctx, service, account, region, do)
		},
		Ask: func(ctx context.Context, region, secretARN string, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
			return c.door.Ask(ctx, service, region, secretARN, op, in)
		},
		Lambda: lambdaapi.Client{Transport: doorway{c}}, Databases: secretsmanager.Through(database.New(cfg.Databases)), Grace: cfg.RotationGrace,
		Meter:  c.meter,
		Report: func(err error) { cfg.Log.Error("secretsmanager", "cause", err.Error()) },
	}
	if c.peers != nil {
		settings.Peers = c.peers
	}
	s, err := secretsmanager.New(settings)
	if err != nil {
		return nil, err
	}
	c.background(s.Run)
	c.caches["secrets"] = s.CacheStats
	return []door.Room{s.Room()}, nil
}
