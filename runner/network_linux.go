//go:build amd64 || arm64

package runner

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// loopback is the index of lo, the first and only device of a new network namespace.
const loopback = 1

// network brings up the sandbox's own loopback device and makes the networks that functions may connect to addresses of it. What is sent there arrives at the sockets inside, which are
// the server's, and nothing else leaves: there is no other device.
func network(s *spec) error {
	_ = unix.Sethostname([]byte("function"))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	if len(s.Local) == 0 {
		return nil
	}
	nl, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer unix.Close(nl)
	for _, p := range s.Local {
		if p.Addr().IsLoopback() {
			continue // it is that already
		}
		family := byte(unix.AF_INET)
		if p.Addr().Is6() {
			family = unix.AF_INET6
		}
		if err := localRoute(nl, family, p.Addr().AsSlice(), p.Bits()); err != nil {
			return fmt.Errorf("making %s local: %w", p, err)
		}
	}
	return nil
}

// localRoute is: ip route add local ADDRESS/BITS dev lo.
func localRoute(nl int, family byte, address []byte, bits int) error {
	h := binary.NativeEndian
	attribute := func(b []byte, kind uint16, value []byte) []byte {
		b = h.AppendUint16(b, uint16(4+len(value)))
		b = h.AppendUint16(b, kind)
		return append(b, value...) // values here are multiples of four bytes
	}
	// struct rtmsg
	b := []byte{family, byte(bits), 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_BOOT, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	if bits > 0 {
		b = attribute(b, unix.RTA_DST, address)
	}
	b = attribute(b, unix.RTA_OIF, h.AppendUint32(nil, loopback))
	// struct nlmsghdr
	m := h.AppendUint32(nil, uint32(16+len(b)))
	m = h.AppendUint16(m, unix.RTM_NEWROUTE)
	m = h.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m = h.AppendUint32(m, 1)
	m = h.AppendUint32(m, 0)
	if err := unix.Sendto(nl, append(m, b...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(nl, answer, 0)
	if err != nil {
		return err
	}
	if n < 20 || h.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("netlink answered with %d bytes of kind %d", n, h.Uint16(answer[4:]))
	}
	if code := int32(h.Uint32(answer[16:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
