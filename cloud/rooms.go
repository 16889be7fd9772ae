package cloud

import (
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/wire"
)

// rooms opens the services. A new one is a line here, and a file that opens it.
func (c *core) rooms(cfg Config, partition string) (rooms []door.Room, err error) {
	for _, open := range []func(Config, string) ([]door.Room, error){
		c.openKMS, c.openIAM, c.openOrganizations, c.openSTS, c.openXKS, c.openS3, c.openSNS, c.openCloudTrail, c.openEvents, c.openScheduler, c.openSQS, c.openLogs, c.openCloudWatch, c.openLambda, c.openSSM, c.openSecretsManager,
	} {
		opened, err := open(cfg, partition)
		if err != nil {
			return nil, err
		}
		rooms = append(rooms, opened...)
	}
	return rooms, nil
}

// doorway is how rooms reach each other: through the door, which is made when they are all there.
type doorway struct{ c *core }

// Invoke implements call.Transport.
func (d doorway) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	return d.c.door.Invoke(c, op, in)
}
