package main

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/mail"
)

// smtp are the flags that say how e-mail is sent.
type smtp struct{ server, from, user, secret, ca string }

func (s *smtp) register(f *flags) {
	f.StringVar(&s.server, "smtp-server", "", "`HOST:PORT` of the server that sends e-mail to subscribers of topics, such as smtp.example.com:587 (default none is sent)")
	f.StringVar(&s.from, "smtp-from", "", "`address` that e-mail comes from")
	f.StringVar(&s.user, "smtp-user", "", "`name` to send e-mail as, where the server asks for one")
	f.StringVar(&s.secret, "smtp-secret", "", "`where` the password of that name is: file:PATH or env:NAME")
	f.StringVar(&s.ca, "smtp-ca", "", "PEM `file` with the authorities that vouch for the server's certificate (default those of the machine)")
}

// config is nil where no server is named.
func (s *smtp) config(e *env) (*mail.Server, error) {
	if s.server == "" {
		if s.from+s.user+s.secret+s.ca != "" {
			return nil, fmt.Errorf("%w: --smtp-from, --smtp-user, --smtp-secret and --smtp-ca go with --smtp-server", errUsage)
		}
		return nil, nil
	}
	cfg := mail.Config{Server: s.server, From: s.from, User: s.user}
	var err error
	if cfg.Roots, err = authorities("smtp-ca", s.ca); err != nil {
		return nil, err
	}
	if s.secret != "" {
		secret, err := readSecret(e, "smtp-secret", s.secret)
		if err != nil {
			return nil, err
		}
		cfg.Password = string(secret)
	}
	server, err := mail.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: --smtp-server, --smtp-from, --smtp-user and --smtp-secret: %w", errUsage, err)
	}
	return server, nil
}
