// Package outbound guards connections to servers whose addresses customers choose: identity providers, external key store proxies, webhooks. Whoever may name a server must not reach with
// it what only this machine can reach: its loopback, the neighbours, the metadata service of a cloud. So nothing but the public internet is dialed, and the networks that the operator
// allows beside it.
package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// Guard says which addresses may be dialed. Its zero value allows the public internet.
type Guard struct {
	// Allow are networks beside the public internet: those of one's own house.
	Allow []netip.Prefix
	// Only has the public internet not be reached, only what Allow says.
	Only bool
}

// ErrAddress is the error of an address that may not be dialed.
var ErrAddress = errors.New("address is not one that may be reached")

// Check decides on an address with its port that is about to be connected to. Names have been resolved by then, so a name that resolves to something else
// at the second look gains nothing.
func (g Guard) Check(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrAddress
	}
	a := ap.Addr().Unmap().WithZone("")
	if !g.Only && public(a) || slices.ContainsFunc(g.Allow, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrAddress, a)
}

// Control is Check as net.Dialer.Control takes it.
func (g Guard) Control(_, address string, _ syscall.RawConn) error { return g.Check(address) }

// unicast6 is all of IPv6 that has been given out as global unicast addresses. Nothing outside of it is the public internet: neither IPv4 addresses in disguise (::/96, 64:ff9b::/96)
// nor the networks of a house (fc00::/7, fec0::/10).
var unicast6 = netip.MustParsePrefix("2000::/3")

// special are the networks that netip's methods do not know and that are not the public internet.
// https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),    // carriers' NAT
	netip.MustParsePrefix("168.63.129.16/32"), // a public address that Azure answers its machines at, with their secrets
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), // 6to4 relays
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), // Teredo and others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("3fff::/20"),
}

func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && (a.Is4() || unicast6.Contains(a)) && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}
