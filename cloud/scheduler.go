package cloud

import (
	"strings"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/internal/walk"
	"github.com/holdfast-cloud/holdfast/service/scheduler"
	"github.com/holdfast-cloud/holdfast/wire"
)

func (c *core) openScheduler(Config, string) ([]door.Room, error) {
	s, err := scheduler.New(scheduler.Config{
		Seal: c.keyring, KMS: kmsapi.Client{Transport: doorway{c}}, Transport: doorway{c}, Meter: c.meter, Operation: c.operation,
	})
	if err != nil {
		return nil, err
	}
	return []door.Room{s.Room()}, nil
}

// operation finds an operation that is built, by the SDKs' name of the service and its own, in lower case. It is not called before all rooms are open.
func (c *core) operation(service, name string) *wire.Operation {
	for _, e := range c.endpoints {
		if strings.EqualFold(e.Op.Name, name) && strings.EqualFold(strings.ReplaceAll(e.Op.Service.ID, " ", ""), service) && walk.Built(e) {
			return e.Op
		}
	}
	return nil
}
