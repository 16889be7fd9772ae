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

// PassphraseVariable is the environment variable that [Parse] takes the passphrase of "passphrase" from.
const PassphraseVariable = "HOLDFAST_SEAL_PASSPHRASE"

// Parse returns the provider that a line of configuration names:
//
//	file:PATH              a file, made at the first start
//	env:NAME               an environment variable with 32 bytes in base64
//	passphrase             the passphrase in HOLDFAST_SEAL_PASSPHRASE
//	passphrase:env:NAME    ... in another environment variable
//	passphrase:file:PATH   ... in the first line of a file
//	passphrase:fd:N        ... in the first line of an open file descriptor, which is read to its end and closed
//
// Environment variables are read now and left as they are; whoever starts other programs must not pass them on.
func Parse(spec string) (Provider, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	switch {
	case kind == "file" && rest != "":
		return NewFile(rest), nil
	case kind == "env" && rest != "":
		text, err := fromEnvironment(rest)
		if err != nil {
			return nil, err
		}
		r, err := parseRoot(text)
		if err != nil {
			return nil, fmt.Errorf("%w, and the variable %s holds something else", err, rest)
		}
		return &Key{r}, nil
	case kind == "passphrase":
		phrase, err := readPhrase(rest)
		if err != nil {
			return nil, err
		}
		defer clear(phrase)
		return NewPassphrase(phrase)
	}
	return nil, errors.New(`seal: a root key is named by file:PATH, env:NAME, passphrase, passphrase:env:NAME, passphrase:file:PATH or passphrase:fd:N`)
}

func readPhrase(source string) ([]byte, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch {
	case source == "":
		return fromEnvironment(PassphraseVariable)
	case kind == "env" && name != "":
		return fromEnvironment(name)
	case kind == "file" && name != "":
		if err := refuseShared(name, os.Stat); err != nil {
			return nil, fmt.Errorf("seal: the passphrase's file: %w", err)
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("seal: reading the passphrase: %w", err)
		}
		return firstLine(f)
	case kind == "fd":
		fd, err := strconv.ParseUint(name, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("seal: %q is no file descriptor", name)
		}
		f := os.NewFile(uintptr(fd), "passphrase")
		if f == nil {
			return nil, fmt.Errorf("seal: file descriptor %d is not open", fd)
		}
		return firstLine(f)
	}
	return nil, errors.New("seal: a passphrase comes from env:NAME, file:PATH or fd:N")
}

// firstLine reads f's first line and closes it.
func firstLine(f *os.File) ([]byte, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("seal: reading the passphrase: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

func fromEnvironment(name string) ([]byte, error) {
	value, ok := os.LookupEnv(name)
	if !ok || value == "" {
		return nil, fmt.Errorf("seal: the environment variable %s is not set", name)
	}
	return []byte(value), nil
}
