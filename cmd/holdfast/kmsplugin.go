package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/holdfast-cloud/holdfast/kmsplugin"
	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
)

// pluginSettings are the flags of kms-plugin.
type pluginSettings struct {
	listen, key, cluster string
	connection
}

func (s *pluginSettings) register(f *flags) {
	f.StringVar(&s.listen, "listen", "unix:///run/holdfast/kms.sock", "`socket` to listen on, as the API server's configuration names it")
	f.StringVar(&s.key, "key-id", "", "`key` that encrypts: ID, ARN, alias name or alias ARN")
	f.StringVar(&s.cluster, "cluster", "kubernetes", "`name` of the cluster, which is bound to what is encrypted and must stay the same")
	s.connection.register(f, "KMS", "the key (default that of its ARN, or of the AWS configuration, or us-east-1)")
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
	client, err = s.client(ctx, e, kmsclient.Config{Key: s.key}, "AWS_ENDPOINT_URL_KMS")
	return client, socket, err
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
