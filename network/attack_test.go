package network

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An attack is frames that Alice sends, and why each of them is dropped.
type attack struct {
	name   string
	reason Reason
	frames [][]byte
}

// attacks by Alice on Bob, the gateway and the host.
func (p *pair) attacks() []attack {
	alice, bob, host := p.plans[0].MAC, p.plans[1].MAC, net.HardwareAddr(NewHostPlan(p.table).MAC)
	a4, b4, g4 := p.addr(0, false), p.addr(1, false), p.table.Gateway4()
	a6, b6, g6 := p.addr(0, true), p.addr(1, true), p.table.Gateway6()
	allNodes, outside4, outside6 := netip.MustParseAddr("ff02::1"), netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("2001:db8::99")
	none4, none6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	data := udp(1000, 1000, magic)
	v4 := func(from, to netip.Addr) []byte { return ether(host, alice, 0x0800, ipv4(from, to, 17, data)) }
	v6 := func(from, to netip.Addr) []byte {
		return ether(host, alice, 0x86dd, ipv6(from, to, 17, udp6(from, to, 1000, 1000, magic)))
	}
	nd := func(from, to netip.Addr, kind int, body ...any) []byte {
		return ether(groupMAC, alice, 0x86dd, ipv6(from, to, 58, icmp6(from, to, kind, body...)))
	}
	na := func(target netip.Addr, option ...any) []byte {
		return nd(a6, allNodes, 136, append([]any{0x20, 0, 0, 0, target}, option...)...)
	}
	lla := func(kind int, mac net.HardwareAddr) []any { return []any{kind, 1, mac} }
	// behind wraps an ICMPv6 message in extension headers.
	behind := func(first int, headers []byte, kind int, body ...any) []byte {
		return ether(groupMAC, alice, 0x86dd, ipv6(a6, allNodes, first,
			append(headers, icmp6(a6, allNodes, kind, body...)...)))
	}
	hopByHop := bytesOf(58, 0, 1, 4, 0, 0, 0, 0)
	atomic := bytesOf(58, 0, uint16(0), uint16(0), uint16(7))
	forgedNA := append([]any{0x20, 0, 0, 0, b6}, lla(2, alice)...)
	return []attack{
		{"foreign source MAC", ReasonMAC, [][]byte{
			ether(host, foreignMAC, 0x0800, ipv4(a4, g4, 17, data)),
			ether(host, bob, 0x0800, ipv4(b4, g4, 17, data)),
			ether(bob, host, 0x0800, ipv4(g4, b4, 17, data)),
			ether(broadcastMAC, foreignMAC, 0x0806, arp(1, foreignMAC, a4, foreignMAC, g4)),
		}},
		{"foreign source IPv4", ReasonSource, [][]byte{
			v4(b4, g4), v4(g4, b4), v4(outside4, b4), v4(none4, g4), v4(netip.MustParseAddr("127.0.0.1"), g4),
			v4(netip.MustParseAddr("10.90.255.255"), b4),
			ether(broadcastMAC, alice, 0x0800, ipv4(none4, netip.MustParseAddr("255.255.255.255"), 17, udp(68, 67, magic))),
		}},
		{"foreign source IPv6", ReasonSource, [][]byte{
			v6(b6, g6), v6(g6, b6), v6(outside6, b6), v6(linkLocal(bob), g6), v6(linkLocal(host), b6),
			v6(none6, g6),
			nd(none6, allNodes, 135, 0, 0, 0, 0, b6, magic), // duplicate detection of Bob's address
			nd(none6, allNodes, 136, 0x20, 0, 0, 0, b6, magic),
		}},
		{"ARP that lies", ReasonARP, [][]byte{
			ether(broadcastMAC, alice, 0x0806, arp(1, alice, b4, alice, b4)),
			ether(broadcastMAC, alice, 0x0806, arp(2, alice, g4, alice, g4)),
			ether(host, alice, 0x0806, arp(2, alice, b4, host, g4)),
			ether(bob, alice, 0x0806, arp(2, alice, g4, bob, b4)),
			ether(host, alice, 0x0806, arp(1, bob, a4, host, g4)),
			ether(host, alice, 0x0806, arp(2, foreignMAC, a4, host, g4)),
			ether(broadcastMAC, alice, 0x0806, arp(1, alice, none4, host, b4)),
			ether(host, alice, 0x0806, bytesOf(uint16(1), uint16(0x86dd), 6, 16, uint16(2), alice, b6, host, g6, magic)),
			ether(host, alice, 0x0806, bytesOf(uint16(6), uint16(0x0800), 6, 4, uint16(2), alice, a4, host, g4, magic)),
		}},
		{"neighbour advertisements that lie", ReasonNeighbour, [][]byte{
			na(b6, append(lla(2, alice), magic)...),
			na(g6, append(lla(2, alice), magic)...),
			na(linkLocal(host), append(lla(2, alice), magic)...),
			na(a6, append(lla(2, bob), magic)...),
			na(a6, bytesOf(14, 1, "nonce!"), bytesOf(lla(2, foreignMAC)...), magic),
			behind(0, hopByHop, 136, append(forgedNA, magic)...),
			nd(a6, allNodes, 135, append(append([]any{0, 0, 0, 0, g6}, lla(1, foreignMAC)...), magic)...),
			nd(linkLocal(alice), allNodes, 136, append([]any{0x20, 0, 0, 0, b6}, magic)...),
		}},
		{"routers that are none", ReasonRouter, [][]byte{
			nd(linkLocal(alice), allNodes, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), magic),
			nd(a6, allNodes, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), magic),
			nd(a6, b6, 137, 0, 0, 0, 0, a6, b6, magic),
			nd(linkLocal(alice), allNodes, 130, uint16(100), uint16(0), none6, magic),
			behind(0, hopByHop, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), magic),
			ether(host, alice, 0x0800, ipv4(a4, g4, 1, bytesOf(5, 1, uint16(0), a4, magic))),
		}},
		{"DHCP server replies", ReasonDHCP, [][]byte{
			ether(broadcastMAC, alice, 0x0800, ipv4(a4, netip.MustParseAddr("255.255.255.255"), 17, udp(67, 68, magic))),
			ether(host, alice, 0x0800, ipv4(a4, b4, 17, udp(67, 68, magic))),
			ether(host, alice, 0x86dd, ipv6(a6, b6, 17, udp6(a6, b6, 547, 546, magic))),
		}},
		{"hidden upper protocols", ReasonHeaders, [][]byte{
			behind(44, atomic, 136, append(forgedNA, magic)...),
			behind(44, atomic, 134, 64, 0, uint16(1800), uint16(0), uint16(0), uint16(0), uint16(0), magic),
			// A first fragment that ends within its extension headers (RFC 7112).
			ether(host, alice, 0x86dd, ipv6(a6, b6, 44, bytesOf(60, 0, uint16(1), uint16(9), 58, 3, 1, 12, magic))),
			// A later fragment of such a packet.
			ether(host, alice, 0x86dd, ipv6(a6, b6, 44, bytesOf(60, 0, uint16(8<<3), uint16(9), magic))),
		}},
		{"other Ethernet types", ReasonEtherType, [][]byte{
			ether(host, alice, 0x8100, bytesOf(uint16(5), uint16(0x0800), ipv4(b4, g4, 17, data))),
			ether(host, alice, 0x8100, bytesOf(uint16(0), uint16(0x0800), ipv4(b4, g4, 17, data))),
			ether(bob, alice, 0x8100, bytesOf(uint16(0), uint16(0x0800), ipv4(a4, b4, 17, data))),
			ether(host, alice, 0x88a8, bytesOf(uint16(5), uint16(0x8100), uint16(6), uint16(0x0800), ipv4(b4, g4, 17, data))),
			ether(broadcastMAC, alice, 0x8035, arp(3, alice, b4, alice, b4)),
			ether(bob, alice, 0x88b5, []byte(magic)),
			ether(broadcastMAC, alice, 0x9000, []byte(magic)),
			ether(host, alice, 0x8847, []byte(magic)),
			ether(broadcastMAC, alice, 0x8863, []byte(magic)),
			ether(broadcastMAC, alice, 60, bytesOf(0xaa, 0xaa, 3, 0, 0, 0, uint16(0x0800), ipv4(b4, g4, 17, data))),
			ether(stpMAC, alice, 38, bytesOf(0x42, 0x42, 3, make([]byte, 35), magic)),
			ether(lldpMAC, alice, 0x88cc, []byte(magic)),
			ether(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 3}, alice, 0x888e, []byte(magic)),
			// IPv4 to a group address that the bridge keeps: it skips prerouting.
			ether(lldpMAC, alice, 0x0800, ipv4(a4, g4, 17, data)),
			ether(lldpMAC, alice, 0x86dd, ipv6(a6, g6, 17, udp6(a6, g6, 1000, 1000, magic))),
		}},
	}
}

