package cloud

import (
	"context"

	eventsapi "github.com/holdfast-cloud/holdfast/api/events"
	iamapi "github.com/holdfast-cloud/holdfast/api/iam"
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	logsapi "github.com/holdfast-cloud/holdfast/api/logs"
	secretsapi "github.com/holdfast-cloud/holdfast/api/secretsmanager"
	snsapi "github.com/holdfast-cloud/holdfast/api/sns"
	sqsapi "github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/service/events"
)

// openEvents comes after openCloudTrail: API calls reach buses where a trail logs.
func (c *core) openEvents(cfg Config, partition string) ([]door.Room, error) {
	config := events.Config{
		Store: c.store, Blob: c.blob, Seal: c.keyring, Principals: c.directory, Feed: c.trail, Trails: c.trails, Partition: partition, Meter: c.meter,
		Events: eventsapi.Client{Transport: doorway{c}}, SQS: sqsapi.Client{Transport: doorway{c}}, SNS: snsapi.Client{Transport: doorway{c}},
		Logs: logsapi.Client{Transport: doorway{c}}, Lambda: lambdaapi.Client{Transport: doorway{c}}, KMS: kmsapi.Client{Transport: doorway{c}},
		Secrets: secretsapi.Client{Transport: doorway{c}}, IAM: iamapi.Client{Transport: doorway{c}},
		Outbound: outbound.NewClient(cfg.Webhooks),
		Perform: func(ctx context.Context, service, account, region string, do func(*call.Call) error) error {
			return c.door.Perform(ctx, service, account, region, do)
		},
		Report: func(err error) { cfg.Log.Error("events", "cause", err.Error()) },
	}
	if c.peers != nil {
		config.Serves = c.peers.Serves
	}
	s, err := events.New(config)
	if err != nil {
		return nil, err
	}
	c.sweeper.Owners[events.BlobPrefix] = s.Unnamed
	c.bus = s
	c.background(s.Run)
	c.background(func(ctx context.Context) {
		<-ctx.Done()
		s.EndFollowing()
	})
	c.beforeStep(s.FollowTrail)
	c.caches["event_buses"] = s.CacheStats
	return []door.Room{s.Room()}, nil
}

// FollowEvents calls fn with the events that come to buses from now on, until ctx ends, fn returns an error, or the cloud is closed or reset. started is called once events
// are followed.
func (c *Cloud) FollowEvents(ctx context.Context, f events.Following, started func(), fn func(events.Followed) error) error {
	core, release := c.hold()
	bus := core.bus
	release()
	return bus.Follow(ctx, f, started, fn)
}
