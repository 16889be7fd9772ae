package runner

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestParseReach(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.0/8:5432": "10.0.0.0/8:5432", "10.1.2.3/8:5432": "10.0.0.0/8:5432", "10.1.2.3:1": "10.1.2.3/32:1", "[fd00::/8]:443": "[fd00::/8]:443", "[::1]:65535": "[::1/128]:65535",
		"DB.example.com:5432": "db.example.com:5432", "localhost:80": "localhost:80",
		"": "", "10.0.0.0/8": "", "10.0.0.0/8:": "", "10.0.0.0/8:0": "", "10.0.0.0/8:65536": "", "10.0.0.0/8:http": "", "10.0.0.0/33:1": "", "fd00::/8:443": "", "[10.0.0.1]:1": "", "[name]:1": "", "[::1:1": "", ":80": "",
		"a..b:1": "", "a b:1": "", "1.2.3:4": "", "[::ffff:1.2.3.4]:1": "", "[fe80::1%eth0]:1": "", "*:80": "",
	} {
		r, err := ParseReach(in)
		if want == "" {
			if err == nil {
				t.Errorf("ParseReach(%q) = %v", in, r)
			}
		} else if err != nil || r.String() != want {
			t.Errorf("ParseReach(%q) = %v, %v, want %s", in, r, err, want)
		}
	}
}

func FuzzParseReach(f *testing.F) {
	f.Add("10.0.0.0/8:5432")
	f.Add("[fd00::/8]:443")
	f.Add("db.example.com:5432")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReach(s)
		if err != nil {
			return
		}
		if again, err := ParseReach(r.String()); err != nil || again != r {
			t.Errorf("ParseReach(%q) = %v, and that is %v, %v", s, r, again, err)
		}
	})
}

func reachOf(t testing.TB, all ...string) *reach {
	t.Helper()
	var list []Reach
	for _, s := range all {
		r, err := ParseReach(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	r, err := newReach(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTarget(t *testing.T) {
	r := reachOf(t, "10.0.0.0/8:5432", "[fd00::/8]:443", "db.example.com:3306", "db.example.com:3307", "other.example.com:80", "127.0.0.5:6379", "0.0.0.0/0:8080", "[::/0]:8080", "169.254.0.0/16:99")
	for in, want := range map[string]string{
		"10.1.2.3:5432": "10.1.2.3:5432", "[::ffff:10.1.2.3]:5432": "10.1.2.3:5432", "10.1.2.3:5433": "", "11.1.2.3:5432": "", "[fd00::1]:443": "[fd00::1]:443", "[fe00::1]:443": "",
		"198.18.0.1:3306": "db.example.com:3306", "198.18.0.1:3307": "db.example.com:3307", "198.18.0.2:80": "other.example.com:80", "198.18.0.1:80": "", "198.18.0.2:3306": "", "198.18.0.0:80": "", "198.18.9.9:80": "",
		"127.0.0.5:6379": "127.0.0.5:6379", "127.0.0.1:6379": "", "8.8.8.8:8080": "8.8.8.8:8080", "127.0.0.1:8080": "", "[::1]:8080": "", "169.254.169.254:8080": "", "169.254.169.254:99": "169.254.169.254:99", "0.0.0.0:8080": "", "224.0.0.1:8080": "",
		"[fe80::1]:8080": "", "[2606:4700::1]:8080": "[2606:4700::1]:8080",
	} {
		got, err := r.target(netip.MustParseAddrPort(in))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("target(%s) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func question(t testing.TB, name string, kind dnsmessage.Type, class dnsmessage.Class) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: class}}}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNames(t *testing.T) {
	asked := ""
	outside := func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if asked = host; host != "mixed.example.com" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.168.0.1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	with, without := reachOf(t, "db.example.com:5432", "10.0.0.0/8:80", "[fd00::/8]:80"), reachOf(t, "db.example.com:5432")
	for _, c := range []struct {
		reach *reach
		name  string
		kind  dnsmessage.Type
		want  []string
		code  dnsmessage.RCode
		asked string
	}{
		{with, "db.example.com.", dnsmessage.TypeA, []string{"198.18.0.1"}, 0, ""},
		{with, "DB.Example.Com.", dnsmessage.TypeA, []string{"198.18.0.1"}, 0, ""},
		{with, "db.example.com.", dnsmessage.TypeAAAA, nil, 0, ""},
		{with, "db.example.com.", dnsmessage.TypeTXT, nil, 0, ""},
		{with, "localhost.", dnsmessage.TypeA, []string{"127.0.0.1"}, 0, ""},
		{with, "mixed.example.com.", dnsmessage.TypeA, []string{"10.0.0.1"}, 0, "mixed.example.com"},
		{with, "mixed.example.com.", dnsmessage.TypeAAAA, []string{"fd00::1"}, 0, "mixed.example.com"},
		{with, "nothing.example.com.", dnsmessage.TypeA, nil, dnsmessage.RCodeNameError, "nothing.example.com"},
		{without, "mixed.example.com.", dnsmessage.TypeA, nil, dnsmessage.RCodeNameError, ""},
		{without, "secret-in-a-name.evil.example.", dnsmessage.TypeA, nil, dnsmessage.RCodeNameError, ""},
	} {
		asked = ""
		var m dnsmessage.Message
		if err := m.Unpack(c.reach.answer(t.Context(), question(t, c.name, c.kind, dnsmessage.ClassINET), outside)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		for _, a := range m.Answers {
			switch b := a.Body.(type) {
			case *dnsmessage.AResource:
				got = append(got, netip.AddrFrom4(b.A).String())
			case *dnsmessage.AAAAResource:
				got = append(got, netip.AddrFrom16(b.AAAA).String())
			}
		}
		if !slices.Equal(got, c.want) || m.RCode != c.code || asked != c.asked || m.ID != 7 || !m.Response {
			t.Errorf("%s %v: got %v, %v, asked %q, want %v, %v, %q", c.name, c.kind, got, m.RCode, asked, c.want, c.code, c.asked)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add(question(f, "db.example.com.", dnsmessage.TypeA, dnsmessage.ClassINET))
	f.Add(question(f, ".", dnsmessage.TypeALL, dnsmessage.ClassCHAOS))
	f.Add([]byte{0})
	r := reachOf(f, "db.example.com:5432", "10.0.0.0/8:80")
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := r.answer(t.Context(), b, func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
		})
		var m dnsmessage.Message
		if answer != nil && m.Unpack(answer) != nil {
			t.Errorf("%q is answered with %q", b, answer)
		}
	})
}