// TestAttacks sends everything that must not pass and looks for it at Bob's
// interface, on the bridge as the host sees it, and in the counts.
func TestAttacks(t *testing.T) {
	p := newPair(t)
	for _, at := range p.attacks() {
		t.Run(at.name, func(t *testing.T) {}) // names in -v; the work needs this thread
		before := p.dropped(t, 0)[at.reason]
		neighbours := p.neighbours(t)
		watchers := p.watch(t)
		p.send(t, 0, at.frames...)
		p.waitDropped(t, at, before+uint64(len(at.frames)))
		p.mark(t)
		for where, w := range watchers {
			for _, frame := range w.frames(t) {
				if bytes.Contains(frame, []byte(magic)) {
					t.Errorf("%s: seen at %s: % x", at.name, where, frame)
				}
			}
		}
		if now := p.neighbours(t); now != neighbours {
			t.Errorf("%s: the host's neighbours changed from\n%s to\n%s", at.name, neighbours, now)
		}
	}
	if d := p.dropped(t, 1); len(d) > 0 {
		t.Errorf("Bob is blamed: %v", d)
	}
}

// neighbours is whom the host knows on the bridge, sorted: the kernel moves
// them about in its table.
func (p *pair) neighbours(t *testing.T) string {
	t.Helper()
	lines := strings.SplitAfter(run(t, "ip", "neigh", "show", "dev", p.table.Bridge), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestReservedGroupAddresses sends frames that skip the hook prerouting: the
// bridge takes 01:80:c2:00:00:0x for itself.
func TestReservedGroupAddresses(t *testing.T) {
	p := newPair(t)
	var frames [][]byte
	for last := range byte(16) {
		to := net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, last}
		frames = append(frames, ether(to, p.plans[0].MAC, 0x0800, ipv4(p.addr(1, false), p.table.Gateway4(), 17, udp(1000, 1000, magic))))
	}
	// At the port itself a packet socket sees all; an IPv4 socket must not.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p.send(t, 0, frames...)
	p.mark(t)
	buf := make([]byte, 2000)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			break
		}
		if bytes.Contains(buf[:n], []byte(magic)) {
			t.Fatalf("the host's stack received % x", buf[:n])
		}
	}
}

