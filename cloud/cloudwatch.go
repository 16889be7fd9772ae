package cloud

import (
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	snsapi "github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/service/cloudwatch"
)

func (c *core) openCloudWatch(cfg Config, _ string) ([]door.Room, error) {
	w, err := cloudwatch.New(cloudwatch.Config{
		Store: c.store, Seal: c.keyring, Clock: c.clock, Meter: c.meter, SNS: snsapi.Client{Transport: doorway{c}}, Lambda: lambdaapi.Client{Transport: doorway{c}},
		Report: func(err error) { cfg.Log.Error("cloudwatch", "cause", err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	c.background(w.Run)
	c.beforeStep(w.Flush)
	return []door.Room{w.Room()}, nil
}
