package runner

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Reach is something that functions may connect to: a port of a network or of a named host.
type Reach struct {
	Network netip.Prefix // of addresses, if Name is empty
	Name    string       // a host's, looked up outside of the sandbox whenever it is connected to
	Port    uint16
}

// ParseReach reads NETWORK:PORT, ADDRESS:PORT or NAME:PORT: 10.0.0.0/8:5432, 10.1.2.3:5432, [fd00::/8]:5432, db.example.com:5432.
func ParseReach(s string) (Reach, error) {
	wrong := fmt.Errorf("%q is not NETWORK:PORT, ADDRESS:PORT or NAME:PORT", s)
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return Reach{}, wrong
	}
	host := s[:at]
	port, err := strconv.ParseUint(s[at+1:], 10, 16)
	if err != nil || port == 0 {
		return Reach{}, wrong
	}
	r := Reach{Port: uint16(port)}
	if strings.HasPrefix(host, "[") != strings.HasSuffix(host, "]") {
		return Reach{}, wrong
	}
	bracketed := strings.HasPrefix(host, "[")
	host = strings.Trim(host, "[]")
	if p, err := netip.ParsePrefix(host); err == nil {
		r.Network = p.Masked()
	} else if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		r.Network = netip.PrefixFrom(a, a.BitLen())
	} else if hostName(host) && !bracketed {
		r.Name = strings.ToLower(host)
		return r, nil
	} else {
		return Reach{}, wrong
	}
	if r.Network.Addr().Is4In6() || r.Network.Addr().Is6() != bracketed {
		return Reach{}, wrong
	}
	return r, nil
}

func (r Reach) String() string {
	switch {
	case r.Name != "":
		return r.Name + ":" + strconv.Itoa(int(r.Port))
	case r.Network.Addr().Is6():
		return "[" + r.Network.String() + "]:" + strconv.Itoa(int(r.Port))
	}
	return r.Network.String() + ":" + strconv.Itoa(int(r.Port))
}

// hostName says whether s is a name that DNS can hold and that is no address.
func hostName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(strings.ToLower(l), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return len(s) <= 253 && err != nil
}

var errReach = errors.New("functions may not connect there")