// TestListener has Bob listen to everything while Alice and the host talk.
func TestListener(t *testing.T) {
	p := newPair(t)
	alice, bob := p.plans[0].MAC, p.plans[1].MAC
	w := p.watcher(t, p.pids[1], "eth0")
	a4, a6 := p.addr(0, false), p.addr(0, true)
	group4, group6 := netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("ff02::fb")
	p.send(t, 0,
		ether(broadcastMAC, alice, 0x0800, ipv4(a4, netip.MustParseAddr("10.90.255.255"), 17, udp(1, 9, magic))),
		ether(net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0xfb}, alice, 0x0800, ipv4(a4, group4, 17, udp(5353, 5353, magic))),
		ether(groupMAC, alice, 0x86dd, ipv6(a6, group6, 17, udp6(a6, group6, 5353, 5353, magic))),
		ether(broadcastMAC, alice, 0x0806, arp(1, alice, a4, alice, p.addr(1, false))),
		ether(bob, alice, 0x0800, ipv4(a4, p.addr(1, false), 17, udp(1, 9, magic))), // straight to Bob's MAC
		ether(foreignMAC, alice, 0x0800, ipv4(a4, p.table.Gateway4(), 17, udp(1, 9, magic))),
	)
	// The host: to everybody on the link.
	host := NewHostPlan(p.table).MAC
	sendFrames(t, p.table.Bridge,
		ether(broadcastMAC, host, 0x0800, ipv4(p.table.Gateway4(), netip.MustParseAddr("10.90.255.255"), 17, udp(1, 9, magic))),
		ether(groupMAC, host, 0x86dd, ipv6(p.table.Gateway6(), group6, 17, udp6(p.table.Gateway6(), group6, 9, 9, magic))),
		ether(alice, host, 0x0800, ipv4(p.table.Gateway4(), a4, 17, udp(1, 9, magic))),
		ether(bob, host, 0x0800, ipv4(p.table.Gateway4(), a4, 17, udp(1, 9, magic))), // Bob's MAC, Alice's address
	)
	p.mark(t)
	frames := w.frames(t)
	if len(frames) == 0 {
		t.Fatal("Bob heard nothing, not even what was for him")
	}
	for _, f := range frames {
		to, from := net.HardwareAddr(f[:6]).String(), net.HardwareAddr(f[6:12]).String()
		if bytes.Contains(f, []byte(magic)) || to != bob.String() && from != bob.String() {
			t.Errorf("Bob heard % x", f)
		}
	}
}

// TestFloodOfMACs sends a hundred thousand source addresses.
func TestFloodOfMACs(t *testing.T) {
	p := newPair(t)
	const n = 100_000
	before := run(t, "bridge", "fdb")
	frame := ether(broadcastMAC, foreignMAC, 0x0800, ipv4(p.addr(0, false), p.table.Gateway4(), 17, udp(1, 1, magic)))
	inVPS(t, p.pids[0], func() error {
		fd, err := packetSocket("eth0")
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for i := range n {
			frame[8], frame[9], frame[10], frame[11] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
			if _, err := unix.Write(fd, frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return err
			}
		}
		return nil
	})
	p.waitDropped(t, attack{name: "flood", reason: ReasonMAC}, n)
	if now := run(t, "bridge", "fdb"); now != before {
		t.Fatalf("the bridge learnt something:\n%s", now)
	}
}

