package network

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
)

func TestAddAndDrop(t *testing.T) {
	table := fixed()
	mustClaim(t, &table, "a")
	mustClaim(t, &table, "b")
	host := addrs("10.90.7.7")
	if err := table.Add("a", "eth0", addrs("fd00:1:2::9", "10.90.0.9", "10.90.0.9"), host); err != nil {
		t.Fatal(err)
	}
	want := addrs("10.90.0.2", "10.90.0.9", "fd00:1:2::2", "fd00:1:2::9")
	if got := table.Of("a")[0].Addresses; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if err := table.Add("a", "eth0", addrs("10.90.0.9"), host); err != nil {
		t.Errorf("again: %v", err)
	}
	for address, kind := range map[string]fail.Kind{
		"10.90.0.3": fail.Taken, "10.90.7.7": fail.Taken, "10.90.0.1": fail.Usage, "192.0.2.1": fail.Usage,
	} {
		if err := table.Add("a", "eth0", addrs("10.90.0.50", address), host); !fail.Is(err, kind) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := table.Add("c", "eth0", addrs("10.90.0.9"), nil); !fail.Is(err, fail.State) {
		t.Errorf("no such claim: %v", err)
	}
	for _, absent := range []string{"10.90.0.3", "10.90.0.50"} {
		if err := table.Drop("a", "eth0", addrs("10.90.0.9", absent)); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", absent, err)
		}
	}
	if got := table.Of("a")[0].Addresses; !slices.Equal(got, want) {
		t.Errorf("what failed changed it: %v", got)
	}
	if err := table.Drop("a", "eth0", addrs("10.90.0.2", "fd00:1:2::9")); err != nil {
		t.Fatal(err)
	}
	if got := table.Of("a")[0].Addresses; !slices.Equal(got, addrs("10.90.0.9", "fd00:1:2::2")) {
		t.Errorf("%v", got)
	}
	if err := table.check(); err != nil {
		t.Error(err)
	}
}

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
	plan := func() Plan {
		t.Helper()
		now, err := NewPlan(p.table, p.table.Of("bob")[0])
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	change := func(was, now Plan) {
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
	theirs, err := NewPlan(p.table, carol)
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
