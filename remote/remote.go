// Package remote carries calls to a cloud in another process, as signed HTTP requests: the other transport of the generated clients, beside the door. It is how
// a region that lives elsewhere is called, and it makes each generated client a client for anybody's Go program.
//
// A call is made as whoever the credentials belong to. It carries neither the caller of the call.Call nor the services that passed it on, so a service must not pass its
// callers' calls on with it: they would act with rights that are not theirs.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Transport is a call.Transport over HTTP. It does not try again: what a failure means is its caller's to judge.
type Transport struct {
	// Endpoint is where the cloud listens, e.g. https://kms.example.internal:4566.
	Endpoint *url.URL
	// Region is the one called; empty is that of the call.
	Region string
	// Credentials sign the requests. Without them only operations that need no signature can be called.
	Credentials sigv4.Credentials
	// HTTP sends the requests; nil is http.DefaultClient.
	HTTP *http.Client
	// Clock dates the signatures; nil is the machine's. It must be the world's time, not a moved one.
	Clock clock.Clock
	// Signer remembers signing keys from one request to the next; nil derives them anew.
	Signer *sigv4.Signer
}

var _ call.Transport = (*Transport)(nil)

// Invoke implements call.Transport. c gives the context and the region; it may be nil.
func (t *Transport) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	if t.Endpoint == nil {
		return nil, errors.New("remote: Transport.Endpoint is missing")
	}
	ctx, region := context.Background(), t.Region
	if c != nil {
		if c.Context != nil {
			ctx = c.Context
		}
		if region == "" {
			region = c.Scope.Region
		}
	}
	protocol := wire.For(op.Service.Protocols[0])
	if protocol == nil {
		return nil, fmt.Errorf("remote: %s speaks %s, which is not spoken here", op.Action, op.Service.Protocols[0])
	}
	req, body, err := protocol.EncodeRequest(op, in, t.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("remote: encoding %s: %w", op.Action, err)
	}
	req = req.WithContext(ctx)
	if !op.NoAuth {
		t.sign(req, op, region, body)
	}
	client := t.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("remote: calling %s: %w", op.Action, err)
	}
	return protocol.DecodeResponse(op, resp)
}

func (t *Transport) sign(req *http.Request, op *wire.Operation, region string, body []byte) {
	now := t.Clock
	if now == nil {
		now = new(clock.Real)
	}
	hash := sigv4.UnsignedPayload // a stream is read once, when it is sent
	if !op.StreamingInput {
		hash = sigv4.PayloadHash(body)
	}
	sign := sigv4.Sign
	if t.Signer != nil {
		sign = t.Signer.Sign
	}
	sign(req, t.Credentials, region, op.Service.SigningName, now.Now(), hash)
}
