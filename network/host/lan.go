package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/network"
)

// Frames about addresses on a LAN: a probe for an address (RFC 5227, section
// 2.1; RFC 4862, section 5.4), and an announcement (RFC 5227, section 3; RFC
// 4861, section 7.2.6).

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

// probe returns a frame that asks a LAN for the owner of a. Its sender has no
// address yet.
func probe(a netip.Addr, mac net.HardwareAddr) []byte {
	if a.Is4() {
		return arpFrame(1, mac, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), a)
	}
	bits := a.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: bits[13], 14: bits[14], 15: bits[15]})
	return neighbourFrame(mac, netip.IPv6Unspecified(), group, 135, 0, a, nil)
}

// announcement tells a LAN that a is at mac.
func announcement(a netip.Addr, mac net.HardwareAddr) []byte {
	if a.Is4() {
		return arpFrame(1, mac, a, make(net.HardwareAddr, 6), a)
	}
	all := netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1})
	return neighbourFrame(mac, a, all, 136, 0x20000000, a, append([]byte{2, 1}, mac...)) // override; its link-layer address
}

// claimed returns the address that a frame from the LAN says its sender has,
// and its MAC.
func claimed(frame []byte) (netip.Addr, net.HardwareAddr) {
	if len(frame) < 14 {
		return netip.Addr{}, nil
	}
	from, body := net.HardwareAddr(frame[6:12]), frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		if len(body) >= 28 && bytes.Equal(body[:6], []byte{0, 1, 8, 0, 6, 4}) {
			return netip.AddrFrom4([4]byte(body[14:18])), from
		}
	case etherIPv6:
		if len(body) >= 64 && body[6] == unix.IPPROTO_ICMPV6 && body[40] == 136 {
			return netip.AddrFrom16([16]byte(body[48:64])), from
		}
	}
	return netip.Addr{}, nil
}

func etherFrame(to, from net.HardwareAddr, kind uint16, body []byte) []byte {
	frame := append(append(bytes.Clone(to), from...), byte(kind>>8), byte(kind))
	frame = append(frame, body...)
	return append(frame, make([]byte, max(0, 60-len(frame)))...)
}

func arpFrame(op byte, senderMAC net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	body := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, senderMAC...)
	body = append(append(body, sender.AsSlice()...), targetMAC...)
	body = append(body, target.AsSlice()...)
	return etherFrame(bytes.Repeat([]byte{0xff}, 6), senderMAC, etherARP, body)
}

// neighbourFrame is a neighbour solicitation or advertisement to a group.
func neighbourFrame(mac net.HardwareAddr, from, to netip.Addr, kind byte, flags uint32, target netip.Addr, option []byte) []byte {
	message := append([]byte{kind, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, flags)...)
	message = append(append(message, target.AsSlice()...), option...)
	sum := append(append(from.AsSlice(), to.AsSlice()...), 0, 0, 0, byte(len(message)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(message[2:], internetChecksum(append(sum, message...)))
	head := append([]byte{0x60, 0, 0, 0, 0, byte(len(message)), unix.IPPROTO_ICMPV6, 255}, append(from.AsSlice(), to.AsSlice()...)...)
	bits := to.As16()
	group := net.HardwareAddr{0x33, 0x33, bits[12], bits[13], bits[14], bits[15]}
	return etherFrame(group, mac, etherIPv6, append(head, message...))
}

// internetChecksum is that of RFC 1071, of an even number of bytes.
func internetChecksum(data []byte) uint16 {
	var sum uint32
	for ; len(data) > 1; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// How long a LAN is asked, and how often.
const (
	probes     = 3
	probeEvery = 150 * time.Millisecond
)

// Answering returns the addresses of addrs that a machine on the LAN of a link
// has, with that machine's MAC. It takes half a second. A link that is down or
// missing has no answers.
func (h *Host) Answering(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error) {
	found := map[netip.Addr]string{}
	if len(addrs) == 0 {
		return found, nil
	}
	l, err := h.nl.LinkByName(link)
	if isNotFound(err) || err == nil && l.Attrs().Flags&net.FlagUp == 0 {
		return found, nil
	}
	if err != nil {
		return nil, classify("find link "+link, err)
	}
	mac := l.Attrs().HardwareAddr
	if len(mac) != 6 {
		return found, nil
	}
	fd, err := packetSocket(l.Attrs().Index)
	if err != nil {
		return nil, classify("ask the LAN of "+link, err)
	}
	defer unix.Close(fd)
	asked := map[netip.Addr]bool{}
	for _, a := range addrs {
		asked[a] = true
	}
	for range probes {
		for _, a := range addrs {
			if _, err := unix.Write(fd, probe(a, mac)); err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENOBUFS) {
				return nil, classify("ask the LAN of "+link, err)
			}
		}
		hear(ctx, fd, probeEvery, func(frame []byte) {
			a, who := claimed(frame)
			if asked[a] && !bytes.Equal(who, mac) {
				found[a] = who.String()
			}
		})
		if len(found) == len(asked) {
			break
		}
	}
	return found, ctx.Err()
}

// hear calls heard with each frame that comes within a time.
func hear(ctx context.Context, fd int, limit time.Duration, heard func([]byte)) {
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(limit); ctx.Err() == nil; {
		left := time.Until(deadline)
		if left <= 0 {
			return
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil || n == 0 {
			continue
		}
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if sender, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && sender.Pkttype != unix.PACKET_OUTGOING {
			heard(buf[:n])
		}
	}
}

func packetSocket(index int) (int, error) {
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// announce tells the LAN where the addresses of p are now, so that other
// machines need not wait until their old entries expire. A failure is a
// warning.
func (h *Host) announce(p network.Plan, addrs []netip.Prefix, init inside.Identity) {
	var err error
	switch {
	case len(addrs) == 0 || !p.OnLAN():
		return
	case p.Mode == network.ModeRouted:
		err = announceAt(p.Parent, addrs)
	default:
		err = within(init, func() error { return announceAt(p.Interface, addrs) })
	}
	if err != nil {
		h.warn(fmt.Sprintf("%s of %s: its addresses were not announced: %v", p.Interface, p.Owner, err))
	}
}

// announceAt is for a link of this thread's network namespace.
func announceAt(name string, addrs []netip.Prefix) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := packetSocket(link.Index)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, a := range addrs {
		if _, err := unix.Write(fd, announcement(a.Addr(), link.HardwareAddr)); err != nil {
			return fmt.Errorf("announce %s: %w", a.Addr(), err)
		}
	}
	return nil
}
