// Package interop_test calls each protocol with the official SDK, and with our own client, and compares what
// arrives on either side.
package interop_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
)

var when = time.Date(2026, 3, 1, 12, 30, 15, 250e6, time.UTC)

// double is a server that expects one request and gives one answer, out or err.
type double struct {
	want, out wire.Shape
	err       error
}

func serve(t *testing.T, id wire.ProtocolID, d *double, ops ...*wire.Operation) string {
	t.Helper()
	return wiretest.Serve(t, wire.For(id), func(op *wire.Operation, in wire.Shape) (wire.Shape, error) {
		if d.want != nil {
			if diff := cmp.Diff(d.want, in); diff != "" {
				t.Errorf("%s arrived otherwise: (-want +got)\n%s", op.Name, diff)
			}
		}
		return d.out, d.err
	}, ops...)
}

// ours calls op with our own client, and compares what comes back.
func ours(t *testing.T, id wire.ProtocolID, endpoint string, op *wire.Operation, d *double) {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := wire.For(id)
	req, _, err := p.EncodeRequest(op, d.want, u)
	if err != nil {
		t.Fatalf("EncodeRequest(%s): %v", op.Name, err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.DecodeResponse(op, resp)
	if d.err != nil {
		if diff := cmp.Diff(d.err, err); diff != "" {
			t.Errorf("%s: DecodeResponse gave another error: (-want +got)\n%s", op.Name, diff)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: DecodeResponse: %v", op.Name, err)
		return
	}
	if diff := cmp.Diff(d.out, out); diff != "" {
		t.Errorf("%s came back otherwise: (-want +got)\n%s", op.Name, diff)
	}
}

// same compares what the SDK gave with what it should have.
func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

// isError compares the SDK's error.
func isError(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("the SDK's error: %v, want %s: %s", err, code, message)
	}
}
