package outbound_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/holdfast-cloud/holdfast/outbound"
)

func TestGuard(t *testing.T) {
	house := outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128")}}
	for _, tt := range []struct {
		address      string
		zero, inside bool
	}{
		{"8.8.8.8:443", true, true}, {"[2606:4700::1111]:443", true, true},
		{"10.1.2.3:443", false, true}, {"[::1]:443", false, true}, {"[::ffff:10.1.2.3]:443", false, true},
		{"10.2.0.1:443", false, false}, {"127.0.0.1:443", false, false}, {"[::ffff:127.0.0.1]:443", false, false},
		{"169.254.169.254:80", false, false}, {"0.0.0.0:443", false, false}, {"[fe80::1%eth0]:443", false, false},
		{"100.64.0.1:443", false, false}, {"[64:ff9b::7f00:1]:443", false, false}, {"224.0.0.1:443", false, false},
		{"[::7f00:1]:443", false, false}, {"[::a9fe:a9fe]:80", false, false}, {"[64:ff9b:1::1]:443", false, false}, {"[3fff::1]:443", false, false}, {"[4000::1]:443", false, false},
		{"168.63.129.16:80", false, false}, {"[fec0::1]:443", false, false}, {"[2001:0:7f00:1::]:443", false, false},
		{"example.com:443", false, false}, {"8.8.8.8", false, false}, {"", false, false},
	} {
		for g, want := range map[*outbound.Guard]bool{{}: tt.zero, &house: tt.inside} {
			if err := g.Check(tt.address); (err == nil) != want || err != nil && !errors.Is(err, outbound.ErrAddress) {
				t.Errorf("Check(%q) with %v: %v, want success %v", tt.address, g.Allow, err, want)
			}
		}
	}
}

func TestGuardOnly(t *testing.T) {
	for _, g := range []outbound.Guard{{Only: true}, {Only: true, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}} {
		if err := g.Check("8.8.8.8:5432"); !errors.Is(err, outbound.ErrAddress) {
			t.Errorf("the public internet with %v: %v, want ErrAddress", g, err)
		}
		if err := g.Check("10.1.1.1:5432"); (err == nil) != (len(g.Allow) > 0) {
			t.Errorf("10.1.1.1 with %v: %v", g, err)
		}
	}
}

// The guard sees what a name resolves to.
func TestControl(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d := net.Dialer{Control: outbound.Guard{}.Control}
	if _, err := d.DialContext(t.Context(), "tcp4", "localhost:"+port); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("dialing loopback: %v, want ErrAddress", err)
	}
	d.Control = outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}.Control
	conn, err := d.DialContext(t.Context(), "tcp4", "localhost:"+port)
	if err != nil {
		t.Fatalf("dialing loopback when allowed: %v", err)
	}
	conn.Close()
}
