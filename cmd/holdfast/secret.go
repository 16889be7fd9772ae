package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// readSecret reads a secret from where a flag says that it is, without spaces and line ends around it. A file that others can read may have been read.
func readSecret(e *env, flag, where string) ([]byte, error) {
	kind, name, _ := strings.Cut(where, ":")
	switch {
	case kind == "env" && name != "":
		v := strings.TrimSpace(e.getenv(name))
		if v == "" {
			return nil, fmt.Errorf("%w: --%s: the environment has no %s", errUsage, flag, name)
		}
		return []byte(v), nil
	case kind == "file" && name != "":
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		if info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			return nil, fmt.Errorf("--%s: %s can be read by others than its owner (mode %04o): chmod 600 it, or make a new one", flag, name, info.Mode().Perm())
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		return bytes.TrimSpace(b), nil
	}
	return nil, fmt.Errorf("%w: --%s is file:PATH or env:NAME", errUsage, flag)
}
