// Package attack makes frames that no VPS may get out of its port: what
// someone sends who has root inside and wants to be somebody else, to hear what is
// not for him, or to be taken for a router. Tests of filters send them.
package attack

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Magic is in every frame of an attack somewhere, in its payload or behind it, so
// that the frame is known again wherever it comes out.
const Magic = "cRoFtAtTaCk!"

// Addresses that frames are sent to, and one without an owner.
var (
	BroadcastMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	GroupMAC     = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
	LLDPMAC      = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e}
	STPMAC       = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0}
	ForeignMAC   = net.HardwareAddr{0x02, 0xde, 0xad, 0xbe, 0xef, 0x01}
)

// Bytes strings its parts together: an int as one byte, a uint16 as two, the
// first the higher; texts, MACs and addresses as they are.
func Bytes(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case uint16:
			out = binary.BigEndian.AppendUint16(out, p)
		case string:
			out = append(out, p...)
		case []byte:
			out = append(out, p...)
		case net.HardwareAddr:
			out = append(out, p...)
		case netip.Addr:
			out = append(out, p.AsSlice()...)
		default:
			panic("a part of a frame of another kind")
		}
	}
	return out
}

// Ether is an Ethernet frame, filled up to the least length.
func Ether(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	frame := Bytes(to, from, kind, payload)
	for len(frame) < 60 {
		frame = append(frame, 0)
	}
	return frame
}

// checksum is that of RFC 1071.
func checksum(data []byte) uint16 {
	var sum uint32
	for i := 0; i < len(data); i += 2 {
		word := uint32(data[i]) << 8
		if i+1 < len(data) {
			word |= uint32(data[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// IPv4 is a packet with its checksum (RFC 791).
func IPv4(from, to netip.Addr, proto int, payload []byte) []byte {
	head := Bytes(0x45, 0, uint16(20+len(payload)), uint16(1), uint16(0), 64, proto, uint16(0), from, to)
	binary.BigEndian.PutUint16(head[10:], checksum(head))
	return append(head, payload...)
}

// IPv6 is a packet whose hop limit is 255, as neighbour discovery wants it
// (RFC 8200, RFC 4861).
func IPv6(from, to netip.Addr, next int, payload []byte) []byte {
	return Bytes(0x60, 0, uint16(0), uint16(len(payload)), next, 255, from, to, payload)
}

// UDP leaves the checksum out, which IPv4 allows.
func UDP(fromPort, toPort uint16, payload string) []byte {
	return Bytes(fromPort, toPort, uint16(8+len(payload)), uint16(0), payload)
}

// UDP6 is UDP with the checksum that IPv6 demands.
func UDP6(from, to netip.Addr, fromPort, toPort uint16, payload string) []byte {
	d := UDP(fromPort, toPort, payload)
	binary.BigEndian.PutUint16(d[6:], pseudo(from, to, 17, d))
	return d
}

func pseudo(from, to netip.Addr, next int, payload []byte) uint16 {
	return checksum(Bytes(from, to, uint16(0), uint16(len(payload)), uint16(0), uint16(next), payload))
}

// ICMP6 is a message of ICMPv6 with its checksum (RFC 4443).
func ICMP6(from, to netip.Addr, kind int, body ...any) []byte {
	d := Bytes(append([]any{kind, 0, uint16(0)}, body...)...)
	binary.BigEndian.PutUint16(d[2:], pseudo(from, to, 58, d))
	return d
}

// ARP is a message about IPv4 on Ethernet (RFC 826): 1 asks, 2 answers.
func ARP(op uint16, senderMAC net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	return Bytes(uint16(1), uint16(0x0800), 6, 4, op, senderMAC, sender, targetMAC, target, Magic)
}
