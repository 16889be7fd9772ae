package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/kmsplugin"
	"github.com/holdfast-cloud/holdfast/remote"
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
	f.StringVar(&s.region, "region", "", "`region` of the key (default that of its ARN, or AWS_REGION, or us-east-1)")
	f.StringVar(&s.ca, "ca", "", "PEM `file` with the certificates that vouch for the server (default those that the machine trusts)")
	f.StringVar(&s.credentialsFile, "credentials-file", "", "shared credentials `file`, read again at each call (default AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the file of the AWS tools)")
	f.StringVar(&s.profile, "profile", "", "`name` of its profile (default AWS_PROFILE, or default)")
}

// pluginPatience is how long KMS may take to answer. The API server's own is shorter unless it is configured.
const pluginPatience = 10 * time.Second

// config checks the flags.
func (s *pluginSettings) config(e *env) (cfg kmsplugin.Config, socket string, err error) {
	socket, ok := strings.CutPrefix(s.listen, "unix://")
	if !ok || !strings.HasPrefix(socket, "/") {
		return cfg, "", fmt.Errorf("%w: --listen %q is no socket such as unix:///run/holdfast/kms.sock", errUsage, s.listen)
	}
	if s.key == "" || s.cluster == "" {
		return cfg, "", fmt.Errorf("%w: --key-id and --cluster must not be empty", errUsage)
	}
	cfg = kmsplugin.Config{Key: s.key, Cluster: s.cluster, Region: s.region}
	if cfg.Region == "" {
		a, _ := arn.Parse(s.key)
		cfg.Region = cmp.Or(a.Region, e.getenv("AWS_REGION"), e.getenv("AWS_DEFAULT_REGION"), "us-east-1")
	}
	s.endpoint = cmp.Or(s.endpoint, e.getenv("AWS_ENDPOINT_URL_KMS"), e.getenv("AWS_ENDPOINT_URL"), "http://127.0.0.1:4566")
	u, err := url.Parse(s.endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return cfg, "", fmt.Errorf("%w: --endpoint %q is no URL such as https://kms.example.com", errUsage, s.endpoint)
	}
	if u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")) {
		return cfg, "", fmt.Errorf("%w: --endpoint %s is not a loopback address, so the cluster's keys could be overheard: https is required", errUsage, s.endpoint)
	}
	cfg.Endpoint = u
	cfg.Credentials = remote.CredentialSource{Getenv: e.getenv, File: s.credentialsFile, Profile: s.profile}.Credentials
	cfg.HTTP, err = s.client()
	return cfg, socket, err
}

func (s *pluginSettings) client() (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.ca != "" {
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, fmt.Errorf("reading --ca: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca %s has no certificate in it", s.ca)
		}
	}
	return &http.Client{
		Timeout:   pluginPatience,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute},
		// A signed call is for whom it is signed for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// kmsPlugin serves the Kubernetes API server until ctx ends, and then lets the calls that are under way finish.
func kmsPlugin(ctx context.Context, e *env, args []string) error {
	var s pluginSettings
	f := newFlags(e, "kms-plugin", "--key-id KEY [flags]")
	s.register(f)
	if err := f.parse(args); err != nil {
		return err
	}
	cfg, socket, err := s.config(e)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.err, nil))
	listener, err := kmsplugin.Listen(socket)
	if err != nil {
		return err
	}
	server := kmsplugin.NewServer(kmsplugin.New(cfg), log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("ready", "listen", s.listen, "key", s.key, "cluster", s.cluster, "endpoint", s.endpoint, "region", cfg.Region)
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