// TestUnknownPortDrops plugs a link of our kind of name into the bridge by
// hand: nothing of it may pass.
func TestUnknownPortDrops(t *testing.T) {
	p := newPair(t)
	pid := newVPS(t)
	run(t, "ip", "link", "add", "cr-stranger", "master", p.table.Bridge, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(pid))
	run(t, "ip", "link", "set", "cr-stranger", "up")
	inVPS(t, pid, func() error {
		if _, err := command("ip", "addr", "add", "10.90.7.7/16", "dev", "eth0"); err != nil {
			return err
		}
		_, err := command("ip", "link", "set", "eth0", "up")
		return err
	})
	w := p.watcher(t, os.Getpid(), p.table.Bridge)
	inVPS(t, pid, func() error {
		if reached(p.table.Gateway4()) {
			return errors.New("a stranger reached the gateway")
		}
		return nil
	})
	for _, f := range w.frames(t) {
		if bytes.Contains(f, []byte{10, 90, 7, 7}) && !bytes.Equal(f[6:12], NewHostPlan(p.table).MAC) {
			t.Fatalf("the bridge took % x", f)
		}
	}
}

func (p *pair) dropped(t *testing.T, i int) map[Reason]uint64 {
	t.Helper()
	d, err := p.host.Dropped(p.plans[i])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (p *pair) waitDropped(t *testing.T, at attack, want uint64) {
	t.Helper()
	var got map[Reason]uint64
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if got = p.dropped(t, 0); got[at.reason] >= want {
			break
		}
	}
	if got[at.reason] != want {
		t.Errorf("%s: %d dropped for %q, want %d (all: %v)", at.name, got[at.reason], at.reason, want, got)
	}
}

// mark lets honest traffic follow what was sent, so that whoever looks then
// has seen everything before it; and shows that the victims still work.
func (p *pair) mark(t *testing.T) {
	t.Helper()
	inVPS(t, p.pids[0], func() error {
		return errors.Join(ping(p.table.Gateway4()), ping(p.addr(1, false)), ping(p.addr(1, true)))
	})
	inVPS(t, p.pids[1], func() error { return errors.Join(ping(p.table.Gateway4()), ping(p.table.Gateway6())) })
}

func (p *pair) send(t *testing.T, i int, frames ...[]byte) {
	t.Helper()
	inVPS(t, p.pids[i], func() error { return writeFrames("eth0", frames...) })
}

func sendFrames(t *testing.T, link string, frames ...[]byte) {
	t.Helper()
	if err := writeFrames(link, frames...); err != nil {
		t.Fatal(err)
	}
}

func writeFrames(link string, frames ...[]byte) error {
	fd, err := packetSocket(link)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, f := range frames {
		if _, err := unix.Write(fd, f); err != nil {
			return fmt.Errorf("send % x: %w", f, err)
		}
	}
	return nil
}

func packetSocket(link string) (int, error) {
	all := uint16(unix.ETH_P_ALL)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(all<<8|all>>8))
	if err != nil {
		return -1, err
	}
	req, err := unix.NewIfreq(link)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: int(req.Uint32())})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen at %s: %w", link, err)
	}
	return fd, nil
}

// A watcher hears everything at one interface, promiscuously.
type watcher struct{ fd int }

func (p *pair) watcher(t *testing.T, pid int, link string) watcher {
	t.Helper()
	var w watcher
	listen := func() (err error) {
		if w.fd, err = packetSocket(link); err != nil {
			return err
		}
		req, err := unix.NewIfreq(link)
		if err != nil {
			return err
		}
		if err := unix.IoctlIfreq(w.fd, unix.SIOCGIFINDEX, req); err != nil {
			return err
		}
		unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
		return unix.SetsockoptPacketMreq(w.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(req.Uint32()), Type: unix.PACKET_MR_PROMISC})
	}
	if pid == os.Getpid() { // this thread's namespace, not the process's
		if err := listen(); err != nil {
			t.Fatal(err)
		}
	} else {
		inVPS(t, pid, listen)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

func (p *pair) watch(t *testing.T) map[string]watcher {
	return map[string]watcher{
		"Bob's eth0":        p.watcher(t, p.pids[1], "eth0"),
		"the host's bridge": p.watcher(t, os.Getpid(), p.table.Bridge),
	}
}

// frames returns what came since, without waiting.
func (w watcher) frames(t *testing.T) [][]byte {
	t.Helper()
	var out [][]byte
	for {
		buf := make([]byte, 4096)
		n, _, err := unix.Recvfrom(w.fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, buf[:n])
	}
}
