package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/agent"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
)

// sources are where programs get secrets and parameters from: mostly one cloud, but each service's endpoint may have a variable of its own, as with the AWS tools.
type sources struct{ secrets, parameters *kmsclient.Client }

// secretSources are those of the connection.
func (s *connection) secretSources(ctx context.Context, e *env) (*sources, error) {
	secrets, err := s.client(ctx, e, kmsclient.Config{}, "AWS_ENDPOINT_URL_SECRETS_MANAGER")
	if err != nil {
		return nil, err
	}
	parameters, err := s.client(ctx, e, kmsclient.Config{}, "AWS_ENDPOINT_URL_SSM")
	if err != nil {
		return nil, err
	}
	return &sources{secrets, parameters}, nil
}

// Secrets returns what calls Secrets Manager with the credentials of now.
func (s *sources) Secrets(ctx context.Context) (secretsmanager.Client, error) {
	t, err := s.secrets.Transport(ctx)
	return secretsmanager.Client{Transport: t}, err
}

// Parameters returns what calls Parameter Store with the credentials of now.
func (s *sources) Parameters(ctx context.Context) (ssm.Client, error) {
	t, err := s.parameters.Transport(ctx)
	return ssm.Client{Transport: t}, err
}

// agentSettings are the flags of agent. Those that are given win over the file.
type agentSettings struct {
	agent.Settings
	tokenFile string
	connection
}

func (s *agentSettings) parse(e *env, args []string) error {
	s.Settings = agent.Defaults()
	f := newFlags(e, "agent", "[flags]")
	// The file is read first, and the flags a second time after it.
	config := f.String("config", "", "`file` with settings, as the AWS Secrets Manager Agent has it (TOML)")
	f.IntVar(&s.Port, "port", s.Port, "`port` on 127.0.0.1, 1024 to 65535")
	f.DurationVar(&s.TTL, "ttl", s.TTL, "how `long` a value is kept, up to 1h; 0 keeps none")
	f.IntVar(&s.CacheSize, "cache-size", s.CacheSize, "how many `values` are kept, 1 to 1000")
	f.IntVar(&s.MaxConnections, "max-connections", s.MaxConnections, "how many `connections` there may be, 1 to 1000")
	f.StringVar(&s.tokenFile, "token-file", "", "`file` with the token that requests must carry; made with a random one if there is none (default what AWS_TOKEN says)")
	s.connection.register(f, "SECRETS_MANAGER", "the secrets (default that of the AWS configuration, or us-east-1)")
	if err := f.parse(args); err != nil {
		return err
	}
	if *config != "" {
		text, err := os.ReadFile(*config)
		if err != nil {
			return err
		}
		if err := s.Settings.Read(string(text)); err != nil {
			return fmt.Errorf("%w: %s: %w", errUsage, *config, err)
		}
		if err := f.parse(args); err != nil {
			return err
		}
	}
	if s.connection.region == "" {
		s.connection.region = s.Settings.Region
	}
	return nil
}

// token is the one in the token's file, or else where the AWS agent looks for it.
func (s *agentSettings) token(e *env) (string, error) {
	if s.tokenFile == "" {
		token, err := s.Token(e.getenv)
		if err != nil {
			return "", fmt.Errorf("%w: %w; --token-file makes one", errUsage, err)
		}
		return token, nil
	}
	token := rand.Text()
	file, err := os.OpenFile(s.tokenFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		b, err := os.ReadFile(s.tokenFile)
		if token = strings.TrimSpace(string(b)); err == nil && token == "" {
			err = fmt.Errorf("the token file %s is empty", s.tokenFile)
		}
		return token, err
	case err != nil:
		return "", err
	}
	_, err = file.WriteString(token + "\n")
	return token, errors.Join(err, file.Close())
}

func (s *agentSettings) log(e *env) *slog.Logger {
	var level slog.Level
	if s.LogLevel == "none" {
		return slog.New(slog.DiscardHandler)
	}
	_ = level.UnmarshalText([]byte(s.LogLevel)) // it was checked
	return slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: level}))
}

// agentCommand serves until ctx ends, and lets the requests that are under way finish.
func agentCommand(ctx context.Context, e *env, args []string) error {
	var s agentSettings
	if err := s.parse(e, args); err != nil {
		return err
	}
	token, err := s.token(e)
	if err != nil {
		return err
	}
	from, err := s.secretSources(ctx, e)
	if err != nil {
		return err
	}
	log := s.log(e)
	a, err := agent.New(agent.Config{Secrets: from.Secrets, Parameters: from.Parameters, Clock: new(clock.Real), Log: log, Token: token, Settings: s.Settings})
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if s.Validate && !strings.Contains(from.secrets.Endpoint(), ".amazonaws.com") { // AWS has another endpoint for that
		if err := s.validate(ctx, from.secrets, log); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.Address, strconv.Itoa(s.Port)))
	if err != nil {
		return err
	}
	server := a.Server()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("ready", "listen", listener.Addr().String(), "endpoint", from.secrets.Endpoint(), "region", from.secrets.Region(), "ttl", s.TTL.String())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(finish); err != nil && !errors.Is(err, http.ErrServerClosed) {
		_ = server.Close()
	}
	log.Info("stopped")
	return nil
}

// validate finds out at the start whether the credentials are any good. That the cloud does not answer says nothing of them.
func (s *agentSettings) validate(ctx context.Context, client *kmsclient.Client, log *slog.Logger) error {
	t, err := client.Transport(ctx)
	if err != nil {
		return err
	}
	_, err = sts.Client{Transport: t}.GetCallerIdentity(&call.Call{Context: ctx}, &sts.GetCallerIdentityRequest{})
	if err == nil {
		return nil
	}
	if s.IgnoreTransient && remote.Judge(err).Passing {
		log.Warn("the cloud does not answer yet", "endpoint", client.Endpoint(), "cause", err.Error())
		return nil
	}
	return fmt.Errorf("asking who the credentials belong to: %w", err)
}
