package host

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

	"croft/integration/attack"
	"croft/network"
)

// attacks are by Alice on Bob, the gateway and the host.
func (p *pair) attacks() []attack.Attack {
	gateway := attack.Party{MAC: network.NewHostPlan(p.table).MAC, IPv4: p.table.Gateway4(), IPv6: p.table.Gateway6()}
	return attack.By(p.party(0), p.party(1), gateway, netip.MustParseAddr("10.90.255.255"))
}

func (p *pair) party(i int) attack.Party {
	return attack.Party{MAC: p.plans[i].MAC, IPv4: p.addr(i, false), IPv6: p.addr(i, true)}
}

// TestAttacks sends everything that must not pass and looks for it at Bob's
// interface, on the bridge as the host sees it, and in the counts.
func TestAttacks(t *testing.T) {
	p := newPair(t)
	for _, at := range p.attacks() {
		t.Run(at.Name, func(t *testing.T) {}) // names in -v; the work needs this thread
		before := p.dropped(t, 0)[at.Reason]
		neighbours := p.neighbours(t)
		watchers := p.watch(t)
		p.send(t, 0, at.Frames...)
		p.waitDropped(t, at, before+uint64(len(at.Frames)))
		p.mark(t)
		for where, w := range watchers {
			for _, frame := range w.frames(t) {
				if bytes.Contains(frame, []byte(attack.Magic)) {
					t.Errorf("%s: seen at %s: % x", at.Name, where, frame)
				}
			}
		}
		if now := p.neighbours(t); now != neighbours {
			t.Errorf("%s: the host's neighbours changed from\n%s to\n%s", at.Name, neighbours, now)
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
		frames = append(frames, attack.Ether(to, p.plans[0].MAC, 0x0800, attack.IPv4(p.addr(1, false), p.table.Gateway4(), 17, attack.UDP(1000, 1000, attack.Magic))))
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
		if bytes.Contains(buf[:n], []byte(attack.Magic)) {
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
		attack.Ether(attack.BroadcastMAC, alice, 0x0800, attack.IPv4(a4, netip.MustParseAddr("10.90.255.255"), 17, attack.UDP(1, 9, attack.Magic))),
		attack.Ether(net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0xfb}, alice, 0x0800, attack.IPv4(a4, group4, 17, attack.UDP(5353, 5353, attack.Magic))),
		attack.Ether(attack.GroupMAC, alice, 0x86dd, attack.IPv6(a6, group6, 17, attack.UDP6(a6, group6, 5353, 5353, attack.Magic))),
		attack.Ether(attack.BroadcastMAC, alice, 0x0806, attack.ARP(1, alice, a4, alice, p.addr(1, false))),
		attack.Ether(bob, alice, 0x0800, attack.IPv4(a4, p.addr(1, false), 17, attack.UDP(1, 9, attack.Magic))), // straight to Bob's MAC
		attack.Ether(attack.ForeignMAC, alice, 0x0800, attack.IPv4(a4, p.table.Gateway4(), 17, attack.UDP(1, 9, attack.Magic))),
	)
	// The host: to everybody on the link.
	host := network.NewHostPlan(p.table).MAC
	sendFrames(t, p.table.Bridge,
		attack.Ether(attack.BroadcastMAC, host, 0x0800, attack.IPv4(p.table.Gateway4(), netip.MustParseAddr("10.90.255.255"), 17, attack.UDP(1, 9, attack.Magic))),
		attack.Ether(attack.GroupMAC, host, 0x86dd, attack.IPv6(p.table.Gateway6(), group6, 17, attack.UDP6(p.table.Gateway6(), group6, 9, 9, attack.Magic))),
		attack.Ether(alice, host, 0x0800, attack.IPv4(p.table.Gateway4(), a4, 17, attack.UDP(1, 9, attack.Magic))),
		attack.Ether(bob, host, 0x0800, attack.IPv4(p.table.Gateway4(), a4, 17, attack.UDP(1, 9, attack.Magic))), // Bob's MAC, Alice's address
	)
	p.mark(t)
	frames := w.frames(t)
	if len(frames) == 0 {
		t.Fatal("Bob heard nothing, not even what was for him")
	}
	for _, f := range frames {
		to, from := net.HardwareAddr(f[:6]).String(), net.HardwareAddr(f[6:12]).String()
		if bytes.Contains(f, []byte(attack.Magic)) || to != bob.String() && from != bob.String() {
			t.Errorf("Bob heard % x", f)
		}
	}
}

// TestFloodOfMACs sends a hundred thousand source addresses.
func TestFloodOfMACs(t *testing.T) {
	p := newPair(t)
	const n = 100_000
	learnt := func() string { return run(t, "bridge", "fdb", "show", "br", p.table.Bridge, "dynamic") }
	before := learnt()
	frame := attack.Ether(attack.BroadcastMAC, attack.ForeignMAC, 0x0800, attack.IPv4(p.addr(0, false), p.table.Gateway4(), 17, attack.UDP(1, 1, attack.Magic)))
	// The kernel queues a thousand frames at a time (netdev_max_backlog) and drops
	// the rest before the filters count it, so a busy machine needs more of them.
	deadline := time.Now().Add(5 * time.Minute)
	for sent, counted := 0, uint64(0); counted < n; counted = p.dropped(t, 0)[network.ReasonMAC] {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d frames were dropped and counted", counted, sent)
		}
		inVPS(t, p.pids[0], func() error { return attack.SendMACs("eth0", frame, sent, n/10) })
		sent += n / 10
	}
	if now := learnt(); now != before {
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
		if bytes.Contains(f, []byte{10, 90, 7, 7}) && !bytes.Equal(f[6:12], network.NewHostPlan(p.table).MAC) {
			t.Fatalf("the bridge took % x", f)
		}
	}
}

