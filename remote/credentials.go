package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

// CredentialSource says where credentials come from, in the way of the AWS tools.
type CredentialSource struct {
	// Getenv reads the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, unless File is given; AWS_SHARED_CREDENTIALS_FILE; AWS_PROFILE.
	Getenv func(string) string
	// File is a shared credentials file; empty is that of the environment, or ~/.aws/credentials.
	File string
	// Profile is its section; empty is that of the environment, or "default".
	Profile string
}

// Credentials reads them anew each time, so that they may change while a process runs.
func (s CredentialSource) Credentials() (sigv4.Credentials, error) {
	c := sigv4.Credentials{AccessKeyID: s.Getenv("AWS_ACCESS_KEY_ID"), Secret: s.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: s.Getenv("AWS_SESSION_TOKEN")}
	if s.File == "" && c.AccessKeyID != "" && c.Secret != "" {
		return c, nil
	}
	file, profile := s.File, s.Profile
	if file == "" {
		file = s.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	}
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return sigv4.Credentials{}, errors.New("neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set, nor is there a home directory with a credentials file")
		}
		file = filepath.Join(home, ".aws", "credentials")
	}
	if profile == "" {
		profile = s.Getenv("AWS_PROFILE")
	}
	if profile == "" {
		profile = "default"
	}
	f, err := os.Open(file)
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in use, and the credentials file: %w", err)
	}
	defer f.Close()
	if c, err = readProfile(f, profile); err != nil {
		return sigv4.Credentials{}, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// readProfile reads a section of a credentials file. Its errors quote nothing of what the file says.
func readProfile(r io.Reader, profile string) (c sigv4.Credentials, err error) {
	fields := map[string]*string{"aws_access_key_id": &c.AccessKeyID, "aws_secret_access_key": &c.Secret, "aws_session_token": &c.SessionToken}
	within := false
	lines := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			within = strings.TrimSpace(name) == profile
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if field := fields[strings.ToLower(strings.TrimSpace(name))]; ok && within && field != nil {
			*field = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return sigv4.Credentials{}, errors.New("it is no text")
	}
	if c.AccessKeyID == "" || c.Secret == "" {
		return sigv4.Credentials{}, fmt.Errorf("it has no aws_access_key_id and aws_secret_access_key in a profile %q", profile)
	}
	return c, nil
}
