package network

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Frames as an attacker makes them. Every one carries magic somewhere, in its
// payload or behind it, so that it is known again wherever it comes out.
const magic = "cRoFtAtTaCk!"

var (
	broadcastMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	groupMAC     = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
	lldpMAC      = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e}
	stpMAC       = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0}
	foreignMAC   = net.HardwareAddr{0x02, 0xde, 0xad, 0xbe, 0xef, 0x01}
)

func bytesOf(parts ...any) []byte {
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

func ether(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	frame := bytesOf(to, from, kind, payload)
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

func ipv4(from, to netip.Addr, proto int, payload []byte) []byte {
	head := bytesOf(0x45, 0, uint16(20+len(payload)), uint16(1), uint16(0), 64, proto, uint16(0), from, to)
	binary.BigEndian.PutUint16(head[10:], checksum(head))
	return append(head, payload...)
}

func ipv6(from, to netip.Addr, next int, payload []byte) []byte {
	return bytesOf(0x60, 0, uint16(0), uint16(len(payload)), next, 255, from, to, payload)
}

// udp4 leaves the checksum out, which IPv4 allows.
func udp(fromPort, toPort uint16, payload string) []byte {
	return bytesOf(fromPort, toPort, uint16(8+len(payload)), uint16(0), payload)
}

func udp6(from, to netip.Addr, fromPort, toPort uint16, payload string) []byte {
	d := udp(fromPort, toPort, payload)
	binary.BigEndian.PutUint16(d[6:], pseudo(from, to, 17, d))
	return d
}

func pseudo(from, to netip.Addr, next int, payload []byte) uint16 {
	return checksum(bytesOf(from, to, uint16(0), uint16(len(payload)), uint16(0), uint16(next), payload))
}

func icmp6(from, to netip.Addr, kind int, body ...any) []byte {
	d := bytesOf(append([]any{kind, 0, uint16(0)}, body...)...)
	binary.BigEndian.PutUint16(d[2:], pseudo(from, to, 58, d))
	return d
}

func arp(op uint16, senderMAC net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	return bytesOf(uint16(1), uint16(0x0800), 6, 4, op, senderMAC, sender, targetMAC, target, magic)
}
