package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/holdfast-cloud/holdfast/kmsplugin"
	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
)

// pluginSettings are the flags of kms-plugin.
type pluginSettings struct {
	listen, key, cluster     string
	endpoint, region, ca     string
	credentialsFile, profile string
}

func (s *pluginSettings) register(f *flags) {
	f.StringVar(&s.listen, "listen", "unix:///run/holdfast/kms.sock", "`socket` to listen on, as the API server's configuration names it")
	f.StringVar(&s.key, "key-id", "", "`key` that encrypts: ID, ARN, alias name or alias ARN")
	f.StringVar(&s.cluster, "cluster", "kubernetes", "`name` of the cluster, which is bound to what is encrypted and must stay the same")
	f.StringVar(&s.endpoint, "endpoint", "", "`URL` of KMS; off loopback it begins with https (default AWS_ENDPOINT_URL_KMS, or AWS_ENDPOINT_URL, or http://127.0.0.1:4566)")
	f.StringVar(&s.region, "region", "", "`region` of the key (default that of its ARN, or of the AWS configuration, or us-east-1)")
	f.StringVar(&s.ca, "ca", "", "PEM `file` with the certificates that vouch for the server (default those that the machine trusts)")
	f.StringVar(&s.credentialsFile, "credentials-file", "", "shared credentials `file`, read again at each call (default wherever AWS tools look: the environment, their files, a web identity token, a role of the machine)")
	f.StringVar(&s.profile, "profile", "", "`name` of the profile in that file, or in those of the AWS tools (default AWS_PROFILE, or default)")
}

// config checks the flags.
func (s *pluginSettings) config(ctx context.Context, e *env) (client *kmsclient.Client, socket string, err error) {
	socket, ok := strings.CutPrefix(s.listen, "unix://")
	if !ok || !strings.HasPrefix(socket, "/") {
		return nil, "", fmt.Errorf("%w: --listen %q is no socket such as unix:///run/holdfast/kms.sock", errUsage, s.listen)
	}
	if s.key == "" || s.cluster == "" {
		return nil, "", fmt.Errorf("%w: --key-id and --cluster must not be empty", errUsage)
	}
	client, err = kmsclient.New(ctx, kmsclient.Config{
		Key: s.key, Region: s.region, CA: s.ca, Profile: s.profile, Credentials: s.credentialsFile,
		Endpoint: cmp.Or(s.endpoint, e.getenv("AWS_ENDPOINT_URL_KMS"), e.getenv("AWS_ENDPOINT_URL"), "http://127.0.0.1:4566"),
	})
	if err != nil {
		return nil, "", fmt.Errorf("%w: %v", errUsage, err)
	}
	return client, socket, nil
}

// kmsPlugin serves the Kubernetes API server until ctx ends, and then lets the calls that are under way finish.
func kmsPlugin(ctx context.Context, e *env, args []string) error {
	var s pluginSettings
	f := newFlags(e, "kms-plugin", "--key-id KEY [flags]")
	s.register(f)
	if err := f.parse(args); err != nil {
		return err
	}
	client, socket, err := s.config(ctx, e)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.err, nil))
	listener, err := kmsplugin.Listen(socket)
	if err != nil {
		return err
	}
	server := kmsplugin.NewServer(kmsplugin.New(kmsplugin.Config{Key: s.key, Cluster: s.cluster, Region: client.Region(), KMS: client.KMS}), log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("ready", "listen", s.listen, "key", s.key, "cluster", s.cluster, "endpoint", client.Endpoint(), "region", client.Region())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("draining")
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(finish); err != nil {
		log.Warn("calls were cut off", "cause", err.Error())
		_ = server.Close()
	}
	log.Info("stopped")
	return nil
}
