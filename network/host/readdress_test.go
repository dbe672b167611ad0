package host

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/network"
)

// Addresses come and go while the VPS runs: reached and allowed as long as it
// has them, and nothing of them is left.
func TestReaddress(t *testing.T) {
	p := newPair(t)
	ctx := context.Background()
	before := everything(t)
	base4, base6 := p.table.IPv4.Addr().As4(), p.table.IPv6.Addr().As16()
	base4[3], base6[15] = 77, 77
	more := []netip.Addr{netip.AddrFrom4(base4), netip.AddrFrom16(base6)}
	was := p.plans[1]
	plan := func() network.Plan {
		t.Helper()
		now, err := network.NewPlan(p.table, p.table.Of("bob")[0])
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	change := func(was, now network.Plan) {
		t.Helper()
		for range 2 {
			if err := p.host.Readdress(ctx, was, now, initOf(p.pids[1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.table.Add("bob", "eth0", more, nil); err != nil {
		t.Fatal(err)
	}
	both := plan()
	change(was, both)
	for _, a := range append(more, p.addr(1, false), p.addr(1, true)) {
		inVPS(t, p.pids[0], func() error { return ping(a) })
		inVPS(t, p.pids[1], func() error {
			_, err := command("ping", "-n", "-c", "1", "-W", "3", "-I", a.String(), p.addr(0, a.Is6()).String())
			return err
		})
	}

	// The first addresses go, which are the primary ones.
	first := []netip.Addr{p.addr(1, false), p.addr(1, true)}
	if err := p.table.Drop("bob", "eth0", first); err != nil {
		t.Fatal(err)
	}
	only := plan()
	change(both, only)
	for i, a := range more {
		inVPS(t, p.pids[0], func() error { return ping(a) })
		inVPS(t, p.pids[1], func() error { return ping(p.addr(0, a.Is6())) })
		if reached(first[i]) {
			t.Errorf("%s is still reached", first[i])
		}
	}
	// Taken back by hand inside, it is a foreign one.
	inVPS(t, p.pids[1], func() error {
		_, err := command("ip", "addr", "add", first[0].String()+"/32", "dev", "eth0")
		return err
	})
	inVPS(t, p.pids[1], func() error {
		if _, err := command("ping", "-n", "-c", "1", "-W", "0.3", "-I", first[0].String(), p.addr(0, false).String()); err == nil {
			t.Error("it still sends from an address that it has no more")
		}
		_, err := command("ip", "addr", "del", first[0].String()+"/32", "dev", "eth0")
		return err
	})

	// Another's by now: withdrawing it once more leaves it to its owner.
	carol, err := p.table.Claim("carol", "eth0", first, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := network.NewPlan(p.table, carol)
	if err != nil {
		t.Fatal(err)
	}
	p.ensure(t)
	pid := newVPS(t)
	if err := p.host.Plug(ctx, theirs, initOf(pid)); err != nil {
		t.Fatal(err)
	}
	if err := p.host.Withdraw(both, only); err != nil {
		t.Fatal(err)
	}
	for _, a := range first {
		inVPS(t, p.pids[0], func() error { return ping(a) })
	}
	if err := p.host.Unplug(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	p.table.Release("carol")

	p.table.Claims[1].Addresses = first
	change(only, was)
	p.ensure(t)
	if diff := cmp.Diff(before, everything(t)); diff != "" {
		t.Errorf("something is left: %s", diff)
	}
	listen(t, p.pids[1], net.JoinHostPort(first[0].String(), "80"))
	if err := connects(p.pids[0], net.JoinHostPort(first[0].String(), "80")); err != nil {
		t.Error(err)
	}
}
