package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ReadSecret reads a passphrase, a PIN or the like from where a line of configuration says it is:
//
//	env:NAME    an environment variable
//	file:PATH   the first line of a file that its owner alone can read
//	fd:N        the first line of an open file descriptor, which is read to its end and closed
//
// Environment variables are left as they are; whoever starts other programs must not pass them on.
func ReadSecret(source string) ([]byte, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch {
	case kind == "env" && name != "":
		value, ok := os.LookupEnv(name)
		if !ok || value == "" {
			return nil, fmt.Errorf("seal: the environment variable %s is not set", name)
		}
		return []byte(value), nil
	case kind == "file" && name != "":
		if err := refuseShared("secret", name, os.Stat); err != nil {
			return nil, err
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("seal: reading a secret: %w", err)
		}
		return firstLine(f)
	case kind == "fd":
		fd, err := strconv.ParseUint(name, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("seal: %q is no file descriptor", name)
		}
		f := os.NewFile(uintptr(fd), "secret")
		if f == nil {
			return nil, fmt.Errorf("seal: file descriptor %d is not open", fd)
		}
		return firstLine(f)
	}
	return nil, errors.New("seal: a secret comes from env:NAME, file:PATH or fd:N")
}

// firstLine reads f's first line and closes it.
func firstLine(f *os.File) ([]byte, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("seal: reading a secret: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}
