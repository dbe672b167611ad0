package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
)

// Another MTU and source address for each destination, seen by who gets the
// packets.
func TestRoutesOfAVPS(t *testing.T) {
	h := newHost(t)
	table := network.Default(network.Seed{})
	base := table.IPv4.Addr().As4()
	second := netip.AddrFrom4([4]byte{base[0], base[1], 9, 9})
	six := table.IPv6.Addr().As16()
	six[15] = 99
	second6 := netip.AddrFrom16(six)
	p := &pair{host: h}
	for i, name := range []string{"alice", "bob"} {
		var want []netip.Addr
		if name == "alice" { // its first addresses are the lowest free ones
			want = []netip.Addr{network.FirstHost(table.IPv4).Next(), second, network.FirstHost(table.IPv6).Next(), second6}
		}
		c, err := table.Claim(vps.Name(name), "eth0", want, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.plans[i], err = network.NewPlan(table, c); err != nil {
			t.Fatal(err)
		}
		p.pids[i] = newVPS(t)
	}
	p.table = table
	ctx := context.Background()
	p.ensure(t)
	for i := range p.plans {
		if err := h.Plug(ctx, p.plans[i], initOf(p.pids[i])); err != nil {
			t.Fatal(err)
		}
	}
	alice, interfaces := p.pids[0], p.plans[:1]
	before := routesOf(t, alice)
	inVPS(t, alice, func() error { // the VPS's own, which stay
		for _, c := range []string{"ip route add 203.0.113.0/24 dev eth0 table 77", "ip rule add from 203.0.113.1 table 77"} {
			f := strings.Fields(c)
			if _, err := command(f[0], f[1:]...); err != nil {
				return err
			}
		}
		return nil
	})
	own := routesOf(t, alice)
	set := func(r vps.Routing) {
		t.Helper()
		for range 2 {
			if err := h.SetRouting(r, interfaces, initOf(alice)); err != nil {
				t.Fatal(err)
			}
		}
		info, err := h.Routing("alice", r, interfaces, initOf(alice))
		if err != nil || !info.Applied || len(info.Rules) < len(r.Rules)+1 {
			t.Errorf("%+v, %v", info, err)
		}
	}
	bob4, bob6 := p.addr(1, false), p.addr(1, true)
	set(vps.Routing{Routes: []vps.Route{
		{Destination: bob4.String(), Src: second.String(), MTU: 600, AdvMSS: 500},
		{Destination: bob6.String(), Src: second6.String(), MTU: 1280},
	}})
	seen := func(to netip.Addr, want netip.Addr, mtu int) {
		t.Helper()
		// At her port: the host, which tracks connections, puts fragments together.
		w := p.watcher(t, os.Getpid(), p.plans[0].HostLink)
		inVPS(t, alice, func() error {
			_, err := command("ping", "-n", "-c", "1", "-W", "3", "-s", "1372", to.String())
			return err
		})
		largest := 0
		for _, f := range w.frames(t) {
			var from netip.Addr
			switch {
			case len(f) > 34 && f[12] == 8 && f[13] == 0:
				from = netip.AddrFrom4([4]byte(f[26:30]))
			case len(f) > 54 && f[12] == 0x86:
				from = netip.AddrFrom16([16]byte(f[22:38]))
			}
			if from == want {
				largest = max(largest, len(f)-14)
			}
		}
		if largest > mtu || largest < mtu-8 { // fragments end at a multiple of eight
			t.Errorf("%s: the largest packet from %s has %d bytes, want %d", to, want, largest, mtu)
		}
	}
	seen(bob4, second, 600)
	seen(bob6, second6, 1280)

	// Another table for another source; what went before is taken away.
	set(vps.Routing{
		Routes: []vps.Route{
			{Destination: "0.0.0.0/0", Table: 100, MTU: 700}, {Destination: "0.0.0.0/0", MTU: 800, Src: p.addr(0, false).String()},
			{Destination: "::/0", Table: 100, MTU: 1300},
		},
		Rules: []vps.RouteRule{{To: bob4.String(), Table: 100, Priority: 1000}, {To: bob6.String(), Table: 100}},
	})
	seen(bob4, p.addr(0, false), 700)
	set(vps.Routing{Routes: []vps.Route{{Destination: "198.51.100.0/24"}}, Rules: []vps.RouteRule{{From: second.String(), Table: 100}}})
	refused := vps.Routing{Routes: []vps.Route{{Destination: "198.51.100.0/24", Via: "192.0.2.77"}}}
	if err := h.SetRouting(refused, interfaces, initOf(alice)); !fail.Is(err, fail.State) {
		t.Errorf("a next hop that is nowhere: %v", err)
	}
	set(vps.Routing{})
	if got := routesOf(t, alice); got != own {
		t.Errorf("afterwards it has\n%s\nand had\n%s", got, own)
	}
	if !strings.Contains(own, "203.0.113.0/24") || strings.Contains(before, "203.0.113.0/24") {
		t.Error("this test looks at nothing")
	}
}

func routesOf(t *testing.T, pid int) string {
	t.Helper()
	var all string
	inVPS(t, pid, func() error {
		for _, c := range []string{"ip route show table all", "ip -6 route show table all", "ip rule", "ip -6 rule"} {
			f := strings.Fields(c)
			out, err := command(f[0], f[1:]...)
			if err != nil {
				return err
			}
			for line := range strings.Lines(out) {
				if !strings.Contains(line, " table local ") { // which is the kernel's, and follows duplicate detection
					all += line
				}
			}
		}
		return nil
	})
	return all
}

// TCP's other side is told the segment size of the route.
func TestRouteAdvMSS(t *testing.T) {
	p := newPair(t)
	bob := p.addr(1, false)
	if err := p.host.SetRouting(vps.Routing{Routes: []vps.Route{{Destination: bob.String(), AdvMSS: 444}}}, p.plans[:1], initOf(p.pids[0])); err != nil {
		t.Fatal(err)
	}
	listen(t, p.pids[1], net.JoinHostPort(bob.String(), "80"))
	w := p.watcher(t, p.pids[1], "eth0")
	if err := connects(p.pids[0], net.JoinHostPort(bob.String(), "80")); err != nil {
		t.Fatal(err)
	}
	told := ""
	for _, f := range w.frames(t) {
		if len(f) > 58 && f[23] == 6 && f[47] == 2 { // TCP, SYN alone
			told = fmt.Sprint(f[54], f[55], int(f[56])<<8|int(f[57])) // the first option
		}
	}
	if told != "2 4 444" {
		t.Errorf("it was told %q", told)
	}
}
