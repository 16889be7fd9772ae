package door

import (
	"context"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// VPCEndpoint is a way into the cloud of its own, as a network has one with AWS PrivateLink. Policies see by which one a call came, as aws:SourceVpce, aws:SourceVpc
// and aws:VpcSourceIp, and it has a policy itself: https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
type VPCEndpoint struct {
	ID     string         // vpce-...
	VPC    string         // vpc-..., or empty
	Policy *policy.Policy // nil lets everything through
}

type throughKey struct{}

// Through marks a context as that of requests that come through an endpoint. Whoever listens for one makes the requests' contexts of it; nothing in a request
// itself says where it came from.
func Through(ctx context.Context, e *VPCEndpoint) context.Context {
	return context.WithValue(ctx, throughKey{}, e)
}

// through is the endpoint that a request came through, or nil.
func through(ctx context.Context) *VPCEndpoint {
	e, _ := ctx.Value(throughKey{}).(*VPCEndpoint)
	return e
}
