package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are what the AWS agent's configuration file can say.
type Settings struct {
	Address         string        // on loopback
	Port            int           // 1024 to 65535; 0 only in tests
	TTL             time.Duration // 0 to an hour; 0 keeps nothing
	CacheSize       int           // values, 1 to 1000
	MaxConnections  int           // 1 to 1000
	PathPrefix      string        // of requests that name the secret in their path
	Headers         []string      // that may carry the token
	TokenVariables  []string      // of the environment: the first that is set is the token, or tells with file:// where it is
	Region          string        // "" is the AWS configuration's
	IgnoreTransient bool          // an old value is better than none while the cloud does not answer
	Validate        bool          // ask at the start who the credentials belong to
	LogLevel        string        // debug, info, warn, error or none
}

// Defaults are the AWS agent's.
func Defaults() Settings {
	return Settings{
		Address: "127.0.0.1", Port: 2773, TTL: 5 * time.Minute, CacheSize: 1000, MaxConnections: 800, PathPrefix: "/v1/",
		Headers:         []string{"X-Aws-Parameters-Secrets-Token", "X-Vault-Token"},
		TokenVariables:  []string{"AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"},
		IgnoreTransient: true, Validate: true, LogLevel: "info",
	}
}

func (s *Settings) check() error {
	ip := net.ParseIP(s.Address)
	switch {
	case ip == nil || !ip.IsLoopback():
		return fmt.Errorf("%q is no address of this machine's own, such as 127.0.0.1: an agent speaks plain HTTP, and must not be reached from elsewhere", s.Address)
	case s.Port != 0 && s.Port < 1024 || s.Port > 65535:
		return errors.New("the port must be in the range 1024 to 65535")
	case s.TTL < 0 || s.TTL > time.Hour:
		return errors.New("the time to live must be in the range 0 to 3600 seconds")
	case s.CacheSize < 1 || s.CacheSize > 1000:
		return errors.New("the cache size must be in the range 1 to 1000")
	case s.MaxConnections < 1 || s.MaxConnections > 1000:
		return errors.New("the maximum number of connections must be in the range 1 to 1000")
	case !strings.HasPrefix(s.PathPrefix, "/"):
		return errors.New("the path prefix must begin with /")
	case len(s.Headers) == 0 || slices.Contains(s.Headers, ""):
		return errors.New("the list of headers for the token must not be empty")
	case len(s.TokenVariables) == 0:
		return errors.New("the list of environment variables for the token must not be empty")
	case !slices.Contains([]string{"debug", "info", "warn", "error", "none"}, s.LogLevel):
		return errors.New("the log level must be debug, info, warn, error or none")
	}
	return nil
}

// Read takes over what a configuration file of the AWS agent says. It is TOML, of which it needs lines of a name and a text, number, truth value or list of texts.
// An unknown name is an error, as there.
func (s *Settings) Read(text string) error {
	seen := make(map[string]bool)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line, number := lines[i], i+1
		name, rest, ok := strings.Cut(line, "=")
		if !ok {
			if t := strings.TrimSpace(line); t == "" || t[0] == '#' {
				continue
			}
			return fmt.Errorf("line %d is no setting", number)
		}
		name = strings.TrimSpace(name)
		if strings.HasPrefix(name, "#") {
			continue
		}
		// A list may go on for some lines.
		v, err := readValue(rest)
		for errors.Is(err, errUnfinished) && i+1 < len(lines) {
			i++
			rest += "\n" + lines[i]
			v, err = readValue(rest)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if seen[name] {
			return fmt.Errorf("line %d: %s is there twice", number, name)
		}
		seen[name] = true
		if err := s.set(name, v); err != nil {
			return fmt.Errorf("line %d: %s %w", number, name, err)
		}
	}
	return s.check()
}

// set takes over one setting. The error goes on behind its name.
func (s *Settings) set(name string, v value) (err error) {
	switch name {
	case "log_level":
		s.LogLevel, err = v.text()
		s.LogLevel = strings.ToLower(s.LogLevel)
	case "log_to_file":
		_, err = v.truth() // the log goes to where standard error does
	case "http_address":
		s.Address, err = v.text()
	case "http_port":
		s.Port, err = v.number()
		if err == nil && s.Port == 0 {
			err = errors.New("must be in the range 1024 to 65535")
		}
	case "region":
		s.Region, err = v.text()
	case "ttl_seconds":
		var seconds int
		seconds, err = v.number()
		s.TTL = time.Duration(min(max(seconds, -1), 1<<20)) * time.Second
	case "cache_size":
		s.CacheSize, err = v.number()
	case "ssrf_headers":
		s.Headers, err = v.list()
	case "ssrf_env_variables":
		s.TokenVariables, err = v.list()
	case "path_prefix":
		s.PathPrefix, err = v.text()
	case "max_conn":
		s.MaxConnections, err = v.number()
	case "ignore_transient_errors":
		s.IgnoreTransient, err = v.truth()
	case "validate_credentials":
		s.Validate, err = v.truth()
	default:
		return errors.New("is no setting of the agent")
	}
	return err
}

// Token looks for the token where the settings say.
func (s *Settings) Token(lookup func(string) string) (string, error) {
	for _, name := range s.TokenVariables {
		v := lookup(name)
		if v == "" {
			continue
		}
		file, ok := strings.CutPrefix(v, "file://")
		if !ok {
			return v, nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		if v = strings.TrimSpace(string(b)); v == "" {
			return "", fmt.Errorf("the token file %s is empty", file)
		}
		return v, nil
	}
	return "", fmt.Errorf("there is no token: none of %s is set", strings.Join(s.TokenVariables, ", "))
}

// value is what stands behind a name: a text, or a list of texts; bare when it was not in quotes.
type value struct {
	texts  []string
	bare   bool
	isList bool
}

func (v value) text() (string, error) {
	if v.bare || v.isList {
		return "", errors.New("must be a text in quotes")
	}
	return v.texts[0], nil
}

func (v value) list() ([]string, error) {
	if !v.isList {
		return nil, errors.New("must be a list of texts")
	}
	return v.texts, nil
}

// number may stand in quotes: the AWS agent has it so in its own examples.
func (v value) number() (int, error) {
	if v.isList {
		return 0, errors.New("must be a number")
	}
	n, err := strconv.Atoi(v.texts[0])
	if err != nil {
		return 0, errors.New("must be a number")
	}
	return n, nil
}

func (v value) truth() (bool, error) {
	if !v.isList && v.bare {
		switch v.texts[0] {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, errors.New("must be true or false")
}
