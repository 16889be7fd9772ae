package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
)

// connection are the flags of commands that call a cloud as any client of it does.
type connection struct {
	endpoint, region, ca     string
	credentialsFile, profile string
}

// register adds the flags. region says what the region is of.
func (s *connection) register(f *flags, service, region string) {
	f.StringVar(&s.endpoint, "endpoint", "", "`URL` of "+service+"; off loopback it begins with https (default AWS_ENDPOINT_URL_"+service+", or AWS_ENDPOINT_URL, or http://127.0.0.1:4566)")
	f.StringVar(&s.region, "region", "", "`region` of "+region)
	f.StringVar(&s.ca, "ca", "", "PEM `file` with the certificates that vouch for the server (default those that the machine trusts)")
	f.StringVar(&s.credentialsFile, "credentials-file", "", "shared credentials `file`, read again at each call (default wherever AWS tools look: the environment, their files, a web identity token, a role of the machine)")
	f.StringVar(&s.profile, "profile", "", "`name` of the profile in that file, or in those of the AWS tools (default AWS_PROFILE, or default)")
}

// client returns what calls the service whose endpoint a variable may name.
func (s *connection) client(ctx context.Context, e *env, cfg kmsclient.Config, variable string) (*kmsclient.Client, error) {
	cfg.Region, cfg.CA, cfg.Profile, cfg.Credentials = s.region, s.ca, s.profile, s.credentialsFile
	cfg.Endpoint = cmp.Or(s.endpoint, e.getenv(variable), e.getenv("AWS_ENDPOINT_URL"), "http://127.0.0.1:4566")
	client, err := kmsclient.New(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errUsage, err)
	}
	return client, nil
}
