package runner

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxQueries   = 16 // of one instance at once; further ones wait
	queryTimeout = 2 * time.Second
)

// answerNames is the sandbox's DNS server, until ctx ends. It knows the named hosts of reach. If networks may be reached, other names are looked up outside, and their addresses told that lie in these
// networks; if not, nothing that a function asks ever leaves the host.
func (r *reach) answerNames(ctx context.Context, c net.PacketConn) {
	free := make(chan struct{}, maxQueries)
	for {
		query := make([]byte, 1232)
		n, from, err := c.ReadFrom(query)
		if err != nil {
			return
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		go func() {
			defer func() { <-free }()
			if answer := r.answer(ctx, query[:n], net.DefaultResolver.LookupNetIP); answer != nil {
				_, _ = c.WriteTo(answer, from) // who does not listen asks again
			}
		}()
	}
}

// answer returns the answer to a query, or nil if it is none.
func (r *reach) answer(ctx context.Context, query []byte, lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	head := dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired, RecursionAvailable: true}
	var addresses []netip.Addr
	if h.OpCode != 0 || q.Class != dnsmessage.ClassINET {
		head.RCode = dnsmessage.RCodeNotImplemented
	} else if all, ok := r.lookup(ctx, strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")), lookup); !ok {
		head.RCode = dnsmessage.RCodeNameError
	} else {
		addresses = all
	}
	b := dnsmessage.NewBuilder(nil, head)
	b.EnableCompression()
	if b.StartQuestions() != nil || b.Question(q) != nil || b.StartAnswers() != nil {
		return nil
	}
	for _, a := range addresses {
		rh := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 5}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			err = b.AResource(rh, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			err = b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
		if err != nil {
			return nil
		}
	}
	answer, err := b.Finish()
	if err != nil {
		return nil
	}
	return answer
}

// lookup returns the addresses of a name, of both kinds, and whether there is such a name.
func (r *reach) lookup(ctx context.Context, name string, outside func(ctx context.Context, network, host string) ([]netip.Addr, error)) ([]netip.Addr, bool) {
	if name == "localhost" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, true
	}
	if a, ok := r.nameAddress(name); ok {
		return []netip.Addr{a}, true
	}
	networks := false
	for _, x := range r.all {
		networks = networks || x.Name == ""
	}
	if !networks || !hostName(name) {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	all, err := outside(ctx, "ip", name)
	if err != nil {
		return nil, false
	}
	var may []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); r.allows(a, 0) && len(may) < 16 {
			may = append(may, a)
		}
	}
	return may, len(may) > 0
}
