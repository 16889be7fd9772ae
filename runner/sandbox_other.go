//go:build !linux || !(amd64 || arm64)

package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
)

// Init is for Linux, where this process may have been started to become a function.
func Init() {}

type host struct{}

func newHost(string, []string, *slog.Logger) (*host, error) {
	return nil, fmt.Errorf("functions are isolated by what only Linux on amd64 and arm64 has, and this is %s on %s", runtime.GOOS, runtime.GOARCH)
}

func (*host) close() {}

type spec struct {
	Programs, Args, Env, Hide []string
	Task, Opt                 string
	Runtime                   map[string]string
	Tmp                       int
	Loopback, Ports           []uint16
	Local                     []netip.Prefix
	Probe                     bool
}

// sandbox is never made here.
type sandbox struct {
	log       *os.File
	listeners []net.Listener
	dns       net.PacketConn
	exited    chan struct{}
	oom       bool
}

func (*host) start(context.Context, *spec, int) (*sandbox, error) {
	return nil, errors.ErrUnsupported
}

func (*sandbox) kill()          {}
func (*sandbox) close()         {}
func (*sandbox) freeze()        {}
func (*sandbox) thaw()          {}
func (*sandbox) memory() int64  { return 0 }
func (*sandbox) status() string { return "" }

func (*logs) pump(*os.File)  {}
func (*logs) drain(*os.File) {}
