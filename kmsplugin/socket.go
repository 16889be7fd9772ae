package kmsplugin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Listen listens on a socket that only its owner may use: whoever may, decrypts what the cluster keeps. A socket that a plugin left behind which was killed is replaced, one
// that somebody listens on is not. Closing the listener removes the socket.
func Listen(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there, and is no socket", path)
	default:
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("somebody listens on %s already", path)
		}
	}
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	// It takes its place when its mode is right, so that nobody else is ever let in: until then it is in a directory that only its owner may enter.
	dir, err := os.MkdirTemp(parent, ".kms-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	if max(len(made), len(path)) >= len(syscall.RawSockaddrUnix{}.Path) {
		return nil, fmt.Errorf("the path %s is too long for a socket", path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	own, err := place(made, path)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return &socket{UnixListener: l, path: path, own: own}, nil
}

// place moves a socket to its place, for its owner alone.
func place(made, path string) (fs.FileInfo, error) {
	if err := os.Chmod(made, 0o600); err != nil {
		return nil, err
	}
	own, err := os.Lstat(made)
	if err != nil {
		return nil, err
	}
	return own, os.Rename(made, path)
}

type socket struct {
	*net.UnixListener
	path    string
	own     fs.FileInfo
	removal sync.Once
}

// Close implements [net.Listener]. It removes the socket first: once nobody listens, what lies at the path may be a successor's. For two that started at the same time it
// looks whether the socket is its own.
func (s *socket) Close() error {
	s.removal.Do(func() {
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.own) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}
