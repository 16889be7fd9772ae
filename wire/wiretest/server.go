// Package wiretest serves operations over HTTP for tests of the protocols, with nothing of the way of a call but
// routing, decoding and encoding. Its subfolders are generated from the models of services that speak the
// protocols; manifest.txt says which operations.
package wiretest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
	"github.com/holdfast-cloud/holdfast/wire"
)

// RequestID is the ID of every request.
const RequestID = "8f2a1b7c-0d1e-4c55-9d1a-000000000001"

// Handler answers an operation.
type Handler func(op *wire.Operation, in wire.Shape) (wire.Shape, error)

// Serve starts a server that speaks p for the operations, until the test ends, and gives its URL. A request for
// none of them fails the test.
func Serve(t testing.TB, p wire.Protocol, handle Handler, ops ...*wire.Operation) string {
	t.Helper()
	router := wire.NewRouter(ops)
	byName := map[string]*wire.Operation{}
	for _, op := range ops {
		byName[op.Name] = op
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &wire.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header}
		var op *wire.Operation
		var body []byte
		if p.ID() == wire.RESTJSON || p.ID() == wire.RESTXML {
			op, req.Labels = router.Match(r.Method, req.Path, req.RawQuery, r.Header)
		}
		if op == nil || !op.StreamingInput {
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				t.Errorf("reading a request: %v", err)
			}
			req.Body = body
		} else {
			req.Stream = r.Body
		}
		switch p.ID() {
		case wire.AWSJSON:
			_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
			op = byName[name]
		case wire.Query, wire.EC2Query:
			form, err := url.ParseQuery(string(body))
			if err != nil {
				t.Errorf("a form: %v", err)
			}
			op = byName[form.Get("Action")]
		case wire.RPCv2CBOR:
			op = byName[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		}
		if op == nil {
			t.Errorf("no operation for %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusNotFound)
			return
		}
		var resp wire.Response
		out, err := answer(p, op, req, handle)
		if err != nil {
			p.EncodeError(op.Service, op, err, RequestID, &resp)
		} else {
			p.EncodeResponse(op, out, RequestID, &resp)
		}
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.Status)
		if resp.Stream != nil {
			_, _ = io.Copy(w, resp.Stream)
			_ = resp.Stream.Close()
			return
		}
		_, _ = w.Write(resp.Body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func answer(p wire.Protocol, op *wire.Operation, req *wire.Request, handle Handler) (wire.Shape, error) {
	in, err := p.DecodeRequest(op, req)
	if err != nil {
		return nil, err
	}
	if err := wire.Validate(in); err != nil {
		return nil, err
	}
	return handle(op, in)
}

// Client is how the official SDK is told to call the server: with credentials that nobody checks, and once.
func Client(endpoint string) aws.Config {
	return sdkclient.Config(endpoint, "us-east-1", aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, nil
	}))
}