func (p *pair) dropped(t *testing.T, i int) map[network.Reason]uint64 {
	t.Helper()
	d, err := p.host.Dropped(p.plans[i])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (p *pair) waitDropped(t *testing.T, at attack.Attack, want uint64) {
	t.Helper()
	var got map[network.Reason]uint64
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if got = p.dropped(t, 0); got[at.Reason] >= want {
			break
		}
	}
	if got[at.Reason] != want {
		t.Errorf("%s: %d dropped for %q, want %d (all: %v)", at.Name, got[at.Reason], at.Reason, want, got)
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
	inVPS(t, p.pids[i], func() error { return attack.Send("eth0", frames...) })
}

func sendFrames(t *testing.T, link string, frames ...[]byte) {
	t.Helper()
	if err := attack.Send(link, frames...); err != nil {
		t.Fatal(err)
	}
}

// A watcher hears everything at one interface, promiscuously.
type watcher struct{ fd int }

func (p *pair) watcher(t *testing.T, pid int, link string) watcher {
	t.Helper()
	var w watcher
	listen := func() (err error) { w.fd, err = attack.Listen(link); return err }
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
	all, err := attack.Received(w.fd)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A VPS that scans unused addresses of its network, as its kernel does and by
// frames that go to the gateway at once, makes the host ask for none of them:
// an entry for which it asks stays when the table is full.
func TestScanMakesNoIncompleteNeighbours(t *testing.T) {
	p := newPair(t)
	const n = 200
	gateway := network.NewHostPlan(p.table).MAC
	var frames [][]byte
	inVPS(t, p.pids[0], func() error {
		s, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		defer s.Close()
		for i := range n {
			four, six := p.table.IPv4.Addr().As4(), p.table.IPv6.Addr().As16()
			four[2], four[3], six[14], six[15] = 9, byte(i), 9, byte(i)
			for _, to := range []netip.Addr{netip.AddrFrom4(four), netip.AddrFrom16(six)} {
				s.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(to, 9)) // an error is as good
				if to.Is4() {
					frames = append(frames, attack.Ether(gateway, p.plans[0].MAC, 0x0800, attack.IPv4(p.addr(0, false), to, 17, attack.UDP(1, 9, attack.Magic))))
				} else {
					frames = append(frames, attack.Ether(gateway, p.plans[0].MAC, 0x86dd, attack.IPv6(p.addr(0, true), to, 17, attack.UDP6(p.addr(0, true), to, 1, 9, attack.Magic))))
				}
			}
		}
		return nil
	})
	p.send(t, 0, frames...)
	p.mark(t) // what was sent before has been through
	for _, family := range []string{"-4", "-6"} {
		if got := run(t, "ip", family, "neigh", "show", "dev", p.table.Bridge, "nud", "incomplete"); got != "" {
			t.Errorf("ip %s: the host asks for\n%.400s", family, got)
		}
	}
}
