package runner

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxConnections = 128 // of one socket inside, at once
	dialTimeout    = 10 * time.Second
)

// names is where the addresses lie that stand for named hosts inside: a network for benchmarks of devices, which is nobody's.
var names = netip.MustParsePrefix("198.18.0.0/16")

// reach is what functions may connect to, in the form in which it is asked.
type reach struct {
	all   []Reach
	named []string       // the host of names' address n is named[n-1]
	ports []uint16       // to listen on
	local []netip.Prefix // whose addresses are to be the sandbox's own
}

func newReach(all []Reach) (*reach, error) {
	r := &reach{all: all}
	for _, a := range all {
		if a.Port == 0 || a.Name == "" && !a.Network.IsValid() {
			return nil, fmt.Errorf("functions cannot connect to %v: it has no address or no port", a)
		}
		if a.Port == apiPort || a.Port == cloudPort {
			return nil, fmt.Errorf("functions cannot connect to %v: inside, ports %d and %d are those of the Runtime API and of the cloud", a, apiPort, cloudPort)
		}
		if !slices.Contains(r.ports, a.Port) {
			r.ports = append(r.ports, a.Port)
		}
		local := a.Network
		if a.Name != "" {
			local = names
			if !slices.Contains(r.named, a.Name) {
				r.named = append(r.named, a.Name)
			}
		}
		if !slices.Contains(r.local, local) {
			r.local = append(r.local, local)
		}
	}
	if len(r.ports) > 64 || len(r.named) > 1<<15 {
		return nil, fmt.Errorf("functions cannot connect to %d ports of %d named hosts: 64 and 32768 are the most", len(r.ports), len(r.named))
	}
	return r, nil
}

// nameAddress is the address that stands for a named host.
func (r *reach) nameAddress(name string) (netip.Addr, bool) {
	n := slices.Index(r.named, name) + 1
	if n == 0 {
		return netip.Addr{}, false
	}
	a := names.Addr().As4()
	a[2], a[3] = byte(n>>8), byte(n)
	return netip.AddrFrom4(a), true
}

// target is what to connect to, outside, for a connection to an address inside.
func (r *reach) target(to netip.AddrPort) (string, error) {
	addr := to.Addr().Unmap()
	if names.Contains(addr) {
		b := addr.As4()
		if n := int(b[2])<<8 | int(b[3]); n > 0 && n <= len(r.named) {
			if slices.Contains(r.all, Reach{Name: r.named[n-1], Port: to.Port()}) {
				return net.JoinHostPort(r.named[n-1], fmt.Sprint(to.Port())), nil
			}
		}
	}
	if r.allows(addr, to.Port()) {
		return netip.AddrPortFrom(addr, to.Port()).String(), nil
	}
	return "", errReach
}

// allows says whether a network has an address, for a port, or for any if it is 0. What only this machine reaches, its loopback and its link, where clouds have their metadata, must be meant: a network
// that is larger does not allow it.
func (r *reach) allows(a netip.Addr, port uint16) bool {
	if a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	return slices.ContainsFunc(r.all, func(x Reach) bool {
		return x.Name == "" && (port == 0 || x.Port == port) && x.Network.Contains(a) && (!near(a) || near(x.Network.Addr()))
	})
}

func near(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() }

// forward connects what is accepted inside with what it was meant for, until ctx ends.
func (r *reach) forward(ctx context.Context, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go r.connect(ctx, c)
	}
}

func (r *reach) connect(ctx context.Context, in net.Conn) {
	defer in.Close()
	defer context.AfterFunc(ctx, func() { in.Close() })()
	local, ok := in.LocalAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	address, err := r.target(local.AddrPort())
	if err == nil {
		var out net.Conn
		if out, err = (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address); err == nil {
			defer out.Close()
			defer context.AfterFunc(ctx, func() { out.Close() })()
			var both sync.WaitGroup
			both.Go(func() { copyHalf(out, in) })
			both.Go(func() { copyHalf(in, out) })
			both.Wait()
			return
		}
	}
	// Connecting has succeeded inside by now; a reset tells that it did not outside.
	if t, ok := unwrap(in).(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

func copyHalf(to, from net.Conn) {
	_, _ = io.Copy(unwrap(to), unwrap(from)) // either side may end at any time
	if t, ok := unwrap(to).(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

// limited is a listener that has so many connections open at most; further ones wait.
func limited(l net.Listener) net.Listener {
	return &limitedListener{l, make(chan struct{}, maxConnections)}
}

type limitedListener struct {
	net.Listener
	open chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open <- struct{}{}
	return &limitedConn{Conn: c, done: sync.OnceFunc(func() { <-l.open })}, nil
}

type limitedConn struct {
	net.Conn
	done func()
}

func (c *limitedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}

func unwrap(c net.Conn) net.Conn {
	if l, ok := c.(*limitedConn); ok {
		return l.Conn
	}
	return c
}
