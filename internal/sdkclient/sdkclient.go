// Package sdkclient configures clients of the AWS SDK for Go for tests: they send each request once, and tell nothing but what the server did.
package sdkclient

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Config is the configuration of a client of the server at an endpoint, e.g. http://127.0.0.1:4566.
func Config(endpoint, region string, who aws.CredentialsProvider) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &endpoint, Credentials: who,
		Retryer:    func() aws.Retryer { return aws.NopRetryer{} },
		APIOptions: []func(*middleware.Stack) error{KeepConnections},
	}
}

// KeepConnections keeps a client from closing its connection under the answer that it reads.
//
// The SDK closes a request's body as soon as it has the head of the answer. net/http may not have asked that body for its end by then, if the server is quick; it asks by WriteTo, which
// smithy-go (1.28.9) answers with io.EOF where io.WriterTo demands no error. So net/http thinks that sending failed, and closes the connection: an answer of which something is still to
// be read ends in "use of closed network connection", about once in 10,000 on a busy machine. A body without WriteTo is asked by Read, for which io.EOF is right.
func KeepConnections(stack *middleware.Stack) error {
	return stack.Build.Add(middleware.BuildMiddlewareFunc("KeepConnections", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (
		middleware.BuildOutput, middleware.Metadata, error,
	) {
		request, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.BuildOutput{}, middleware.Metadata{}, fmt.Errorf("sdkclient: a request is a %T", in.Request)
		}
		if body, ok := request.GetStream().(io.ReadSeeker); ok {
			var err error
			if in.Request, err = request.SetStream(struct{ io.ReadSeeker }{body}); err != nil {
				return middleware.BuildOutput{}, middleware.Metadata{}, fmt.Errorf("sdkclient: %w", err)
			}
		}
		return next.HandleBuild(ctx, in)
	}), middleware.After)
}
