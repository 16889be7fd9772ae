package call

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/wire"
)

// Handle makes an endpoint of op from a method of a service's generated Handler.
func Handle[In, Out wire.Shape](op *wire.Operation, handle func(*Call, In) (Out, error)) Endpoint {
	return Endpoint{Op: op, Handle: func(c *Call, in wire.Shape) (wire.Shape, error) {
		typed, ok := in.(In)
		if !ok {
			return nil, fmt.Errorf("%s was given a %T", op.Name, in)
		}
		out, err := handle(c, typed)
		if err != nil {
			return nil, err // a nil Out must not become a wire.Shape that is not nil
		}
		return out, nil
	}}
}

// Invoke sends in through t and returns op's output as the type that op says it has.
func Invoke[Out wire.Shape](t Transport, c *Call, op *wire.Operation, in wire.Shape) (Out, error) {
	var none Out
	out, err := t.Invoke(c, op, in)
	if err != nil {
		return none, err
	}
	typed, ok := out.(Out)
	if !ok {
		return none, fmt.Errorf("%s was answered with a %T", op.Name, out)
	}
	return typed, nil
}
