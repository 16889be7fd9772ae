package call

import "github.com/holdfast-cloud/holdfast/wire"

// Endpoint is one operation of a service together with what handles it. The generated Endpoints function
// of a service's API makes them from its Handler.
type Endpoint struct {
	Op     *wire.Operation
	Handle func(c *Call, in wire.Shape) (wire.Shape, error)
}

// Transport carries a call to a service: in this process through the door, or as a signed HTTP request to
// the process that has the region. A generated Client is built on one.
type Transport interface {
	// Invoke returns the operation's output shape, a wire.ModeledError or *wire.Error that the service
	// answered, or an error of the way there.
	Invoke(c *Call, op *wire.Operation, in wire.Shape) (wire.Shape, error)
}
