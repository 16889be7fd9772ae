package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// vpcEndpoint is an address whose callers come through a VPC endpoint.
type vpcEndpoint struct {
	door.VPCEndpoint
	address string // to listen on; once it listens, where callers reach it
	port    int    // once it listens
}

// vpcEndpoints are the values of the flag --vpc-endpoint.
type vpcEndpoints []*vpcEndpoint

var (
	vpcEndpointID = regexp.MustCompile(`^vpce-[0-9a-f]{8,17}$`)
	vpcID         = regexp.MustCompile(`^vpc-[0-9a-f]{8,17}$`)
)

func (s *vpcEndpoints) add(value string) error {
	id, rest, _ := strings.Cut(value, "=")
	address, options, _ := strings.Cut(rest, ",")
	if !vpcEndpointID.MatchString(id) || address == "" {
		return errors.New("want vpce-0123456789abcdef0=ADDRESS[,vpc=ID][,policy=FILE]")
	}
	e := &vpcEndpoint{VPCEndpoint: door.VPCEndpoint{ID: id}, address: address}
	for option := range strings.SplitSeq(options, ",") {
		name, v, _ := strings.Cut(option, "=")
		switch {
		case option == "":
		case name == "vpc" && vpcID.MatchString(v):
			e.VPC = v
		case name == "policy":
			document, err := os.ReadFile(v)
			if err != nil {
				return err
			}
			p, err := policy.Parse(document, policy.Endpoint)
			if err != nil {
				return fmt.Errorf("%s: %w", v, err)
			}
			e.Policy = p.Named(id)
		default:
			return fmt.Errorf("%q is neither vpc=vpc-0123456789abcdef0 nor policy=FILE", option)
		}
	}
	*s = append(*s, e)
	return nil
}

// listeners are the addresses of one server.
type listeners []net.Listener

func (l listeners) close() {
	for _, one := range l {
		_ = one.Close()
	}
}

// listen opens the endpoints. They are under the same rule as --listen: no plain text off loopback but in dev mode.
func (s vpcEndpoints) listen(t *tls.Config, dev bool) (all listeners, err error) {
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	for _, e := range s {
		if t == nil && !dev && !loopback(e.address) {
			return all, fmt.Errorf("%w: --vpc-endpoint %s=%s is not a loopback address, so callers could be overheard: give --tls-cert and --tls-key", errUsage, e.ID, e.address)
		}
		l, err := net.Listen("tcp", e.address)
		if err != nil {
			return all, err
		}
		e.address, e.port = reachable(l.Addr()), l.Addr().(*net.TCPAddr).Port
		if t != nil {
			l = tls.NewListener(l, t)
		}
		all = append(all, l)
	}
	return all, nil
}

// through tells by the port at which a connection arrived which endpoint it came through. It is an http.Server's ConnContext.
func (s vpcEndpoints) through(ctx context.Context, c net.Conn) context.Context {
	a, ok := c.LocalAddr().(*net.TCPAddr)
	for _, e := range s {
		if ok && a.Port == e.port {
			return door.Through(ctx, &e.VPCEndpoint)
		}
	}
	return ctx
}
