package attack

import (
	"net"
	"net/netip"
)

// An Attack is frames that are not let out, and why: a network.Reason, by
// which they are counted.
type Attack struct {
	Name   string
	Reason string
	Frames [][]byte
}

// A Party is somebody on a network: its MAC and its addresses.
type Party struct {
	MAC  net.HardwareAddr
	IPv4 netip.Addr
	IPv6 netip.Addr
}

// LinkLocal is the address that follows from p's MAC (RFC 4291, appendix A).
func (p Party) LinkLocal() netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 11: 0xff, 12: 0xfe}
	copy(a[8:], p.MAC[:3])
	copy(a[13:], p.MAC[3:])
	a[8] ^= 2
	return netip.AddrFrom16(a)
}

// By are the attacks of one party on another and on the gateway. Broadcast is
// that of the network.
func By(self, victim, gateway Party, broadcast netip.Addr) []Attack {
	alice, bob, host := self.MAC, victim.MAC, gateway.MAC
	a4, b4, g4 := self.IPv4, victim.IPv4, gateway.IPv4
	a6, b6, g6 := self.IPv6, victim.IPv6, gateway.IPv6
	allNodes, outside4, outside6 := netip.MustParseAddr("ff02::1"), netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("2001:db8::99")
	none4, none6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	data := UDP(1000, 1000, Magic)
	v4 := func(from, to netip.Addr) []byte { return Ether(host, alice, 0x0800, IPv4(from, to, 17, data)) }
	v6 := func(from, to netip.Addr) []byte {
		return Ether(host, alice, 0x86dd, IPv6(from, to, 17, UDP6(from, to, 1000, 1000, Magic)))
	}
	nd := func(from, to netip.Addr, kind int, body ...any) []byte {
		return Ether(GroupMAC, alice, 0x86dd, IPv6(from, to, 58, ICMP6(from, to, kind, body...)))
	}
	na := func(target netip.Addr, option ...any) []byte {
		return nd(a6, allNodes, 136, append([]any{0x20, 0, 0, 0, target}, option...)...)
	}
	lla := func(kind int, mac net.HardwareAddr) []any { return []any{kind, 1, mac} }
	// behind wraps an ICMPv6 message in extension headers.
	behind := func(first int, headers []byte, kind int, body ...any) []byte {
		return Ether(GroupMAC, alice, 0x86dd, IPv6(a6, allNodes, first,
			append(headers, ICMP6(a6, allNodes, kind, body...)...)))
	}
	hopByHop := Bytes(58, 0, 1, 4, 0, 0, 0, 0)
	atomic := Bytes(58, 0, uint16(0), uint16(0), uint16(7))
	forgedNA := append([]any{0x20, 0, 0, 0, b6}, lla(2, alice)...)
	return []Attack{
		{"foreign source MAC", "mac", [][]byte{
			Ether(host, ForeignMAC, 0x0800, IPv4(a4, g4, 17, data)),
			Ether(host, bob, 0x0800, IPv4(b4, g4, 17, data)),
			Ether(bob, host, 0x0800, IPv4(g4, b4, 17, data)),
			Ether(BroadcastMAC, ForeignMAC, 0x0806, ARP(1, ForeignMAC, a4, ForeignMAC, g4)),
		}},
		{"foreign source IPv4", "source", [][]byte{
			v4(b4, g4), v4(g4, b4), v4(outside4, b4), v4(none4, g4), v4(netip.MustParseAddr("127.0.0.1"), g4),
			v4(broadcast, b4),
			Ether(BroadcastMAC, alice, 0x0800, IPv4(none4, netip.MustParseAddr("255.255.255.255"), 17, UDP(68, 67, Magic))),
		}},
		{"foreign source IPv6", "source", [][]byte{
			v6(b6, g6), v6(g6, b6), v6(outside6, b6), v6(victim.LinkLocal(), g6), v6(gateway.LinkLocal(), b6),
			v6(none6, g6),
			nd(none6, allNodes, 135, 0, 0, 0, 0, b6, Magic), // duplicate detection of Bob's address
			nd(none6, allNodes, 136, 0x20, 0, 0, 0, b6, Magic),
		}},
		{"ARP that lies", "arp", [][]byte{
			Ether(BroadcastMAC, alice, 0x0806, ARP(1, alice, b4, alice, b4)),
			Ether(BroadcastMAC, alice, 0x0806, ARP(2, alice, g4, alice, g4)),
			Ether(host, alice, 0x0806, ARP(2, alice, b4, host, g4)),
			Ether(bob, alice, 0x0806, ARP(2, alice, g4, bob, b4)),
			Ether(host, alice, 0x0806, ARP(1, bob, a4, host, g4)),
			Ether(host, alice, 0x0806, ARP(2, ForeignMAC, a4, host, g4)),
			Ether(BroadcastMAC, alice, 0x0806, ARP(1, alice, none4, host, b4)),
			Ether(host, alice, 0x0806, Bytes(uint16(1), uint16(0x86dd), 6, 16, uint16(2), alice, b6, host, g6, Magic)),
			Ether(host, alice, 0x0806, Bytes(uint16(6), uint16(0x0800), 6, 4, uint16(2), alice, a4, host, g4, Magic)),
		}},
		{"neighbour advertisements that lie", "neighbour", [][]byte{
			na(b6, append(lla(2, alice), Magic)...),
			na(g6, append(lla(2, alice), Magic)...),
			na(gateway.LinkLocal(), append(lla(2, alice), Magic)...),
			na(a6, append(lla(2, bob), Magic)...),
			na(a6, Bytes(14, 1, "nonce!"), Bytes(lla(2, ForeignMAC)...), Magic),
			behind(0, hopByHop, 136, append(forgedNA, Magic)...),
			nd(a6, allNodes, 135, append(append([]any{0, 0, 0, 0, g6}, lla(1, ForeignMAC)...), Magic)...),
			nd(self.LinkLocal(), allNodes, 136, append([]any{0x20, 0, 0, 0, b6}, Magic)...),
		}},
		{"routers that are none", "router", [][]byte{
			nd(self.LinkLocal(), allNodes, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), Magic),
			nd(a6, allNodes, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), Magic),
			nd(a6, b6, 137, 0, 0, 0, 0, a6, b6, Magic),
			nd(self.LinkLocal(), allNodes, 130, uint16(100), uint16(0), none6, Magic),
			behind(0, hopByHop, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), Magic),
			Ether(host, alice, 0x0800, IPv4(a4, g4, 1, Bytes(5, 1, uint16(0), a4, Magic))),
		}},
		{"DHCP server replies", "dhcp", [][]byte{
			Ether(BroadcastMAC, alice, 0x0800, IPv4(a4, netip.MustParseAddr("255.255.255.255"), 17, UDP(67, 68, Magic))),
			Ether(host, alice, 0x0800, IPv4(a4, b4, 17, UDP(67, 68, Magic))),
			Ether(host, alice, 0x86dd, IPv6(a6, b6, 17, UDP6(a6, b6, 547, 546, Magic))),
		}},
		{"hidden upper protocols", "headers", [][]byte{
			behind(44, atomic, 136, append(forgedNA, Magic)...),
			behind(44, atomic, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), Magic),
			// A first fragment that ends within its extension headers (RFC 7112).
			Ether(host, alice, 0x86dd, IPv6(a6, b6, 44, Bytes(60, 0, uint16(1), uint16(9), 58, 3, 1, 12, Magic))),
			// A later fragment of such a packet.
			Ether(host, alice, 0x86dd, IPv6(a6, b6, 44, Bytes(60, 0, uint16(8<<3), uint16(9), Magic))),
		}},
		{"other Ethernet types", "ethertype", [][]byte{
			Ether(host, alice, 0x8100, Bytes(uint16(5), uint16(0x0800), IPv4(b4, g4, 17, data))),
			Ether(host, alice, 0x8100, Bytes(uint16(0), uint16(0x0800), IPv4(b4, g4, 17, data))),
			Ether(bob, alice, 0x8100, Bytes(uint16(0), uint16(0x0800), IPv4(a4, b4, 17, data))),
			Ether(host, alice, 0x88a8, Bytes(uint16(5), uint16(0x8100), uint16(6), uint16(0x0800), IPv4(b4, g4, 17, data))),
			Ether(BroadcastMAC, alice, 0x8035, ARP(3, alice, b4, alice, b4)),
			Ether(bob, alice, 0x88b5, []byte(Magic)),
			Ether(BroadcastMAC, alice, 0x9000, []byte(Magic)),
			Ether(host, alice, 0x8847, []byte(Magic)),
			Ether(BroadcastMAC, alice, 0x8863, []byte(Magic)),
			Ether(BroadcastMAC, alice, 60, Bytes(0xaa, 0xaa, 3, 0, 0, 0, uint16(0x0800), IPv4(b4, g4, 17, data))),
			Ether(STPMAC, alice, 38, Bytes(0x42, 0x42, 3, make([]byte, 35), Magic)),
			Ether(LLDPMAC, alice, 0x88cc, []byte(Magic)),
			Ether(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 3}, alice, 0x888e, []byte(Magic)),
			// IPv4 to a group address that the bridge keeps: it skips prerouting.
			Ether(LLDPMAC, alice, 0x0800, IPv4(a4, g4, 17, data)),
			Ether(LLDPMAC, alice, 0x86dd, IPv6(a6, g6, 17, UDP6(a6, g6, 1000, 1000, Magic))),
		}},
	}
}
